"""Add to a model file the same network in two halves, for streams, and prove that they agree.

A window that moves by five frames shares twenty with the one before, and with the halves the runner
convolves only the new ones. The whole network stays in the file, for readers that know no halves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import great_circle_distance
from doa_core.decode import decode
from doa_core.errors import InputError
from doa_core.features import intensity_features
from doa_core.files import write_beside
from doa_core.spec import AUDIO
from doa_core.stft import stft
from doa_edge.tflite.file import HALVES, embed_spec, read_model
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.convert import TIMEOUT, ConversionError, last_words
from doa_export.convert.split_worker import EXIT_BAD_INPUT

STEP = 5  # frames that a call of the first half adds, the runner's default of --every
SPLITTABLE = ("none", "dynamic")
# Outputs are scores in [0, 1]; a float32 sum in another order differs by some 1e-6. Dynamic files
# round the activations of each call on their own.
TOLERANCES = {"none": 1e-4, "dynamic": 0.1}
_CHECKED_FRAMES = 100


def add_halves(
    path: str | os.PathLike[str], model_path: str | os.PathLike[str], *, step: int = STEP
) -> dict[str, Any]:
    """Rewrite a model file with both halves of its network inside.

    Unless the halves say on a stream what the whole network says, the file stays as it is.

    Args:
        path: a file that `doa_export.export.export_model` made.
        model_path: the checkpoint that it was made of.
        step: frames by which a window moves in one call.

    Returns:
        `step`, `bytes` of the file, `max_output_difference` and `max_deg` between the answers.

    Raises:
        InputError: a network or a quantisation that cannot be split.
        ConversionError: the converter failed, or the halves do not agree with the whole.
    """
    path = Path(path)
    flatbuffer, spec = read_model(path)
    check_splittable(spec.quantization)
    if spec.input == AUDIO:
        raise InputError(f"Only files that hear features can be split. Received: {spec.input}")
    halves = _convert(Path(model_path), quantize=spec.quantization, step=step)
    with write_beside(path) as part:
        size = part.write_bytes(embed_spec(flatbuffer, spec, halves=halves))
        difference, degrees = _compare(TfliteModel(part), step)
        if not difference <= TOLERANCES[spec.quantization]:  # also catches NaN
            raise ConversionError(
                f"The halves must give what the whole network gives to "
                f"{TOLERANCES[spec.quantization]:g}. Received: {difference:.2g}"
            )
    return {
        "step": step,
        "bytes": size,
        "max_output_difference": float(f"{difference:.2g}"),
        "max_deg": round(degrees, 4),
    }


def check_splittable(quantization: str) -> None:
    """Raise InputError for a mode whose files cannot be split."""
    if quantization not in SPLITTABLE:
        raise InputError(
            f"Only {' and '.join(SPLITTABLE)} files can be split. Received: {quantization}"
        )


def _convert(model: Path, *, quantize: str, step: int) -> tuple[bytes, bytes]:
    """Flatbuffers of both halves, from a process that may crash without us."""
    with tempfile.TemporaryDirectory(prefix="doa_export-") as folder:
        command = [
            sys.executable,
            "-m",
            "doa_export.convert.split_worker",
            str(model.absolute()),
            folder,
        ]
        try:
            done = subprocess.run(
                [*command, "--quantize", quantize, "--step", str(step)],
                env={
                    **os.environ,
                    "TMPDIR": folder,
                    "KERAS_BACKEND": "tensorflow",
                    "CUDA_VISIBLE_DEVICES": "-1",
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionError(
                f"The converter was stopped after {TIMEOUT:g} s without a result"
            ) from error
        if done.returncode == EXIT_BAD_INPUT:
            raise InputError(last_words(done.stderr))
        if done.returncode != 0:
            raise ConversionError(
                f"The converter of the halves ended with {done.returncode}: "
                f"{last_words(done.stderr)}"
            )
        first, second = ((Path(folder) / name).read_bytes() for name in HALVES)
    return first, second


def _compare(model: TfliteModel, step: int) -> tuple[float, float]:
    """Largest difference of an output, and of an answer [degrees], over a stream of noise."""
    spec = model.spec
    features = spec.features
    stream = model.stream()
    if stream is None:
        raise ConversionError("The file with the halves must have them. Received: none")
    rng = np.random.default_rng(2019)
    samples = features.window_length + (features.frames + _CHECKED_FRAMES) * features.hop
    louder = np.repeat(10.0 ** rng.uniform(-3.0, -1.0, samples // 800 + 1), 800)[:samples]
    mixing = rng.standard_normal((4, 4)) * [1.0, 0.7, 0.7, 0.7]
    sound = louder[:, np.newaxis] * rng.standard_normal((samples, 4)) @ mixing
    all_frames = intensity_features(
        stft(sound, window_length=features.window_length, hop=features.hop),
        channels=features.channels,
        energy_floor=features.energy_floor,
    )
    difference = degrees = 0.0
    start, moved = 0, features.frames
    moves = [step, step, 1, step, step + 2, 2 * step, step]  # what users ask of --every, mixed
    for number in range(10 * len(moves)):
        window = all_frames[start : start + features.frames]
        if len(window) < features.frames:
            break
        whole, halves = model.predict(window), stream.predict(window, moved)
        difference = float(np.maximum(difference, np.max(np.abs(whole - halves))))
        answers = [
            decode(values, head=spec.head, grid=spec.grid, method="centroid")[0]
            for values in (whole, halves)
        ]
        degrees = max(degrees, float(np.degrees(great_circle_distance(*answers))))
        moved = moves[number % len(moves)]
        start += moved
    return difference, degrees
