"""Azimuth and elevation, unit vectors, great-circle distance and rotations.

Azimuth is counter-clockwise from x (forward) towards y (left), in (-pi, pi].
Elevation is up from the horizon, in [-pi/2, pi/2].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]


def angles_to_vector(azimuth: npt.ArrayLike, elevation: npt.ArrayLike) -> FloatArray:
    """(..., 3) unit vectors from azimuth and elevation.

    Args:
        azimuth: (...) float [rad], counter-clockwise from x.
        elevation: (...) float [rad], up from the horizon.

    Returns:
        (..., 3) float array of x, y, z.
    """
    azimuth, elevation = np.broadcast_arrays(azimuth, elevation)
    horizontal = np.cos(elevation)
    return np.stack(
        [horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)], axis=-1
    )


def vector_to_angles(vector: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """(...) azimuth and (...) elevation of vectors of any length.

    The zero vector, which has no direction, gives (0, 0).

    Args:
        vector: (..., 3) float array of x, y, z.

    Returns:
        Azimuth in (-pi, pi] and elevation in [-pi/2, pi/2], both (...) [rad].

    Raises:
        ValueError: the last axis does not hold three coordinates.
    """
    # Adding zero turns -0.0 into 0.0: arctan2(0.0, -0.0) would be pi.
    x, y, z = np.moveaxis(as_vectors(vector, name="vector") + 0.0, -1, 0)
    azimuth = np.arctan2(y, x)
    # arctan2 rounds to -pi just below the half-line y = 0, x < 0: +pi is the one in range.
    azimuth = np.where(azimuth <= -np.pi, np.asarray(np.pi, azimuth.dtype), azimuth)
    return azimuth, np.arctan2(z, np.hypot(x, y))


def great_circle_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """(...) angle between unit vectors, accurate at 0 and at pi.

    An arccos of the dot product loses half of the digits there; 2 atan2(|a - b|, |a + b|)
    (W. Kahan, "How futile are mindless assessments of roundoff", 2006) does not.

    Args:
        a: (..., 3) float unit vectors.
        b: (..., 3) float unit vectors, broadcast against `a`.

    Returns:
        (...) float in [0, pi] [rad].
    """
    a, b = as_vectors(a, name="a"), as_vectors(b, name="b")
    angle: FloatArray = np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    return 2.0 * angle


def rotation_matrix(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    """(3, 3) matrix that turns directions seen by a mounted microphone into the room's.

    Roll is applied first, then pitch, then yaw: the angles of a vehicle. Positive yaw turns
    the microphone to its left, positive pitch raises its nose, positive roll raises its left side.

    Args:
        yaw: [rad] about z.
        pitch: [rad], nose up.
        roll: [rad] about x.
    """
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    nose_up = np.array([[cp, 0.0, -sp], [0.0, 1.0, 0.0], [sp, 0.0, cp]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    rotation: FloatArray = about_z @ nose_up @ about_x
    return rotation


def rotation_angles(rotation: npt.ArrayLike) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a rotation: what `rotation_matrix` makes it of.

    Args:
        rotation: (3, 3) rotation.

    Returns:
        Yaw and roll in [-pi, pi], pitch in [-pi/2, pi/2] [rad]. With the nose straight up or down
        yaw and roll are about one axis: roll is 0 then.
    """
    matrix = np.asarray(rotation, dtype=np.float64)
    level = np.hypot(matrix[2, 1], matrix[2, 2])
    pitch = np.arctan2(matrix[2, 0], level)
    if level < 1e-6:
        return float(np.arctan2(-matrix[0, 1], matrix[1, 1])), float(pitch), 0.0
    yaw = np.arctan2(matrix[1, 0], matrix[0, 0])
    return float(yaw), float(pitch), float(np.arctan2(matrix[2, 1], matrix[2, 2]))


def random_rotation(rng: np.random.Generator) -> FloatArray:
    """(3, 3) rotation, uniform over all of them.

    The orthogonal factor of a Gaussian matrix, signs fixed, is uniform (G. W. Stewart, 1980,
    doi:10.1137/0717034).
    """
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return np.asarray(q)


def as_vectors(values: npt.ArrayLike, *, name: str) -> FloatArray:
    """(..., 3) float array, or an error that names the argument."""
    vectors = np.asarray(values)
    if vectors.ndim == 0 or vectors.shape[-1] != 3:
        raise ValueError(
            f"`{name}` must hold x, y and z on its last axis. "
            f"Received: {name}.shape={vectors.shape}"
        )
    if not np.issubdtype(vectors.dtype, np.floating):
        vectors = vectors.astype(np.float64)
    return vectors
