"""Proof in degrees: do a checkpoint and its `.tflite` point the same way?

Both networks get the same recordings; the `.tflite` is run by `doa_edge`, the code that runs on the
board, and both outputs are averaged over all frames of a recording and decoded by `doa_core`. The
figure is the great-circle angle between the two directions. Where the recordings have labels, both
networks' errors are compared as well.

A grid head is compared by its centroid, whatever decoding its file states: where the two best
cells have nearly equal scores, a difference in the last digit moves the peak by a whole grid step,
which is no fault of the file. The share of recordings with equal peaks is reported beside it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from doa_core.angles import FloatArray, great_circle_distance
from doa_core.spec import AUDIO, ModelSpec
from doa_edge.tflite.network import TfliteModel
from doa_export.budget import Budget
from doa_export.windows import Clip

if TYPE_CHECKING:
    import keras

_DECIMALS = 4  # of an angle in JSON [degrees]
_WITHIN_DEG = 10.0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Angles between the directions of two networks, over recordings.

    Attributes:
        n: number of recordings.
        median_deg: [degrees].
        p99_deg: 99th percentile [degrees].
        max_deg: [degrees].
        max_output_difference: largest difference of a frame's output; outputs are in [0, 1].
        equal_peaks: share of recordings with the same best cell; None for a regression head.
        change_median_deg: median error of the file less that of the checkpoint [degrees]; None
            without labels.
        change_acc10: the same of the share within 10 degrees [percentage points].
        sha256: digest of the recordings.
    """

    n: int
    median_deg: float
    p99_deg: float
    max_deg: float
    max_output_difference: float
    equal_peaks: float | None
    change_median_deg: float | None = None
    change_acc10: float | None = None
    sha256: str = ""

    def within(self, budget: Budget) -> bool:
        """Whether median and 99th percentile are within a budget; NaN never is."""
        return self.median_deg <= budget.median_deg and self.p99_deg <= budget.p99_deg

    def to_dict(self) -> dict[str, Any]:
        """All figures, rounded, ready for JSON."""
        return {
            name: round(value, _DECIMALS) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        } | {"max_output_difference": float(f"{self.max_output_difference:.2g}")}


def parity(
    model: str | os.PathLike[str] | keras.Model,
    tflite: str | os.PathLike[str],
    clips: Iterable[Clip],
    *,
    progress: Callable[[int], None] | None = None,
) -> Parity:
    """Angles between the directions of a Keras model and of a model file.

    Run it on a CPU: a GPU's convolutions (TF32) differ by more than float32 files are allowed.

    Args:
        model: a `.keras` file, or a Keras model that was built by this package.
        tflite: a model file with its spec inside.
        clips: recordings, at least one.
        progress: called with the number of recordings done.

    Raises:
        InputError: a model that cannot be used.
        ValueError: no recordings.
    """
    from doa_tf.models import load_scoring_model

    scoring, spec = load_scoring_model(model)
    network = TfliteModel(tflite)
    means: list[tuple[FloatArray, FloatArray]] = []
    truth = []
    difference = 0.0
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(clip.samples.tobytes())
        windows = spec.features.compute(clip.samples)
        expected = np.asarray(scoring.predict_on_batch(windows))
        inputs = clip.samples if network.spec.input == AUDIO else windows
        outputs = np.stack([network.predict(window) for window in inputs])
        # numpy's maximum keeps a NaN, Python's may lose it.
        difference = float(np.maximum(difference, np.max(np.abs(expected - outputs))))
        means.append((expected.mean(axis=(0, 1)), outputs.mean(axis=(0, 1))))
        truth.append(clip.direction)
        if progress is not None:
            progress(len(means))
    if not means:
        raise ValueError("`clips` must hold at least one recording. Received: none")
    figures: dict[str, Any] = {"n": len(means), "max_output_difference": difference}
    figures["sha256"] = digest.hexdigest()
    if not np.isfinite(difference):  # a direction that is decoded from NaN is no answer
        figures |= dict.fromkeys(("median_deg", "p99_deg", "max_deg"), math.nan)
        return Parity(**figures, equal_peaks=None)
    expected, outputs = (np.stack(side) for side in zip(*means, strict=True))
    return Parity(**figures, **_angles(expected, outputs, truth, spec))


def _angles(
    expected: FloatArray, outputs: FloatArray, truth: list[FloatArray | None], spec: ModelSpec
) -> dict[str, Any]:
    """Figures of two (N, K) mean outputs and the labels of N recordings."""
    sides = (expected[:, np.newaxis], outputs[:, np.newaxis])
    answers = [spec.directions(side, method="centroid")[0] for side in sides]
    angles = np.degrees(great_circle_distance(*answers))
    figures: dict[str, Any] = {
        "median_deg": float(np.median(angles)),
        "p99_deg": float(np.percentile(angles, 99.0)),
        "max_deg": float(np.max(angles)),
        "equal_peaks": None,
    }
    if spec.grid is not None:
        peaks = np.argmax(expected, axis=-1) == np.argmax(outputs, axis=-1)
        figures["equal_peaks"] = float(np.mean(peaks))
    if all(direction is not None for direction in truth):
        errors = np.degrees(great_circle_distance(answers, np.array(truth)))
        before, after = np.median(errors, axis=-1)
        figures["change_median_deg"] = float(after - before)
        before, after = 100.0 * np.mean(errors <= _WITHIN_DEG, axis=-1)
        figures["change_acc10"] = float(after - before)
    return figures
