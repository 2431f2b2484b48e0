"""Frame outputs of a head -> one direction and a confidence.

The outputs of the frames are averaged first, as in Perotin et al. (2019), then decoded.

    spherical, spherical-angular      (azimuth, elevation) scaled to [0, 1]
    cartesian                         unit vector scaled to [0, 1]
    onehot, gibbs-softmax             a score per grid cell, their sum is 1
    gibbs, gibbs-weighted             a score per grid cell, each in [0, 1]

The average of a spherical head breaks at azimuth +-180 degrees, where 0 and 1 average to 0.5:
forward. That is a property of the method; it is kept, and the confidence, which compares the answer
with the directions of the frames, shows it.

Raw confidence, in [0, 1]; `doa_core.calibration` makes a probability of it:

    spherical, spherical-angular      mean cosine between the answer and the frames' directions
    cartesian                         length of the mean vector
    onehot                            softmax mass within two grid steps of the best cell
    gibbs, gibbs-weighted             score of the best cell
    gibbs-softmax                     score of the best cell over that of a sure answer there

`decode` gives one direction, `decode_peaks` those of several voices.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector, as_vectors, great_circle_distance
from doa_core.calibration import Table, calibrate
from doa_core.errors import check_choice
from doa_core.grid import Grid, lobe_exponents
from doa_core.peaks import APART_DEG, LOBE_STEPS, find_peaks

REGRESSION_HEADS = {"spherical": 2, "spherical-angular": 2, "cartesian": 3}  # outputs of each
GRID_HEADS = ("onehot", "gibbs", "gibbs-weighted", "gibbs-softmax")
HEADS = (*REGRESSION_HEADS, *GRID_HEADS)
METHODS = ("peak", "centroid")
_SHORTEST = 1e-9  # length below which a mean vector has no direction
_CENTROID_STEPS = 10  # an ideal Gibbs target at 10 degrees: 3.7 deg from its peak, 0.2 after ten
_TINY = np.finfo(np.float64).tiny
_FORWARD = np.array([1.0, 0.0, 0.0])
_FORWARD.setflags(write=False)
_LOBE_WIDTH = np.radians(15.0)  # of a regression head's answer in a picture of scores


def decode(
    outputs: npt.ArrayLike,
    *,
    head: str,
    grid: Grid | None = None,
    method: str = "peak",
    calibration: Table = (),
) -> tuple[FloatArray, FloatArray]:
    """(..., 3) unit vectors and (...) confidences from the outputs of T frames.

    Args:
        outputs: (..., T, K) float in [0, 1], the activated outputs of a head.
        head: a name in `HEADS`.
        grid: the cells of a grid head.
        method: `peak` takes the best cell; `centroid` refines it with the cells around it, below
            the grid step. Regression heads have one decoding and ignore it.
        calibration: the table of the model's spec; without one the confidence is the raw one.

    Returns:
        Unit vectors, and confidences in [0, 1]. Outputs that hold no direction (frames of a
        Cartesian head that cancel, scores that are all zero) give x forward with raw confidence 0.

    Raises:
        ValueError: unknown head or method, a missing grid, no frame, another number of outputs, or
            outputs that are not finite.
    """
    outputs = _as_outputs(outputs, head, grid)
    check_choice("method", method, METHODS)
    mean = outputs.mean(axis=-2)
    if head == "cartesian":
        direction, confidence = _normalise(2.0 * mean - 1.0)
    elif grid is None or head in REGRESSION_HEADS:
        direction = angles_to_vector(*_unscale_angles(mean))
        frames = angles_to_vector(*_unscale_angles(outputs))
        confidence = np.sum(frames.mean(axis=-2) * direction, axis=-1)
    else:
        direction, confidence = _decode_grid(mean, head, grid, method)
    return direction, calibrate(np.clip(confidence, 0.0, 1.0), calibration)


def decode_peaks(
    outputs: npt.ArrayLike,
    *,
    head: str,
    grid: Grid | None,
    count: int,
    apart_deg: float = APART_DEG,
    calibration: Table = (),
) -> tuple[FloatArray, FloatArray]:
    """(P, 3) unit vectors of several voices and (P,) confidences, highest first; P up to `count`.

    The scores of the frames are averaged, and `doa_core.peaks.find_peaks` finds the peaks; the raw
    confidence of a peak is its height. One peak alone is the answer of `decode` by `centroid`.

    Args:
        outputs: (T, G) float in [0, 1], the activated outputs of a head.
        head: one whose scores are of each cell alone, `gibbs` or `gibbs-weighted`.
        grid: its cells.
        count: the most peaks.
        apart_deg: least distance of two peaks [degrees].
        calibration: the table of the model's spec; without one the confidence is the raw one.

    Raises:
        ValueError: another head, outputs that `decode` refuses or that are not of one window, a
            count below 1, or a distance out of range.
    """
    check_choice("head", head, tuple(LOBE_STEPS))
    outputs = _as_outputs(outputs, head, grid)
    if outputs.ndim != 2 or grid is None:
        raise ValueError(
            f"`outputs` must be (frames, scores) of one window. Received: {outputs.shape}"
        )
    directions, heights = find_peaks(
        outputs.mean(axis=0),
        grid=grid,
        count=count,
        apart_deg=apart_deg,
        lobe_deg=LOBE_STEPS[head] * grid.resolution_deg,
    )
    return directions, calibrate(np.minimum(heights, 1.0), calibration)


def head_outputs(head: str, grid: Grid | None = None) -> int:
    """Number of outputs of a head per frame; the grid's size for a grid head."""
    check_choice("head", head, HEADS)
    if head in REGRESSION_HEADS:
        return REGRESSION_HEADS[head]
    if grid is None:
        raise ValueError(f"The head '{head}' needs a grid. Received: grid=None")
    return len(grid)


