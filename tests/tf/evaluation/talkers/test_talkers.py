"""evaluate and compare on scenes of several talkers, of nobody and of whole recordings."""

import argparse
import csv
import json
import threading

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_tf.cli import compare as cli_compare
from doa_tf.cli import evaluate as cli_evaluate
from doa_tf.evaluation.judge import evaluate, has_one_talker_each
from doa_tf.evaluation.talkers.comparison import compare_talkers
from doa_tf.evaluation.talkers.judge import evaluate_talkers, is_recording
from doa_tf.evaluation.talkers.runner import Recording
from doa_tf.evaluation.talkers.windows import Window
from doa_tf.scenes.folder import read_scenes, write_scenes

pytest.importorskip("soundfile")

HALF = 6_656  # samples: half of a window
RATE = 16_000
ANNA, BEN = (50.0, 0.0), (-80.0, 20.0)


class TurnsModel:
    """A lobe at the active intensity of each frame: the mean of a window has one for each turn."""

    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=3)

    def __init__(self, path=None):
        pass

    def predict(self, features):
        direction = features[..., :3].mean(axis=1)
        angles = np.degrees(np.arccos(np.clip(direction @ self.spec.grid.vectors.T, -1.0, 1.0)))
        length = np.linalg.norm(direction, axis=-1, keepdims=True)
        return (length * np.exp(-((angles / 12.5) ** 2))).astype(np.float32)


class OneVoiceModel(TurnsModel):
    """Says that it knows one voice."""

    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0)


class DirectionModel(TurnsModel):
    """A regression head."""

    spec = ModelSpec()

    def predict(self, features):
        return (features[..., :3].mean(axis=1) + 1.0) / 2.0


def wave(place, samples, *, seed=0):
    noise = 0.1 * np.random.default_rng(seed).standard_normal(samples)
    return encode_plane_wave(noise, angles_to_vector(*np.radians(place)))


def turns(*places, samples=HALF):
    return np.concatenate([wave(place, samples, seed=n) for n, place in enumerate(places)])


def row(talker, place, start_s=None, end_s=None, **further):
    angles = {"azimuth_deg": place[0], "elevation_deg": place[1]} if place else {}
    angles = angles or {"azimuth_deg": None, "elevation_deg": None}
    return {"talker": talker, "start_s": start_s, "end_s": end_s, **angles, **further}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Windows of one, two and nobody, and a recording of 6 s in which two take turns."""

    def scenes():
        about = {"condition": "short", "room": "a"}
        yield "one", turns(ANNA, ANNA), [row("anna", ANNA, **about)]
        yield "two", turns(ANNA, BEN), [row("anna", ANNA, **about), row("ben", BEN, **about)]
        yield "nobody", np.zeros((2 * HALF, 4)), [row(None, None, **about)]
        about = {"condition": "meeting", "room": "b"}
        times = (row("anna", ANNA, 0.0, 3.0, **about), row("ben", BEN, 3.0, 6.0, **about))
        yield "meeting", turns(ANNA, BEN, samples=3 * RATE), times

    folder = tmp_path_factory.mktemp("talkers") / "scenes"
    write_scenes(folder, scenes())
    return folder


@pytest.fixture
def tflite(tmp_path, monkeypatch):
    """A path that loads as the given stand-in."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not read")

    def use(model):
        monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", model)
        return str(path)

    return use


def arguments(command, *argv):
    parser = argparse.ArgumentParser()
    {"evaluate": cli_evaluate, "compare": cli_compare}[command].add_parser(parser.add_subparsers())
    return parser.parse_args([command, *map(str, argv)])


# --- evaluate -----------------------------------------------------------------------------------


def test_windows_and_recordings_have_figures_of_their_own(folder, tflite):
    done = []
    evaluation = evaluate_talkers(
        tflite(TurnsModel), folder, progress=lambda *counts: done.append(counts)
    )
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    kinds = [type(result) for result in evaluation.results]
    assert kinds == [Window, Window, Window, Recording]
    values = evaluation.to_dict()
    assert list(values) == ["model", "decode", "interval", "groups", "all"]
    assert values["decode"] == "peaks"
    assert values["interval"]["drawn"] == "room"
    short, meeting = values["groups"]["short"], values["groups"]["meeting"]
    assert short["n"] == short["talkers"] == 3  # one, two and nobody
    assert short["acc10"] == 100.0
    assert short["median_deg"] < 4.0
    found = short["count_unknown"]
    assert found["recall10"] == found["precision10"] == found["count_right"] == 100.0
    assert found["silence_answered"] == found["count_error"] == 0.0
    assert "recordings" not in short
    assert "talkers" not in meeting
    heard = meeting["recordings"]
    assert heard["n"] == 1
    assert heard["minutes"] == 0.1
    assert heard["recall_lone"] > 80.0  # the rest are onsets
    assert heard["recall_overlap"] is None
    assert heard["wrong"] < 10.0
    assert heard["median_deg"] < 5.0
    assert values["all"]["n"] == 4
    assert values["all"]["recordings"] == heard
    assert json.loads(json.dumps(values)) == values


