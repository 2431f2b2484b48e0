"""Frame outputs of a head -> one direction and a confidence.

The outputs of the frames are averaged first, as in Perotin et al. (2019), then decoded.

    spherical, spherical-angular      (azimuth, elevation) scaled to [0, 1]
    cartesian                         unit vector scaled to [0, 1]
    onehot, gibbs, gibbs-weighted     a score per grid cell

The average of a spherical head breaks at azimuth +-180 degrees, where its halves 0 and 1 average
to 0.5: forward. That is a property of the method; it is kept, and its confidence shows it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.grid import Grid

REGRESSION_HEADS = {"spherical": 2, "spherical-angular": 2, "cartesian": 3}  # outputs of each
GRID_HEADS = ("onehot", "gibbs", "gibbs-weighted")
HEADS = (*REGRESSION_HEADS, *GRID_HEADS)
METHODS = ("peak", "centroid")
_EPSILON = 1e-9


def decode(
    outputs: npt.ArrayLike, *, head: str, grid: Grid | None = None, method: str = "peak"
) -> tuple[FloatArray, FloatArray]:
    """(..., 3) unit vectors and (...) confidences from the outputs of T frames.

    Args:
        outputs: (..., T, K) float in [0, 1], the activated outputs of a head.
        head: a name in `HEADS`.
        grid: the cells of a grid head.
        method: `peak` takes the best cell; `centroid` refines it with the cells around it, below
            the grid step. Regression heads have one decoding and ignore it.

    Returns:
        Unit vectors, and confidences in [0, 1]. Outputs that hold no direction (all frames
        cancel) give x forward with confidence 0.

    Raises:
        ValueError: unknown head or method, a missing grid, or another number of outputs.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    expected = head_outputs(head, grid)
    if outputs.ndim < 2 or outputs.shape[-1] != expected:
        raise ValueError(
            f"`outputs` of the head '{head}' must be (..., frames, {expected}). "
            f"Received: outputs.shape={outputs.shape}"
        )
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}"
        )
    mean = outputs.mean(axis=-2)
    if head == "cartesian":
        return _normalise(2.0 * mean - 1.0)
    if head in REGRESSION_HEADS:
        frames = angles_to_vector(*_unscale_angles(outputs))
        agreement = np.linalg.norm(frames.mean(axis=-2), axis=-1)
        return angles_to_vector(*_unscale_angles(mean)), np.clip(agreement, 0.0, 1.0)
    if grid is None:  # head_outputs has raised; this is for the type checker
        raise ValueError(f"the head '{head}' needs a grid")
    return _decode_grid(mean, head, grid, method)


def head_outputs(head: str, grid: Grid | None = None) -> int:
    """Number of outputs of a head per frame; the grid's size for a grid head."""
    if head not in HEADS:
        raise ValueError(f"`head` must be one of {', '.join(HEADS)}. Received: head={head!r}")
    if head in REGRESSION_HEADS:
        return REGRESSION_HEADS[head]
    if grid is None:
        raise ValueError(f"The head '{head}' needs a grid. Received: grid=None")
    return len(grid)


def direction_scores(
    outputs: npt.ArrayLike, *, head: str, grid: Grid | None, directions: npt.ArrayLike
) -> FloatArray:
    """(D,) score of each of (D, 3) directions, for pictures of what a network thinks.

    A grid head gives its nearest cell's score; a regression head, which has one answer and no
    scores, a lobe around each frame's answer, averaged.

    Args:
        outputs: (T, K) float, activated outputs.
        head: a name in `HEADS`.
        grid: the cells of a grid head.
        directions: (D, 3) float unit vectors.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    directions = np.asarray(directions)
    if head in GRID_HEADS and grid is not None:
        scores: FloatArray = outputs.mean(axis=-2)[grid.nearest(directions)]
        return scores
    answers, _ = decode(outputs[:, np.newaxis, :], head=head, grid=grid)
    width = np.radians(15.0)
    closeness = np.clip(directions @ answers.T, -1.0, 1.0)
    return np.exp((closeness - 1.0) / width**2).mean(axis=-1)


def _unscale_angles(scaled: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (2.0 * scaled[..., 0] - 1.0) * np.pi, (scaled[..., 1] - 0.5) * np.pi


def _normalise(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    length = np.linalg.norm(vectors, axis=-1)
    safe = np.maximum(length, _EPSILON)[..., np.newaxis]
    forward = np.array([1.0, 0.0, 0.0])
    return np.where(length[..., np.newaxis] > _EPSILON, vectors / safe, forward), np.clip(
        length, 0.0, 1.0
    )


def _decode_grid(
    mean: FloatArray, head: str, grid: Grid, method: str
) -> tuple[FloatArray, FloatArray]:
    """(..., G) mean scores -> (..., 3) directions and (...) confidences."""
    peak = np.argmax(mean, axis=-1)
    direction = grid.vectors[peak]
    radius = np.radians(2.0 * grid.resolution_deg)
    closeness = direction @ grid.vectors.T  # (..., G)
    near = closeness >= np.cos(radius) - 1e-12
    if head == "onehot":
        confidence = np.sum(mean * near, axis=-1)  # softmax mass around the answer
    else:
        confidence = np.max(mean, axis=-1)
    if method == "centroid":
        # A smooth window around the current answer, moved twice: a hard one fixed to the peak's
        # cell would pull the centroid towards that cell's centre.
        for _ in range(3):
            window = np.exp(
                (direction @ grid.vectors.T - 1.0) / np.radians(grid.resolution_deg) ** 2
            )
            weights = (mean * window)[..., np.newaxis]
            direction, _ = _normalise(np.sum(weights * grid.vectors, axis=-2))
    return direction, np.clip(confidence, 0.0, 1.0)
