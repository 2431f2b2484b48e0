"""tflite-runtime 2.14, the last there is for 32-bit boards: the same files, the same answers.

It needs Python 3.11 or older with numpy 1: where this Python has it not, DOA_TFLITE_RUNTIME_PYTHON
may name one that has. `make .venv-old-runtime/ready` makes one.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.decode import decode
from doa_core.spec import FeatureSpec
from doa_edge.input.audio import read_recording
from doa_edge.tflite.network import TfliteModel, default_model_path
from doa_export.windows import synthetic_clips
from tests.places import PROJECT

from .conftest import COMBINATIONS

CODE = """
import sys
sys.modules["ai_edge_litert"] = None
import numpy as np
from doa_edge.tflite.network import TfliteModel
windows, out, *paths = sys.argv[1:]
results = {}
for number, path in enumerate(paths):
    model = TfliteModel(path)
    assert model.runtime == "tflite-runtime"
    results[str(number)] = np.stack([model.predict(window) for window in np.load(windows)])
    if model.is_split:
        results[f"{number}-halves"] = np.stack(
            [model.stream().predict(window, len(window)) for window in np.load(windows)]
        )
np.savez(out, **results)
"""
SHIPPED = sorted(default_model_path().parent.glob("*.tflite"))
# The runtimes round activations of 8 bits at different places.
SCORES_APART = {"none": 1e-4, "float16": 1e-4}
SCORES_APART_8_BITS = 0.06
DEGREES_APART = 3.0  # what `doa_export` lets one window in a hundred of an 8-bit file differ by


@pytest.fixture(scope="module")
def old_python():
    named = os.environ.get("DOA_TFLITE_RUNTIME_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("tflite_runtime") is None:
        pytest.skip("no tflite-runtime here; DOA_TFLITE_RUNTIME_PYTHON names no Python with it")
    return sys.executable


def old_answers(python, windows, paths, folder):
    """What that Python's runtime says of (M, ...) windows: by the path's number."""
    np.save(folder / "windows.npy", windows)
    out = folder / "outputs.npz"
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'edge'}"}
    command = [python, "-c", CODE, folder / "windows.npy", out, *paths]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return np.load(out)


def scores_apart(spec):
    return SCORES_APART.get(spec.quantization, SCORES_APART_8_BITS)


def directions(outputs, spec):
    return decode(outputs, head=spec.head, grid=spec.grid, method=spec.decode)[0]


def test_every_mode_loads_and_agrees(old_python, exports, tmp_path):
    features = FeatureSpec()
    clips = synthetic_clips(features, count=2)
    windows = np.concatenate([features.compute(clip.samples) for clip in clips])
    paths = [exports[combination][0] for combination in COMBINATIONS]
    results = old_answers(old_python, windows, paths, tmp_path)
    for number, path in enumerate(paths):
        model = TfliteModel(path)
        expected = np.stack([model.predict(window) for window in windows])
        np.testing.assert_allclose(
            results[str(number)], expected, atol=scores_apart(model.spec), err_msg=str(path)
        )


def test_there_is_a_shipped_file():
    assert default_model_path() in SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_file_loads_and_agrees(path, old_python, tmp_path):
    model = TfliteModel(path)
    features = model.spec.features
    windows = np.concatenate(
        [
            features.compute(
                read_recording(recording, sample_rate=features.sample_rate)[
                    np.newaxis, : features.samples
                ]
            )
            for recording in sorted((PROJECT / "demo" / "recordings").glob("*.wav"))
        ]
    )
    results = old_answers(old_python, windows, [path], tmp_path)
    assert set(results) == ({"0", "0-halves"} if model.is_split else {"0"})
    # Ranges of activations of 8 bits are a whole window's, or those of the halves' parts of it.
    expected = {"0": np.stack([model.predict(window) for window in windows])}
    if model.is_split:
        heard = [model.stream().predict(window, len(window)) for window in windows]
        expected["0-halves"] = np.stack(heard)
    for name in results:
        np.testing.assert_allclose(
            results[name], expected[name], atol=scores_apart(model.spec), err_msg=name
        )
        apart = great_circle_distance(
            *(directions(side, model.spec) for side in (results[name], expected["0"]))
        )
        exact = model.spec.quantization in SCORES_APART
        assert np.max(np.degrees(apart)) < (0.01 if exact else DEGREES_APART), name
