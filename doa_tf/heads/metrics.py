"""Metrics of the angle [degrees] between estimate and truth, for `model.compile`.

The outputs of a sequence's frames are averaged and decoded by the head's peak. A talker's truth is
the mean of their directions. Of several talkers the one nearest to the answer counts, of those who
talk in at least 30 % of the frames: there is one answer, and whichever of them it names is right.
Sequences without such a talker are left out. `doa_tf.training` judges every talker.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
from keras import ops

from doa_core.calibration import TALKING_SHARE
from doa_tf import losses
from doa_tf.heads import loss, registry

_DEGREES = 180.0 / math.pi  # a radian; `keras.ops.rad2deg` came with Keras 3.14
_ROUNDED = 1e-6  # of a share in single precision


class _HeadMetric(keras.metrics.Metric):
    """A metric that decodes by a head; the classes below are registered."""

    _default_name: ClassVar[str]

    def __init__(
        self,
        head: str = "cartesian",
        resolution_deg: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name or self._default_name, dtype=dtype)
        self._head = registry.get(head, resolution_deg=resolution_deg)
        self._encoded = False

    def _errors_deg(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """(B,) angle [degrees] to the nearest talker, and (B,) weight: 0 where nobody talks."""
        if self._encoded:
            raise ValueError(
                "This model was compiled by doa_tf 0.1, whose targets were encoded by the head. "
                "Targets are directions now, (batch, voices, 3): compile it anew, "
                "model.compile(optimizer, loss=head.loss(), metrics=head.metrics())"
            )
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.cast(y_pred, "float32")
        directions = loss.frame_directions(y_true, y_pred, self._head)
        talking = ops.cast(ops.any(directions != 0.0, axis=-1), "float32")
        counts = ops.mean(talking, axis=1) >= TALKING_SHARE - _ROUNDED
        true = ops.normalize(ops.mean(directions, axis=1), axis=-1)
        answers = self._head.outputs_to_vectors(y_pred)[:, None]
        errors_deg = losses.great_circle_distance(true, answers) * _DEGREES
        nearest_deg = ops.min(ops.where(counts, errors_deg, 180.0), axis=-1)
        return nearest_deg, ops.cast(ops.any(counts, axis=-1), "float32")

    def get_config(self) -> dict[str, Any]:
        """All arguments, and what the targets are."""
        return {
            **super().get_config(),
            "head": self._head.name,
            "resolution_deg": self._head.resolution_deg,
            "targets": registry.TARGETS,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _HeadMetric:
        """A metric from its config; one of doa_tf 0.1 can be loaded but not updated."""
        config = dict(config)
        targets = config.pop("targets", None)
        metric = cls(**config)
        metric._encoded = targets != registry.TARGETS
        return metric


class _MeanHeadMetric(_HeadMetric):
    """Weighted mean over sequences of a value per sequence."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._total = self.add_weight(name="total", initializer="zeros")
        self._count = self.add_weight(name="count", initializer="zeros")

    def _value(self, errors_deg: Any) -> Any:
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add directions and (B, T, K) model outputs, weighted by (B,) if given."""
        errors_deg, weight = self._errors_deg(y_true, y_pred)
        values = self._value(errors_deg)
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        self._total.assign_add(ops.sum(values * weight))
        self._count.assign_add(ops.sum(weight))

    def result(self) -> Any:
        """Scalar mean so far."""
        return self._total / ops.maximum(self._count, 1e-7)


@keras.saving.register_keras_serializable(package="doa_tf")
class AngularError(_MeanHeadMetric):
    """Mean angle between estimate and truth [degrees].

    Args:
        head: its name.
        resolution_deg: grid step of a grid head.
        name, dtype: as in every Keras metric.
    """

    _default_name = "angular_error"

    def _value(self, errors_deg: Any) -> Any:
        return errors_deg


@keras.saving.register_keras_serializable(package="doa_tf")
class AccuracyWithin(_MeanHeadMetric):
    """Share of sequences within an angle, in [0, 1].

    Args:
        tolerance_deg: the angle [degrees].
        head: its name.
        resolution_deg: grid step of a grid head.
        name, dtype: as in every Keras metric.
    """

    def __init__(
        self,
        tolerance_deg: float = 10.0,
        head: str = "cartesian",
        resolution_deg: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = name or f"accuracy_within_{tolerance_deg:g}"
        super().__init__(head=head, resolution_deg=resolution_deg, name=name, dtype=dtype)
        self.tolerance_deg = tolerance_deg

    def _value(self, errors_deg: Any) -> Any:
        return ops.cast(errors_deg <= self.tolerance_deg, "float32")

    def get_config(self) -> dict[str, Any]:
        """All arguments, and what the targets are."""
        return {**super().get_config(), "tolerance_deg": self.tolerance_deg}


@keras.saving.register_keras_serializable(package="doa_tf")
class MedianAngularError(_HeadMetric):
    """Median angle between estimate and truth [degrees], to a tenth of a degree.

    A histogram of 0.1 degree, so that its state has one size however long the epoch is.

    Args:
        head: its name.
        resolution_deg: grid step of a grid head.
        name, dtype: as in every Keras metric.
    """

    _default_name = "median_angular_error"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._histogram = self.add_weight(name="histogram", shape=(1801,), initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add directions and (B, T, K) model outputs, weighted by (B,) if given."""
        errors_deg, weight = self._errors_deg(y_true, y_pred)
        cells = ops.cast(ops.clip(ops.floor(errors_deg * 10.0), 0, 1800), "int32")
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        counted = weight[:, None] * ops.one_hot(cells, 1801)
        self._histogram.assign_add(ops.sum(counted, axis=0))

    def result(self) -> Any:
        """Scalar: centre of the bin that holds the median."""
        below = ops.cumsum(self._histogram)
        cell = ops.sum(ops.cast(below < 0.5 * below[-1], "float32"))
        return (cell + 0.5) / 10.0
