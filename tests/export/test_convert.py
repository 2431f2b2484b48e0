"""The file: what it computes, what it is made of, what is written in it."""

from __future__ import annotations

import hashlib
import sys
from importlib import metadata

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_edge.tflite.file import embed_spec, read_model
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.launch import ConversionError, convert, last_words
from doa_export.windows import synthetic_clips

from .conftest import COMBINATIONS, MODES, small_model

# Float32 arithmetic in another order; 8-bit weights and activations of few, large weights.
TOLERANCE = {"none": 1e-5, "float16": 0.01, "dynamic": 0.1, "int8": 0.15}
PER_TENSOR_LIMIT = 11  # the last FULLY_CONNECTED version that tflite-runtime 2.14 runs
CUSTOM = 32  # the operator code of what is not builtin, Flex among it


@pytest.fixture(scope="module")
def windows():
    return synthetic_windows(FeatureSpec(), count=4)


def synthetic_windows(features, *, count):
    clips = synthetic_clips(features, count=count)
    return np.concatenate([features.compute(clip.samples) for clip in clips])


@pytest.mark.parametrize(("head", "mode"), COMBINATIONS)
def test_scores_equal_keras(exports, checkpoints, windows, head, mode):
    from doa_tf.models import load_scoring_model

    path, _ = exports[head, mode]
    model, spec = load_scoring_model(checkpoints[head])
    expected = model.predict_on_batch(windows)
    network = TfliteModel(path)
    outputs = np.stack([network.predict(window) for window in windows])
    assert outputs.shape == (4, 25, spec.outputs)
    assert 0.0 <= outputs.min() < outputs.max() <= 1.0  # scores, not logits
    assert expected.std(axis=(0, 1)).max() > 1e-3  # the network hears its input
    np.testing.assert_allclose(outputs, expected, atol=TOLERANCE[mode], rtol=0.0)


@pytest.fixture(scope="module")
def turning(tmp_path_factory):
    """A checkpoint that turns with its scene."""
    path = tmp_path_factory.mktemp("turning") / "x.keras"
    small_model("gibbs-harmonic").save(path)
    return path


@pytest.mark.parametrize("mode", ["none", "float16", "dynamic", "int8"])
def test_networks_that_turn_with_their_scene(turning, mode):
    from doa_export.convert.network import is_crnn, read_network
    from doa_export.convert.stages import convert_network, run_stage
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(turning)
    assert is_crnn(model)
    network = read_network(model, spec)
    assert network.kernel.shape == (8, 81)  # `dense` and the amounts are one
    # Plane waves, turned, all come from ahead: channels that never spoke have no range in int8.
    rng = np.random.default_rng(0)
    windows = rng.uniform(-1.0, 1.0, (8, *spec.features.input_shape)).astype(np.float32)
    windows += rng.uniform(-0.5, 0.5, (8, 1, 1, 6)).astype(np.float32)
    expected = model.predict_on_batch(windows)
    flatbuffer = convert_network(network, mode=mode, lstm="fused", windows=windows)
    assert expected.std(axis=(0, 1)).max() > 1e-3
    found = run_stage(flatbuffer, windows)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[mode], rtol=0.0)


def test_networks_that_turn_and_hear_sound(turning, windows):
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network, run_stage
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(turning)
    flatbuffer = convert_network(read_network(model, spec), mode="none", lstm="fused", audio=True)
    clips = synthetic_clips(spec.features, count=4)
    found = run_stage(flatbuffer, np.concatenate([clip.samples for clip in clips]))
    np.testing.assert_allclose(found, model.predict_on_batch(windows), atol=1e-3, rtol=0.0)


def test_stages_that_do_not_fit_are_not_joined():
    from doa_export.convert.join import join
    from doa_export.convert.stages import convert_stage

    first, _ = convert_stage([lambda x: 2.0 * x], (3,), mode="none")
    other, _ = convert_stage([lambda x: 2.0 * x], (4,), mode="none")
    with pytest.raises(ValueError, match=r"must fit .* Received: \(\(1, 3\), 0\), wanted"):
        join([first, other], input_name="a", output_name="b")


def test_what_networks_that_turn_can_not_be(turning, windows):
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    network = read_network(*load_scoring_model(turning))
    for mode in ("int8-full", "int16x8"):
        with pytest.raises(InputError, match=f"int8 is. Received: {mode}"):
            convert_network(network, mode=mode, lstm="fused", windows=windows)


def test_fewer_bits_are_fewer_bytes(exports):
    sizes = {mode: exports["cartesian", mode][0].stat().st_size for mode in MODES}
    assert sizes["int8"] < sizes["dynamic"] < sizes["none"]
    assert sizes["float16"] < sizes["none"]
    for mode, size in sizes.items():
        assert size == exports["cartesian", mode][1]["bytes"]


@pytest.mark.parametrize(("head", "mode"), COMBINATIONS)
def test_builtins_only_of_versions_that_old_boards_know(exports, head, mode):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffer, _ = read_model(exports[head, mode][0])
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    dense = schema.BuiltinOperator.FULLY_CONNECTED
    codes = {(code.builtinCode, code.version) for code in model.operatorCodes}
    assert dense in {code for code, _ in codes}
    assert CUSTOM not in {code for code, _ in codes}
    assert not [code.customCode for code in model.operatorCodes if code.customCode]
    assert b"Flex" not in flatbuffer
    assert all(version <= PER_TENSOR_LIMIT for code, version in codes if code == dense)
    graph = model.subgraphs[0]
    for index in (*graph.inputs, *graph.outputs):
        assert graph.tensors[index].shape[0] == 1
        assert graph.tensors[index].shapeSignature is None  # no free size


