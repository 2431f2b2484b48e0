"""Both halves of a real network, through the converter and the runtime of the board."""

import json

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from doa_core.errors import InputError
from doa_core.features import intensity_features
from doa_core.spec import ModelSpec
from doa_core.stft import stft
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.tflite.file import StoredHalves, embed_spec, read_model, read_model_file
from doa_edge.tflite.heading import Turning
from doa_edge.tflite.network import TfliteModel
from doa_export.cli import main
from doa_export.convert.launch import ConversionError
from doa_export.convert.split import TOLERANCES, add_halves


@pytest.fixture(scope="module", params=["gibbs-weighted"])
def split(request, exports, checkpoints, tmp_path_factory):
    """A model file, the same with halves, and what `add_halves` says of it."""
    plain, _ = exports[request.param, "none"]
    path = tmp_path_factory.mktemp("split") / "model.tflite"
    path.write_bytes(plain.read_bytes())
    return plain, path, add_halves(path, checkpoints[request.param])


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(4)
    louder = np.repeat(10.0 ** rng.uniform(-3.0, -1.0, 80), 800)[:, np.newaxis]
    return (louder * rng.standard_normal((64_000, 4))).astype(np.float32)


def test_report(split):
    _, path, report = split
    assert report["step"] == 5
    assert report["bytes"] == path.stat().st_size
    assert 0.0 <= report["max_output_difference"] <= TOLERANCES["none"]
    assert report["max_deg"] < 0.01


def test_the_whole_network_is_still_what_it_was(split):
    plain, path, _ = split
    assert read_model(path) == read_model(plain)
    features = np.random.default_rng(0).uniform(-1, 1, (25, 513, 6)).astype(np.float32)
    np.testing.assert_array_equal(
        TfliteModel(path).predict(features), TfliteModel(plain).predict(features)
    )


@pytest.mark.parametrize("moved", [1, 5, 7, 25])
def test_halves_equal_the_whole_in_every_frame(split, sound, moved):
    """Also in the three frames at each end, which see zeros beyond the window."""
    _, path, _ = split
    model = TfliteModel(path)
    stream = model.stream()
    frames = intensity_features(stft(sound))
    for start in range(0, len(frames) - 25, moved):
        window = frames[start : start + 25]
        outputs = stream.predict(window, moved if start else 25)
        np.testing.assert_allclose(outputs, model.predict(window), atol=1e-5)


@pytest.mark.parametrize("every", [5, 9])
def test_engine_gives_the_same_estimates_with_and_without(split, sound, every):
    plain, path, _ = split
    expected = DirectionEngine(TfliteModel(plain), EngineSettings(every=every)).push(sound)
    model = TfliteModel(path)
    assert (TfliteModel(plain).is_split, model.is_split) == (False, True)
    engine = DirectionEngine(model, EngineSettings(every=every))
    for _ in range(2):
        estimates = engine.push(sound)
        assert len(estimates) == len(expected) > 10
        for one, other in zip(estimates, expected, strict=True):
            assert one.time_s == other.time_s
            assert one.elevation_deg == pytest.approx(other.elevation_deg, abs=0.02)
        engine.reset()