def test_a_network_of_one_voice_answers_once(folder, tflite):
    figures = evaluate_talkers(tflite(OneVoiceModel), folder).to_dict()
    # With the count known its scores have two peaks all the same.
    assert figures["all"]["acc10"] == 100.0
    unknown = figures["all"]["count_unknown"]
    assert unknown["recall20"] == pytest.approx(200.0 / 3.0, abs=1e-3)
    assert unknown["precision20"] == 100.0
    assert figures["all"]["recordings"]["switches_per_minute"] is None


def test_a_regression_head_has_one_answer(folder, tflite):
    evaluation = evaluate_talkers(tflite(DirectionModel), folder)
    two = evaluation.windows[1].tally
    assert two.errors_deg.max() == 180.0
    assert len(evaluation.windows[1].known) == 1
    assert evaluation.windows[0].tally.errors_deg == pytest.approx([0.0], abs=0.01)


@pytest.mark.parametrize("name", ["baseline:music", "baseline:intensity"])
def test_baselines_know_the_count_and_no_recordings(folder, name):
    values = evaluate_talkers(name, folder).to_dict()
    assert values["all"]["n"] == values["all"]["talkers"] == 3
    assert values["all"]["acc10"] == 100.0
    assert "count_unknown" not in values["all"]
    assert "recordings" not in values["all"]
    assert list(values["groups"]) == ["short"]


def test_a_checkpoint_is_heard_as_its_file(folder, tflite, monkeypatch):
    class Scoring:
        name = "turns"

        def predict_on_batch(self, windows):
            return np.stack([TurnsModel().predict(window) for window in windows])

    expected = evaluate_talkers(tflite(TurnsModel), folder)
    models = pytest.importorskip("doa_tf.models")
    monkeypatch.setattr(models, "load_scoring_model", lambda _: (Scoring(), TurnsModel.spec))
    evaluation = evaluate_talkers(Scoring(), folder)
    assert evaluation.model == "turns"
    for ours, theirs in zip(evaluation.results, expected.results, strict=True):
        # Means of float32 scores of one window, and of many at once.
        np.testing.assert_allclose(ours.tally.errors_deg, theirs.tally.errors_deg, atol=1e-3)
        assert ours.tally.sums.keys() == theirs.tally.sums.keys()
        assert ours.tally.figure("recall20") == theirs.tally.figure("recall20")


def test_what_is_a_recording(folder, tmp_path):
    assert [is_recording(scene) for scene in read_scenes(folder)] == [False, False, False, True]
    quiet = np.zeros((3 * RATE, 4))
    scenes = [
        ("nobody", quiet, [row(None, None)]),
        ("always", quiet, [row("anna", ANNA), row("ben", BEN)]),
    ]
    write_scenes(tmp_path / "s", scenes)
    # Without times a long one is one long window.
    assert [is_recording(scene) for scene in read_scenes(tmp_path / "s")] == [True, False]


def test_a_row_for_each_talker_and_each_recording(folder, tflite, tmp_path):
    evaluation = evaluate_talkers(tflite(DirectionModel), folder)
    evaluation.write_per_scene(tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["file"], r["talker"]) for r in rows] == [
        ("one.wav", "anna"), ("two.wav", "anna"), ("two.wav", "ben"), ("meeting.wav", ""),
    ]  # fmt: skip
    assert float(rows[0]["azimuth_deg"]) == pytest.approx(ANNA[0])
    assert float(rows[0]["estimated_azimuth_deg"]) == pytest.approx(ANNA[0], abs=0.1)
    assert sorted(r["estimated_azimuth_deg"] == "" for r in rows[1:3]) == [False, True]
    assert sorted(float(r["error_deg"]) for r in rows[1:3])[1] == 180.0
    assert float(rows[3]["recall"]) > 50.0
    assert rows[3]["error_deg"] == rows[0]["recall"] == ""
    assert {r["condition"] for r in rows} == {"short", "meeting"}


def test_one_answer_a_scene_is_no_measure_of_several(folder):
    assert not has_one_talker_each(read_scenes(folder))
    with pytest.raises(InputError, match=r"judged by `doa_tf\.evaluation\.evaluate_talkers`.*two"):
        evaluate("baseline:music", folder)


# --- the commands -------------------------------------------------------------------------------


