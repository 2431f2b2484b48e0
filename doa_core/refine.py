"""The step after decoding: the intensity vectors of a window finish what the network began.

A network says where about a voice is, in steps of a grid; the active intensity of each bin says
where exactly its sound comes from, but not which bins are the voice's. So each answer a is moved
half of the way to the direction of the bins around it. With the features of a bin,

    r = length of the active intensity, d = its direction, l = the level channel
    w = exp(-2 (1 - cos(angle of d and a)) / width^2) r^4 10^l
    v = sum of w d, normalised              a' = (a + v), normalised

over the bins from 150 to 6000 Hz of all frames. r is 1 where a bin holds one plane wave, less where
waves cross; 10^l is the amplitude relative to the frame's other bins. Of several answers a bin
counts for the nearest. Whoever turns the scene turns the answer, exactly.

Width, powers and band were chosen on measured and on simulated validation scenes; see
docs/results/refinement.md.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL

REFINEMENTS = ("none", "intensity")
WIDTH_DEG = 15.0  # at which a bin counts 1 / e
BAND_HZ = (150.0, 6000.0)
CHANNELS = (*INTENSITY_CHANNELS, LEVEL_CHANNEL)  # of the features that it needs

_CONCENTRATION = 2.0 / math.radians(WIDTH_DEG) ** 2
_LN_10 = math.log(10.0)
_LEAST = 1e-12  # squared length below which a bin has no direction


def evidence(directions: npt.ArrayLike, features: npt.ArrayLike, *, bin_hz: float) -> FloatArray:
    """(P, 3) sums of the weighted directions of the bins that are nearest to each direction.

    Those of several stretches of one recording can be added.

    Args:
        directions: (P, 3) unit vectors.
        features: (..., F, 7) of any number of frames, channels as in `CHANNELS`.
        bin_hz: distance of two bins [hertz].

    Raises:
        ValueError: features of other channels.
    """
    directions = np.asarray(directions, np.float32)
    features = np.asarray(features, np.float32)
    if features.ndim < 2 or features.shape[-1] != len(CHANNELS):
        raise ValueError(
            f"`features` must be (..., bins, {len(CHANNELS)}). Received: {features.shape}"
        )
    if not len(directions):
        return np.zeros((0, 3))
    low, high = (round(hz / bin_hz) for hz in BAND_HZ)
    band = features[..., low : high + 1, :]
    active = np.stack([band[..., axis].ravel() for axis in range(3)])  # (3, N)
    squared = np.maximum(np.einsum("ij,ij->j", active, active), np.float32(_LEAST))
    length = np.sqrt(squared)
    cosines = directions @ active  # (P, N), times the length
    weight = cosines.max(axis=0)
    nearest = cosines == weight
    weight /= length
    weight -= 1.0
    weight *= _CONCENTRATION
    weight += _LN_10 * band[..., 6].ravel()
    np.exp(weight, out=weight)
    weight *= squared
    weight *= length  # and once more in `active`: the fourth power
    return np.asarray((nearest * weight) @ active.T, np.float64)


def refined(directions: npt.ArrayLike, sums: npt.ArrayLike) -> FloatArray:
    """(P, 3) unit vectors: each direction moved half of the way to its evidence.

    Args:
        directions: (P, 3) unit vectors.
        sums: (P, 3) of `evidence`; a direction without any stays where it is.
    """
    directions, sums = np.asarray(directions, np.float64), np.asarray(sums, np.float64)
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    moved = directions + np.divide(sums, lengths, out=directions.copy(), where=lengths > 0.0)
    return np.asarray(moved / np.linalg.norm(moved, axis=-1, keepdims=True))


def refine(directions: npt.ArrayLike, features: npt.ArrayLike, *, bin_hz: float) -> FloatArray:
    """(P, 3) unit vectors: directions that were decoded, refined by the same frames' features.

    Args:
        directions: (P, 3) unit vectors.
        features: as `evidence`.
        bin_hz: distance of two bins [hertz].
    """
    return refined(directions, evidence(directions, features, bin_hz=bin_hz))
