"""Add the same network in two halves to a model file, for streams, and prove that they agree.

Of a network that turns with its scene this has two parts: turned by a window's own heading, the
halves give what the whole network gives; and turned by a heading that was held, a window whose
frames were kept gives what it gives when all are computed.

A window that moves by five frames shares twenty with the one before, and with the halves the runner
convolves only the new ones. The whole network stays in the file, for readers without halves.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import great_circle_distance
from doa_core.files import write_beside
from doa_core.spec import AUDIO
from doa_edge.engine_settings import DEFAULT_EVERY
from doa_edge.tflite.file import HALVES, StoredHalves, embed_spec, read_model
from doa_edge.tflite.heading import Turning
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.launch import TURNING, ConversionError, run_worker
from doa_export.convert.modes import AUTO, check_mode, check_splittable
from doa_export.windows import synthetic_clips

# Outputs are scores in [0, 1]; a float32 sum in another order differs by some 1e-6. Dynamic files
# round the activations of each call on their own.
TOLERANCES = {"none": 1e-4, "dynamic": 0.1}
_CLIPS = 8  # each from another side, so that what turns has to turn anew


def add_halves(
    path: str | os.PathLike[str],
    model_path: str | os.PathLike[str],
    *,
    lstm: str = AUTO,
    step: int = DEFAULT_EVERY,
) -> dict[str, Any]:
    """Rewrite a model file with both halves of its network inside.

    The file stays as it is unless the halves agree with the whole network on a stream.

    Args:
        path: a file that `doa_export.export_model` made.
        model_path: the checkpoint that it was made of.
        lstm: form of the LSTM, as of `doa_export.convert.launch.convert`.
        step: frames by which a window moves in one call.

    Returns:
        `step`, `bytes` of the file, `max_output_difference` and `max_deg` between the answers; and
        `hold_deg` of a network that turns, see `doa_edge.tflite.heading`.

    Raises:
        InputError: a network or a quantisation that cannot be split.
        ConversionError: the converter failed, or the halves do not agree with the whole.
    """
    path = Path(path)
    flatbuffer, spec = read_model(path)
    check_splittable(spec.quantization, audio=spec.input == AUDIO)
    options = ["--quantize", spec.quantization, "--lstm", check_mode(spec.quantization, lstm)]
    options += ["--halves", str(step)]
    first, second, turned = run_worker(model_path, options, files=[*HALVES, TURNING])
    facts = json.loads(turned)
    turning = None if facts is None else Turning.from_dict(facts)
    halves = StoredHalves((first, second), turning)
    with write_beside(path) as part:
        size = part.write_bytes(embed_spec(flatbuffer, spec, halves=halves))
        difference, degrees = _compare(TfliteModel(part), step)
        if not difference <= TOLERANCES[spec.quantization]:  # also catches NaN
            raise ConversionError(
                f"The halves must give what the whole network gives to "
                f"{TOLERANCES[spec.quantization]:g}. Received: {difference:.2g}"
            )
    held = {} if turning is None else {"hold_deg": turning.hold_deg}
    return {
        "step": step,
        "bytes": size,
        "max_output_difference": float(f"{difference:.2g}"),
        "max_deg": round(degrees, 4),
        **held,
    }


def _compare(model: TfliteModel, step: int) -> tuple[float, float]:
    """Largest difference of an output, and of an answer [degrees], over a stream of voices."""
    spec = model.spec
    features = spec.features
    stream, alone = model.stream(), model.stream()  # the second keeps nothing
    if stream is None or alone is None:
        raise ConversionError("The file with the halves must have them. Received: none")
    clips = synthetic_clips(features, count=_CLIPS, several=spec.voices > 1)
    all_frames = features.compute(np.concatenate([clip.samples[0] for clip in clips]))
    difference = degrees = 0.0
    start, moved = 0, features.frames
    moves = itertools.cycle(
        (step, step, 1, step, step + 2, 2 * step, step)
    )  # users' --every, mixed
    while start + features.frames <= len(all_frames):
        window = all_frames[start : start + features.frames]
        pairs = [(model.predict(window), stream.predict(window, moved))]
        if stream.heading is not None:
            pairs = [
                (pairs[0][0], alone.predict(window, features.frames)),
                (alone.predict(window, features.frames, stream.heading), pairs[0][1]),
            ]
        for pair in pairs:
            difference = float(np.maximum(difference, np.max(np.abs(pair[0] - pair[1]))))
            answers = [spec.directions(values, method="centroid")[0] for values in pair]
            degrees = max(degrees, float(np.degrees(great_circle_distance(*answers))))
        moved = next(moves)
        start += moved
    return difference, degrees
