"""First-order beams: one voice out of four AmbiX channels, others taken out.

A beam is four real weights, one a channel (W, Y, Z, X; SN3D), the same at every frequency: its
sound is their weighted sum. It hears what comes from its look direction unchanged and minimises
what a diffuse field leaves in it; up to two nulls take out what comes straight from others.

With d(u) = (1, y, z, x) a plane wave's gains, C = [d(look), d(null 1), ...] and the covariance of a
diffuse field R = diag(1, 1/3, 1/3, 1/3), whose W has unit power,

    w = R^-1 C (C^T R^-1 C)^-1 e_1        noise gain w^T R w = e_1^T (C^T R^-1 C)^-1 e_1

Without a null that is (1, 3 y, 3 z, 3 x) / 4, the hypercardioid, whose directivity index of 6 dB
is the highest of the first order. One null at the angle t makes the noise gain
4 / (16 - (1 + 3 cos t)^2), which grows without bound as the two meet.

References:
    O. L. Frost, "An algorithm for linearly constrained adaptive array processing", Proc. IEEE
    60(8), 1972, doi:10.1109/PROC.1972.8817. H. L. Van Trees, "Optimum array processing", Wiley,
    2002, section 6.7: linearly constrained minimum variance (LCMV).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import steering_vector
from doa_core.angles import FloatArray, as_vectors

MOST_NULLS = 2  # the third weight that is left minimises noise
MAX_NOISE_GAIN_DB = 0.0  # diffuse noise, over that in W: never more noise than without a beam
_DIFFUSE: FloatArray = np.array([1.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0])  # powers of the channels
_LENGTH_TOLERANCE = 1e-3
_SINGULAR = 1e-9  # of a determinant: directions that are one


def beam_weights(
    look: npt.ArrayLike,
    nulls: npt.ArrayLike = (),
    *,
    max_noise_gain_db: float = MAX_NOISE_GAIN_DB,
) -> FloatArray:
    """(4,) weights with unit response towards `look` and none towards `nulls`.

    A null with which the noise gain would pass its limit is left out: it is too near to the look
    direction, as near as 36 degrees with the default and one null.

    Args:
        look: (3,) unit vector.
        nulls: (K, 3) unit vectors, the most important first: those that can be had, up to two.
        max_noise_gain_db: most power of a diffuse field, over its power in W [dB]. A beam without
            nulls has -6.02; a limit below leaves every null out.

    Raises:
        ValueError: other shapes, or a vector that is not finite and of unit length.
    """
    look = _unit(look, name="look", dimensions=1)
    others: FloatArray = np.asarray(nulls, dtype=np.float64)
    others = _unit(others if others.size else others.reshape(0, 3), name="nulls", dimensions=2)
    limit = 10.0 ** (max_noise_gain_db / 10.0)
    chosen = steering_vector(look)[np.newaxis]
    for gains in steering_vector(others):
        more = np.vstack([chosen, gains])
        if len(chosen) <= MOST_NULLS and _least_noise(more) <= limit:
            chosen = more
    whitened = chosen / _DIFFUSE
    weights: FloatArray = np.linalg.solve(whitened @ chosen.T, whitened)[0]
    return weights


def noise_gain(weights: npt.ArrayLike) -> float:
    """Power of a diffuse field in the beam, over its power in W."""
    return float(np.square(np.asarray(weights, dtype=np.float64)) @ _DIFFUSE)


def _least_noise(gains: FloatArray) -> float:
    """Noise gain of the beam with response 1 to the first of (K, 4) plane waves, 0 to the others.

    Infinite where two of them are one.
    """
    gram = (gains / _DIFFUSE) @ gains.T
    determinant = np.linalg.det(gram)
    if determinant <= _SINGULAR:
        return float("inf")
    return float(np.linalg.det(gram[1:, 1:]) / determinant)


def _unit(vectors: npt.ArrayLike, *, name: str, dimensions: int) -> FloatArray:
    """Unit vectors as float64, or an error that names the argument."""
    checked = as_vectors(vectors, name=name).astype(np.float64)
    if checked.ndim != dimensions:
        shape = "(3,)" if dimensions == 1 else "(K, 3)"
        raise ValueError(f"`{name}` must be {shape}. Received: {name}.shape={checked.shape}")
    lengths = np.linalg.norm(checked, axis=-1)
    if not np.all(np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE):  # False for NaN, too
        raise ValueError(f"`{name}` must have unit length. Received lengths: {lengths}")
    return checked
