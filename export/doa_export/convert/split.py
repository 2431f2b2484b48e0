"""Add the same network in two halves to a model file, for streams, and prove that they agree.

A window that moves by five frames shares twenty with the one before, and with the halves the runner
convolves only the new ones. The whole network stays in the file, for readers without halves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import great_circle_distance
from doa_core.files import write_beside
from doa_core.spec import AUDIO
from doa_edge.engine_settings import DEFAULT_EVERY
from doa_edge.tflite.file import HALVES, embed_spec, read_model
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.launch import ConversionError, run_worker
from doa_export.convert.modes import check_splittable

# Outputs are scores in [0, 1]; a float32 sum in another order differs by some 1e-6. Dynamic files
# round the activations of each call on their own.
TOLERANCES = {"none": 1e-4, "dynamic": 0.1}
_CHECKED_FRAMES = 100


def add_halves(
    path: str | os.PathLike[str], model_path: str | os.PathLike[str], *, step: int = DEFAULT_EVERY
) -> dict[str, Any]:
    """Rewrite a model file with both halves of its network inside.

    The file stays as it is unless the halves agree with the whole network on a stream.

    Args:
        path: a file that `doa_export.export_model` made.
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
    check_splittable(spec.quantization, audio=spec.input == AUDIO)
    options = ["--quantize", spec.quantization, "--halves", str(step)]
    first, second = run_worker(model_path, options, files=HALVES)
    with write_beside(path) as part:
        size = part.write_bytes(embed_spec(flatbuffer, spec, halves=(first, second)))
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
    all_frames = features.compute(sound)
    difference = degrees = 0.0
    start, moved = 0, features.frames
    moves = [step, step, 1, step, step + 2, 2 * step, step]  # what users ask of --every, mixed
    for number in range(10 * len(moves)):
        window = all_frames[start : start + features.frames]
        if len(window) < features.frames:
            break
        whole, halves = model.predict(window), stream.predict(window, moved)
        difference = float(np.maximum(difference, np.max(np.abs(whole - halves))))
        answers = [spec.directions(values, method="centroid")[0] for values in (whole, halves)]
        degrees = max(degrees, float(np.degrees(great_circle_distance(*answers))))
        moved = moves[number % len(moves)]
        start += moved
    return difference, degrees
