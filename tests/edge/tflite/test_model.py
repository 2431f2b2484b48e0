"""The spec inside a model file, and the network in it."""

import hashlib
import io
import json
import sys
import zipfile

import numpy as np
import pytest

from doa_core.errors import InputError, MissingPackageError, PackageError
from doa_core.spec import SPEC_FILE_NAME, FeatureSpec, ModelSpec
from doa_edge.tflite.file import FLATBUFFER_FILE_NAME, embed_spec, read_model, read_spec
from doa_edge.tflite.network import TfliteModel, default_model_path, dequantize, quantize

FLATBUFFER = b"\x20\0\0\0TFL3" + bytes(range(256)) * 8
FLOATS = {"dtype": np.float32, "quantization": (0.0, 0)}
SPEC = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, provenance={"note": "a test"})


def file_with(tmp_path, data):
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    return path


def with_entries(entries):
    buffer = io.BytesIO()
    buffer.write(FLATBUFFER)
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in entries.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def facts(data=FLATBUFFER):
    return json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})


def test_spec_and_flatbuffer_come_back(tmp_path):
    path = file_with(tmp_path, embed_spec(FLATBUFFER, SPEC))
    assert read_model(path) == (FLATBUFFER, SPEC)
    assert read_spec(path) == SPEC


def test_equal_input_gives_equal_bytes(monkeypatch):
    first = embed_spec(FLATBUFFER, SPEC)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 0, 0, 0))
    assert embed_spec(FLATBUFFER, SPEC) == first
    assert embed_spec(FLATBUFFER, ModelSpec()) != first


def test_the_file_is_a_flatbuffer_and_a_plain_zip(tmp_path):
    data = embed_spec(FLATBUFFER, SPEC)
    assert data.startswith(FLATBUFFER)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read(SPEC_FILE_NAME).decode() == SPEC.to_json()
        assert archive.infolist()[0].header_offset == len(FLATBUFFER)  # no prefix to guess


def test_a_second_spec_replaces_the_first():
    assert embed_spec(embed_spec(FLATBUFFER, ModelSpec()), SPEC) == embed_spec(FLATBUFFER, SPEC)


def test_only_a_flatbuffer_takes_a_spec():
    with pytest.raises(ValueError, match=r"TFLite flatbuffer.*Received: 5 bytes"):
        embed_spec(b"hello", SPEC)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is text", "TFL3.*Received: .*starts? with b'hello, t'"),
        (FLATBUFFER, "has no doa_spec.json inside: it was not made by doa_export, or .*cut short"),
        (with_entries({"labels.txt": "a"}), "has no doa_spec.json inside: it was not made by"),
        (with_entries({SPEC_FILE_NAME: SPEC.to_json()}), "has no doa_flatbuffer.json inside"),
        (with_entries({SPEC_FILE_NAME: "{", FLATBUFFER_FILE_NAME: facts()}), "not JSON"),
        (with_entries({SPEC_FILE_NAME: "[]", FLATBUFFER_FILE_NAME: facts()}), "JSON object"),
        (
            with_entries({SPEC_FILE_NAME: SPEC.to_json(), FLATBUFFER_FILE_NAME: facts(b"other")}),
            "is damaged: .*SHA-256",
        ),
        (
            with_entries({SPEC_FILE_NAME: SPEC.to_json(), FLATBUFFER_FILE_NAME: "[]"}),
            "is damaged: .*SHA-256",
        ),
        (
            with_entries(
                {
                    SPEC_FILE_NAME: SPEC.to_json().replace('"hop": 512', '"hop": 256'),
                    FLATBUFFER_FILE_NAME: facts(),
                }
            ),
            "does not match its digest",
        ),
        (
            with_entries(
                {
                    SPEC_FILE_NAME: '{"version": 1, "features": 5, "digest": ""}',
                    FLATBUFFER_FILE_NAME: facts(),
                }
            ),
            "model.tflite: ",
        ),
        (with_entries({SPEC_FILE_NAME: "x" * 2**21}), "2097152 bytes"),
    ],
)
def test_bad_model_file_is_refused_in_one_line(tmp_path, data, message):
    path = file_with(tmp_path, data)
    with pytest.raises(InputError, match=message) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Not found: .*none.tflite"):
        read_model(tmp_path / "none.tflite")
    with pytest.raises(InputError, match="the folder"):
        read_model(tmp_path)


def test_every_truncation_is_refused(tmp_path):
    data = embed_spec(FLATBUFFER, SPEC)
    for length in range(0, len(data), 7):
        with pytest.raises(InputError):
            read_model(file_with(tmp_path, data[:length]))


