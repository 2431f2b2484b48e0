"""Proof in degrees: do a checkpoint and its `.tflite` point the same way?

Both networks get the same recordings; the `.tflite` is run by `doa_edge`, the code that runs on the
board, and both outputs are averaged over all frames of a recording and decoded by `doa_core`. The
figure is the great-circle angle between the two directions. Where the recordings have labels, both
networks' errors are compared as well.

A grid head is compared by its centroid, whatever decoding its file states: where the two best
cells have nearly equal scores, a difference in the last digit moves the peak by a whole grid step,
which is no fault of the file. The share of recordings with equal peaks is reported beside it.

A file of several voices is compared window by window, by sets: each peak of the checkpoint's scores
that is confident enough to be somebody, the best one at least, belongs to one of the file's peaks
of at least half of that confidence, by the assignment whose angles have the smallest sum. A peak
near the threshold may be somebody to the one and nobody to the other: that is no angle, and is
counted by itself, as windows of different counts.
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
from doa_edge.engine import EngineSettings
from doa_edge.tflite.network import TfliteModel
from doa_export.budget import Budget
from doa_export.windows import Clip
from doa_tf.evaluation.talkers.matching import errors_of_talkers

if TYPE_CHECKING:
    import keras

_DECIMALS = 4  # of an angle in JSON [degrees]
_WITHIN_DEG = 10.0
_OF_SEVERAL = ("mean_deg", "peaks", "different_counts")


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Angles between the directions of two networks, over recordings.

    Those of networks of several voices are over windows, peak by peak.

    Attributes:
        n: number of recordings; of windows for networks of several voices.
        median_deg: [degrees].
        p99_deg: 99th percentile [degrees].
        max_deg: [degrees].
        max_output_difference: largest difference of a frame's output; outputs are in [0, 1].
        equal_peaks: share of recordings with the same best cell; None for a regression head.
        change_median_deg: median error of the file less that of the checkpoint [degrees]; None
            without labels.
        change_acc10: the same of the share within 10 degrees [percentage points].
        sha256: digest of the recordings.
        mean_deg: mean angle of the peaks, of several voices [degrees].
        peaks: how many peaks were compared, of several voices.
        different_counts: share of windows, in [0, 1], in which another number of peaks is
            confident enough to be somebody; None for a network of one voice.
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
    mean_deg: float | None = None
    peaks: int | None = None
    different_counts: float | None = None

    def within(self, budget: Budget) -> bool:
        """Whether all that a budget limits is within it; NaN never is."""
        counts = self.different_counts is None or self.different_counts <= budget.different_counts
        return self.median_deg <= budget.median_deg and self.p99_deg <= budget.p99_deg and counts

    def to_dict(self) -> dict[str, Any]:
        """All figures, rounded, ready for JSON; those of several voices where there are any."""
        left_out = _OF_SEVERAL if self.different_counts is None else ()
        return {
            name: round(value, _DECIMALS) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if name not in left_out
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
    truth: list[FloatArray | None] = []
    several = spec.voices > 1
    difference = 0.0
    digest = hashlib.sha256()
    for done, clip in enumerate(clips, start=1):
        digest.update(clip.samples.tobytes())
        windows = spec.features.compute(clip.samples)
        expected = np.asarray(scoring.predict_on_batch(windows))
        inputs = clip.samples if network.spec.input == AUDIO else windows
        outputs = np.stack([network.predict(window) for window in inputs])
        # numpy's maximum keeps a NaN, Python's may lose it.
        difference = float(np.maximum(difference, np.max(np.abs(expected - outputs))))
        if several:
            means += zip(expected.mean(axis=1), outputs.mean(axis=1), strict=True)
            truth += [clip.talkers] * len(expected)
        else:
            means.append((expected.mean(axis=(0, 1)), outputs.mean(axis=(0, 1))))
            truth.append(clip.direction)
        if progress is not None:
            progress(done)
    if not means:
        raise ValueError("`clips` must hold at least one recording. Received: none")
    figures: dict[str, Any] = {"n": len(means), "max_output_difference": difference}
    figures["sha256"] = digest.hexdigest()
    if not np.isfinite(difference):  # a direction that is decoded from NaN is no answer
        figures |= dict.fromkeys(("median_deg", "p99_deg", "max_deg"), math.nan)
        return Parity(**figures, equal_peaks=None)
    expected, outputs = (np.stack(side) for side in zip(*means, strict=True))
    angles = compare_sets if several else _angles
    return Parity(**figures, **angles(expected, outputs, truth, spec))


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


def compare_sets(
    expected: FloatArray,
    outputs: FloatArray,
    truth: list[FloatArray | None],
    spec: ModelSpec,
) -> dict[str, Any]:
    """Figures of two networks of several voices.

    Args:
        expected: (N, K) mean outputs of the checkpoint, of N windows.
        outputs: (N, K) those of the file.
        truth: (V, 3) directions of those who talk in each window, or None.
        spec: of the networks.
    """
    threshold = EngineSettings().detector(spec).min_confidence
    angles: list[FloatArray] = []
    different = 0
    for before, after in zip(expected, outputs, strict=True):
        found, certainty = spec.peaks(before[np.newaxis], count=spec.voices)
        others, other_certainty = spec.peaks(after[np.newaxis], count=spec.voices)
        count = int(np.sum(certainty >= threshold))
        different += count != int(np.sum(other_certainty >= threshold))
        count = max(count, 1)
        likely = int(np.sum(other_certainty >= threshold / 2.0))
        angles.append(errors_of_talkers(found[:count], others[: max(count, likely)]))
    angles_deg = np.concatenate(angles)
    equal = np.argmax(expected, axis=-1) == np.argmax(outputs, axis=-1)
    figures: dict[str, Any] = {
        "median_deg": float(np.median(angles_deg)),
        "p99_deg": float(np.percentile(angles_deg, 99.0)),
        "max_deg": float(np.max(angles_deg)),
        "equal_peaks": float(np.mean(equal)),
        "mean_deg": float(np.mean(angles_deg)),
        "peaks": len(angles_deg),
        "different_counts": different / len(expected),
    }
    labels = [talkers for talkers in truth if talkers is not None]
    if len(labels) == len(truth) and any(len(talkers) for talkers in labels):
        before, after = (_errors(side, labels, spec) for side in (expected, outputs))
        figures["change_median_deg"] = float(np.median(after) - np.median(before))
        shares = [100.0 * np.mean(errors <= _WITHIN_DEG) for errors in (before, after)]
        figures["change_acc10"] = float(shares[1] - shares[0])
    return figures


def _errors(outputs: FloatArray, labels: list[FloatArray], spec: ModelSpec) -> FloatArray:
    """Errors of all talkers, their count known, of (N, K) mean outputs [degrees]."""
    return np.concatenate(
        [
            errors_of_talkers(talkers, spec.peaks(row[np.newaxis], count=len(talkers))[0])
            for row, talkers in zip(outputs, labels, strict=True)
            if len(talkers)
        ]
    )