def test_dynamic_files_can_be_split(exports, checkpoints, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(exports["cartesian", "dynamic"][0].read_bytes())
    assert add_halves(path, checkpoints["cartesian"])["max_output_difference"] < 0.1


def test_the_command_splits_what_it_exports(checkpoints, tmp_path, capfd):
    path = tmp_path / "model.tflite"
    command = [str(checkpoints["cartesian"]), "--quantize", "none", "--split", "--out", str(path)]
    assert main(command) == 0
    made = json.loads(capfd.readouterr().out)
    assert made["bytes"] == made["split"]["bytes"] == path.stat().st_size
    assert made["split"]["max_deg"] < 0.01
    assert TfliteModel(path).is_split


def test_other_weights_are_refused(exports, checkpoints, tmp_path):
    import keras

    model = keras.saving.load_model(checkpoints["cartesian"])
    layer = model.get_layer("convolution_2")
    layer.set_weights([values + 0.1 for values in layer.get_weights()])
    other = tmp_path / "other.keras"
    model.save(other)
    path = tmp_path / "model.tflite"
    path.write_bytes(exports["cartesian", "none"][0].read_bytes())
    with pytest.raises(ConversionError, match="halves must give what the whole network gives"):
        add_halves(path, other)


def test_other_networks_and_quantisations_are_refused(exports, tmp_path):
    import keras

    from doa_core.spec import FeatureSpec
    from doa_tf.layers import FeatureInput, HeadOutput

    inputs = keras.Input((25, 513, 6))
    x = FeatureInput(FeatureSpec())(inputs)
    x = keras.layers.Dense(3)(keras.layers.Reshape((25, -1))(x))
    model = keras.Model(inputs, HeadOutput("cartesian", None)(x))
    model.save(tmp_path / "dense.keras")
    path = tmp_path / "model.tflite"
    plain, _ = exports["cartesian", "none"]
    path.write_bytes(plain.read_bytes())
    with pytest.raises(InputError, match=r"Only a network of `doa_tf.build_crnn` can be split"):
        add_halves(path, tmp_path / "dense.keras")
    flatbuffer, spec = read_model(plain)
    spec = ModelSpec.from_dict(
        {**spec.to_dict(), "quantization": "int8", "digest": _digest_of(spec, "int8")}
    )
    path.write_bytes(embed_spec(flatbuffer, spec))
    with pytest.raises(InputError, match=r"Only none and dynamic files can be split.*int8"):
        add_halves(path, tmp_path / "dense.keras")


def _digest_of(spec, quantization):
    import dataclasses

    return dataclasses.replace(spec, quantization=quantization).digest


@pytest.fixture(scope="module")
def turning(tmp_path_factory):
    """A model file of a network that turns with its scene, with halves, and what is said of it."""
    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_export.convert.launch import convert
    from doa_tf.models import load_scoring_model
    from tests.export.conftest import small_model

    folder = tmp_path_factory.mktemp("turning")
    model = small_model("gibbs-harmonic", channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    checkpoint, path = folder / "model.keras", folder / "model.tflite"
    model.save(checkpoint)
    spec = load_scoring_model(checkpoint)[1]
    path.write_bytes(embed_spec(convert(checkpoint, quantize="none"), spec))
    return path, checkpoint, add_halves(path, checkpoint)


@pytest.fixture(scope="module")
def round_about():
    """Frames of waves from one side after the other, three quarters of a second each."""
    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
    from doa_export.windows import synthetic_clips

    features = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    clips = synthetic_clips(features, count=6)
    return features.compute(np.concatenate([clip.samples[0, :12_000] for clip in clips]))


def test_halves_that_turn_are_reported(turning):
    path, _, report = turning
    assert set(report) == {"step", "bytes", "max_output_difference", "max_deg", "hold_deg"}
    assert report["bytes"] == path.stat().st_size
    assert report["hold_deg"] == 45.0
    assert 0.0 <= report["max_output_difference"] <= TOLERANCES["none"]
    turned = read_model_file(path)[2].turning
    assert turned.to_dict() == {"bins": [6, 128], "hold_deg": 45.0}


def test_a_window_turned_by_its_own_heading_is_that_of_the_whole(turning, round_about):
    path, *_ = turning
    model = TfliteModel(path)
    stream = model.stream()
    for start in range(0, len(round_about) - 25, 25):
        window = round_about[start : start + 25]
        np.testing.assert_allclose(stream.predict(window, 25), model.predict(window), atol=1e-5)


def test_kept_frames_are_those_of_a_window_turned_by_the_held_heading(turning, round_about):
    path, *_ = turning
    model = TfliteModel(path)
    stream, alone = model.stream(), model.stream()
    headings = []
    for start in range(0, len(round_about) - 25, 5):
        window = round_about[start : start + 25]
        outputs = stream.predict(window, 5 if start else 25)
        headings.append(tuple(stream.heading))
        expected = alone.predict(window, 25, stream.heading)
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert 4 <= len(set(headings)) < len(headings) / 2  # turned anew at times, held at others


def test_halves_that_do_not_turn_as_the_whole_does_are_refused(turning, tmp_path, monkeypatch):
    from doa_edge.tflite import heading

    path, checkpoint, _ = turning
    copy = tmp_path / "model.tflite"
    copy.write_bytes(path.read_bytes())
    real = heading.intensity_heading
    monkeypatch.setattr(
        heading, "intensity_heading", lambda window, bins: real(window, bins=(200, 400))
    )
    with pytest.raises(ConversionError, match="halves must give what the whole network gives"):
        add_halves(copy, checkpoint)
    assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("without", [True, False])
def test_halves_and_what_is_said_of_their_turning_have_to_fit(turning, split, tmp_path, without):
    path = tmp_path / "model.tflite"
    flatbuffer, spec, halves = read_model_file(turning[0] if without else split[1])
    if without:
        halves = StoredHalves(halves.parts)
        expected = r"must fit the windows of its spec, \(25, 513, 7\)\. Received: .*\(2,\)"
    else:
        halves = StoredHalves(halves.parts, Turning(bins=(6, 128), hold_deg=45.0))
        expected = r"spec, \(25, 513, 6\), and one of \(2,\) for its heading\. Received"
    path.write_bytes(embed_spec(flatbuffer, spec, halves=halves))
    with pytest.raises(InputError, match=expected):
        TfliteModel(path)


def test_other_recurrences_are_split_as_keras_runs_them(tmp_path):
    import keras

    from doa_core.spec import FeatureSpec
    from doa_export.convert.launch import convert
    from doa_export.convert.network import is_crnn
    from doa_tf.layers import FeatureInput, HeadOutput
    from doa_tf.models import load_scoring_model

    keras.utils.set_random_seed(5)
    inputs = keras.Input((25, 513, 6))
    x = FeatureInput(FeatureSpec())(inputs)
    for pool in (8, 8, 4):
        x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.MaxPooling2D((1, pool))(x)
    x = keras.layers.Reshape((25, -1))(x)
    x = keras.layers.GRU(4, return_sequences=True)(x)
    x = keras.layers.Dense(3)(x)
    model = keras.Model(inputs, HeadOutput("cartesian", None)(x))
    for layer in model.layers:  # statistics that a training leaves, and factors below zero
        if isinstance(layer, keras.layers.BatchNormalization):
            weights = [[0.7, -1.2, 0.9, 1.1], [0.1, -0.2, 0.3, 0.0], [0.05] * 4, [0.3] * 4]
            layer.set_weights([np.array(values) for values in weights])
    checkpoint, path = tmp_path / "model.keras", tmp_path / "model.tflite"
    model.save(checkpoint)
    scoring, spec = load_scoring_model(checkpoint)
    assert not is_crnn(scoring)
    path.write_bytes(embed_spec(convert(checkpoint, quantize="none", lstm="rolled"), spec))
    assert add_halves(path, checkpoint)["max_output_difference"] < 1e-5


def test_halves_have_the_form_of_the_recurrence_that_was_asked_for(turning, tmp_path):
    plain, checkpoint, _ = turning
    path = tmp_path / "model.tflite"
    path.write_bytes(plain.read_bytes())
    assert add_halves(path, checkpoint, lstm="rolled")["max_output_difference"] < 1e-4
    fused, other = (read_model_file(file)[2].parts for file in (plain, path))
    assert fused[0] == other[0]
    assert fused[1] != other[1]
