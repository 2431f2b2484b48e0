"""Evaluation: what has a known direction gets a known error, from every kind of model."""

import argparse
import json
import os

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL, intensity_features
from doa_core.spec import FeatureSpec, ModelSpec
from doa_core.stft import stft
from doa_edge.tflite.shipped import shipped_model_path
from doa_tf.cli import evaluate as cli_evaluate
from doa_tf.cli.main import main
from doa_tf.data.features import feature_windows
from doa_tf.evaluation.judge import SceneResult, evaluate, read_per_scene, summarise
from doa_tf.scenes.folder import Scene, read_scenes, write_scenes

pytest.importorskip("soundfile")

WINDOW = 13_312  # samples
DIRECTIONS = [(30.0, 10.0), (-100.0, -40.0), (170.0, 60.0), (-10.0, 0.0)]


def plane_wave(azimuth_deg, elevation_deg, *, samples=WINDOW, seed=0):
    noise = 0.1 * np.random.default_rng(seed).standard_normal(samples)
    direction = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
    return encode_plane_wave(noise, direction)


class IntensityModel:
    """Stands where `TfliteModel` does: the mean active intensity as a Cartesian head's output."""

    spec = ModelSpec()

    def __init__(self, path=None):
        self.windows = 0

    def predict(self, features):
        self.windows += 1
        assert features.shape == self.spec.features.input_shape
        assert features.dtype == np.float32
        return (features[..., :3].mean(axis=1) + 1.0) / 2.0


class GridModel(IntensityModel):
    """A broad lobe around the mean active intensity, as scores of a grid."""

    spec = ModelSpec(head="gibbs", resolution_deg=10.0)

    def predict(self, features):
        direction = features[..., :3].mean(axis=1)
        return np.exp((direction @ self.spec.grid.vectors.T - 1.0) / np.radians(20.0) ** 2)


@pytest.fixture
def folder(tmp_path):
    """Four exact scenes, the last with a label that is 20 degrees off."""

    def scenes():
        for number, (azimuth_deg, elevation_deg) in enumerate(DIRECTIONS):
            label = azimuth_deg + (20.0 if number == 3 else 0.0)
            labels = {"azimuth_deg": label, "elevation_deg": elevation_deg}
            labels |= {"condition": "even" if number % 2 == 0 else "odd", "snr_db": 5.0 * number}
            samples = WINDOW * (1 + number) + 700  # one to four windows and a remainder
            wave = plane_wave(azimuth_deg, elevation_deg, samples=samples)
            yield f"scene_{number}", wave, labels

    write_scenes(tmp_path / "scenes", scenes())
    return tmp_path / "scenes"


