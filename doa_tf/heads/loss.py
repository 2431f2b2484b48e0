"""The loss of directions, for `model.compile`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from doa_core.spec import MOST_VOICES
from doa_tf.heads import registry

if TYPE_CHECKING:
    from doa_tf.heads.base import Head


@keras.saving.register_keras_serializable(package="doa_tf")
class DirectionLoss(keras.losses.Loss):
    """Encodes directions by a head and computes the head's loss of them.

    Args:
        head: its name, or the head itself.
        resolution_deg: grid step of a grid head.
        reduction, name, dtype: as in every Keras loss.
    """

    def __init__(
        self,
        head: str | Head = "cartesian",
        resolution_deg: float | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "direction_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if isinstance(head, str):
            head = registry.get(head, resolution_deg=resolution_deg)
        self._head, self._of_encoded = head, head.encoded_loss()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(B, T) losses of (B, V, 3) or (B, T, V, 3) directions and (B, T, K) model outputs.

        Raises:
            ValueError: other shapes.
        """
        directions = frame_directions(y_true, y_pred, self._head)
        encoded = self._head.encode_tensor(directions)
        encoded = ops.broadcast_to(ops.cast(encoded, y_pred.dtype), ops.shape(y_pred))
        losses = self._of_encoded.call(encoded, y_pred)
        # A vector of another length is no direction: its loss is NaN. So is that of a row of zeros,
        # unless it may be a talker who is silent.
        length_off = ops.abs(ops.sum(directions**2, axis=-1) - 1.0)
        if self._head.several:
            length_off = ops.where(ops.any(directions != 0.0, axis=-1), length_off, 0.0)
        return ops.where(ops.max(length_off, axis=-1) < 1e-2, losses, np.float32(np.nan))

    def get_config(self) -> dict[str, Any]:
        """All arguments; Keras's own leaves the dtype out."""
        return {
            **super().get_config(),
            "dtype": self.dtype,
            "head": self._head.name,
            "resolution_deg": self._head.resolution_deg,
        }


def frame_directions(y_true: Any, y_pred: Any, head: Head) -> Any:
    """(B, T, V, 3) float32 directions; (B, 1, V, 3) where they hold for all frames.

    Args:
        y_true: (B, V, 3) or (B, T, V, 3) unit vectors; rows of zeros are nobody, for a head that
            takes several talkers.
        y_pred: (B, T, K) model outputs.
        head: decides how many talkers and outputs there may be.

    Raises:
        ValueError: other shapes, or directions of both kinds given to one compiled model.
    """
    predicted = tuple(y_pred.shape)
    try:
        true = tuple(y_true.shape)
    except ValueError as error:  # TensorFlow has forgotten the rank
        raise ValueError(
            "`y_true` must be (batch, voices, 3) or (batch, frames, voices, 3), and always the "
            "same of the two: to change it, or after a shape that was refused, compile anew"
        ) from error
    if len(predicted) != 3 or predicted[-1] != head.outputs:
        raise ValueError(
            f"`y_pred` of the head '{head.name}' must be (batch, frames, {head.outputs}). "
            f"Received: y_pred.shape={predicted}"
        )
    if not _are_directions(true, predicted[1], several=head.several):
        voices = "voices" if head.several else 1
        only = "" if head.several else "; this head takes one talker"
        raise ValueError(
            f"`y_true` of the head '{head.name}' must be directions, (batch, {voices}, 3) or "
            f"(batch, {predicted[1] or 'frames'}, {voices}, 3): x, y and z of each voice{only}. "
            f"Received: y_true.shape={true}"
        )
    y_true = ops.cast(y_true, "float32")
    return y_true if len(true) == 4 else y_true[:, None]


def _are_directions(true: tuple[Any, ...], frames: int | None, *, several: bool) -> bool:
    """Whether targets of a shape can be directions; axes may be of unknown length, None."""
    if len(true) not in (3, 4) or true[-1] != 3:
        return False
    if true[-2] == 0 or (true[-2] != 1 and not several):
        return False
    if len(true) == 4:
        return true[1] is None or frames is None or true[1] == frames
    # A direction a frame, without the axis of voices, would be taken for as many voices.
    return true[1] is None or true[1] <= MOST_VOICES or true[1] != frames
