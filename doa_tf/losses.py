"""Losses of encoded targets, per frame, in `keras.ops`.

Models are compiled with `Head.loss`, which encodes directions and computes one of these.

References:
    L. Perotin, A. Defossez, E. Vincent, R. Serizel, A. Guerin, "Regression versus classification
    for neural network based audio source localization", WASPAA 2019,
    doi:10.1109/WASPAA.2019.8937277
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

_TINY = 1e-30  # a float32 whose square root has a finite derivative


def scaled_angles_to_vector(scaled: Any) -> Any:
    """(..., 3) unit vectors of (..., 2) azimuth / 2 pi + 1 / 2 and elevation / pi + 1 / 2."""
    azimuth = (2.0 * scaled[..., 0] - 1.0) * math.pi
    elevation = (scaled[..., 1] - 0.5) * math.pi
    horizontal, z = ops.cos(elevation), ops.sin(elevation)
    return ops.stack([horizontal * ops.cos(azimuth), horizontal * ops.sin(azimuth), z], axis=-1)


def great_circle_distance(a: Any, b: Any) -> Any:
    """(...) angle [rad] between (..., 3) unit vectors, in [0, pi].

    2 atan2(|a - b|, |a + b|): unlike an arccos, exact and with a finite gradient at 0 and at pi.
    """
    # By coordinates: an axis of three is slow to sum on a processor.
    pairs = [(a[..., axis], b[..., axis]) for axis in range(3)]
    apart, together = _length(*(p - q for p, q in pairs)), _length(*(p + q for p, q in pairs))
    return 2.0 * ops.arctan2(apart, together)


def _length(x: Any, y: Any, z: Any) -> Any:
    """(...) lengths of vectors; the gradient of the zero vector is zero, not NaN."""
    return ops.sqrt(ops.maximum(ops.square(x) + ops.square(y) + ops.square(z), _TINY))


def angular_distance(y_true: Any, y_pred: Any) -> Any:
    """(...) great-circle distance [rad] between scaled angles, in [0, pi].

    Args:
        y_true: (..., 2) float azimuth / 2 pi + 1 / 2 and elevation / pi + 1 / 2.
        y_pred: the same of the prediction.

    Raises:
        ValueError: another number of values than two.
    """
    y_true, y_pred = _of_one_size(y_true, y_pred)
    if y_pred.shape[-1] != 2:
        raise ValueError(
            "`y_pred` must hold azimuth and elevation, scaled to [0, 1], on its last axis. "
            f"Received: y_pred.shape={tuple(y_pred.shape)}"
        )
    return great_circle_distance(scaled_angles_to_vector(y_true), scaled_angles_to_vector(y_pred))


def gibbs_weighted_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """(...) loss  -sum over N of log s_k - sum over the rest of (1 - max_n G_in) log(1 - s_i).

    A wrong cell costs less the closer it lies to a talker. N are the cells nearest to a talker,
    in which `y_true` is 1; where nobody talks `y_true` is zero and N is empty. A target without a 1
    that is not zero throughout, as doa_tf 0.1 encoded one talker, has its largest cell in N.

    Args:
        y_true: (..., G) float, 1 in N, in the rest the largest G_in = exp(-delta_in^2 / beta^2) of
            each cell's distance delta_in to talker n, as `GibbsWeighted.encode` makes them.
        y_pred: (..., G) float scores in (0, 1), or logits.
        from_logits: whether `y_pred` is logits; train from logits, where nothing saturates.

    Raises:
        ValueError: another number of targets than of predictions.
    """
    y_true, y_pred = _of_one_size(y_true, y_pred)
    if from_logits:
        log_score, log_rest = ops.log_sigmoid(y_pred), -ops.softplus(y_pred)
    else:
        epsilon = keras.config.epsilon()
        y_pred = ops.clip(y_pred, epsilon, 1.0 - epsilon)
        log_score, log_rest = ops.log(y_pred), ops.log1p(-y_pred)
    nearest = ops.cast(_nearest_cells(y_true), y_pred.dtype)
    return -ops.sum(nearest * log_score + (1.0 - nearest) * (1.0 - y_true) * log_rest, axis=-1)


def _nearest_cells(y_true: Any) -> Any:
    """(..., G) bool: where a target is 1, and its first largest value; nowhere if it is zero."""
    largest = ops.max(y_true, axis=-1, keepdims=True)
    first = ops.argmax(y_true, axis=-1)[..., None] == ops.arange(y_true.shape[-1])
    return ops.logical_or(y_true >= 1.0, ops.logical_and(first, largest > 0.0))


def gibbs_softmax_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """(...) loss  -sum of p_i log s_i,  p_i = G_i / sum of G.

    Args:
        y_true: (..., G) float Gibbs values of the cells, not normalised.
        y_pred: (..., G) float scores of sum 1, or logits.
        from_logits: whether `y_pred` is logits; train from logits, where nothing saturates.

    Raises:
        ValueError: another number of targets than of predictions.
    """
    y_true, y_pred = _of_one_size(y_true, y_pred)
    share = y_true / ops.maximum(ops.sum(y_true, axis=-1, keepdims=True), _TINY)
    if from_logits:
        log_score = ops.log_softmax(y_pred, axis=-1)
    else:
        log_score = ops.log(ops.clip(y_pred, keras.config.epsilon(), 1.0))
    return -ops.sum(share * log_score, axis=-1)


def _of_one_size(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions as tensors of one dtype."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    if y_true.shape[-1] != y_pred.shape[-1]:
        raise ValueError(
            "`y_true` must have as many values as the network has outputs, encoded by its own "
            f"head; `head.loss()` takes directions. Received: y_true.shape={tuple(y_true.shape)}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )
    return y_true, y_pred


@keras.saving.register_keras_serializable(package="doa_tf")
class AngularDistance(keras.losses.Loss):
    """`angular_distance` [rad] as a Keras loss.

    Args:
        reduction, name, dtype: as in every Keras loss.
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "angular_distance",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(...) distances of (..., 2) targets and predictions."""
        return angular_distance(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """All arguments; Keras's own leaves the dtype out."""
        return {**super().get_config(), "dtype": self.dtype}


class _Crossentropy(keras.losses.Loss):
    """A loss function with `from_logits` as a Keras loss; the classes below name it."""

    _function: Callable[..., Any]

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = name or self._function.__name__
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(...) losses of (..., G) targets and predictions."""
        return self._function(y_true, y_pred, self.from_logits)

    def get_config(self) -> dict[str, Any]:
        """All arguments; Keras's own leaves the dtype out."""
        return {**super().get_config(), "dtype": self.dtype, "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="doa_tf")
class GibbsWeightedCrossentropy(_Crossentropy):
    """`gibbs_weighted_crossentropy` as a Keras loss.

    Args:
        from_logits: whether predictions are logits.
        reduction, name, dtype: as in every Keras loss.
    """

    _function = staticmethod(gibbs_weighted_crossentropy)


@keras.saving.register_keras_serializable(package="doa_tf")
class GibbsSoftmaxCrossentropy(_Crossentropy):
    """`gibbs_softmax_crossentropy` as a Keras loss.

    Args:
        from_logits: whether predictions are logits.
        reduction, name, dtype: as in every Keras loss.
    """

    _function = staticmethod(gibbs_softmax_crossentropy)
