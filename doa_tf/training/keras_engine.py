"""The engine of Keras: `fit` on TensorFlow, from a cache of features or on scenes mixed live.

Killed at any moment, it goes on from the last backup, at the same batch of the same epoch.
"""

from __future__ import annotations

import contextlib
import gc
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from doa_core.errors import InputError
from doa_core.reading.json_text import read_json
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.data.pipeline import mixed_dataset, scene_keys
from doa_tf.data.targets import refuse_bad_batches
from doa_tf.models import load_model, model_spec
from doa_tf.training.callbacks import CosineLearningRate, KeepState, StopOnNaN, Validation
from doa_tf.training.distribute import adapt_to_workers, is_chief, make_strategy, share_out
from doa_tf.training.interruption import StopBetweenBatches
from doa_tf.training.memory import naming_batch_size
from doa_tf.training.run_folder import LAST, seed_states
from doa_tf.training.settings import Batches, RunOptions, TrainingData, TrainSettings
from doa_tf.training.start import Run, check_targets

_Error = TypeVar("_Error", bound=BaseException)
_BAD_BATCH = re.compile(r"((?:features|targets) \w[\w ]+) in batch\D*(\d+)")


class KerasEngine:
    """Trains on one device, or on several through `tf.distribute`.

    Args:
        data: what to train on.
        settings: how to train.
        options: strategy, backups, who is told.

    Raises:
        InputError: averaged weights, or a strategy that is unknown or cannot be used.
    """

    def __init__(self, data: TrainingData, settings: TrainSettings, options: RunOptions) -> None:
        if settings.average:
            raise InputError("Weights are averaged by the engine jax alone: leave --average out")
        self._scope = make_strategy(options.strategy, batch_size=settings.batch_size)
        self._alone = options.strategy != "multiworker"
        self._data, self._settings, self._options = data, settings, options
        self.writes = is_chief()

    def train(self, run: Run) -> keras.Model:
        """From where the run stands: first the rest of a begun epoch, then whole ones."""
        settings = self._settings
        batches = self._data.batches or self._own_batches(run)
        with self._scope.scope():
            model = self._start_model(run)
        if not self._alone:
            adapt_to_workers(model, self._scope, (run.inputs[:1], run.directions[:1]))
        run.folder.write_spec(model_spec(model))
        keep = KeepState(
            run.folder,
            steps_per_epoch=settings.steps_per_epoch,
            patience=settings.patience,
            backup_s=self._options.backup_s,
            keep_metrics=self._alone,
        )
        stop = StopBetweenBatches()
        callbacks = [*self._callbacks(run), keep, stop]
        with contextlib.ExitStack() as stack:
            # Keras's progress goes to stdout; talk belongs on stderr.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            if self._alone:
                stack.enter_context(stop.listening())
            while not run.ended:
                try:
                    self._fit(model, run, batches, callbacks)
                except KeyboardInterrupt as error:
                    _free_iterators(error)
                    if self._alone:
                        keep.back_up()
                    raise
        return model

    def _fit(self, model: keras.Model, run: Run, batches: Batches, callbacks: list[Any]) -> None:
        """The rest of a begun epoch, or all epochs that are left."""
        settings, state = self._settings, run.folder.state
        model.stop_training = False
        done = state.epoch * settings.steps_per_epoch + state.step
        memory = naming_batch_size(settings.batch_size, tf.errors.ResourceExhaustedError)
        try:
            with memory:
                model.fit(
                    share_out(
                        self._checked(batches(state.epoch, state.step), run, first_batch=done)
                    ),
                    initial_epoch=state.epoch,
                    epochs=state.epoch + 1 if state.step else settings.epochs,
                    steps_per_epoch=settings.steps_per_epoch - state.step,
                    shuffle=False,  # the dataset has done it
                    callbacks=[StopOnNaN(first_step=state.step), *callbacks],
                    verbose=0 if not self.writes else 1 if sys.stderr.isatty() else 2,
                )
        except tf.errors.InvalidArgumentError as error:
            found = _BAD_BATCH.search(str(error))
            if found is None:
                raise
            epoch, batch = divmod(int(found[2]), settings.steps_per_epoch)
            raise FloatingPointError(
                f"The {found[1]} in batch {batch} of epoch {epoch} (both from 0): look at the data"
            ) from _free_iterators(error)
        except (FloatingPointError, MemoryError) as error:
            _free_iterators(error)
            raise

    def _checked(self, dataset: Any, run: Run, *, first_batch: int) -> Any:
        """The batches, with an error that names the first bad one."""
        return refuse_bad_batches(dataset, first_batch=first_batch, several=run.head.several)

    def _callbacks(self, run: Run) -> list[Any]:
        """Learning rate, validation, logs."""
        settings, tell = self._settings, self._options.on_epoch
        rate = CosineLearningRate(
            highest=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            steps=settings.epochs * settings.steps_per_epoch,
        )
        batch_size = settings.batch_size
        callbacks = [rate, Validation(run.inputs, run.directions, run.head, batch_size=batch_size)]
        if self.writes:
            logs = str(run.folder.path / "logs")
            callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        if tell is not None:
            tells = keras.callbacks.LambdaCallback
            callbacks.append(tells(on_epoch_end=lambda epoch, logs: tell(epoch + 1, logs)))
        return callbacks

    def _own_batches(self, run: Run) -> Batches:
        """Batches from a cache, or mixed live."""
        settings, mixer = self._settings, self._data.mixer
        options: dict[str, Any] = {
            "features": run.features,
            "batch_size": settings.batch_size,
            "augment": settings.augment,
            "seed": settings.seed,
        }
        if mixer is None:
            raise ValueError("Without `batches` a `mixer` is needed. Received: neither")
        if settings.live:
            live = mixer()
            check_targets(live.target_shape, settings)
            # Batches across the border of two epochs would put positions off.
            whole = settings.steps_per_epoch * settings.batch_size

            def mixed(epoch: int, step: int) -> Any:
                epochs = range(epoch, settings.epochs)
                keys = scene_keys(scenes=whole, epochs=epochs, seed=settings.seed)
                keys = keys.skip(step * settings.batch_size)
                highpass_hz = settings.highpass_hz
                return mixed_dataset(
                    live, keys=keys, drop_remainder=True, highpass_hz=highpass_hz, **options
                )

            return mixed
        folder = Path(self._data.cache or run.folder.path / "cache")
        if not self.writes:
            _wait_for_cache(folder, settings)
        stored = FeatureCache(
            folder,
            mixer=mixer,
            made_with=dict(self._data.sources),
            scenes=settings.sequences,
            seed=settings.seed,
            highpass_hz=settings.highpass_hz,
            progress=self._options.progress,
        )
        check_targets(stored.target_shape, settings)

        def cached(epoch: int, step: int) -> Any:
            epochs = range(epoch, settings.epochs)
            return cached_dataset(stored, epochs=epochs, **options).skip(step)

        return cached

    def _start_model(self, run: Run) -> keras.Model:
        """A new network, or the run's last one."""
        state = run.folder.state
        if state.epoch or state.step:
            keras.utils.set_random_seed(self._settings.seed)
            model = load_model(run.folder.path / LAST, compiled=True)
            for variable, value in zip(seed_states(model), state.seeds, strict=True):
                variable.assign(np.asarray(value, variable.dtype))
            return model
        model = run.new_network(synchronized=self._scope.num_replicas_in_sync > 1)
        optimizer = keras.optimizers.Nadam(self._settings.learning_rate, clipnorm=1.0)
        model.compile(optimizer, loss=run.head.loss(), metrics=run.head.metrics())
        return model


def _free_iterators(error: _Error) -> _Error:
    """Let go of the dataset's iterators that the frames of an exception hold.

    Left to the end of the interpreter they would wait for Python functions of the dataset, which
    by then can't end: the process would hang.
    """
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    return error


def _wait_for_cache(folder: Path, settings: TrainSettings) -> None:
    """Of several processes the first one mixes; the others wait until it has."""
    path = folder / "cache.json"
    while not (path.exists() and read_json(path).get("done", 0) >= settings.sequences):
        time.sleep(0.5)
