"""Callbacks of a training run; each can be used in any `fit`, and checks of both engines."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

from doa_core.angles import FloatArray, great_circle_distance
from doa_tf.files import MONITOR
from doa_tf.heads import Head
from doa_tf.models import predict_padded
from doa_tf.training.run_folder import RunFolder
from doa_tf.training.talkers import judge_talkers

_NAN_ADVICE = "try a lower learning rate, and look for NaN in the data"


class CosineLearningRate(keras.callbacks.Callback):
    """Linear warm-up, then half a cosine down to 1 % at the last step.

    Args:
        highest: learning rate after the warm-up.
        warmup_steps: steps of the linear rise.
        steps: in all epochs.
    """

    def __init__(self, *, highest: float, warmup_steps: int, steps: int) -> None:
        super().__init__()
        self._highest, self._warmup_steps, self._steps = highest, warmup_steps, steps

    def rate(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        warm = min(1.0, (step + 1) / max(1, self._warmup_steps))
        share = min(1.0, step / self._steps)
        return float(self._highest * warm * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * share))))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the optimiser's learning rate."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = self.rate(int(optimizer.iterations.numpy()))


def check_loss(loss: float, *, batch: int, epoch: int) -> None:
    """Raise FloatingPointError for a loss that is not finite."""
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"The loss became NaN or infinite in batch {batch} of epoch {epoch} (both from 0): "
            f"{_NAN_ADVICE}"
        )


def check_weights(model: keras.Model, *, epoch: int) -> None:
    """Raise FloatingPointError for weights that are not finite.

    Rectifiers turn NaN into zero: the loss may be finite where a weight is not.
    """
    for variable in model.trainable_variables:
        if not np.all(np.isfinite(np.asarray(variable))):
            raise FloatingPointError(
                f"The weights of {variable.path} became NaN or infinite in epoch {epoch} (from 0): "
                f"{_NAN_ADVICE}"
            )


class StopOnNaN(keras.callbacks.Callback):
    """Raise as soon as a batch gives a loss that is not finite.

    Args:
        first_step: batches of the first epoch that were done before.

    Raises:
        FloatingPointError: with epoch and batch.
    """

    def __init__(self, *, first_step: int = 0) -> None:
        super().__init__()
        self._offset = first_step
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check the running mean of the loss, which stays NaN once a batch was."""
        loss = float((logs or {}).get("loss", 0.0))
        check_loss(loss, batch=batch + self._offset, epoch=self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Later epochs begin with their first batch."""
        self._offset = 0


def validation_figures(outputs: FloatArray, directions: FloatArray, head: Head) -> dict[str, float]:
    """The figures that `Validation` adds to the logs.

    Args:
        outputs: (S, T, K) of the model.
        directions: (S, V, 3) or (S, T, V, 3) float unit vectors; rows of zeros are talkers who are
            silent.
        head: decodes the outputs.

    Raises:
        ValueError: several talkers for a head of one, or nobody who talks in any scene.
    """
    if directions.shape[-2] == 1 and np.any(directions, axis=-1).all():
        answers, _ = head.decode(outputs, method="centroid")
        true = directions[:, 0] if directions.ndim == 3 else _mean_direction(directions[:, :, 0])
        errors_deg = np.degrees(great_circle_distance(answers, true))
        figures = {"val_loss": float(head.loss()(directions, outputs))}
    else:
        errors_deg, figures = judge_talkers(outputs, directions, head)
    return figures | {
        "val_angular_error": float(np.mean(errors_deg)),
        MONITOR: float(np.median(errors_deg)),
        "val_accuracy_within_10": float(np.mean(errors_deg <= 10.0)),
        "val_outliers_above_30": float(np.mean(errors_deg > 30.0)),
    }


def _mean_direction(directions: FloatArray) -> FloatArray:
    """(S, 3) unit vectors of (S, T, 3)."""
    mean = directions.mean(axis=1)
    direction: FloatArray = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    return direction


class Validation(keras.callbacks.Callback):
    """Judges every epoch by the angle to the true directions.

    Adds to the epoch's logs: val_loss, val_angular_error, val_median_angular_error [degrees],
    val_accuracy_within_10 and val_outliers_above_30, shares in [0, 1]. Grid heads are decoded by
    their centroid: the best cell alone would add its own 3.7 degrees and hide small differences.
    Of several talkers all are judged (`doa_tf.training.talkers`), and val_silence_auc is added.

    Args:
        features: (S, T, F, K) float.
        directions: (S, V, 3) or (S, T, V, 3) float unit vectors, zeros for who is silent.
        head: decodes the model's outputs.
        batch_size: scenes at once.
    """

    def __init__(
        self, features: FloatArray, directions: FloatArray, head: Head, *, batch_size: int = 64
    ) -> None:
        super().__init__()
        self._features, self._directions = features, directions
        self._head, self._batch_size = head, batch_size
        self._predict: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the figures to the logs."""
        if logs is not None:
            logs.update(self.figures())

    def figures(self) -> dict[str, float]:
        """The figures of the model at present."""
        if self._predict is None:
            import tensorflow as tf

            # Not `model.predict`, which would distribute the scenes over several processes.
            self._predict = tf.function(lambda x: self.model(x, training=False))
        outputs = predict_padded(self._predict, self._features, self._batch_size)
        return validation_figures(outputs, self._directions, self._head)


class KeepState(keras.callbacks.Callback):
    """Keeps history and checkpoints, stops early, and backs up within an epoch.

    Args:
        folder: of the run, and where its training starts.
        steps_per_epoch: batches of an epoch.
        patience: epochs without a better `MONITOR` before training stops.
        backup_s: seconds between backups within an epoch.
        keep_metrics: whether backups hold the sums of the running metrics; several processes
            would have to synchronise for them.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        steps_per_epoch: int,
        patience: int,
        backup_s: float = 300.0,
        keep_metrics: bool = True,
    ) -> None:
        super().__init__()
        self._folder, self.state = folder, folder.state
        self._steps, self._patience = steps_per_epoch, patience
        self._backup_s, self._keep_metrics = backup_s, keep_metrics
        self._earlier = folder.state.metrics
        self._saved = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch; back up if it is time."""
        self.state.step += 1
        if self._earlier:
            for variable, value in zip(self._metric_variables(), self._earlier, strict=True):
                variable.assign_add(np.asarray(value, variable.dtype).reshape(variable.shape))
            self._earlier = []
        whole = self.state.step == self._steps
        if not whole and time.monotonic() - self._saved >= self._backup_s:
            self.back_up()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the epoch; stop if none was better for long."""
        check_weights(self.model, epoch=epoch)
        self._folder.keep_epoch(self.model, logs or {})
        self._saved = time.monotonic()
        if self.state.waited >= self._patience:
            self.model.stop_training = True

    def back_up(self) -> None:
        """Write `last.keras` in the middle of an epoch.

        An interruption may come between a batch and its `on_train_batch_end`: the optimiser's own
        count is the one that belongs to the weights. After the last batch of an epoch nothing is
        written, since its validation is still missing: the previous backup stays.
        """
        iterations = int(self.model.optimizer.iterations.numpy())
        self.state.step = iterations - self.state.epoch * self._steps
        if not 0 < self.state.step < self._steps:
            return
        check_weights(self.model, epoch=self.state.epoch)
        if self._keep_metrics:
            self.state.metrics = [v.numpy().tolist() for v in self._metric_variables()]
        self._folder.save_last(self.model)
        self._saved = time.monotonic()

    def _metric_variables(self) -> list[Any]:
        return [variable for metric in self.model.metrics for variable in metric.variables]
