"""Heads that output the direction's coordinates, squashed to [0, 1] by sigmoids.

References:
    Perotin et al. (2019), doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import vector_to_angles
from doa_tf.heads.base import Head, as_unit_vectors


class Spherical(Head):
    """Azimuth and elevation, scaled to [0, 1]; mean squared error.

    Two directions on either side of azimuth 180 degrees are far apart for this head, in its loss
    and in its frame average: that is the method's own property, and it is kept.
    """

    name = "spherical"
    outputs = 2

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        """(..., 2) float32: azimuth / 2 pi + 1 / 2 and elevation / pi + 1 / 2."""
        azimuth, elevation = vector_to_angles(as_unit_vectors(directions))
        scaled = [azimuth / (2.0 * np.pi) + 0.5, elevation / np.pi + 0.5]
        return np.stack(scaled, axis=-1).astype(np.float32)

    def targets_to_vectors(self, targets: Any) -> Any:
        from doa_tf.losses import scaled_angles_to_vector

        return scaled_angles_to_vector(targets)

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        from doa_tf.losses import scaled_angles_to_vector

        return scaled_angles_to_vector(ops.mean(outputs, axis=-2))

    def loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()


class SphericalAngular(Spherical):
    """Azimuth and elevation, scaled to [0, 1]; the great-circle distance is the loss."""

    name = "spherical-angular"

    def loss(self) -> Any:
        from doa_tf.losses import AngularDistance

        return AngularDistance()


class Cartesian(Head):
    """The unit vector, scaled to [0, 1]; mean squared error."""

    name = "cartesian"
    outputs = 3

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        """(..., 3) float32: (x + 1) / 2, (y + 1) / 2, (z + 1) / 2."""
        return ((as_unit_vectors(directions) + 1.0) / 2.0).astype(np.float32)

    def targets_to_vectors(self, targets: Any) -> Any:
        return 2.0 * targets - 1.0

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        return ops.normalize(2.0 * ops.mean(outputs, axis=-2) - 1.0, axis=-1)

    def loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()
