"""Small checkpoints that know directions, and their exports."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_export.cli import main

HEADS = ("cartesian", "gibbs-weighted")
MODES = ("none", "float16", "dynamic", "int8")
COMBINATIONS = [
    *(("cartesian", mode) for mode in MODES),
    ("gibbs-weighted", "none"),
    ("gibbs-weighted", "dynamic"),
]
# Nets this small lose more to 8 bits than the paper's, and theirs is what the defaults are for.
ROOMY = ("--max-median-deg", "20", "--max-p99-deg", "60")


@pytest.fixture(autouse=True, scope="session")
def converter_here():
    """The worker in this process, which has TensorFlow: one of its own takes seconds to begin.

    Not where a test has another worker, or takes `converter_process`; and tests/test_readme.py
    exports by the command.
    """
    from doa_export.convert import launch, worker

    start, command = launch.run_worker, launch._worker_command

    def run(model_path, options, *, files, windows=None, **others):
        if launch._worker_command is not command:
            return start(model_path, options, files=files, windows=windows, **others)
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
            arguments = [str(model_path), folder, *options]
            if windows is not None:
                np.save(Path(folder) / "windows.npy", windows)
                arguments += ["--windows", f"{folder}/windows.npy"]
            if worker.main(arguments) != 0:
                raise InputError(launch.last_words(said.getvalue()))
            return [(Path(folder) / name).read_bytes() for name in files]

    with pytest.MonkeyPatch.context() as patch:
        for module in ("launch", "split"):
            patch.setattr(f"doa_export.convert.{module}.run_worker", run)
        yield start


@pytest.fixture(autouse=True, scope="session")
def few_windows():
    """Sixty-four built-in windows instead of two hundred, for time."""
    from doa_export import export, windows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "synthetic_clips", partial(windows.synthetic_clips, count=64))
        yield


@pytest.fixture
def converter_process(converter_here, monkeypatch):
    """The worker in a process of its own again, as a user has it."""
    for module in ("launch", "split"):
        monkeypatch.setattr(f"doa_export.convert.{module}.run_worker", converter_here)


def small_model(head_name, *, channels=None, voices=1):
    """A network of few weights whose answers are directions, not the noise of an untrained one.

    Twelve filters, because the converter leaves tensors of less than 1,024 weights as they are.
    """
    import keras

    from doa_core.features import INTENSITY_CHANNELS
    from doa_core.grid import sphere_grid
    from doa_core.spec import FeatureSpec
    from doa_tf import build_crnn, heads

    keras.utils.set_random_seed(3)
    model = build_crnn(
        heads.get(head_name),
        features=FeatureSpec(channels=channels or INTENSITY_CHANNELS),
        filters=12,
        lstm_units=4,
        dense_units=8,
        voices=voices,
    )
    rng = np.random.default_rng(3)
    for number in (1, 2, 3):  # statistics that a training leaves
        layer = model.get_layer(f"normalisation_{number}")
        layer.set_weights([rng.uniform(0.5, 1.5, values.shape) for values in layer.get_weights()])
    to_vector = 2.0 * rng.standard_normal((8, 3))
    mean = np.array([1.0, 0.5, -0.5])
    layer = model.get_layer("directions")
    if head_name == "cartesian":
        weights = [to_vector, mean]
    elif head_name == "gibbs-harmonic":  # the same, of y, z and x; the constant is the first
        layer = model.get_layer("coefficients")
        weights = [np.zeros((8, 81)), np.zeros(81)]
        weights[0][:, 1:4] = 4.0 * 9.0 / np.sqrt(3.0) * to_vector[:, [1, 2, 0]]
        weights[1][:4] = [18.0, *(4.0 * 9.0 / np.sqrt(3.0) * mean[[1, 2, 0]])]
    else:  # a lobe around the vector
        cells = sphere_grid(10.0).vectors
        weights = [4.0 * to_vector @ cells.T, 4.0 * cells @ mean - 4.0]
    layer.set_weights(weights)
    return model


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Paths of a checkpoint for each head."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {name: folder / f"{name}.keras" for name in HEADS}
    for name, path in paths.items():
        small_model(name).save(path)
    return paths


@pytest.fixture(scope="session")
def calibration_scenes(tmp_path_factory):
    """A scenes folder: twelve windows of noise from all over the sphere, two conditions."""
    from doa_core.spec import FeatureSpec
    from doa_export.windows import synthetic_clips

    soundfile = pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("calibration")
    rows = ["file,azimuth_deg,elevation_deg,condition"]
    for number, clip in enumerate(synthetic_clips(FeatureSpec(), count=12)):
        soundfile.write(folder / f"{number}.wav", clip.samples[0], 16_000, subtype="FLOAT")
        rows.append(f"{number}.wav,0,0,{'loud' if number < 9 else 'soft'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def exports(checkpoints, calibration_scenes, tmp_path_factory):
    """(path, figures) of each of `COMBINATIONS`, made by the command in its subprocess."""
    folder = tmp_path_factory.mktemp("exports")
    made = {}
    for head, mode in COMBINATIONS:
        out, report = folder / f"{head}-{mode}.tflite", folder / f"{head}-{mode}.json"
        options = ROOMY if mode in ("dynamic", "int8") else ()
        if mode == "int8":
            options = (*options, "--calibrate", calibration_scenes)
        arguments = ["--quantize", mode, "--out", out, "--json", report, *options]
        assert main([str(argument) for argument in (checkpoints[head], *arguments)]) == 0
        made[head, mode] = out, json.loads(report.read_text())
    return made