def test_the_command_prints_tables_and_writes_its_files(folder, tflite, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    files = {"--json": "f.json", "--plot": "p.png", "--per-scene": "a.csv"}
    options = [part for option, name in files.items() for part in (option, tmp_path / name)]
    args = arguments("evaluate", tflite(TurnsModel), "--data", folder, *options)
    assert args.run(args) == 0
    text = capsys.readouterr().out
    titles = ("windows, count known:", "windows, count not known:", "whole recordings:")
    assert [title in text for title in titles] == [True] * 3
    blocks = text.strip().split("\n\n")
    assert [line.split()[0] for line in blocks[1].splitlines()[2:]] == ["short", "all"]
    assert [line.split()[0] for line in blocks[3].splitlines()[2:]] == ["meeting", "all"]
    assert json.loads((tmp_path / "f.json").read_text())["all"]["acc10"] == 100.0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.csv").is_file()


def test_a_picture_of_nothing_but_silence(tmp_path, tflite):
    pytest.importorskip("matplotlib")
    from doa_tf.evaluation.talkers.plot import plot_talkers

    write_scenes(tmp_path / "s", [("a", np.zeros((2 * HALF, 4)), [row(None, None)])])
    plot_talkers(tmp_path / "p.svg", evaluate_talkers(tflite(TurnsModel), tmp_path / "s"))
    assert "<svg" in (tmp_path / "p.svg").read_text()


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        ("evaluate", ["--decode", "peak"], r"--decode is for scenes of one talker each"),
        ("evaluate", ["--group-by", "colour"], r"Received: colour"),
        ("compare", ["--spheres", "two.wav"], r"--spheres draws scenes of one talker each"),
    ],
)
def test_options_of_one_talker_are_refused(folder, tmp_path, command, argv, message):
    out = ["--out", tmp_path / "report"] if command == "compare" else []
    args = arguments(command, "baseline:music", "--data", folder, *argv, *out)
    with pytest.raises(InputError, match=message):
        args.run(args)
    assert not (tmp_path / "report").exists()


def test_a_baseline_can_not_be_judged_on_recordings_alone(folder, tmp_path):
    scenes = [("a", turns(ANNA, BEN, samples=2 * RATE), [row("anna", ANNA, 0.0, 2.0)])]
    write_scenes(tmp_path / "s", scenes)
    with pytest.raises(InputError, match=r"recordings of up to 2 s.*baseline:music for .*s, which"):
        evaluate_talkers("baseline:music", tmp_path / "s")


def test_models_beside_each_other(folder, tflite, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tflite(TurnsModel)
    comparison = compare_talkers([path, "baseline:music"], folder)
    label = next(iter(comparison.evaluations))  # the run's folder
    values = comparison.to_dict()
    assert list(values["groups"]) == ["short", "meeting", "all"]
    assert values["interval"]["drawn"] == "room"
    short = values["groups"]["short"]
    assert [figures["model"] for figures in short["figures"]] == [label, "music"]
    (pair,) = short["paired"]
    assert (pair["a"], pair["b"]) == ("music", label)
    assert set(pair) == {"a", "b", "windows"}  # a baseline knows nothing else
    ours, music = (figures["mean_deg"] for figures in short["figures"])
    found = pair["windows"]["mean_deg"]
    assert found["difference"] == pytest.approx(music - ours, abs=2e-4)
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert [figures["model"] for figures in values["groups"]["meeting"]["figures"]] == [label]
    out = tmp_path / "report"
    args = arguments("compare", path, "baseline:music", "--data", folder, "--out", out)
    assert args.run(args) == 0
    printed = capsys.readouterr()
    assert "## All scenes" in printed.out
    assert str(out / "report.md") in printed.err
    names = {"report.md", "report.json", f"{label}.csv", f"{label}.png", "music.csv", "music.png"}
    assert {file.name for file in out.iterdir()} == names
    text = (out / "report.md").read_text()
    assert f"**short**, less {label}:" in text
    assert "![music](music.png)" in text
    assert json.loads((out / "report.json").read_text()) == values


def test_recordings_side_by_side_keep_their_order_and_an_interruption_ends_them(
    tmp_path, tflite, monkeypatch
):
    whole = np.tile(turns(ANNA, BEN, samples=3 * RATE), (2, 1))
    rows = (row("anna", ANNA, 0.0, 3.0), row("ben", BEN, 3.0, 6.0))
    write_scenes(tmp_path / "s", [(f"{n}", whole[: (3 + n) * RATE * 2], rows) for n in range(4)])
    scenes = read_scenes(tmp_path / "s")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    evaluation = evaluate_talkers(tflite(TurnsModel), scenes)
    one = evaluate_talkers(TurnsModel(), scenes)  # no file: one model, one after the other
    assert [r.scene.file for r in evaluation.recordings] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert [r.duration_s for r in evaluation.recordings] == [6.0, 8.0, 10.0, 12.0]
    assert evaluation.to_dict()["all"] == one.to_dict()["all"]

    def interrupt(done, _):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_talkers(tflite(TurnsModel), scenes, progress=interrupt)
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
