"""From a head's raw confidence to the probability that its answer is right.

A table of (raw, calibrated) pairs, fitted on validation scenes, is part of the model's spec.
Between pairs the calibrated confidence is interpolated; beyond the first and last it is constant.
"Right" means that the direction is within `WITHIN_DEG` of the talker's; of several voices, that it
is so near to somebody who talks in at least `TALKING_SHARE` of the window's frames. One table is
for all peaks of a network, whether first or last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray

WITHIN_DEG = 10.0  # what a calibrated confidence is the probability of
TALKING_SHARE = 0.3  # of a window's frames; who talks less need not be found
Table = tuple[tuple[float, float], ...]


def calibrate(confidence: npt.ArrayLike, table: Table) -> FloatArray:
    """(...) calibrated confidences in [0, 1] of (...) raw ones; an empty table changes nothing."""
    confidence = np.asarray(confidence, dtype=np.float64)
    if not table:
        return confidence
    return np.asarray(np.interp(confidence, *_columns(table)))


@lru_cache(maxsize=8)
def _columns(table: Table) -> tuple[FloatArray, FloatArray]:
    raw, calibrated = np.array(table).T
    return raw, calibrated


def check_table(table: Sequence[Sequence[float]]) -> Table:
    """The table as tuples of floats.

    Raises:
        ValueError: anything but pairs in [0, 1], the raw ones rising, the calibrated ones not
            falling; two pairs at least, or none.
    """
    problem = (
        "`calibration` must be empty or hold two or more pairs (raw, calibrated) in [0, 1], the "
        "first values rising, the second ones not falling. Received: "
    )
    if not isinstance(table, (list, tuple)):
        raise ValueError(f"{problem}{table!r}")
    pairs = []
    for pair in table:
        if not (
            isinstance(pair, (list, tuple))
            and len(pair) == 2
            and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in pair)
            and all(0.0 <= x <= 1.0 for x in pair)  # also catches NaN
        ):
            raise ValueError(f"{problem}{pair!r}")
        pairs.append((float(pair[0]), float(pair[1])))
    steps = list(pairwise(pairs))
    if len(pairs) == 1 or any(b[0] <= a[0] or b[1] < a[1] for a, b in steps):
        raise ValueError(f"{problem}{table!r}")
    return tuple(pairs)
