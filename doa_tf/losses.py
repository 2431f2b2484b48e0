"""Losses of the heads, per sample, in `keras.ops`.

References:
    L. Perotin, A. Defossez, E. Vincent, R. Serizel, A. Guerin, "Regression versus classification
    for neural network based audio source localization", WASPAA 2019,
    doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def gibbs_weighted_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """(...) loss  -log s_k - sum over i != k of (1 - G_i) log(1 - s_i).

    A wrong cell costs less the closer it lies to the talker. k is the cell nearest to the
    talker: where `y_true` is largest.

    Args:
        y_true: (..., G) float, G_i = exp(-delta_i^2 / beta^2) of each cell's distance delta_i to
            the true direction, as `GibbsWeighted.encode` makes them.
        y_pred: (..., G) float scores in (0, 1), or logits.
        from_logits: whether `y_pred` is logits; train from logits, where nothing saturates.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    if from_logits:
        log_score = ops.log_sigmoid(y_pred)
        log_rest = -ops.softplus(y_pred)
    else:
        epsilon = keras.config.epsilon()
        y_pred = ops.clip(y_pred, epsilon, 1.0 - epsilon)
        log_score = ops.log(y_pred)
        log_rest = ops.log1p(-y_pred)
    nearest = ops.one_hot(ops.argmax(y_true, axis=-1), y_true.shape[-1], dtype=y_pred.dtype)
    return -ops.sum(nearest * log_score + (1.0 - nearest) * (1.0 - y_true) * log_rest, axis=-1)


@keras.saving.register_keras_serializable(package="doa_tf")
class GibbsWeightedCrossentropy(keras.losses.Loss):
    """`gibbs_weighted_crossentropy` as a Keras loss.

    Args:
        from_logits: whether predictions are logits.
        reduction, name, dtype: as in every Keras loss.
    """

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "gibbs_weighted_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(...) losses of (..., G) targets and predictions."""
        return gibbs_weighted_crossentropy(y_true, y_pred, self.from_logits)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}
