"""Callbacks of a training run; each can be used in a `fit` of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from doa_core.angles import great_circle_distance
from doa_tf.checkpoint import save_model
from doa_tf.files import MONITOR
from doa_tf.heads import Head
from doa_tf.training.run_folder import BEST, LAST, TrainingState, seed_states


class CosineLearningRate(keras.callbacks.Callback):
    """Linear warm-up, then half a cosine down to 1 % at the last step.

    Args:
        highest: learning rate after the warm-up.
        warmup_steps: over which it rises from zero.
        steps: of all epochs.
    """

    def __init__(self, *, highest: float, warmup_steps: int, steps: int) -> None:
        super().__init__()
        self._highest = highest
        self._warmup_steps = warmup_steps
        self._steps = steps

    def rate(self, step: int) -> float:
        """Learning rate of the batch after `step` others."""
        warm = min(1.0, (step + 1) / max(1, self._warmup_steps))
        share = min(1.0, step / self._steps)
        return float(self._highest * warm * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * share))))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate of the optimiser's next step."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = self.rate(int(optimizer.iterations.numpy()))


class StopOnNaN(keras.callbacks.Callback):
    """Raise as soon as a batch gives a loss that is not finite.

    Args:
        first_step: batches of the first epoch that an earlier process did.

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
        """Check the running loss: once a batch is not finite, it is not either."""
        if not np.isfinite(float((logs or {}).get("loss", 0.0))):
            raise FloatingPointError(
                f"The loss became NaN or infinite in batch {batch + self._offset} of epoch "
                f"{self._epoch} (both from 0)"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Later epochs are whole."""
        self._offset = 0


def validation_figures(outputs: np.ndarray, directions: np.ndarray, head: Head) -> dict[str, float]:
    """What `Validation` adds to the logs.

    Args:
        outputs: (S, T, K) of the model.
        directions: (S, 3) float unit vectors.
        head: decodes the outputs.
    """
    frames = outputs.shape[1]
    targets = np.repeat(head.encode(directions)[:, np.newaxis], frames, axis=1)
    answers, _ = head.decode(outputs, method="centroid")
    error = np.degrees(great_circle_distance(answers, directions))
    return {
        "val_loss": float(head.loss()(targets, outputs)),
        "val_angular_error": float(np.mean(error)),
        MONITOR: float(np.median(error)),
        "val_accuracy_within_10": float(np.mean(error <= 10.0)),
        "val_outliers_above_30": float(np.mean(error > 30.0)),
    }


class Validation(keras.callbacks.Callback):
    """Judges every epoch by the angle to the true directions, whatever the targets know.

    Adds to the epoch's logs: val_loss, val_angular_error, val_median_angular_error [degrees],
    val_accuracy_within_10 and val_outliers_above_30, shares in [0, 1]. Grid heads are decoded by
    their centroid: the best cell alone would add its own 3.7 degrees and hide small differences.

    Args:
        features: (S, T, F, K) float.
        directions: (S, 3) float unit vectors.
        head: decodes the model's outputs.
        batch_size: scenes at once.
    """

    def __init__(
        self, features: np.ndarray, directions: np.ndarray, head: Head, *, batch_size: int = 64
    ) -> None:
        super().__init__()
        self._features = features
        self._directions = directions
        self._head = head
        self._batch_size = batch_size
        self._predict: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the figures to the logs."""
        if logs is not None:
            logs.update(self.figures())

    def figures(self) -> dict[str, float]:
        """The figures of the model as it is."""
        if self._predict is None:
            import tensorflow as tf

            # Not `model.predict`, which several processes would share the scenes out in.
            self._predict = tf.function(lambda x: self.model(x, training=False))
        outputs = np.concatenate([self._outputs(start) for start in self._starts()])
        return validation_figures(outputs, self._directions, self._head)

    def example(self) -> tuple[np.ndarray, np.ndarray]:
        """(1, T, F, K) features and (1, T, outputs) targets."""
        targets = self._head.encode(self._directions[:1])[:, np.newaxis]
        return self._features[:1], np.repeat(targets, self._features.shape[1], axis=1)

    def _starts(self) -> range:
        return range(0, len(self._features), self._batch_size)

    def _outputs(self, start: int) -> np.ndarray:
        batch = self._features[start : start + self._batch_size]
        padding = np.zeros((self._batch_size - len(batch), *batch.shape[1:]), batch.dtype)
        outputs = self._predict(np.concatenate([batch, padding]).astype(np.float32))
        return np.asarray(outputs)[: len(batch)]


class KeepState(keras.callbacks.Callback):
    """Keeps the best and the last checkpoint, stops early, and backs up within an epoch.

    Args:
        folder: of the run; None where another process writes.
        state: where training starts; kept up to date.
        steps_per_epoch: batches of an epoch.
        patience: epochs without a better `MONITOR` before training stops.
        backup_s: seconds between backups within an epoch.
        keep_metrics: whether backups hold the sums of the running metrics; several processes
            would have to meet for them.
    """

    def __init__(
        self,
        folder: Path | None,
        state: TrainingState,
        *,
        steps_per_epoch: int,
        patience: int,
        backup_s: float = 300.0,
        keep_metrics: bool = True,
    ) -> None:
        super().__init__()
        self.state = state
        self._folder = folder
        self._steps = steps_per_epoch
        self._patience = patience
        self._backup_s = backup_s
        self._keep_metrics = keep_metrics
        self._earlier = state.metrics
        self._saved = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch; back up now and then."""
        self.state.step += 1
        if self._earlier:
            for variable, value in zip(self._metric_variables(), self._earlier, strict=True):
                variable.assign_add(np.asarray(value, variable.dtype).reshape(variable.shape))
            self._earlier = []
        whole = self.state.step == self._steps
        if not whole and time.monotonic() - self._saved >= self._backup_s:
            self.back_up()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the epoch, if it is the best as such; stop if none was better for long."""
        self._check_weights()
        value = float((logs or {})[MONITOR])
        better = self.state.best is None or value < self.state.best
        if better:
            self.state.best = value
        self.state.waited = 0 if better else self.state.waited + 1
        self.state.epoch, self.state.step = epoch + 1, 0
        if better and self._folder is not None:
            save_model(self._folder / BEST, self.model)
        self._save([])
        if self.state.waited >= self._patience:
            self.model.stop_training = True

    def back_up(self) -> None:
        """Write `last.keras` as training stands now, in the middle of an epoch.

        An interruption may come between a batch and its `on_train_batch_end`: the optimiser's own
        count is the one that goes with the weights. All batches of an epoch are no place to go on
        from, what ends it is still missing: then the last backup stays.
        """
        iterations = int(self.model.optimizer.iterations.numpy())
        self.state.step = iterations - self.state.epoch * self._steps
        if not 0 < self.state.step < self._steps:
            return
        self._check_weights()
        sums = []
        if self._keep_metrics:
            sums = [v.numpy().tolist() for v in self._metric_variables()]
        self._save(sums)

    def _metric_variables(self) -> list[Any]:
        return [variable for metric in self.model.metrics for variable in metric.variables]

    def _check_weights(self) -> None:
        """A rectifier turns NaN into zero: the loss may look well where a weight is not."""
        for variable in self.model.trainable_variables:
            if not np.all(np.isfinite(np.asarray(variable))):
                raise FloatingPointError(
                    f"The weights of {variable.path} became NaN or infinite up to batch "
                    f"{self.state.step} of epoch {self.state.epoch} (both from 0)"
                )

    def _save(self, metrics: list[Any]) -> None:
        self.state.metrics = metrics
        self.state.seeds = [np.asarray(seed).tolist() for seed in seed_states(self.model)]
        if self._folder is not None:
            save_model(self._folder / LAST, self.model, self.state.entries())
        self._saved = time.monotonic()
