"""tflite-runtime 2.14, the last there is for 32-bit boards: the same files, the same answers.

It needs Python 3.11 or older with numpy 1: where this Python has it not, DOA_TFLITE_RUNTIME_PYTHON
may name one that has.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from doa_core.spec import FeatureSpec
from doa_edge.model import TfliteModel
from doa_export.windows import synthetic_clips, window_features

from .conftest import COMBINATIONS

ROOT = Path(__file__).parents[2]
CODE = """
import sys
sys.modules["ai_edge_litert"] = None
import numpy as np
from doa_edge.model import TfliteModel
windows, out, *paths = sys.argv[1:]
results = {}
for number, path in enumerate(paths):
    model = TfliteModel(path)
    assert model.runtime == "tflite-runtime"
    results[str(number)] = np.stack([model.predict(window) for window in np.load(windows)])
np.savez(out, **results)
"""


@pytest.fixture(scope="module")
def old_python():
    named = os.environ.get("DOA_TFLITE_RUNTIME_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("tflite_runtime") is None:
        pytest.skip("no tflite-runtime here; DOA_TFLITE_RUNTIME_PYTHON names no Python with it")
    return sys.executable


def test_every_mode_loads_and_agrees(old_python, exports, tmp_path):
    features = FeatureSpec()
    clips = synthetic_clips(features, count=2)
    windows = np.concatenate([window_features(clip.samples, features) for clip in clips])
    np.save(tmp_path / "windows.npy", windows)
    paths = [exports[combination][0] for combination in COMBINATIONS]
    out = tmp_path / "outputs.npz"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'edge'}"}
    command = [old_python, "-c", CODE, tmp_path / "windows.npy", out, *paths]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    results = np.load(out)
    for number, path in enumerate(paths):
        model = TfliteModel(path)
        expected = np.stack([model.predict(window) for window in windows])
        # The runtimes round activations of 8 bits at different places.
        exact = model.spec.quantization in ("none", "float16")
        np.testing.assert_allclose(
            results[str(number)], expected, atol=1e-4 if exact else 0.06, err_msg=str(path)
        )
