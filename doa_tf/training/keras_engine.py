"""Training a network, in a folder that can be resumed: see `doa_tf.training.run_folder` for what
it holds.

Kill it at any moment and run it again: it goes on from the last backup, at the same batch of the
same epoch, with the optimiser and the random states of that moment.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf import heads
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.data.pipeline import mixed_dataset, refuse_nan, scene_keys
from doa_tf.data.recorded import RecordedScenes
from doa_tf.data.validation import validation_scenes
from doa_tf.files import HISTORY, sha256
from doa_tf.models import load_model, model_spec
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.training.callbacks import CosineLearningRate, KeepState, StopOnNaN, Validation
from doa_tf.training.distribute import adapt_to_workers, is_chief, make_strategy, share_out
from doa_tf.training.interruption import StopBetweenBatches
from doa_tf.training.run_folder import BEST, LAST, TrainingState, claim_run, seed_states
from doa_tf.training.settings import TrainSettings
from doa_tf.training.start import build_network, copy_weights

logger = logging.getLogger(__name__)

_Error = TypeVar("_Error", bound=BaseException)

# (first epoch, its first batch) -> batches from there to the last epoch's end
Data = Callable[[int, int], Any]


def train(
    folder: str | Path,
    *,
    mixer: Callable[[], SceneMixer | RecordedScenes] | None = None,
    data: Data | None = None,
    sources: dict[str, Any],
    valid: str | Path,
    settings: TrainSettings,
    features: FeatureSpec | None = None,
    cache: str | Path | None = None,
    init_from: str | Path | None = None,
    strategy: str = "none",
    backup_s: float = 300.0,
    progress: Callable[[int, int], None] | None = None,
) -> keras.Model:
    """Train a network, or go on with a run that was interrupted.

    Args:
        folder: the run; may hold one with the same settings. Only `epochs` and `patience` may
            differ: more epochs go on with an ended run.
        mixer: makes the mixer, when scenes must be mixed; or makes `RecordedScenes`.
        data: instead of `mixer`, a dataset of one's own: called with the first epoch and its first
            batch, returns a `tf.data.Dataset` of (features, targets) batches from there on.
        sources: names of bank, speech and noise, which a cache depends on.
        valid: scenes that choose the best epoch.
        settings: how to train.
        features: the network's input.
        cache: folder of mixed features, inside the run by default.
        init_from: checkpoint whose weights a new run starts from, in the layers that have the same
            name and shape: all but the outputs, where the head is another.
        strategy: see `doa_tf.training.distribute.make_strategy`.
        backup_s: seconds between backups within an epoch.
        progress: of the mixing, called with scenes done and in all.

    Returns:
        The network of the best epoch.

    Raises:
        InputError: a run or cache of other settings, or bad validation scenes.
        FloatingPointError: the loss became NaN, with the batch; the last good state is kept.
    """
    if (mixer is None) == (data is None):
        raise ValueError("Either `mixer` or `data` is needed. Received: both, or none")
    if settings.average:
        raise InputError("Weights are averaged by the engine jax alone: leave --average out")
    scope = make_strategy(strategy, batch_size=settings.batch_size)
    chief = is_chief()
    folder = Path(folder)
    features = features or FeatureSpec()
    head = heads.get(settings.head)
    start = None if init_from is None else load_model(init_from)
    origin = {} if init_from is None else {"init_from_sha256": sha256(init_from)}
    asked = {
        "settings": settings.lasting(),
        "features": features.to_dict(),
        "sources": {**sources, **origin},
    }
    state = claim_run(folder, asked, write=chief)
    if state.epoch >= settings.epochs:
        raise InputError(
            f"The run {folder} has ended after {state.epoch} epochs: ask for more with --epochs, "
            "or name another folder"
        )
    judge = Validation(
        *validation_scenes(valid, features, highpass_hz=settings.highpass_hz),
        head,
        batch_size=settings.batch_size,
    )
    if data is None:
        stored = None
        if not settings.live:
            _wait_for_cache(cache or folder / "cache", settings, chief)
            stored = FeatureCache(
                cache or folder / "cache",
                mixer=mixer,
                made_with=sources,
                scenes=settings.sequences,
                seed=settings.seed,
                progress=progress,
            )
        data = _own_data(settings, features, head, mixer, stored)
    with scope.scope():
        model = _start_model(
            folder, settings, features, head, state, synchronized=scope.num_replicas_in_sync > 1
        )
        if start is not None and not (state.epoch or state.step):
            copy_weights(start, model)
    if strategy == "multiworker":
        adapt_to_workers(model, scope, judge.example())
    if chief:
        (folder / "spec.json").write_text(model_spec(model).to_json(), encoding="utf-8")
    _fit(
        model,
        data,
        judge,
        state,
        settings,
        folder,
        chief=chief,
        alone=strategy != "multiworker",
        backup_s=backup_s,
    )
    return keras.saving.load_model(folder / BEST) if chief else model


def _fit(
    model: keras.Model,
    data: Data,
    judge: Validation,
    state: TrainingState,
    settings: TrainSettings,
    folder: Path,
    *,
    chief: bool,
    alone: bool,
    backup_s: float,
) -> None:
    """From the state to the last epoch: first the rest of a begun epoch, then whole ones."""
    keep = KeepState(
        folder if chief else None,
        state,
        steps_per_epoch=settings.steps_per_epoch,
        patience=settings.patience,
        backup_s=backup_s,
        keep_metrics=alone,
    )
    rate = CosineLearningRate(
        highest=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        steps=settings.epochs * settings.steps_per_epoch,
    )
    model.stop_training = False
    stop = StopBetweenBatches()
    with contextlib.ExitStack() as stack:
        # Keras's progress goes to stdout; talk belongs on stderr.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if alone:
            stack.enter_context(stop.listening())
        while state.epoch < settings.epochs and not model.stop_training:
            last = state.epoch + 1 if state.step else settings.epochs
            begun = state.epoch * settings.steps_per_epoch + state.step
            callbacks = [rate, StopOnNaN(first_step=state.step), judge]
            if chief:
                callbacks += [
                    keras.callbacks.CSVLogger(str(folder / HISTORY), append=state.epoch > 0),
                    keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False),
                ]
            try:
                model.fit(
                    share_out(refuse_nan(data(state.epoch, state.step), first_batch=begun)),
                    initial_epoch=state.epoch,
                    epochs=last,
                    steps_per_epoch=settings.steps_per_epoch - state.step,
                    shuffle=False,  # the dataset has done it
                    callbacks=[*callbacks, keep, stop],
                    verbose=0 if not chief else 1 if sys.stderr.isatty() else 2,
                )
            except tf.errors.InvalidArgumentError as error:
                found = re.search(r"(features|targets) are not finite in batch\D*(\d+)", str(error))
                if found is None:
                    raise
                epoch, batch = divmod(int(found[2]), settings.steps_per_epoch)
                raise FloatingPointError(
                    f"The {found[1]} hold NaN or infinity in batch {batch} of epoch {epoch} (both "
                    f"from 0). {folder} keeps the last good state: look for NaN in the data"
                ) from _free_iterators(error)
            except FloatingPointError as error:
                raise FloatingPointError(
                    f"{error}. {folder} keeps the last good state: try a lower learning rate, and "
                    "look for NaN in the data"
                ) from _free_iterators(error)
            except KeyboardInterrupt as error:
                _free_iterators(error)
                if alone:
                    keep.back_up()
                raise


def _free_iterators(error: _Error) -> _Error:
    """Let go of the dataset's iterators that the frames of an exception hold.

    Left to the end of the interpreter they would wait for Python functions of the dataset, which
    by then can't end: the process would hang.
    """
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    return error


def _own_data(
    settings: TrainSettings,
    features: FeatureSpec,
    head: heads.Head,
    mixer: Callable[[], SceneMixer | RecordedScenes] | None,
    stored: FeatureCache | None,
) -> Data:
    """Batches from a cache, or mixed live."""
    options = {"features": features, "batch_size": settings.batch_size, "augment": settings.augment}
    live = mixer() if stored is None and mixer is not None else None

    def batches(epoch: int, step: int) -> Any:
        epochs = range(epoch, settings.epochs)
        if live is not None:
            # Batches across the border of two epochs would put positions off.
            whole = settings.steps_per_epoch * settings.batch_size
            keys = scene_keys(scenes=whole, epochs=epochs, seed=settings.seed)
            keys = keys.skip(step * settings.batch_size)
            return mixed_dataset(live, head, keys=keys, drop_remainder=True, **options)
        return cached_dataset(stored, head, seed=settings.seed, epochs=epochs, **options).skip(step)

    return batches


def _wait_for_cache(folder: str | Path, settings: TrainSettings, chief: bool) -> None:
    """Of several processes the first one mixes; the others wait until it has."""
    path = Path(folder) / "cache.json"
    while not chief:
        if path.exists() and json.loads(path.read_text())["done"] >= settings.sequences:
            return
        time.sleep(0.5)


def _start_model(
    folder: Path,
    settings: TrainSettings,
    features: FeatureSpec,
    head: heads.Head,
    state: TrainingState,
    *,
    synchronized: bool,
) -> keras.Model:
    keras.utils.set_random_seed(settings.seed)
    if state.epoch or state.step:
        model = keras.saving.load_model(folder / LAST)
        for variable, value in zip(seed_states(model), state.seeds, strict=True):
            variable.assign(np.asarray(value, variable.dtype))
        return model
    model = build_network(head, features, settings, synchronized=synchronized)
    optimizer = keras.optimizers.Nadam(settings.learning_rate, clipnorm=1.0)
    model.compile(optimizer, loss=head.loss(), metrics=head.metrics())
    return model
