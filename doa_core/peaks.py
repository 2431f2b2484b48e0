"""Peaks of a grid head's scores: where each of several voices is.

The scores of voices that talk at once are lobes on the sphere that overlap. They are fitted one
after the other, each to what the lobes before it have left, or the flank of a strong voice would
hide a weaker one (matching pursuit, Mallat and Zhang 1993, doi:10.1109/78.258082). Then all of them
are moved together: each cell's score is shared among the peaks in proportion to their lobes there,
and each peak moves to the centroid of its share, below the grid step. That is the
expectation-maximisation of a mixture (Dempster, Laird and Rubin 1977) on the sphere, with the lobe
of `centroid` decoding around each peak, so that one voice alone is where that decoding has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.grid import Grid, lobe_exponents

APART_DEG = 20.0  # least distance of two peaks: of voices 25 degrees apart each may be off
# Grid steps at which the lobe of a voice has fallen to 1 / e, by head. `gibbs` learns the Gibbs
# values themselves; `gibbs-weighted` comes to narrower ones, as measured.
LOBE_STEPS = {"gibbs": 2.0, "gibbs-weighted": 1.25}
_STEPS = 3  # of all peaks together
_STRIDE = 1.7  # times the way to the centroid, which is about half of that to the voice
_LEAST = 1e-12  # height below which there is no peak
_TINY = 1e-100


def find_peaks(
    scores: npt.ArrayLike,
    *,
    grid: Grid,
    count: int,
    apart_deg: float = APART_DEG,
    lobe_deg: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """(P, 3) unit vectors of the peaks, highest first, and their (P,) heights; P up to `count`.

    The height is the largest score within a grid step of the peak, less the share that other peaks
    have in it. Scores that are all zero have no peak.

    Args:
        scores: (G,) float in [0, 1], averaged over frames.
        grid: the cells.
        count: how many peaks to seek.
        apart_deg: least distance of two peaks [degrees].
        lobe_deg: where the lobe of one voice has fallen to 1 / e [degrees]; that of
            `gibbs-weighted` if None.

    Raises:
        ValueError: scores of another shape, outside of [0, 1] or not finite; a count below 1; a
            distance or a width that is not positive.
    """
    scores = _as_scores(scores, grid)
    if type(count) is not int or count < 1:
        raise ValueError(f"`count` must be a positive integer. Received: count={count!r}")
    check_apart(apart_deg)
    if lobe_deg is None:
        lobe_deg = LOBE_STEPS["gibbs-weighted"] * grid.resolution_deg
    if not 0.0 < lobe_deg < np.inf:
        raise ValueError(f"`lobe_deg` must be positive. Received: lobe_deg={lobe_deg!r}")
    lobes = _Lobes(
        grid=grid,
        sharpness=2.0 * (grid.resolution_deg / lobe_deg) ** 2,
        nearest=float(np.cos(np.radians(apart_deg))),
    )
    directions, heights = lobes.seek(scores, count)
    for _ in range(_STEPS if len(directions) else 0):
        directions, heights = lobes.move(scores, directions, heights)
    order = np.argsort(-heights, kind="stable")
    return directions[order], heights[order]


def check_apart(apart_deg: float) -> None:
    """Raise ValueError unless a distance of peaks lies above 0 and up to 90 degrees."""
    if not 0.0 < apart_deg <= 90.0:
        raise ValueError(
            "`apart_deg` must lie above 0 and not above 90 degrees. "
            f"Received: apart_deg={apart_deg!r}"
        )


def _as_scores(scores: npt.ArrayLike, grid: Grid) -> FloatArray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (len(grid),):
        raise ValueError(
            f"`scores` must be ({len(grid)},), one of each cell. "
            f"Received: scores.shape={scores.shape}"
        )
    low, high = float(scores.min()), float(scores.max())  # NaN if one is
    if not (low >= 0.0 and high <= 1.0 + 1e-6):  # an average of ones may be above 1 by rounding
        raise ValueError(
            f"`scores` must be finite and in [0, 1]. Received: values from {low:.4g} to {high:.4g}"
        )
    return scores


@dataclass(frozen=True, kw_only=True)
class _Lobes:
    """The lobes of voices on a grid.

    Attributes:
        grid: the cells.
        sharpness: exponent of a voice's lobe over that of the lobe which a peak is refined with.
        nearest: cosine of the least distance of two peaks.
    """

    grid: Grid
    sharpness: float
    nearest: float

    def seek(self, scores: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """(P, 3) directions and (P,) heights of peaks, each in what those before it have left."""
        cells, left = self.grid.vectors, scores.copy()
        allowed = np.ones(len(cells), dtype=bool)
        far = (self.nearest - 1.0) / np.radians(self.grid.resolution_deg) ** 2
        directions, heights = np.zeros((count, 3)), np.zeros(count)
        for number in range(count):
            cell = int(np.argmax(left * allowed))
            if not allowed[cell] or left[cell] <= _LEAST:
                return directions[:number], heights[:number]
            start = cells[cell : cell + 1]
            found = _move(start, left * np.exp(self._exponents(start)), cells)
            if number and (directions[:number] @ found[0]).max() > self.nearest:
                found = start
            exponents = self._exponents(found)[0]
            directions[number], heights[number] = found[0], left[int(np.argmax(exponents))]
            if number + 1 < count:
                allowed &= exponents < far
                left -= heights[number] * np.exp(self.sharpness * exponents)
                np.maximum(left, 0.0, out=left)
        return directions, heights

    def move(
        self, scores: FloatArray, directions: FloatArray, heights: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The peaks one step further: each at the centroid of its share of the scores."""
        exponents = self._exponents(directions)
        shares = self.sharpness * exponents
        shares += np.log(np.maximum(heights, _LEAST))[:, np.newaxis]
        np.exp(shares, out=shares)
        shares *= scores / np.maximum(shares.sum(axis=0), _TINY)
        heights = (shares * (exponents >= -0.5)).max(axis=1)  # within one grid step
        np.exp(exponents, out=exponents)
        exponents *= shares
        moved = _move(directions, exponents, self.grid.vectors)
        return self._kept_apart(moved, directions), heights

    def _exponents(self, directions: FloatArray) -> FloatArray:
        """(P, G) logarithm of a lobe with the grid step as standard deviation."""
        table = lobe_exponents(self.grid).T
        exponents: FloatArray = directions @ table[:3]
        exponents += table[3]
        return exponents

    def _kept_apart(self, moved: FloatArray, directions: FloatArray) -> FloatArray:
        """The moved peaks; those that came too near to another stay where they were."""
        for _ in range(len(moved)):
            near = moved @ moved.T > self.nearest  # each is near to itself
            if np.count_nonzero(near) == len(moved):
                return moved
            moved = np.where(near.sum(axis=1, keepdims=True) > 1, directions, moved)
        return directions


def _move(directions: FloatArray, weights: FloatArray, cells: FloatArray) -> FloatArray:
    """(P, 3) directions, moved `_STRIDE` times as far as to the centroids of (P, G) weights."""
    centroids = weights @ cells
    centroids += _TINY * directions  # where there are no weights, nothing moves
    moved = _STRIDE * _normalised(centroids)
    moved += (1.0 - _STRIDE) * directions
    return _normalised(moved)


def _normalised(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, np.newaxis]
    return unit