def test_every_changed_byte_of_the_network_is_refused(tmp_path):
    data = embed_spec(FLATBUFFER, SPEC)
    for position in range(0, len(FLATBUFFER), 97):
        changed = bytearray(data)
        changed[position] ^= 0x10
        with pytest.raises(InputError):
            read_model(file_with(tmp_path, changed))


def test_a_changed_byte_of_the_zip_never_raises_anything_else(tmp_path):
    data = embed_spec(FLATBUFFER, SPEC)
    refused = 0
    for position in range(len(FLATBUFFER), len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 0x15
        try:  # a date or a permission may change without harm
            assert read_model(file_with(tmp_path, changed)) == (FLATBUFFER, SPEC)
        except InputError:
            refused += 1
    assert refused > 100


def test_default_model_is_in_the_package():
    path = default_model_path()
    assert path.parts[-3:] == ("doa_edge", "models", "default.tflite")


def test_real_tflite_gives_the_mean_intensity(tiny_tflite):
    model = TfliteModel(tiny_tflite)
    assert model.spec == ModelSpec(head="cartesian")
    assert model.runtime in ("ai-edge-litert", "tflite-runtime")
    features = np.random.default_rng(0).uniform(-1, 1, (25, 513, 6)).astype(np.float32)
    outputs = model.predict(features)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, 0.5 * features[..., :3].mean(axis=1) + 0.5, atol=1e-6)
    assert np.array_equal(model.predict(features), outputs)
    with pytest.raises(ValueError, match=r"\(25, 513, 6\).*\(24, 513, 6\)"):
        model.predict(features[:24])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec(features=FeatureSpec(frames=20)), r"one input of shape \(1, 20, 513, 6\)"),
        (ModelSpec(head="spherical"), r"one output of shape \(1, 25, 2\).*\(1, 25, 3\)"),
    ],
)
def test_network_that_does_not_fit_its_spec_is_refused(tiny_tflite, tmp_path, spec, message):
    path = file_with(tmp_path, embed_spec(tiny_tflite.read_bytes(), spec))
    with pytest.raises(InputError, match=message):
        TfliteModel(path)


def test_flatbuffer_that_the_runtime_refuses_is_bad_input(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = file_with(tmp_path, embed_spec(FLATBUFFER, SPEC))
    with pytest.raises(InputError, match="cannot be run by"):
        TfliteModel(path)


def test_state_is_reset_before_every_window(tiny_tflite, monkeypatch):
    model = TfliteModel(tiny_tflite)
    events = []

    class Spy:
        def __getattr__(self, name):
            return lambda *args: events.append(name) or np.zeros((1, 25, 3), np.float32)

    monkeypatch.setattr(model, "_interpreter", Spy())
    model.predict(np.zeros((25, 513, 6)))
    model.predict(np.zeros((25, 513, 6)))
    assert events == 2 * ["reset_all_variables", "set_tensor", "invoke", "get_tensor"]


def test_missing_runtime_names_both_and_the_pip_line(tmp_path, monkeypatch):
    for name in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)
    path = file_with(tmp_path, embed_spec(FLATBUFFER, SPEC))
    with pytest.raises(MissingPackageError) as caught:
        TfliteModel(path)
    for part in ("ai-edge-litert: ", "tflite-runtime: ", 'pip install "doa-tf[edge]"'):
        assert part in str(caught.value)


def test_the_second_runtime_is_used_when_the_first_is_missing(tiny_tflite, monkeypatch):
    import types

    network = read_model(tiny_tflite)[0]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    module = types.ModuleType("tflite_runtime.interpreter")

    class Interpreter:
        def __init__(self, **options):
            assert options == {"model_content": network, "num_threads": 3}

        def allocate_tensors(self):
            pass

        reset_all_variables = set_tensor = allocate_tensors

        def get_input_details(self):
            return [{"shape": np.array([1, 25, 513, 6]), **FLOATS}]

        def get_output_details(self):
            return [{"shape": np.array([1, 25, 3]), **FLOATS}]

    module.Interpreter = Interpreter
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", module)
    assert TfliteModel(tiny_tflite, threads=3).runtime == "tflite-runtime"


def old_runtime(monkeypatch, interpreter):
    """tflite-runtime alone, whose `interpreter` module is this object; None: it cannot load."""
    import types

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)


class BrokenRuntime:
    class Interpreter:
        def __init__(self, **options):
            raise SystemError("<built-in method> returned a result with an exception set")


class HalfRuntime:
    @property
    def Interpreter(self):
        raise AttributeError("_ARRAY_API not found")


