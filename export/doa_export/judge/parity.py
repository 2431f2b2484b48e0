"""Proof in degrees: do a checkpoint and its `.tflite` point the same way?

Both networks get the same windows; the `.tflite` is run by `doa_edge`, the code that runs on the
board, and both outputs are averaged over the frames of a window and decoded by `doa_core`. The
figure is the great-circle angle between the two directions. Where the recordings have labels, both
networks' errors are compared as well, averaged over a recording as `doa_tf evaluate` has them.

There are two sets of figures. One is of all windows. The other is of those that a runner would
report, where the checkpoint is confident enough, apart from those with two equal peaks, of which
either is right: below the confidence, and between two equal peaks, a difference in the last digit
is a difference of any angle. A 99th percentile needs a hundred windows: a file is judged by those
that would be reported where there are so many, else by all.

A grid head is compared by its centroid, whatever decoding its file states: where the two best
cells have nearly equal scores, a difference in the last digit moves the peak by a whole grid step,
which is no fault of the file. The share of windows with equal peaks is reported beside it.

A file of several voices is compared by sets: each peak of the checkpoint's scores
that is confident enough to be somebody, the best one at least, belongs to one of the file's peaks
of at least half of that confidence, by the assignment whose angles have the smallest sum. A peak
near the threshold may be somebody to the one and nobody to the other: that is no angle, and is
counted by itself, as windows of different counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance
from doa_core.highpass import highpass
from doa_core.peaks import APART_DEG
from doa_core.spec import AUDIO, ModelSpec
from doa_edge.engine import EngineSettings
from doa_edge.tflite.network import TfliteModel
from doa_export.budget import Budget
from doa_export.windows import Clip
from doa_tf.matching import errors_of_talkers

if TYPE_CHECKING:
    import keras

_DECIMALS = 4  # of an angle in JSON [degrees]
_WITHIN_DEG = 10.0
_OF_SEVERAL = ("mean_deg", "peaks", "different_counts")
FEWEST = 100  # windows of which one is the highest hundredth
TIED = 0.9  # of the best score: a second peak as high is as good as equal in eight bits


@dataclass(frozen=True, kw_only=True)
class Angles:
    """Angles between the directions of two networks, over windows.

    Attributes:
        n: number of windows; of peaks for networks of several voices.
        median_deg: [degrees]; NaN without windows, as all of them.
        p99_deg: 99th percentile [degrees].
        max_deg: [degrees].
    """

    n: int
    median_deg: float = math.nan
    p99_deg: float = math.nan
    max_deg: float = math.nan

    @classmethod
    def of(cls, angles_deg: FloatArray) -> Angles:
        """The figures of (N,) angles."""
        if not len(angles_deg):
            return cls(n=0)
        return cls(
            n=len(angles_deg),
            median_deg=float(np.median(angles_deg)),
            p99_deg=float(np.percentile(angles_deg, 99.0)),
            max_deg=float(np.max(angles_deg)),
        )


@dataclass(frozen=True, kw_only=True)
class Reported(Angles):
    """Angles over the windows that a runner would report, apart from those with two equal peaks.

    Attributes:
        confidence: from which on the checkpoint's answer counts.
        unsure: number of windows below it, left out.
        tied: number of windows above it with two equal peaks, left out.
    """

    confidence: float = 0.0
    unsure: int = 0
    tied: int = 0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Angles between the directions of two networks, over all windows.

    Those of networks of several voices are over all peaks of them.

    Attributes:
        n: number of windows.
        reported: the same of windows that a runner would report.
        median_deg: [degrees].
        p99_deg: 99th percentile [degrees].
        max_deg: [degrees].
        max_output_difference: largest difference of a frame's output; outputs are in [0, 1].
        equal_peaks: share of windows with the same best cell; None for a regression head.
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
    reported: Reported = field(default_factory=lambda: Reported(n=0))

    @property
    def judged(self) -> Angles:
        """What a budget limits: the angles of reported windows if there are enough, else of all."""
        if self.reported.n >= FEWEST:
            return self.reported
        return Angles(
            n=self.n, median_deg=self.median_deg, p99_deg=self.p99_deg, max_deg=self.max_deg
        )

    def within(self, budget: Budget) -> bool:
        """Whether all that a budget limits is within it; NaN never is."""
        judged = self.judged
        counts = self.different_counts is None or self.different_counts <= budget.different_counts
        return (
            judged.median_deg <= budget.median_deg and judged.p99_deg <= budget.p99_deg and counts
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures, rounded, ready for JSON; those of several voices where there are any."""
        left_out = _OF_SEVERAL if self.different_counts is None else ()
        figures = {name: value for name, value in asdict(self).items() if name not in left_out}
        figures |= {"reported": _rounded(figures.pop("reported"))}
        return _rounded(figures) | {
            "max_output_difference": float(f"{self.max_output_difference:.2g}")
        }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Ready for JSON, which has no NaN."""
    figures = {k: None if v != v else v for k, v in figures.items()}
    return {k: round(v, _DECIMALS) if isinstance(v, float) else v for k, v in figures.items()}


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
    heard: list[tuple[int, Clip]] = []
    difference = 0.0
    digest = hashlib.sha256()
    for done, clip in enumerate(clips, start=1):
        digest.update(clip.samples.tobytes())
        windows = spec.features.compute(_heard(clip.samples, spec, network.spec))
        expected = np.asarray(scoring.predict_on_batch(windows))
        inputs = clip.samples if network.spec.input == AUDIO else windows
        outputs = np.stack([network.predict(window) for window in inputs])
        # numpy's maximum keeps a NaN, Python's may lose it.
        difference = float(np.maximum(difference, np.max(np.abs(expected - outputs))))
        means += zip(expected.mean(axis=1), outputs.mean(axis=1), strict=True)
        heard.append((len(expected), dataclasses.replace(clip, samples=clip.samples[:0])))
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
    if spec.voices > 1:
        truth = [clip.talkers for count, clip in heard for _ in range(count)]
        return Parity(**figures, **compare_sets(expected, outputs, truth, spec))
    # Its confidence is that of its decoding.
    spec = dataclasses.replace(spec, decode=network.spec.decode)
    figures |= compare_answers(expected, outputs, spec)
    counts, directions = [count for count, _ in heard], [clip.direction for _, clip in heard]
    return Parity(**figures, **_changes(expected, outputs, counts, directions, spec))


def _heard(
    samples: npt.NDArray[np.float32], spec: ModelSpec, file: ModelSpec
) -> npt.NDArray[np.float32]:
    """(M, N, 4) windows as the checkpoint is to hear what a file with a high-pass inside filters.

    Args:
        samples: (M, N, 4) windows that the file is given.
        spec: of the checkpoint.
        file: of the file.
    """
    inside = file.input == AUDIO and spec.highpass_hz and not file.highpass_hz
    if not inside:
        return samples
    rate = spec.features.sample_rate
    filtered = [
        highpass(window, cutoff_hz=spec.highpass_hz, sample_rate=rate) for window in samples
    ]
    return np.stack(filtered)


def compare_answers(expected: FloatArray, outputs: FloatArray, spec: ModelSpec) -> dict[str, Any]:
    """Figures of two networks of one voice.

    Args:
        expected: (N, K) mean outputs of the checkpoint, of N windows.
        outputs: (N, K) those of the file.
        spec: of the networks.
    """
    answers = _centroids(expected, outputs, spec)
    angles_deg = np.degrees(great_circle_distance(*answers))
    equal_peaks, tied = None, np.zeros(len(expected), bool)
    if spec.grid is not None:
        equal_peaks = float(np.mean(np.argmax(expected, axis=-1) == np.argmax(outputs, axis=-1)))
        tied = _two_equal_peaks(expected, spec.grid.vectors)
    threshold = EngineSettings().detector(spec).min_confidence
    sure = spec.directions(expected[:, np.newaxis])[1] >= threshold
    return {
        **{name: v for name, v in asdict(Angles.of(angles_deg)).items() if name != "n"},
        "equal_peaks": equal_peaks,
        "reported": _reported(
            angles_deg[sure & ~tied],
            confidence=threshold,
            unsure=int(np.sum(~sure)),
            tied=int(np.sum(sure & tied)),
        ),
    }


def _reported(angles_deg: FloatArray, **others: Any) -> Reported:
    return Reported(**asdict(Angles.of(angles_deg)), **others)


def _centroids(expected: FloatArray, outputs: FloatArray, spec: ModelSpec) -> list[FloatArray]:
    """(N, 3) answers of each of two (N, K) outputs."""
    sides = (expected[:, np.newaxis], outputs[:, np.newaxis])
    return [spec.directions(side, method="centroid")[0] for side in sides]


def _two_equal_peaks(scores: FloatArray, cells: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) whether (N, G) scores are nearly as high as the highest far from it, too."""
    best = np.argmax(scores, axis=-1)
    far = cells[best] @ cells.T < np.cos(np.radians(APART_DEG))
    second = np.max(np.where(far, scores, 0.0), axis=-1)
    tied: npt.NDArray[np.bool_] = second >= TIED * np.max(scores, axis=-1)
    return tied


