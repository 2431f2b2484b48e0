"""Heads that output the direction's coordinates, squashed to [0, 1] by sigmoids.

References:
    Perotin et al. (2019), doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, vector_to_angles
from doa_tf.heads.base import Head, as_unit_vectors

_ROUNDED = 2.2e-16  # [rad], below half the spacing of doubles at pi


class Spherical(Head):
    """Azimuth and elevation, scaled to [0, 1]; mean squared error.

    Azimuths of -179 and 179 degrees are far apart in the loss and in the average over frames: a
    property of the published method, which is kept.
    """

    name = "spherical"
    outputs = 2

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., 2) float32: azimuth / 2 pi + 1 / 2 and elevation / pi + 1 / 2."""
        azimuth, elevation = vector_to_angles(as_unit_vectors(directions)[..., 0, :])
        scaled = [azimuth / (2.0 * np.pi) + 0.5, elevation / np.pi + 0.5]
        return np.stack(scaled, axis=-1).astype(np.float32)

    def encode_tensor(self, directions: Any) -> Any:
        from keras import ops

        x, y, z = (directions[..., 0, axis] for axis in range(3))
        x, y = (ops.where(part == 0.0, 0.0, part) for part in (x, y))  # -0.0 to 0.0
        azimuth = ops.arctan2(y, x)
        # As in numpy: +pi exactly where the angle rounds to -pi in double precision.
        behind = ops.logical_and(x < 0.0, ops.abs(y) <= -_ROUNDED * x)
        azimuth = ops.where(behind, math.pi, azimuth)
        elevation = ops.arctan2(z, ops.sqrt(x * x + y * y))
        return ops.stack([azimuth / (2.0 * math.pi) + 0.5, elevation / math.pi + 0.5], axis=-1)

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        from doa_tf.losses import scaled_angles_to_vector

        return scaled_angles_to_vector(ops.mean(outputs, axis=-2))

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()


class SphericalAngular(Spherical):
    """Azimuth and elevation, scaled to [0, 1]; the great-circle distance is the loss."""

    name = "spherical-angular"

    def encoded_loss(self) -> Any:
        from doa_tf.losses import AngularDistance

        return AngularDistance()


class Cartesian(Head):
    """The unit vector, scaled to [0, 1]; mean squared error."""

    name = "cartesian"
    outputs = 3

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., 3) float32: (x + 1) / 2, (y + 1) / 2, (z + 1) / 2."""
        return ((as_unit_vectors(directions)[..., 0, :] + 1.0) / 2.0).astype(np.float32)

    def encode_tensor(self, directions: Any) -> Any:
        return (directions[..., 0, :] + 1.0) / 2.0

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        return ops.normalize(2.0 * ops.mean(outputs, axis=-2) - 1.0, axis=-1)

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()