@pytest.mark.parametrize("module", [BrokenRuntime, HalfRuntime()])
@pytest.mark.parametrize(
    ("numpy", "advice"),
    [
        ("2.4.1", r'needs numpy 1, and this is numpy 2.4.1: pip install "numpy<2"'),
        ("1.26.4", r"pip install (--force-reinstall tflite-runtime|\"doa-tf)"),
    ],
)
def test_the_old_runtime_beside_a_new_numpy_says_what_to_do(
    tiny_tflite, monkeypatch, module, numpy, advice
):
    old_runtime(monkeypatch, module)
    monkeypatch.setattr(np, "__version__", numpy)
    with pytest.raises(PackageError, match=advice):
        TfliteModel(tiny_tflite)


def test_doctor_and_run_tell_of_a_runtime_that_does_not_work(monkeypatch, write_wave, capfd):
    from doa_edge.commands.main import main

    old_runtime(monkeypatch, BrokenRuntime)
    monkeypatch.setattr(np, "__version__", "2.4.1")
    wave = str(write_wave())
    assert main(["run", "--input", wave]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("doa_edge: tflite-runtime does not work here (<built-in method>")
    assert line.endswith('pip install "numpy<2"')
    assert main(["doctor", "--input", wave]) == 1
    report = capfd.readouterr().out
    assert "fault    model" in report
    assert 'pip install "numpy<2"' in report


def test_quantized_values_are_rounded_then_clipped():
    tensor = {"dtype": np.int8, "quantization": (0.5, 3)}
    values = np.array([0.0, 0.2, 0.3, -0.3, 1e6, -1e6], np.float32)
    assert quantize(values, tensor).tolist() == [3, 3, 4, 2, 127, -128]
    assert quantize(values, tensor).dtype == np.int8
    assert dequantize(np.array([3, 5, -128], np.int8), tensor).tolist() == [0.0, 1.0, -65.5]


def test_float_tensors_are_left_alone():
    tensor = {"dtype": np.float32, "quantization": (0.0, 0)}
    values = np.array([0.25, -3.0], np.float32)
    assert quantize(values, tensor) is values
    assert dequantize(values, tensor) is values


def test_a_file_that_costs_more_than_it_holds_is_not_read(tmp_path, monkeypatch):
    from doa_edge.tflite import file as model_file

    huge = tmp_path / "huge.tflite"
    with huge.open("wb") as file:
        file.write(FLATBUFFER)
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=f"{model_file.LARGEST_FILE} bytes at most"):
        read_model(huge)
    bomb = io.BytesIO(FLATBUFFER)
    bomb.seek(0, io.SEEK_END)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SPEC_FILE_NAME, SPEC.to_json())
        archive.writestr(model_file.HALVES[0], bytes(model_file.LARGEST_HALF + 1))
    with pytest.raises(InputError, match="268435457 bytes, not 268435456 at most"):
        read_model(file_with(tmp_path, bomb.getvalue()))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_entry_that_is_there_twice_is_refused(tmp_path):
    twice = io.BytesIO(FLATBUFFER)
    twice.seek(0, io.SEEK_END)
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr(SPEC_FILE_NAME, SPEC.to_json())
        archive.writestr(SPEC_FILE_NAME, "{}")
    with pytest.raises(InputError, match="the same entry several times"):
        read_model(file_with(tmp_path, twice.getvalue()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"energy_floor": 1e-10', '"energy_floor": 1' + "0" * 400), "64 bits"),
        (('"energy_floor": 1e-10', '"energy_floor": 1e999'), "finite"),
        (('"energy_floor": 1e-10', '"energy_floor": NaN'), "finite"),
        (('"hop": 512', '"hop": 512, "hop": 256'), "'hop' twice"),
        (('"frames": 25', '"frames": 9223372036854775807'), "`frames` must be at most 10000"),
        (('"sample_rate": 16000', '"sample_rate": 1000000000'), "`sample_rate` must be at most"),
        (('"window": "sine"', '"window": "\\ud800"'), "whole characters"),
        (('"window": "sine"', '"window": ' + "[" * 5000 + "]" * 5000), "nested more deeply"),
    ],
)
def test_a_hostile_spec_is_refused_in_one_line(tmp_path, change, message):
    text = SPEC.to_json()
    assert change[0] in text
    text = text.replace(*change)
    data = with_entries({SPEC_FILE_NAME: text, FLATBUFFER_FILE_NAME: facts()})
    with pytest.raises(InputError, match=message) as caught:
        read_model(file_with(tmp_path, data))
    assert "\n" not in str(caught.value)
