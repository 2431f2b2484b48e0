"""Which form of the refinement by intensity is best.

    python -m experiments.choices.refinement MODEL --scenes SCENES [SCENES ...]

For choosing, so on validation scenes. The talkers' number is known. Each row is another form of
`doa_core.refine`, each column a condition: median error of all talkers, and share within 10
degrees. `as decoded` is no refinement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from doa_core.angles import FloatArray
from doa_core.refine import BAND_HZ, WIDTH_DEG
from doa_tf.cli.program import program, run_program
from doa_tf.data.features import feature_windows
from doa_tf.evaluation.predictions import predict
from doa_tf.evaluation.talkers.windows import talkers_of
from doa_tf.matching import errors_of_talkers
from doa_tf.scenes.folder import Scene, read_scenes


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of the refinement; the defaults are that of `doa_core.refine`.

    Attributes:
        width_deg: at which a bin counts 1 / e.
        power: of the intensity's length.
        level: power of the amplitude relative to the frame.
        share: of the evidence in the answer.
        rounds: how often the bins are sought around the answer so far.
        band_hz: which bins count.
    """

    width_deg: float = WIDTH_DEG
    power: float = 4.0
    level: float = 1.0
    share: float = 0.5
    rounds: int = 1
    band_hz: tuple[float, float] = BAND_HZ

    def refine(self, decoded: FloatArray, features: FloatArray, *, bin_hz: float) -> FloatArray:
        """(P, 3) directions from (P, 3) decoded ones and (..., F, 7) features."""
        low, high = (round(hz / bin_hz) for hz in self.band_hz)
        bins = np.asarray(features[..., low : high + 1, :], np.float64).reshape(-1, 7)
        length = np.linalg.norm(bins[:, :3], axis=1) + 1e-9
        towards = bins[:, :3] / length[:, np.newaxis]
        weight = length**self.power * 10.0 ** (self.level * bins[:, 6])
        answer = decoded
        for _ in range(self.rounds):
            cosines = towards @ answer.T
            near = np.exp(-2.0 * (1.0 - cosines) / np.radians(self.width_deg) ** 2)
            near *= cosines == cosines.max(axis=1, keepdims=True)
            sums = (near * weight[:, np.newaxis]).T @ towards
            sums /= np.linalg.norm(sums, axis=1, keepdims=True) + 1e-300
            answer = (1.0 - self.share) * decoded + self.share * sums
            answer /= np.linalg.norm(answer, axis=1, keepdims=True)
        return answer


OURS = Form()
FORMS: Mapping[str, Form | None] = {
    "as decoded": None,
    "ours": OURS,
    "width 10°": replace(OURS, width_deg=10.0),
    "width 20°": replace(OURS, width_deg=20.0),
    "second power": replace(OURS, power=2.0),
    "eighth power": replace(OURS, power=8.0),
    "without the level": replace(OURS, level=0.0),
    "a third of the way": replace(OURS, share=0.35),
    "two thirds of the way": replace(OURS, share=0.65),
    "two rounds": replace(OURS, rounds=2),
    "up to 4 kHz": replace(OURS, band_hz=(150.0, 4000.0)),
    "from 300 Hz": replace(OURS, band_hz=(300.0, 6000.0)),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each form."""
    parser = program("experiments.choices.refinement", __doc__)
    parser.add_argument("model")
    parser.add_argument("--scenes", required=True, nargs="+")
    args = parser.parse_args(argv)
    windows = [window for folder in args.scenes for window in _windows(args.model, folder)]
    conditions = list(dict.fromkeys(window["condition"] for window in windows))
    print(f"{'':22}", *(f"{name:>18}" for name in conditions))
    for name, form in FORMS.items():
        cells = [
            _figures([w for w in windows if w["condition"] == one], form) for one in conditions
        ]
        print(f"{name:22}", *(f"{cell:>18}" for cell in cells), flush=True)


def _windows(model: str, folder: str) -> list[dict[str, Any]]:
    """Decoded directions, features and true directions of each scene in which somebody talks."""
    scenes = read_scenes(folder)
    predictions = predict(model, scenes)
    spec = predictions.spec
    if spec is None:
        raise ValueError(f"`model` must be a network. Received: {model}")
    return [
        {
            "condition": scene.columns.get("condition", folder),
            "truth": truth,
            "decoded": spec.peaks(outputs, count=len(truth))[0],
            "features": _features(scene, spec),
            "bin_hz": spec.features.bin_hz,
        }
        for scene, outputs in zip(scenes, predictions.outputs, strict=True)
        for truth in [talkers_of(scene)[1]]
        if len(truth)
    ]


def _features(scene: Scene, spec: Any) -> FloatArray:
    sound = scene.read(sample_rate=spec.features.sample_rate)
    return feature_windows(sound, spec.features, highpass_hz=spec.highpass_hz)


def _figures(windows: Sequence[Mapping[str, Any]], form: Form | None) -> str:
    """Median and share within 10 degrees of all talkers of some windows."""
    errors = []
    for window in windows:
        found = window["decoded"]
        if form is not None and len(found):
            found = form.refine(found, window["features"], bin_hz=window["bin_hz"])
        errors.append(errors_of_talkers(window["truth"], found))
    together = np.concatenate(errors)
    return f"{np.median(together):.2f}°, {100.0 * np.mean(together <= 10.0):.0f} %"


if __name__ == "__main__":
    run_program(main)
