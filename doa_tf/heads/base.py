"""The interface of an output head, and registering a new one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, as_vectors
from doa_core.decode import decode as decode_scores
from doa_core.grid import Grid
from doa_tf.heads import registry

_SAY_HOW_MANY = ("encode", "encode_tensor", "encoded_loss")  # decide what a head can be given


class Head(ABC):
    """Base class of the heads; subclass and `register` to add one.

    Attributes:
        several: whether it takes any number of talkers, V, and rows of zeros for those who are
            silent; else V is 1 and every vector of unit length. A subclass that has an encoding or
            a loss of its own takes one talker unless it says so itself.
        name: by which `get` and model files refer to it.
        decoded_as: the head in `doa_core.decode.HEADS` whose decoding reads these scores, on a
            board as well; the head's own name by default.
        activation: Keras name of the function from the last layer's values to scores in [0, 1].
        preferred_decode: `peak` or `centroid`; the default of model files.
        gives_logits: whether the model outputs the last layer's values, from which the loss is
            computed; the activation is then applied where scores are needed.
        turns_in_hz: (low, high) band [Hz] of the intensity that scenes are aligned to, see
            `doa_tf.turning`; None, as in most heads, to take scenes as they are. Needs a `basis`
            of spherical harmonics.
        outputs: number of outputs per frame, K.
        grid: the cells of a grid head, else None.
    """

    several: ClassVar[bool] = False
    name: ClassVar[str]
    decoded_as: ClassVar[str] = ""
    activation: ClassVar[str] = "sigmoid"
    preferred_decode: ClassVar[str] = "peak"
    gives_logits: ClassVar[bool] = False
    turns_in_hz: ClassVar[tuple[float, float] | None] = None
    outputs: int
    grid: Grid | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)
        if "several" not in own and not own.keys().isdisjoint(_SAY_HOW_MANY):
            cls.several = False

    @property
    def resolution_deg(self) -> float | None:
        """Grid step [degrees]; None without a grid."""
        return None if self.grid is None else self.grid.resolution_deg

    @property
    def decoding(self) -> str:
        """`decoded_as`, or the head's name."""
        return self.decoded_as or self.name

    @abstractmethod
    def encode(self, directions: npt.ArrayLike) -> FloatArray:
        """(..., K) float32 training targets of (..., V, 3) unit vectors: the specification.

        Where the head takes several talkers, rows of zeros are left out: they are nobody.

        Raises:
            ValueError: not three coordinates, several talkers for a head of one, or vectors that
                are not of unit length.
        """

    @abstractmethod
    def encode_tensor(self, directions: Any) -> Any:
        """`encode` in `keras.ops`: float32 tensors, no checks; equal to within 1e-5."""

    @abstractmethod
    def encoded_loss(self) -> Any:
        """A Keras loss of (B, T, K) encoded targets and model outputs, a value per frame."""

    @abstractmethod
    def outputs_to_vectors(self, outputs: Any) -> Any:
        """(..., 3) unit vectors of (..., T, K) model outputs, frames averaged, in `keras.ops`."""

    def loss(self) -> Any:
        """A Keras loss of directions and model outputs, for `model.compile`.

        It encodes (B, V, 3) directions, or (B, T, V, 3) where they change from frame to frame, and
        computes `encoded_loss`.
        """
        from doa_tf.heads.loss import DirectionLoss

        return DirectionLoss(self, self.resolution_deg)

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

        metrics = (AngularError, MedianAngularError, AccuracyWithin)
        return [metric(head=self.name, resolution_deg=self.resolution_deg) for metric in metrics]

    def output_bias(self) -> float:
        """Initial bias of the output layer."""
        return 0.0

    def basis(self) -> FloatArray | None:
        """(R, K) float32 patterns, of which the last layer's values are learned combinations.

        None, the default, where every output has its own weights.
        """
        return None

    def decode(
        self, outputs: npt.ArrayLike, *, method: str | None = None
    ) -> tuple[FloatArray, FloatArray]:
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
        scores, method = np.asarray(self.scores(outputs)), method or self.preferred_decode
        return decode_scores(scores, head=self.decoding, grid=self.grid, method=method)


def register(head: type[Head]) -> type[Head]:
    """Register a head under its name, for `get`, losses, metrics and model files.

    Usable as a decorator. A second registration of a name replaces the first.

    Raises:
        TypeError: not a subclass of `Head`, or one written for doa_tf 0.1, whose loss takes encoded
            targets.
    """
    if not (isinstance(head, type) and issubclass(head, Head)):
        raise TypeError(f"`head` must be a subclass of doa_tf.heads.Head. Received: {head!r}")
    instead = None
    if head.loss is not Head.loss:
        instead = "override `encoded_loss` instead of `loss`"
    elif hasattr(head, "targets_to_vectors"):
        instead = "leave `targets_to_vectors` out: metrics are given the directions"
    elif not issubclass(_definer(head, "encode_tensor"), _definer(head, "encode")):
        instead = "override `encode_tensor`, the same in `keras.ops`, together with `encode`"
    if instead:
        raise TypeError(
            "Targets are directions now, (batch, voices, 3), which the loss encodes: "
            f"{instead}. Received: {head!r}"
        )
    registry.add(head)
    return head


def _definer(head: type[Head], method: str) -> type:
    return next(base for base in head.__mro__ if method in vars(base))


def as_unit_vectors(directions: npt.ArrayLike, *, several: bool = False) -> FloatArray:
    """(..., V, 3) float64 unit vectors.

    Args:
        directions: (..., V, 3) float.
        several: whether V may be more than 1 and rows of zeros, talkers who are silent, are
            allowed.

    Raises:
        ValueError: not three coordinates, several talkers where one is allowed, or vectors that
            are not of unit length.
    """
    vectors = as_vectors(directions, name="directions").astype(np.float64)
    talkers = vectors.shape[-2] if vectors.ndim > 1 else 0
    if talkers < 1 or (talkers > 1 and not several):
        allowed = "(..., talkers, 3)" if several else "(..., 1, 3)"
        why = "" if several else ", since the head takes one talker"
        raise ValueError(
            f"`directions` must be {allowed}: x, y and z of each{why}. "
            f"Received: directions.shape={vectors.shape}"
        )
    length = np.linalg.norm(vectors, axis=-1)
    off = np.abs(length - 1.0)
    if several:
        off[length == 0.0] = 0.0
    if not np.all(off < 1e-3):  # also catches NaN
        worst = length.flat[np.argmax(off)]
        if several:
            allowed = "unit vectors, or zeros for who is silent"
        else:
            allowed = "unit vectors, since the head takes one talker, in every frame"
        raise ValueError(f"`directions` must be {allowed}. Received: one of length {worst:.4g}")
    return vectors