@pytest.fixture
def tflite(tmp_path, monkeypatch):
    """A path that loads as the given stand-in."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not read")

    def use(model):
        monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", model)
        return str(path)

    return use


def arguments(*argv):
    parser = argparse.ArgumentParser()
    cli_evaluate.add_parser(parser.add_subparsers())
    return parser.parse_args(["evaluate", *map(str, argv)])


def result(error_deg, **columns):
    path = f"{error_deg}.wav"
    scene = Scene(file=path, path=path, azimuth_deg=0.0, elevation_deg=0.0, columns=columns)
    return SceneResult(
        scene=scene, azimuth_deg=error_deg, elevation_deg=0.0, error_deg=error_deg, confidence=1.0
    )


# --- errors and figures -------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["baseline:intensity", "baseline:music", "tflite"])
def test_answers_are_compared_with_their_labels(folder, tflite, model):
    name = tflite(IntensityModel) if model == "tflite" else model
    evaluation = evaluate(name, folder)
    assert evaluation.model == name
    # MUSIC searches a grid of 2.5 degrees.
    tolerance = 1.8 if model == "baseline:music" else 0.01
    errors = [result.error_deg for result in evaluation.results]
    assert errors == pytest.approx([0.0, 0.0, 0.0, 20.0], abs=tolerance)
    for result, (azimuth_deg, elevation_deg) in zip(evaluation.results, DIRECTIONS, strict=True):
        # An azimuth at 60 degrees of elevation is worth half of its degrees.
        assert result.azimuth_deg == pytest.approx(azimuth_deg, abs=2.0 * tolerance)
        assert result.elevation_deg == pytest.approx(elevation_deg, abs=tolerance)
        assert result.confidence > 0.95
    files = [result.scene.file for result in evaluation.results]
    assert files == [f"scene_{number}.wav" for number in range(4)]


def test_figures_have_the_agreed_names_and_are_percent(folder):
    figures = evaluate("baseline:intensity", folder).to_dict()
    assert list(figures) == ["model", "decode", "interval", "groups", "all"]
    assert list(figures["groups"]) == ["even", "odd"]
    for values in (*figures["groups"].values(), figures["all"]):
        names = ["n", "mean_deg", "median_deg", "acc10", "acc15", "acc5", "outliers30"]
        assert list(values) == [*names, "intervals"]
        assert list(values["intervals"]) == names[1:]
        for name, (low, high) in values["intervals"].items():
            assert low <= values[name] <= high
    assert figures["all"]["n"] == 4
    assert figures["all"]["acc10"] == figures["all"]["acc15"] == 75.0
    assert figures["all"]["mean_deg"] == pytest.approx(5.0, abs=0.01)
    odd = dict(figures["groups"]["odd"])
    assert odd.pop("intervals")["acc10"] == [0.0, 100.0]  # two scenes say next to nothing
    assert odd == pytest.approx(
        {"n": 2, "mean_deg": 10, "median_deg": 10, "acc10": 50, "acc15": 50}
        | {"acc5": 50, "outliers30": 0},
        abs=0.01,
    )


def test_summary_of_known_errors():
    figures = summarise([result(error) for error in (2.0, 10.0, 12.0, 15.5, 60.0)])
    figures.pop("intervals")
    assert figures == {"n": 5, "mean_deg": 19.9, "median_deg": 12.0} | {
        "acc5": 20.0, "acc10": 40.0, "acc15": 60.0, "outliers30": 20.0
    }  # fmt: skip


def test_group_by_takes_any_further_column(folder):
    groups = evaluate("baseline:intensity", folder, group_by="snr_db").to_dict()["groups"]
    assert list(groups) == ["0.0", "5.0", "10.0", "15.0"]
    with pytest.raises(InputError, match=r"by condition, snr_db, azimuth_deg, .*: room$"):
        evaluate("baseline:intensity", folder, group_by="room")


def test_scenes_without_further_columns_have_no_groups(tmp_path):
    labels = {"azimuth_deg": 30.0, "elevation_deg": 10.0}
    write_scenes(tmp_path / "s", [("a", plane_wave(30.0, 10.0), labels)])
    scenes = read_scenes(tmp_path / "s")
    assert evaluate("baseline:intensity", scenes).to_dict()["groups"] == {}
    with pytest.raises(InputError, match=r"grouped by azimuth_deg, elevation_deg. Received: cond"):
        evaluate("baseline:intensity", scenes, group_by="condition")
    assert list(evaluate("baseline:intensity", scenes, group_by="azimuth").groups()) == ["30"]


def test_json_is_written_whole_or_not_at_all(folder, tmp_path):
    evaluation = evaluate("baseline:intensity", folder)
    evaluation.write_json(tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == evaluation.to_dict()
    assert sorted(os.listdir(tmp_path)) == ["figures.json", "scenes"]
    with pytest.raises(OSError, match="folder must exist"):
        evaluation.write_json(tmp_path / "nowhere" / "figures.json")


def test_progress_counts_the_scenes(folder):
    seen = []
    evaluate("baseline:intensity", folder, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [INTENSITY_CHANNELS, (*INTENSITY_CHANNELS, LEVEL_CHANNEL)])
def test_windows_are_the_frames_of_a_stream(channels):
    features = FeatureSpec(channels=channels)
    signal = plane_wave(20.0, 5.0, samples=60 * 512 + 1024)  # 61 frames: two windows
    windows = feature_windows(signal, features)
    assert windows.shape == (2, *features.input_shape)
    assert windows.dtype == np.float32
    stream = intensity_features(stft(signal), channels=channels)
    np.testing.assert_array_equal(windows.reshape(50, 513, -1), stream[:50])


def test_one_window_is_enough_and_less_is_refused_with_the_file(tmp_path):
    assert len(feature_windows(np.zeros((WINDOW, 4)), FeatureSpec())) == 1
    labels = {"azimuth_deg": 0.0, "elevation_deg": 0.0}
    short = plane_wave(0.0, 0.0, samples=WINDOW - 1)
    write_scenes(tmp_path / "s", [("short", short, labels)])
    message = r"short\.wav is shorter than one window of 13312 samples \(0\.83 s\).*13311 samples"
    with pytest.raises(InputError, match=message):
        evaluate("baseline:music", tmp_path / "s")


def test_every_whole_window_counts_and_the_rest_does_not(tmp_path, tflite):
    other = plane_wave(90.0, 0.0, samples=WINDOW - 1)  # 24 frames: no window of its own
    wave = np.concatenate([plane_wave(30.0, 10.0, samples=2 * WINDOW), other])
    labels = {"azimuth_deg": 30.0, "elevation_deg": 10.0}
    write_scenes(tmp_path / "s", [("a", wave, labels)])
    model = IntensityModel()
    evaluation = evaluate(tflite(lambda path: model), tmp_path / "s")
    frames = 1 + (len(wave) - 1024) // 512
    assert model.windows == frames // 25
    assert evaluation.results[0].error_deg == pytest.approx(
        # 51 whole frames of 75 are the talker's, 23 the other one's, one is both.
        np.degrees(np.arccos(_share_towards_talker(51, 23))),
        abs=1.0,
    )


def _share_towards_talker(talker, other):
    u, v = (angles_to_vector(*np.radians(angles)) for angles in ((30.0, 10.0), (90.0, 0.0)))
    mean = talker * u + other * v
    return mean @ u / np.linalg.norm(mean)


def test_decoding_can_be_chosen(folder, tflite):
    path = tflite(GridModel)
    peak = evaluate(path, folder).results
    chosen = evaluate(path, folder, decode="peak").results
    centroid = evaluate(path, folder, decode="centroid").results
    assert [r.error_deg for r in peak] == [r.error_deg for r in chosen]
    # Three exact labels: the peak is off by the grid, the centroid below its step.
    assert max(r.error_deg for r in centroid[:3]) < max(r.error_deg for r in peak[:3]) < 7.0
    with pytest.raises(InputError, match=r"`decode` must be one of peak, centroid.*'mean'"):
        evaluate(path, folder, decode="mean")


# --- Keras and TFLite ---------------------------------------------------------------------------


class SigmoidModel(IntensityModel):
    """What `keras_model("cartesian")` computes."""

    def predict(self, features):
        return sigmoid(0.8 * features[..., :3].mean(axis=1))


class SigmoidGridModel(IntensityModel):
    """What `keras_model("gibbs-weighted")` gives after its sigmoid."""

    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0)

    def predict(self, features):
        return sigmoid(6.0 * features[..., :3].mean(axis=1) @ self.spec.grid.vectors.T - 6.0)


def sigmoid(values):
    return 1.0 / (1.0 + np.exp(-values))


@pytest.fixture(scope="module")
def keras_model():
    """Make a network of this package from the mean active intensity, with nothing to train."""
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    from doa_tf.layers import FeatureInput, HeadOutput

    def make(head):
        if head == "cartesian":
            resolution_deg, kernel, bias = None, 0.8 * np.eye(3), 0.0
        else:
            resolution_deg, kernel, bias = 10.0, 6.0 * SigmoidGridModel.spec.grid.vectors.T, -6.0
        features = FeatureSpec()
        inputs = keras.Input(features.input_shape)
        x = FeatureInput(features)(inputs)
        x = keras.layers.AveragePooling2D((1, features.bins))(x)
        x = keras.layers.Reshape((features.frames, 6))(x)
        dense = keras.layers.Dense(kernel.shape[1])
        x = dense(x)
        dense.set_weights([np.pad(kernel, ((0, 3), (0, 0))), np.full(kernel.shape[1], bias)])
        return keras.Model(inputs, HeadOutput(head, resolution_deg)(x), name="mean_intensity")

    return make


@pytest.mark.parametrize("windows", [1, 3, 32])
@pytest.mark.parametrize(
    ("head", "stand_in"), [("cartesian", SigmoidModel), ("gibbs-weighted", SigmoidGridModel)]
)
def test_a_keras_model_and_its_file_and_its_tflite_agree(
    folder, tmp_path, keras_model, tflite, monkeypatch, windows, head, stand_in
):
    monkeypatch.setattr("doa_tf.evaluation.predictions.BATCH_WINDOWS", windows)
    model = keras_model(head)
    evaluation = evaluate(model, folder, decode="centroid")
    assert evaluation.model == "mean_intensity"
    path = tmp_path / "model.keras"
    model.save(path)
    others = [
        evaluate(path, folder, decode="centroid"),
        evaluate(tflite(stand_in), folder, decode="centroid"),
    ]
    for other in others:
        for ours, theirs in zip(evaluation.results, other.results, strict=True):
            assert ours.error_deg == pytest.approx(theirs.error_deg, abs=0.01)
            assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-4)
    assert others[0].model == str(path)


# --- the command --------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_its_files(folder, tmp_path, capsys):
    figures, picture = tmp_path / "figures.json", tmp_path / "errors.png"
    pytest.importorskip("matplotlib")
    answers = tmp_path / "answers.csv"
    files = ("--json", figures, "--plot", picture, "--per-scene", answers)
    args = arguments("baseline:intensity", "--data", folder, *files)
    assert args.run(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: baseline:intensity, decoding: direct"
    names = ["mean_deg", "median_deg", "acc5", "acc10", "acc15", "outliers30"]
    assert lines[1].split() == ["condition", "n", *names, "median's", "95", "%"]
    assert [line.split()[0] for line in lines[2:]] == ["even", "odd", "all"]
    figures_of_all = ["4", "5.0", "0.0", "75.0", "75.0", "75.0", "0.0"]
    assert lines[-1].split()[1:8] == figures_of_all
    assert len({len(line) for line in lines[1:]}) == 1  # aligned
    assert json.loads(figures.read_text())["all"]["acc10"] == 75.0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == ["answers.csv", "errors.png", "figures.json", "scenes"]
    again = read_per_scene(answers, read_scenes(folder), group_by="condition")
    assert again.to_dict() == json.loads(figures.read_text())
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("scene_3.wav", "other.wav"))
    (folder / "scene_3.wav").rename(folder / "other.wav")
    with pytest.raises(InputError, match=r"must hold the scenes of .*others"):
        read_per_scene(answers, read_scenes(folder))
    with pytest.raises(InputError, match="holds no results"):
        read_per_scene(labels, read_scenes(folder))


def test_a_built_in_network_is_judged_by_its_name(folder, tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    figures = tmp_path / "figures.json"
    assert main(["evaluate", "lite", "--data", str(folder), "--json", str(figures)]) == 0
    said, path = capsys.readouterr(), str(shipped_model_path("lite"))
    assert said.out.startswith(f"model: {path}, decoding: centroid\n")
    assert json.loads(figures.read_text())["model"] == path
    assert said.err.splitlines()[-1] == f"doa_tf: wrote {figures}"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["model.onnx"], r"must be a \.keras file, a \.tflite file, baseline:intensity or "),
        (["baseline:srp"], r"baseline:intensity or baseline:music\. Received: baseline:srp"),
        (["nowhere.tflite"], r"Received: nowhere\.tflite, which is not there"),
        (["baseline:music", "--group-by", "room"], "grouped by condition, snr_db"),
        (["baseline:music", "--json", "/nowhere/x.json"], "--json must name a file in a folder"),
        (["baseline:music", "--per-scene", "/nowhere/x.csv"], "--per-scene must name a file"),
        (["baseline:music", "--plot", "x.jpeg"], r"must end in \.png"),
        (["baseline:music", "--data", "/nowhere"], "holds recordings and labels"),
    ],
)
def test_bad_input_is_refused_before_the_work(folder, capsys, argv, message):
    args = arguments("--data", folder, *argv)
    with pytest.raises(InputError, match=message):
        args.run(args)
    assert capsys.readouterr().out == ""


def test_an_unknown_decoding_is_misuse():
    with pytest.raises(SystemExit) as caught:
        arguments("baseline:music", "--data", "x", "--decode", "mean")
    assert caught.value.code == 2


# --- the picture --------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [{"snr_db": "12.5"}, {"snr_db": "nan"}, {}])
@pytest.mark.parametrize("groups", [1, 2, 30])
def test_pictures_are_drawn_whatever_the_columns(tmp_path, columns, groups):
    pytest.importorskip("matplotlib")
    from doa_tf.evaluation.judge import Evaluation
    from doa_tf.evaluation.plot import plot_evaluation

    results = [result(float(n), room=str(n % groups), **columns) for n in range(30)]
    evaluation = Evaluation(model="m", group_by="room", results=tuple(results))
    plot_evaluation(tmp_path / "p.svg", evaluation)
    picture = (tmp_path / "p.svg").read_text()
    assert "<svg" in picture
    assert os.listdir(tmp_path) == ["p.svg"]
