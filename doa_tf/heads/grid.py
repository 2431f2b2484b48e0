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
    """One score per cell; the targets are Gibbs values G_in = exp(-delta_in^2 / beta^2).

    delta_in is the great-circle distance of cell i to the direction of talker n. The nearest cell
    of a talker has the largest value; of several equally near cells the first counts as nearest.
    Of several talkers the largest value counts, max_n G_in; where nobody talks it is zero.

    Args:
        resolution_deg: grid step alpha [degrees].
    """

    gibbs_width = 2.0  # beta in grid steps

    def __init__(self, resolution_deg: float = 10.0) -> None:
        self.grid: Grid = sphere_grid(resolution_deg)
        self.outputs = len(self.grid)
        self.beta = self.gibbs_width * np.radians(resolution_deg)  # [rad]

    def distances(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., V, G) angle [rad] of each cell to (..., V, 3) unit vectors.

        Cells as near as the nearest one, apart from rounding, get exactly its distance, so that
        ties are broken alike in single and in double precision. Infinite for a row of zeros.
        """
        directions = as_unit_vectors(directions, several=self.several)[..., np.newaxis, :]
        distance = great_circle_distance(directions, self.grid.vectors)
        least = np.min(distance, axis=-1, keepdims=True)
        distance = np.where(distance < least + _EQUALLY_NEAR, least, distance)
        return np.where(np.any(directions != 0.0, axis=-1), distance, np.inf)

    def distances_tensor(self, directions: Any) -> Any:
        """`distances` in `keras.ops`."""
        from keras import ops

        from doa_tf import losses

        directions = directions[..., None, :]
        # Not a matrix product: accelerators compute those with a mantissa of 8 to 11 bits.
        distance = losses.great_circle_distance(directions, self._cells())
        least = ops.min(distance, axis=-1, keepdims=True)
        distance = ops.where(distance < least + _EQUALLY_NEAR, least, distance)
        return ops.where(ops.any(directions != 0.0, axis=-1), distance, np.float32(np.inf))

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., G) float32 in [0, 1]: the largest G_in of every cell."""
        return self._gibbs_values(self.distances(directions))

    def encode_tensor(self, directions: Any) -> Any:
        return self._gibbs_values_tensor(self.distances_tensor(directions))

    def _gibbs_values(self, distances: FloatArray) -> FloatArray:
        nearest_talker = np.min(distances, axis=-2)
        return np.exp(-((nearest_talker / self.beta) ** 2)).astype(np.float32)

    def _gibbs_values_tensor(self, distances: Any) -> Any:
        from keras import ops

        return ops.exp(-ops.square(ops.min(distances, axis=-2) / self.beta))

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
        nearest = np.argmin(self.distances(directions)[..., 0, :], axis=-1)
        return np.eye(self.outputs, dtype=np.float32)[nearest]

    def encode_tensor(self, directions: Any) -> Any:
        from keras import ops

        nearest = ops.argmin(self.distances_tensor(directions)[..., 0, :], axis=-1)
        return ops.one_hot(nearest, self.outputs)

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True)


class Gibbs(GridHead):
    """A sigmoid per cell; mean squared error against the Gibbs values of any number of talkers."""

    name = "gibbs"
    several = True

    def encoded_loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()

    def output_bias(self) -> float:
        """So that the first scores are the targets' mean over the cells, not 0.5."""
        mean = float(np.mean(self.encode(self.grid.vectors[self.outputs // 2, np.newaxis])))
        return float(np.log(mean / (1.0 - mean)))


class GibbsWeighted(GridHead):
    """A sigmoid per cell; cross-entropy in which a wrong cell costs less the closer it is.

    Takes any number of talkers. The targets are 1 in the cell nearest to each, and the largest
    Gibbs value in the rest, which is below 1: the loss finds the nearest cells by the ones.
    """

    name = "gibbs-weighted"
    several = True
    gives_logits = True

    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., G) float32 in [0, 1]: 1 in the cell nearest to each talker, else the largest G."""
        distances = self.distances(directions)
        nearest = np.argmin(distances, axis=-1)[..., np.newaxis] == np.arange(self.outputs)
        nearest &= np.isfinite(distances)  # not of who is silent
        values = self._gibbs_values(distances)
        return np.where(np.any(nearest, axis=-2), np.float32(1.0), values)

    def encode_tensor(self, directions: Any) -> Any:
        from keras import ops

        distances = self.distances_tensor(directions)
        nearest = ops.argmin(distances, axis=-1)[..., None] == ops.arange(self.outputs)
        nearest = ops.logical_and(nearest, ops.isfinite(distances))
        values = self._gibbs_values_tensor(distances)
        return ops.where(ops.any(nearest, axis=-2), 1.0, values)

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
