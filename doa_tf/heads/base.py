"""What every head can do, and the heads by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doa_core.angles import as_vectors
from doa_core.decode import decode as decode_scores
from doa_core.grid import Grid
from doa_tf.heads import registry


class Head(ABC):
    """Base class of the heads; subclass and `register` to add one.

    Attributes:
        name: what `get` and the model file call it.
        decoded_as: the head in `doa_core.decode.HEADS` whose decoding reads these scores, on a
            board as well; the head's own name by default.
        activation: from the last layer's values to scores in [0, 1]; a name that Keras knows.
        preferred_decode: `peak` or `centroid`, what a model file says unless it is told otherwise.
        gives_logits: whether the model outputs the last layer's values, because the loss trains
            from them, and the activation follows where scores are needed.
        turns_in_hz: (low, high) of the intensity that the network is turned to, see
            `doa_tf.turning`; None, as most heads, to take scenes as they lie. Needs a `basis` of
            spherical harmonics.
        outputs: per frame, K.
        grid: the cells of a grid head, else None.
    """

    name: ClassVar[str]
    decoded_as: ClassVar[str] = ""
    activation: ClassVar[str] = "sigmoid"
    preferred_decode: ClassVar[str] = "peak"
    gives_logits: ClassVar[bool] = False
    turns_in_hz: ClassVar[tuple[float, float] | None] = None
    outputs: int
    grid: Grid | None = None

    @property
    def resolution_deg(self) -> float | None:
        """Grid step [degrees]; None without a grid."""
        return None if self.grid is None else self.grid.resolution_deg

    @property
    def decoding(self) -> str:
        """`decoded_as`, or the head's name."""
        return self.decoded_as or self.name

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

    def activate(self, values: Any) -> Any:
        """(..., K) scores in [0, 1] of (..., K) values of the last layer, in `keras.ops`."""
        import keras

        return keras.activations.get(self.activation)(values)

    def scores(self, outputs: Any) -> Any:
        """(..., K) scores in [0, 1] of (..., K) model outputs, in `keras.ops`."""
        return self.activate(outputs) if self.gives_logits else outputs

    def metrics(self) -> list[Any]:
        """Keras metrics for `model.compile`: mean and median error, accuracy within 10 degrees."""
        from doa_tf.heads.metrics import AccuracyWithin, AngularError, MedianAngularError

        options = {"head": self.name, "resolution_deg": self.resolution_deg}
        return [
            AngularError(**options),
            MedianAngularError(**options),
            AccuracyWithin(10.0, **options),
        ]

    def output_bias(self) -> float:
        """What the output layer's bias starts at."""
        return 0.0

    def basis(self) -> np.ndarray | None:
        """(R, K) float32 patterns that the last layer's values are sums of, in learned amounts.

        None, as here, where every output has weights of its own.
        """
        return None

    def decode(
        self, outputs: npt.ArrayLike, *, method: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(..., 3) unit vectors and (...) raw confidences of (..., T, K) model outputs.

        Args:
            outputs: float, as the model gives them.
            method: `peak` or `centroid`, see `doa_core.decode.decode`; by default the one that
                the head prefers.

        Raises:
            ValueError: another number of outputs than the head has, no frame, or NaN.
        """
        outputs = np.asarray(outputs)
        if outputs.ndim < 2 or outputs.shape[-1] != self.outputs:
            raise ValueError(
                f"`outputs` of the head '{self.name}' must be (..., frames, {self.outputs}). "
                f"Received: outputs.shape={outputs.shape}"
            )
        scores = np.asarray(self.scores(outputs))
        return decode_scores(
            scores, head=self.decoding, grid=self.grid, method=method or self.preferred_decode
        )


def register(head: type[Head]) -> type[Head]:
    """Make a head known to `get`, to losses, metrics and model files by its name.

    Usable as a decorator. A name that is taken is taken over: the last registration counts.

    Raises:
        TypeError: not a subclass of `Head`.
    """
    if not (isinstance(head, type) and issubclass(head, Head)):
        raise TypeError(f"`head` must be a subclass of doa_tf.heads.Head. Received: {head!r}")
    registry.add(head)
    return head


def as_unit_vectors(directions: npt.ArrayLike) -> np.ndarray:
    """(..., 3) float64 unit vectors, or an error that says what came."""
    vectors = as_vectors(directions, name="directions").astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1)
    if not np.all(np.abs(length - 1.0) < 1e-3):  # also catches NaN
        worst = length.flat[np.argmax(np.abs(length - 1.0))]
        raise ValueError(f"`directions` must be unit vectors. Received: one of length {worst:.4g}")
    return vectors