def direction_scores(
    outputs: npt.ArrayLike, *, head: str, grid: Grid | None, directions: npt.ArrayLike
) -> FloatArray:
    """(D,) score of each of (D, 3) directions, for pictures of what a network thinks.

    A grid head gives its nearest cell's score (for `gibbs-softmax`, whose scores sum to 1, as a
    share of a sure answer's); a regression head, which has one answer and no
    scores, a lobe around each frame's answer, averaged.

    Args:
        outputs: (T, K) float, activated outputs.
        head: a name in `HEADS`.
        grid: the cells of a grid head.
        directions: (D, 3) float unit vectors.

    Returns:
        (D,) float in [0, 1].

    Raises:
        ValueError: as `decode`.
    """
    outputs = _as_outputs(outputs, head, grid)
    directions = as_vectors(directions, name="directions")
    if grid is None or head in REGRESSION_HEADS:
        answers, _ = decode(outputs[:, np.newaxis, :], head=head)
        return np.asarray(_lobe(directions @ answers.T, _LOBE_WIDTH).mean(axis=-1))
    mean = outputs.mean(axis=-2)
    if head == "gibbs-softmax":
        mean = np.minimum(mean / _sure_scores(grid), 1.0)
    return np.asarray(mean[grid.nearest(directions)])


def _as_outputs(outputs: npt.ArrayLike, head: str, grid: Grid | None) -> FloatArray:
    outputs = np.asarray(outputs, dtype=np.float64)
    expected = head_outputs(head, grid)
    if outputs.ndim < 2 or outputs.shape[-2] == 0 or outputs.shape[-1] != expected:
        raise ValueError(
            f"`outputs` of the head '{head}' must be (..., frames, {expected}) with at least one "
            f"frame. Received: outputs.shape={outputs.shape}"
        )
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"`outputs` of the head '{head}' must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(outputs))} of {outputs.size} values that are not; "
            "features with NaN give such outputs"
        )
    return outputs


def _unscale_angles(scaled: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (2.0 * scaled[..., 0] - 1.0) * np.pi, (scaled[..., 1] - 0.5) * np.pi


def _lobe(cosine: FloatArray, width: float) -> FloatArray:
    """Bell of standard deviation `width` [rad] on the sphere, from the cosine of the distance."""
    bell: FloatArray = np.exp((np.clip(cosine, -1.0, 1.0) - 1.0) / width**2)
    return bell


def _normalise(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(..., 3) unit vectors, x forward where there is no direction, and (...) lengths up to 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    direction = np.where(
        length > _SHORTEST, vectors / np.maximum(length, _SHORTEST), [1.0, 0.0, 0.0]
    )
    return direction, np.clip(length[..., 0], 0.0, 1.0)


def _decode_grid(
    mean: FloatArray, head: str, grid: Grid, method: str
) -> tuple[FloatArray, FloatArray]:
    """(..., G) mean scores -> (..., 3) directions and (...) confidences."""
    best = np.max(mean, axis=-1)
    direction = grid.vectors[np.argmax(mean, axis=-1)]
    # Scores that are all zero have no best cell.
    direction = np.where(best[..., np.newaxis] > 0.0, direction, [1.0, 0.0, 0.0])
    confidence = best
    if head == "gibbs-softmax":
        confidence = best / _sure_scores(grid)[np.argmax(mean, axis=-1)]
    if head == "onehot":
        reach = np.cos(np.radians(2.0 * grid.resolution_deg)) - 1e-12  # the rim counts
        confidence = np.sum(mean * (direction @ grid.vectors.T >= reach), axis=-1)
    if method == "centroid":
        rows = mean.reshape(-1, len(grid))
        answers = [_centroid(row, grid) if row.any() else _FORWARD for row in rows]
        direction = np.array(answers).reshape(direction.shape)
    return direction, confidence


def _centroid(scores: FloatArray, grid: Grid) -> FloatArray:
    """(3,) mode of (G,) scores, of which some are positive, seen through a lobe of the grid step.

    Found by mean shift: each step moves the lobe to the centroid of what it covers. A lobe that
    stayed at the peak's cell would pull the answer towards that cell's centre.
    """
    peak = int(np.argmax(scores))
    relative = scores / max(float(scores[peak]), _TINY)
    exponents = lobe_exponents(grid)
    direction = np.append(grid.vectors[peak], 1.0)
    for _ in range(_CENTROID_STEPS):
        covered = exponents @ direction
        np.exp(covered, out=covered)
        covered *= relative
        centroid = covered @ grid.vectors
        length = math.sqrt(centroid @ centroid)
        if length <= _SHORTEST:
            return _FORWARD
        direction[:3] = centroid / length
    return direction[:3]


@lru_cache(maxsize=8)
def _sure_scores(grid: Grid) -> FloatArray:
    """(G,) score of each cell where `gibbs-softmax` is sure of it: 1 over its Gibbs values' sum."""
    beta = 2.0 * np.radians(grid.resolution_deg)
    distance = great_circle_distance(grid.vectors[:, np.newaxis], grid.vectors)
    sure: FloatArray = 1.0 / np.sum(np.exp(-((distance / beta) ** 2)), axis=-1)
    return sure