def _changes(
    expected: FloatArray,
    outputs: FloatArray,
    counts: list[int],
    directions: list[FloatArray | None],
    spec: ModelSpec,
) -> dict[str, Any]:
    """Errors of the file less those of the checkpoint, where all recordings are labelled.

    Args:
        expected, outputs: (N, K) mean outputs of windows.
        counts: of the windows of each recording.
        directions: (3,) unit vector of each recording.
        spec: of the networks.
    """
    if any(direction is None for direction in directions):
        return {}
    starts = np.cumsum([0, *counts[:-1]])
    sides = [np.add.reduceat(side, starts) for side in (expected, outputs)]
    means = [side / np.array(counts)[:, np.newaxis] for side in sides]
    answers = _centroids(means[0], means[1], spec)
    errors = np.degrees(great_circle_distance(answers, np.array(directions)))
    before, after = np.median(errors, axis=-1)
    nearer, now = 100.0 * np.mean(errors <= _WITHIN_DEG, axis=-1)
    return {"change_median_deg": float(after - before), "change_acc10": float(now - nearer)}


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
    threshold = EngineSettings().threshold(spec, several=True)
    angles: list[FloatArray] = []
    sure: list[FloatArray] = []
    different = 0
    for before, after in zip(expected, outputs, strict=True):
        found, certainty = spec.peaks(before[np.newaxis], count=spec.voices)
        others, other_certainty = spec.peaks(after[np.newaxis], count=spec.voices)
        count = int(np.sum(certainty >= threshold))
        different += count != int(np.sum(other_certainty >= threshold))
        compared = max(count, 1)
        likely = int(np.sum(other_certainty >= threshold / 2.0))
        angles.append(errors_of_talkers(found[:compared], others[: max(compared, likely)]))
        sure.append(angles[-1][:count])
    angles_deg = np.concatenate(angles)
    equal = np.argmax(expected, axis=-1) == np.argmax(outputs, axis=-1)
    unsure = sum(not len(of_window) for of_window in sure)
    figures: dict[str, Any] = {
        "median_deg": float(np.median(angles_deg)),
        "p99_deg": float(np.percentile(angles_deg, 99.0)),
        "max_deg": float(np.max(angles_deg)),
        "reported": _reported(np.concatenate(sure), confidence=threshold, unsure=unsure),
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
