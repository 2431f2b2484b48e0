"""Peaks of a grid head's scores: where each of several voices is.

The scores of simultaneous voices are lobes on the sphere that overlap. Each peak's lobe is taken
out before the next is sought, or the flank of a strong voice would hide a weaker one behind it;
then every peak is refined once more with the lobes of the others taken out.
"""

from __future__ import annotations

import numpy as np

from doa_core.angles import FloatArray
from doa_core.grid import Grid

APART_DEG = 25.0  # two voices that are nearer are one
LOBE_DEG = 14.0  # where a lobe has fallen to 1 / e
_STEPS = 3  # of mean shift


def find_peaks(
    scores: FloatArray, *, grid: Grid, count: int, apart_deg: float = APART_DEG
) -> tuple[FloatArray, FloatArray]:
    """(P, 3) unit vectors of the peaks, highest first, and their (P,) heights; P up to `count`.

    Args:
        scores: (G,) float in [0, 1], averaged over frames.
        grid: the cells.
        count: how many peaks to seek.
        apart_deg: least distance of two peaks [degrees].
    """
    left = np.array(scores, dtype=np.float64)
    cells = grid.vectors
    allowed = np.ones(len(cells), dtype=bool)
    peaks: list[FloatArray] = []
    lobes: list[FloatArray] = []
    for _ in range(count):
        cell = int(np.argmax(np.where(allowed, left, -1.0)))
        if not allowed[cell] or left[cell] <= 0.0:
            break
        peak, height = _refine(left, cells, cells[cell])
        peaks.append(peak)
        lobes.append(height * _lobe(cells @ peak, LOBE_DEG))
        left -= lobes[-1]
        np.maximum(left, 0.0, out=left)
        allowed &= cells @ peak < np.cos(np.radians(apart_deg))
    heights = np.zeros(len(peaks))
    for number, peak in enumerate(peaks):
        others = sum((lobe for k, lobe in enumerate(lobes) if k != number), np.zeros(len(cells)))
        alone = np.maximum(scores - others, 0.0)
        peaks[number], heights[number] = _refine(alone, cells, peak)
    order = np.argsort(-heights, kind="stable")
    return np.array(peaks).reshape(-1, 3)[order], heights[order]


def _refine(scores: FloatArray, cells: FloatArray, start: FloatArray) -> tuple[FloatArray, float]:
    """The mode of the scores near `start`, by mean shift, and the score of its nearest cell."""
    direction = start
    for _ in range(_STEPS):
        centroid = (scores * _lobe(cells @ direction, 10.0)) @ cells
        length = float(np.linalg.norm(centroid))
        if length <= 1e-9:
            break
        direction = centroid / length
    return direction, float(scores[int(np.argmax(cells @ direction))])


def _lobe(cosine: FloatArray, width_deg: float) -> FloatArray:
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    lobe: FloatArray = np.exp(-((angle / np.radians(width_deg)) ** 2))
    return lobe
