"""The forms of the recurrence: the same numbers, and no memory of the window before."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.spec import FeatureSpec
from doa_edge.tflite.file import embed_spec, read_model
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.modes import LSTM_FORMS
from doa_export.windows import synthetic_clips

from .conftest import small_model


@pytest.fixture(scope="module")
def windows():
    clips = synthetic_clips(FeatureSpec(), count=3)
    return np.concatenate([FeatureSpec().compute(clip.samples) for clip in clips])


@pytest.fixture(scope="module")
def files(tmp_path_factory, windows):
    """A float32 file of the same network with each form of LSTM, and the network's own answers."""
    pytest.importorskip("tensorflow")
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(small_model("cartesian"))
    network = read_network(model, spec)
    folder = tmp_path_factory.mktemp("forms")
    paths = {}
    for form in LSTM_FORMS:
        paths[form] = folder / f"{form}.tflite"
        flatbuffer = convert_network(network, mode="none", lstm=form)
        paths[form].write_bytes(embed_spec(flatbuffer, spec))
    return paths, model.predict_on_batch(windows)


def operators(path):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(read_model(path)[0])
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    return [
        names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        for graph in model.subgraphs
        for operator in graph.operators
    ]


@pytest.mark.parametrize("form", LSTM_FORMS)
def test_every_form_gives_the_networks_numbers(files, windows, form):
    paths, expected = files
    network = TfliteModel(paths[form])
    outputs = [network.predict(window) for window in windows]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_forms_are_what_they_are_called(files):
    paths, _ = files
    found = {form: operators(path) for form, path in paths.items()}
    # Two layers in two directions.
    assert found["rolled"].count("WHILE") == 4
    assert found["fused"].count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 4
    assert "WHILE" not in found["unrolled"] + found["fused"]
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" not in found["unrolled"] + found["rolled"]
    assert len(found["fused"]) < 30 < len(found["unrolled"])


@pytest.mark.parametrize("form", LSTM_FORMS)
def test_a_window_does_not_hear_the_one_before(files, windows, form):
    network = TfliteModel(files[0][form])
    alone = network.predict(windows[1])
    network.predict(windows[0])
    np.testing.assert_array_equal(network.predict(windows[1]), alone)


def test_the_fused_operation_would_remember(files, windows):
    """What the runner's reset is for: without it the test above would fail."""
    network = TfliteModel(files[0]["fused"])
    alone = network.predict(windows[1])
    network.predict(windows[0])
    interpreter = network._interpreter
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], windows[1:2])
    interpreter.invoke()
    remembered = interpreter.get_tensor(interpreter.get_output_details()[0])[0]
    assert np.max(np.abs(remembered - alone)) > 1e-4


def test_only_what_the_network_needs_is_in_the_file(files):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffer, _ = read_model(files[0]["fused"])
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    assert not model.metadata
    named = [tensor.name for tensor in model.subgraphs[0].tensors if tensor.name]
    assert sorted(named) == [b"features", b"scores"]
    contents = [bytes(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert len(contents) == len(set(contents))
    # The processor's wide loads want weights at multiples of 16 bytes.
    for content in contents:
        if len(content) > 1000:
            assert flatbuffer.index(content) % 16 == 0


def test_a_falling_normalisation_is_not_folded(windows, tmp_path):
    """A negative scale turns the order round, which the pooling behind it would not forgive."""
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    model = small_model("cartesian")
    layer = model.get_layer("normalisation_2")
    gamma, *others = layer.get_weights()
    gamma[::2] *= -1.0
    layer.set_weights([gamma, *others])
    scoring, spec = load_scoring_model(model)
    path = tmp_path / "falling.tflite"
    flatbuffer = convert_network(read_network(scoring, spec), mode="none", lstm="rolled")
    path.write_bytes(embed_spec(flatbuffer, spec))
    network = TfliteModel(path)
    outputs = [network.predict(window) for window in windows]
    np.testing.assert_allclose(outputs, scoring.predict_on_batch(windows), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "form", "mean"), [("int8-full", "fused", 0.12), ("int16x8", "unrolled", 0.06)]
)
def test_integer_modes_run(windows, tmp_path, mode, form, mean):
    import dataclasses

    from doa_export.convert.modes import MODES
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(small_model("cartesian"))
    path = tmp_path / "integers.tflite"
    network = read_network(model, spec)
    flatbuffer = convert_network(network, mode=mode, lstm=form, windows=windows)
    spec = dataclasses.replace(spec, quantization=MODES[mode].quantization)
    path.write_bytes(embed_spec(flatbuffer, spec))
    board = TfliteModel(path)
    outputs = [board.predict(window) for window in windows]
    # So few, large weights lose much to 8 bits; what is right is right on the average.
    difference = np.abs(outputs - model.predict_on_batch(windows))
    assert np.mean(difference) < mean
    assert np.max(difference) < 0.35
    dtype = board._interpreter.get_input_details()[0]["dtype"]
    assert dtype == (np.int8 if mode == "int8-full" else np.float32)
