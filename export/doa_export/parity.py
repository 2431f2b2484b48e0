"""Proof in degrees: do a checkpoint and its `.tflite` point the same way?

Both networks hear the same windows; the `.tflite` runs through `doa_edge`, the very code of the
board, and both answers are decoded by `doa_core`. What is compared is the great-circle angle
between the two directions of each window.

A grid head is compared by its centroid, whatever decoding its file states: where the two best
cells have nearly equal scores, a difference in the last digit moves the peak by a whole grid step,
which says nothing of the file. How often the peaks are the same cell is reported beside it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import great_circle_distance
from doa_core.decode import decode
from doa_edge.model import TfliteModel
from doa_export.budget import Budget

if TYPE_CHECKING:
    import keras

BATCH_WINDOWS = 32  # of the Keras model: 10 MB of features
_DECIMALS = 4  # of an angle in JSON [degrees]
Window = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Angles between the answers of two networks, over windows.

    Attributes:
        n: number of windows.
        median_deg: [degrees].
        p99_deg: 99th percentile [degrees].
        max_deg: [degrees].
        max_output_difference: largest difference of a frame's output; outputs are in [0, 1].
        equal_peaks: share of windows with the same best cell; None for a regression head.
    """

    n: int
    median_deg: float
    p99_deg: float
    max_deg: float
    max_output_difference: float
    equal_peaks: float | None

    def within(self, budget: Budget) -> bool:
        """Whether median and 99th percentile are within a budget; NaN never is."""
        return self.median_deg <= budget.median_deg and self.p99_deg <= budget.p99_deg

    def to_dict(self) -> dict[str, Any]:
        """All figures, rounded, ready for JSON."""
        return {
            "n": self.n,
            "median_deg": round(self.median_deg, _DECIMALS),
            "p99_deg": round(self.p99_deg, _DECIMALS),
            "max_deg": round(self.max_deg, _DECIMALS),
            "max_output_difference": float(f"{self.max_output_difference:.2g}"),
            "equal_peaks": None if self.equal_peaks is None else round(self.equal_peaks, _DECIMALS),
        }


def parity(
    model: str | os.PathLike[str] | keras.Model,
    tflite: str | os.PathLike[str],
    windows: Iterable[Window],
    *,
    progress: Callable[[int], None] | None = None,
) -> Parity:
    """Angles between the answers of a Keras model and a model file.

    Run it on a CPU: a GPU's convolutions (TF32) differ by more than float32 files are allowed.

    Args:
        model: a `.keras` file, or a Keras model that was built by this package.
        tflite: a model file with its spec inside.
        windows: (T, F, K) float32 features of each window, at least one.
        progress: called with the number of windows done.

    Raises:
        InputError: a model that cannot be used.
        ValueError: no windows.
    """
    from doa_tf.models import load_scoring_model

    scoring, spec = load_scoring_model(model)
    network = TfliteModel(tflite)
    angles: list[float] = []
    equal_peaks: list[bool] = []
    difference = 0.0
    for batch in _batches(windows):
        expected = np.asarray(scoring.predict_on_batch(batch))
        outputs = np.stack([network.predict(window) for window in batch])
        answers = [
            decode(values, head=spec.head, grid=spec.grid, method="centroid")[0]
            for values in (expected, outputs)
        ]
        angles += np.degrees(great_circle_distance(*answers)).tolist()
        peaks = [np.argmax(values.mean(axis=1), axis=-1) for values in (expected, outputs)]
        equal_peaks += (peaks[0] == peaks[1]).tolist()
        # numpy's maximum keeps a NaN, Python's may lose it.
        difference = float(np.maximum(difference, np.max(np.abs(expected - outputs))))
        if progress is not None:
            progress(len(angles))
    if not angles:
        raise ValueError("`windows` must hold at least one window. Received: none")
    if not math.isfinite(difference):
        angles = [math.nan]  # a direction that was decoded from NaN is no answer
    return Parity(
        n=len(equal_peaks),
        median_deg=float(np.median(angles)),
        p99_deg=float(np.percentile(angles, 99.0)),
        max_deg=float(np.max(angles)),
        max_output_difference=difference,
        equal_peaks=None if spec.grid is None else float(np.mean(equal_peaks)),
    )


def _batches(windows: Iterable[Window]) -> Iterator[Window]:
    """(B, T, F, K) stacks of up to `BATCH_WINDOWS` windows."""
    iterator = iter(windows)
    while batch := list(islice(iterator, BATCH_WINDOWS)):
        yield np.stack(batch)
