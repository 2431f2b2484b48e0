"""Heads that score the cells of a grid on the sphere.

References:
    Perotin et al. (2019), doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance
from doa_core.grid import Grid, sphere_grid
from doa_tf.heads.base import Head, as_unit_vectors
from doa_tf.spherical_harmonics import spherical_harmonics

_EQUALLY_NEAR = 2e-7  # [rad], three times the rounding errors of single precision


class GridHead(Head):
    """One score per cell; the targets are Gibbs values G_i = exp(-delta_i^2 / beta^2).

    delta_i is the great-circle distance of cell i to the true direction. The nearest cell has the
    largest value; of several equally near cells the first counts as nearest.

    Args:
        resolution_deg: grid step alpha [degrees].
    """

    gibbs_width = 2.0  # beta in grid steps

    def __init__(self, resolution_deg: float = 10.0) -> None:
        self.grid: Grid = sphere_grid(resolution_deg)
        self.outputs = len(self.grid)
        self.beta = self.gibbs_width * np.radians(resolution_deg)  # [rad]

    def distances(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., G) angle [rad] of each cell to (..., 1, 3) unit vectors.

        Cells as near as the nearest one, apart from rounding, get exactly its distance, so that
        ties are broken alike in single and in double precision.
        """
        directions = as_unit_vectors(directions)
        distance = great_circle_distance(directions, self.grid.vectors)
        least = np.min(distance, axis=-1, keepdims=True)
        return np.where(distance < least + _EQUALLY_NEAR, least, distance)

    def distances_tensor(self, directions: Any) -> Any:
        """`distances` in `keras.ops`."""
        from keras import ops

        from doa_tf import losses

        # Not a matrix product: accelerators compute those with a mantissa of 8 to 11 bits.
        distance = losses.great_circle_distance(directions, self._cells())
        least = ops.min(distance, axis=-1, keepdims=True)
        return ops.where(distance < least + _EQUALLY_NEAR, least, distance)

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., G) float32 in [0, 1]: G_i of every cell."""
        return np.exp(-((self.distances(directions) / self.beta) ** 2)).astype(np.float32)

    def encode_tensor(self, directions: Any) -> Any:
        from keras import ops

        return ops.exp(-ops.square(self.distances_tensor(directions) / self.beta))

    def outputs_to_vectors(self, outputs: Any) -> Any:
        """Centres of the best cells."""
        from keras import ops

        scores = ops.mean(self.scores(outputs), axis=-2)
        return ops.take(self._cells(), ops.argmax(scores, axis=-1), axis=0)

    def _cells(self) -> Any:
        from keras import ops

        return ops.convert_to_tensor(self.grid.vectors.astype(np.float32))


class Onehot(GridHead):
    """A softmax over the cells; cross-entropy with the nearest one."""

    name = "onehot"
    activation = "softmax"
    gives_logits = True

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., G) float32: 1 in the nearest cell, else 0."""
        nearest = np.argmin(self.distances(directions), axis=-1)
        return np.eye(self.outputs, dtype=np.float32)[nearest]

    def encode_tensor(self, directions: Any) -> Any:
        from keras import ops

        nearest = ops.argmin(self.distances_tensor(directions), axis=-1)
        return ops.one_hot(nearest, self.outputs)

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True)


class Gibbs(GridHead):
    """A sigmoid per cell; mean squared error against the Gibbs values."""

    name = "gibbs"

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()

    def output_bias(self) -> float:
        """So that the first scores are the targets' mean over the cells, not 0.5."""
        mean = float(np.mean(self.encode(self.grid.vectors[self.outputs // 2, np.newaxis])))
        return float(np.log(mean / (1.0 - mean)))


class GibbsWeighted(GridHead):
    """A sigmoid per cell; cross-entropy in which a wrong cell costs less the closer it is.

    The targets are the Gibbs values, of which the loss takes the largest as the nearest cell.
    """

    name = "gibbs-weighted"
    gives_logits = True

    def encoded_loss(self) -> Any:
        from doa_tf.losses import GibbsWeightedCrossentropy

        return GibbsWeightedCrossentropy(from_logits=True)

    def output_bias(self) -> float:
        """So that the first scores are 1 / G, the share of right cells, not 0.5."""
        return -float(np.log(self.outputs - 1.0))


class GibbsSoftmax(GridHead):
    """A softmax over the cells; cross-entropy with the Gibbs values, scaled to sum 1.

    The targets are a lobe around the true direction, sampled at the cells. A one-hot target does
    not depend on where in its cell the talker is, and `gibbs-weighted` only reduces the cost of
    neighbouring cells; the minimum of this loss are scores whose centroid is the direction between
    cells. The scores sum to 1, so that belief in a second direction reduces that in the first.
    """

    name = "gibbs-softmax"
    activation = "softmax"
    gives_logits = True
    preferred_decode = "centroid"

    def encoded_loss(self) -> Any:
        from doa_tf.losses import GibbsSoftmaxCrossentropy

        return GibbsSoftmaxCrossentropy(from_logits=True)


class GibbsHarmonic(GibbsWeighted):
    """Logits that are a sum of spherical harmonics; trained and decoded as `gibbs-weighted`.

    A dense layer learns each of 429 cells separately, from the one scene in a hundred whose talker
    is near it. The coefficients of a function on the sphere are common to all directions and learn
    from every scene. They can also be rotated exactly, which makes the network equivariant to
    rotations about the vertical (`doa_tf.turning`).
    """

    name = "gibbs-harmonic"
    decoded_as = "gibbs-weighted"
    preferred_decode = "centroid"
    turns_in_hz = (94.0, 2000.0)  # where speech has most of its energy

    def __init__(self, resolution_deg: float = 10.0) -> None:
        super().__init__(resolution_deg)
        # The finest detail is 180 / N degrees wide: 22.5 at 10, where the targets' beta is 20.
        self.order = max(1, round(80.0 / resolution_deg))

    def basis(self) -> FloatArray:
        """((N + 1)^2, G) float32 harmonics at the cells; the squares of a cell sum to 1."""
        harmonics = spherical_harmonics(self.grid.vectors, self.order) / (self.order + 1)
        return harmonics.T.astype(np.float32)
