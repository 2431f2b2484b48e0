"""Heads that score the cells of a grid on the sphere.

References:
    Perotin et al. (2019), doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import great_circle_distance
from doa_core.grid import Grid, sphere_grid
from doa_tf.heads.base import Head, as_unit_vectors


class GridHead(Head):
    """One score for each cell; Gibbs values G_i = exp(-delta_i^2 / beta^2) as targets.

    delta_i is the great-circle distance of cell i to the true direction. The values hold both the
    nearest cell (the largest) and the true direction itself, which the metrics get back from them.

    Args:
        resolution_deg: grid step alpha [degrees].
    """

    gibbs_width = 2.0  # beta in grid steps

    def __init__(self, resolution_deg: float = 10.0) -> None:
        self.grid: Grid = sphere_grid(resolution_deg)
        self.outputs = len(self.grid)
        self.beta = self.gibbs_width * np.radians(resolution_deg)  # [rad]

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        """(..., G) float32 in [0, 1]: G_i of every cell."""
        directions = as_unit_vectors(directions)[..., np.newaxis, :]
        distance = great_circle_distance(directions, self.grid.vectors)
        return np.exp(-((distance / self.beta) ** 2)).astype(np.float32)

    def targets_to_vectors(self, targets: Any) -> Any:
        """Inverts `encode`: the distances to the cells around a point locate it exactly."""
        from keras import ops

        # Far cells underflow in float32 and say nothing, so only near ones are asked.
        near = ops.cast(targets > 1e-4, "float32")[..., None]
        distance = self.beta * ops.sqrt(-ops.log(ops.clip(targets, 1e-30, 1.0)))
        cells = self._cells()
        # Least squares for u in  cells @ u = cos(distance), over the near cells.
        normal = ops.einsum("...gi,gj->...ij", near * cells, cells)
        right = ops.sum(near * cells * ops.cos(distance)[..., None], axis=-2)
        solution = ops.solve(normal, right[..., None])[..., 0]
        return ops.normalize(solution, axis=-1)

    def outputs_to_vectors(self, outputs: Any) -> Any:
        """Centres of the best cells."""
        from keras import ops

        scores = ops.mean(self.scores(outputs), axis=-2)
        return ops.take(self._cells(), ops.argmax(scores, axis=-1), axis=0)

    def _cells(self) -> Any:
        from keras import ops

        return ops.convert_to_tensor(self.grid.vectors.astype(np.float32))


class Onehot(GridHead):
    """A softmax over the cells; cross-entropy with the nearest one.

    Its targets know the cell alone: metrics during training measure the angle to that cell's
    centre, 3.7 degrees from the truth on average at a step of 10. `doa_tf.evaluate`, and the
    validation of `doa_tf train`, measure the angle to the true direction.
    """

    name = "onehot"
    activation = "softmax"
    gives_logits = True

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        """(..., G) float32: 1 in the nearest cell, else 0."""
        nearest = self.grid.nearest(as_unit_vectors(directions))
        return np.eye(self.outputs, dtype=np.float32)[nearest]

    def targets_to_vectors(self, targets: Any) -> Any:
        """Centres of the cells."""
        from keras import ops

        return ops.take(self._cells(), ops.argmax(targets, axis=-1), axis=0)

    def loss(self) -> Any:
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True)


class Gibbs(GridHead):
    """A sigmoid per cell; mean squared error against the Gibbs values."""

    name = "gibbs"

    def loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()

    def output_bias(self) -> float:
        """Start from the targets' mean over the cells, not from a half."""
        mean = float(np.mean(self.encode(self.grid.vectors[self.outputs // 2])))
        return float(np.log(mean / (1.0 - mean)))


class GibbsWeighted(GridHead):
    """A sigmoid per cell; cross-entropy that costs less the closer a wrong cell is.

    The targets are the Gibbs values: the loss finds the nearest cell as the largest one.
    """

    name = "gibbs-weighted"
    gives_logits = True

    def loss(self) -> Any:
        from doa_tf.losses import GibbsWeightedCrossentropy

        return GibbsWeightedCrossentropy(from_logits=True)

    def output_bias(self) -> float:
        """One cell in `outputs` is right: start from that share, not from a half."""
        return -float(np.log(self.outputs - 1.0))
