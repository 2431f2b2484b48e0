"""Output heads: what a network's outputs mean, and how they are trained and read.

    head = doa_tf.heads.get("gibbs-weighted")
    targets = head.encode(directions)        # (..., 3) unit vectors -> (..., K)
    model.compile(..., loss=head.loss(), metrics=head.metrics())
    directions, confidence = head.decode(model.predict(features))

A grid head's model gives logits, from which its loss trains; `decode` turns them into scores.
Exported files give scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doa_core.angles import as_vectors, great_circle_distance
from doa_core.decode import decode as decode_scores
from doa_core.grid import Grid, sphere_grid


class Head(ABC):
    """Base class of the heads; subclass and `register` to add one.

    Attributes:
        name: as in `doa_core.decode.HEADS`.
        outputs: per frame, K.
        grid: the cells of a grid head, else None.
        gives_logits: whether the model's outputs still need the head's activation.
    """

    name: ClassVar[str]
    gives_logits: ClassVar[bool] = False
    outputs: int
    grid: Grid | None = None

    @property
    def resolution_deg(self) -> float | None:
        """Grid step [degrees]; None without a grid."""
        return None if self.grid is None else self.grid.resolution_deg

    @abstractmethod
    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        """(..., K) float32 training targets of (..., 3) unit vectors.

        Raises:
            ValueError: not three coordinates, or vectors that are not of unit length.
        """

    @abstractmethod
    def targets_to_vectors(self, targets: Any) -> Any:
        """(..., 3) unit vectors that `encode` made (..., K) targets from, in `keras.ops`."""

    @abstractmethod
    def outputs_to_vectors(self, outputs: Any) -> Any:
        """(..., 3) unit vectors of (..., T, K) model outputs, frames averaged, in `keras.ops`."""

    @abstractmethod
    def loss(self) -> Any:
        """A Keras loss for `model.compile`."""

    @abstractmethod
    def activate(self, outputs: Any) -> Any:
        """(..., K) scores in [0, 1] of (..., K) model outputs, in `keras.ops`."""

    def metrics(self) -> list[Any]:
        """Keras metrics for `model.compile`: mean and median error, accuracy within 10 degrees."""
        from doa_tf.metrics import AccuracyWithin, AngularError, MedianAngularError

        options = {"head": self.name, "resolution_deg": self.resolution_deg}
        return [
            AngularError(**options),
            MedianAngularError(**options),
            AccuracyWithin(10.0, **options),
        ]

    def output_bias(self) -> float:
        """What the output layer's bias starts at."""
        return 0.0

    def decode(
        self, outputs: npt.ArrayLike, *, method: str = "peak"
    ) -> tuple[np.ndarray, np.ndarray]:
        """(..., 3) unit vectors and (...) confidences of (..., T, K) model outputs.

        Args:
            outputs: float, as the model gives them.
            method: `peak` or `centroid`, see `doa_core.decode.decode`.
        """
        outputs = np.asarray(outputs)
        scores = np.asarray(self.activate(outputs)) if self.gives_logits else outputs
        return decode_scores(scores, head=self.name, grid=self.grid, method=method)


class Cartesian(Head):
    """Three sigmoids: the unit vector, scaled to [0, 1]; mean squared error."""

    name = "cartesian"
    outputs = 3

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        return ((as_unit_vectors(directions) + 1.0) / 2.0).astype(np.float32)

    def targets_to_vectors(self, targets: Any) -> Any:
        return 2.0 * targets - 1.0

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        return ops.normalize(2.0 * ops.mean(outputs, axis=-2) - 1.0, axis=-1)

    def loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()

    def activate(self, outputs: Any) -> Any:
        """The model's last activation has done it."""
        return outputs


class GibbsWeighted(Head):
    """A sigmoid per cell; cross-entropy that costs less the closer a wrong cell is.

    Args:
        resolution_deg: grid step alpha [degrees]; the Gibbs width beta is twice as much.
    """

    name = "gibbs-weighted"
    gives_logits = True

    def __init__(self, resolution_deg: float = 10.0) -> None:
        self.grid: Grid = sphere_grid(resolution_deg)
        self.outputs = len(self.grid)
        self.beta = 2.0 * np.radians(resolution_deg)

    def encode(self, directions: npt.ArrayLike) -> np.ndarray:
        directions = as_unit_vectors(directions)[..., np.newaxis, :]
        distance = great_circle_distance(directions, self.grid.vectors)
        return np.exp(-((distance / self.beta) ** 2)).astype(np.float32)

    def targets_to_vectors(self, targets: Any) -> Any:
        """Inverts `encode`: distances to all cells locate a point exactly."""
        from keras import ops

        # float32 holds exp(-(pi / beta)^2) down to a grid step of about 10 degrees; below that
        # the farthest cells underflow and say nothing, so only near ones are asked.
        near = ops.cast(targets > 1e-4, "float32")[..., None]
        distance = self.beta * ops.sqrt(-ops.log(ops.clip(targets, 1e-30, 1.0)))
        cells = ops.convert_to_tensor(self.grid.vectors.astype(np.float32))
        # Least squares for u in  cells @ u = cos(distance), over the near cells.
        normal = ops.einsum("...gi,gj->...ij", near * cells, cells)
        right = ops.sum(near * cells * ops.cos(distance)[..., None], axis=-2)
        solution = ops.solve(normal, right[..., None])[..., 0]
        return ops.normalize(solution, axis=-1)

    def outputs_to_vectors(self, outputs: Any) -> Any:
        from keras import ops

        cells = ops.convert_to_tensor(self.grid.vectors.astype(np.float32))
        scores = ops.mean(self.activate(outputs), axis=-2)
        return ops.take(cells, ops.argmax(scores, axis=-1), axis=0)

    def loss(self) -> Any:
        from doa_tf.losses import GibbsWeightedCrossentropy

        return GibbsWeightedCrossentropy(from_logits=True)

    def activate(self, outputs: Any) -> Any:
        from keras import ops

        return ops.sigmoid(outputs)

    def output_bias(self) -> float:
        """One cell in `outputs` is right: start from that share, not from a half."""
        return -float(np.log(self.outputs - 1.0))


_HEADS: dict[str, Callable[..., Head]] = {}


def register(head: type[Head]) -> type[Head]:
    """Make a head known to `get` by its name."""
    _HEADS[head.name] = head
    return head


for _head in (Cartesian, GibbsWeighted):
    register(_head)


def get(name: str, *, resolution_deg: float | None = None) -> Head:
    """The head of a name.

    Args:
        name: `cartesian`, `gibbs-weighted`, or a registered one.
        resolution_deg: grid step of a grid head [degrees], 10 by default.

    Raises:
        ValueError: unknown head.
    """
    if name not in _HEADS:
        raise ValueError(f"`head` must be one of {', '.join(_HEADS)}. Received: head={name!r}")
    return _HEADS[name]() if resolution_deg is None else _HEADS[name](resolution_deg)


def as_unit_vectors(directions: npt.ArrayLike) -> np.ndarray:
    """(..., 3) float64 unit vectors, or an error that says what came."""
    vectors = as_vectors(directions, name="directions").astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1)
    if not np.all(np.abs(length - 1.0) < 1e-3):  # also catches NaN
        worst = length.flat[np.argmax(np.abs(length - 1.0))]
        raise ValueError(f"`directions` must be unit vectors. Received: one of length {worst:.4g}")
    return vectors