@pytest.mark.parametrize(("head", "mode"), COMBINATIONS)
def test_spec_is_inside(exports, checkpoints, head, mode):
    path, figures = exports[head, mode]
    flatbuffer, spec = read_model(path)  # checks both digests
    assert (spec.head, spec.quantization, spec.features) == (head, mode, FeatureSpec())
    assert spec.resolution_deg == (10.0 if head == "gibbs-weighted" else None)
    assert spec.digest == figures["digest"]
    checkpoint = checkpoints[head]
    assert spec.provenance["checkpoint"] == {
        "file": checkpoint.name,
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }
    assert spec.provenance["packages"]["keras"] == metadata.version("keras")
    assert set(spec.provenance["packages"]) == {"doa-tf", "keras", "tensorflow"}
    assert spec.provenance["parity"] == figures["parity"]
    assert spec.provenance["export"]["lstm"] == figures["lstm"] == "fused"
    if mode == "int8":
        calibration = spec.provenance["export"]["calibration"]
        assert calibration["windows"] == 12
        assert calibration["conditions"] == {"loud": 9, "soft": 3}
        assert len(calibration["sha256"]) == 64
    assert str(checkpoint.parent).encode() not in path.read_bytes()
    assert embed_spec(flatbuffer, spec) == path.read_bytes()


def test_equal_input_gives_equal_bytes(exports, checkpoints, converter_process):
    path, _ = exports["gibbs-weighted", "dynamic"]
    assert convert(checkpoints["gibbs-weighted"], quantize="dynamic") == read_model(path)[0]


def test_level_channel(tmp_path):
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf import model_spec

    model = small_model("cartesian", channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    spec = model_spec(model)
    path = tmp_path / "level.tflite"
    flatbuffer = convert_network(read_network(model, spec), mode="none", lstm="rolled")
    path.write_bytes(embed_spec(flatbuffer, spec))
    (window,) = synthetic_windows(spec.features, count=1)
    assert window.shape == (25, 513, 7)
    expected = model.predict_on_batch(window[np.newaxis])[0]
    np.testing.assert_allclose(TfliteModel(path).predict(window), expected, atol=1e-5)


def worker(monkeypatch, code):
    """Let the converter's process run this code instead."""
    command = lambda model, folder, _: [sys.executable, "-c", code, f"{folder}/model.tflite"]  # noqa: E731
    monkeypatch.setattr("doa_export.convert.launch._worker_command", command)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import os, signal, sys; open(sys.argv[1], 'wb').write(b'half');"
            "print('loc(x): error: no such op', file=sys.stderr, flush=True);"
            "os.kill(os.getpid(), signal.SIGSEGV)",
            r"crashed with signal SIGSEGV: loc\(x\): error: no such op",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV: it said nothing"),
        ("raise ValueError('no\\nluck')", "exit status 1: ValueError: no"),
        ("import os; os._exit(3)", "exit status 3: it said nothing"),
        ("pass", "wrote no file"),
    ],
)
def test_crash_is_contained(checkpoints, monkeypatch, tmp_path, code, words):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker(monkeypatch, code)
    with pytest.raises(ConversionError, match=words):
        convert(checkpoints["cartesian"], quantize="none")
    assert list(tmp_path.iterdir()) == []


def test_time_limit(checkpoints, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(ConversionError, match=r"stopped after 0\.2 s"):
        convert(checkpoints["cartesian"], quantize="none", timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_worker_refuses_what_is_not_ours(tmp_path):
    missing = tmp_path / "missing.keras"
    with pytest.raises(InputError, match="Not found"):
        convert(missing, quantize="none")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantize": "half"}, "must be one of none, float16, .*Received: quantize='half'"),
        (
            {"quantize": "none", "lstm": "flat"},
            "must be one of auto, .*lstm='flat'",
        ),
        ({"quantize": "int8-full", "lstm": "rolled"}, "can be unrolled or fused.*'rolled'"),
        ({"quantize": "int16x8", "lstm": "fused"}, "can be unrolled.*'fused'"),
        ({"quantize": "int8-full", "audio": True}, "use the mode int8"),
        ({"quantize": "int8"}, "needs scenes to calibrate on: --calibrate"),
    ],
)
def test_what_cannot_be_converted(checkpoints, options, words):
    with pytest.raises(InputError, match=words):
        convert(checkpoints["cartesian"], **options)


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("", "it said nothing"),
        ("WARNING: All log messages\nI0000 00:00 1 port.cc:153] oneDNN\n", "it said nothing"),
        ("E0000 00:00 1 cuda.cc:52] failed call to cuInit: error: 303\nkilled\n", "killed"),
        (
            "Traceback\nX.ConverterError: <unknown>:0: error: first\n<unknown>:0: note: here\n",
            "X.ConverterError: <unknown>:0: error: first",
        ),
    ],
)
def test_last_words(stderr, words):
    assert last_words(stderr) == words
