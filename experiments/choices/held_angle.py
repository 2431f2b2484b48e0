"""How far from its own azimuth a window may be turned, of a network that turns with its scene.

    python -m experiments.choices.held_angle MODEL.tflite --scenes SCENES [SCENES ...]

For choosing the angle that the halves of such a network are held by (`doa_edge.tflite.heading`), so
on validation scenes. MODEL.tflite is one that `doa_export --split` made. The talkers' number is
known. Each row is an angle, to either side, between what the first window of a scene is turned by
and its own azimuth; each column a condition: angle to the answers at 0 degrees (median, 99th
percentile), then the median error of all talkers, and the share within 10 degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_core.angles import FloatArray
from doa_core.errors import InputError
from doa_core.features import intensity_heading
from doa_edge.tflite.network import TfliteModel
from doa_tf.cli.program import program, run_program
from doa_tf.data.features import feature_windows
from doa_tf.evaluation.talkers.windows import talkers_of
from doa_tf.matching import errors_of_talkers
from doa_tf.scenes.folder import Scene, read_scenes

ANGLES_DEG = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 180.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each angle."""
    parser = program("experiments.choices.held_angle", __doc__)
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("--scenes", required=True, nargs="+")
    args = parser.parse_args(argv)
    model = TfliteModel(args.model)
    windows = [w for folder in args.scenes for w in _windows(model, read_scenes(folder), folder)]
    conditions = list(dict.fromkeys(window["condition"] for window in windows))
    print(f"{'':6}", *(f"{name:>28}" for name in conditions))
    for angle in ANGLES_DEG:
        cells = [
            _figures([w for w in windows if w["condition"] == one], angle) for one in conditions
        ]
        print(f"{angle:5.0f}°", *(f"{cell:>28}" for cell in cells), flush=True)


def _windows(model: TfliteModel, scenes: Sequence[Scene], folder: str) -> list[dict[str, Any]]:
    """Condition, true directions and answers by angle, of scenes in which somebody talks."""
    return [
        {
            "condition": scene.columns.get("condition", folder),
            "truth": truth,
            "answers": _answers(model, scene, count=len(truth)),
        }
        for scene in scenes
        for truth in [talkers_of(scene)[1]]
        if len(truth)
    ]


def _answers(model: TfliteModel, scene: Scene, *, count: int) -> dict[float, list[FloatArray]]:
    """(P, 3) directions of a scene's first window, turned by each angle to either side."""
    spec, network = model.spec, model.stream()
    if network is None or network.turning is None:
        raise InputError("The model must turn with its scene, in two halves: doa_export --split")
    sound = scene.read(sample_rate=spec.features.sample_rate)
    window = feature_windows(sound, spec.features, highpass_hz=spec.highpass_hz)[0]
    x, y = intensity_heading(window, bins=network.turning.bins)
    found: dict[float, list[FloatArray]] = {}
    for angle in ANGLES_DEG:
        for signed in sorted({np.radians(angle), -np.radians(angle)}):
            turned = (x + 1j * y) * np.exp(1j * signed)
            heading = np.array([turned.real, turned.imag], np.float32)
            outputs = network.predict(window, spec.features.frames, heading)
            found.setdefault(angle, []).append(spec.peaks(outputs, count=count)[0])
    return found


def _figures(windows: Sequence[dict[str, Any]], angle: float) -> str:
    """What a cell says of some windows."""
    apart, errors = [], []
    for window in windows:
        (own, *_) = window["answers"][0.0]
        for found in window["answers"][angle]:
            errors.append(errors_of_talkers(window["truth"], found))
            apart.append(errors_of_talkers(own, found))
    moved, error = np.concatenate(apart), np.concatenate(errors)
    return (
        f"{np.median(moved):.1f}°, {np.percentile(moved, 99):.0f}°; "
        f"{np.median(error):.1f}°, {100.0 * np.mean(error <= 10.0):.0f} %"
    )


if __name__ == "__main__":
    run_program(main)
