"""`train`: a network, in a folder that can be resumed, by one of two engines.

`doa_tf.training.run_folder` says what the folder holds. Kill a training at any moment and run it
again: it goes on from the last backup (of the engine jax: the last whole epoch), with the optimiser
and the random states of that moment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from doa_core.spec import FeatureSpec
from doa_tf.data.validation import balanced_arrays
from doa_tf.files import sha256
from doa_tf.models import load_model
from doa_tf.scenes.folder import Scenes
from doa_tf.training.run_folder import BEST, SOURCES, claim_run
from doa_tf.training.settings import ENGINES, RunOptions, TrainingData, TrainSettings
from doa_tf.training.start import Run, check_validation, ending

if TYPE_CHECKING:
    from doa_tf.training.jax_engine.train import JaxEngine
    from doa_tf.training.keras_engine import KerasEngine


logger = logging.getLogger(__name__)


def train(
    folder: str | Path,
    data: TrainingData,
    *,
    settings: TrainSettings,
    features: FeatureSpec | None = None,
    engine: str = "keras",
    init_from: str | Path | None = None,
    options: RunOptions | None = None,
) -> keras.Model:
    """Train a network, or go on with a run that was interrupted.

    Args:
        folder: the run; may hold one with the same settings. Only `epochs` and `patience` may
            differ: more of either go on with an ended run; else it is left as it is.
        data: what to train on, and the scenes that choose the best epoch.
        settings: how to train.
        features: the network's input.
        engine: `keras`; or `jax`, for an accelerator, where every epoch has new scenes whatever
            `settings.live` says, and Keras must run on JAX (KERAS_BACKEND=jax).
        init_from: checkpoint whose weights a new run starts from, in the layers that have the same
            name and shape: all but the outputs, where the head is another. What starts anew is
            logged as a warning, and so is a calibration, which is left out. Settings of the same
            network: `doa_tf.models.architecture_of`.
        options: how to conduct the run.

    Returns:
        The network of the best epoch.

    Raises:
        InputError: a run or cache of other settings or of doa_tf 0.1, an engine that cannot do
            what is asked, or bad validation scenes.
        FloatingPointError: the loss became NaN, with the batch; the last good state is kept.
        MemoryError: a batch does not fit.
    """
    folder, features = Path(folder), features or FeatureSpec()
    trainer = _engine_class(engine)(data, settings, options or RunOptions())
    origin = None if init_from is None else load_model(init_from)
    digest = {} if init_from is None else {"init_from_sha256": sha256(init_from)}
    asked = {
        "settings": {**settings.lasting(), "engine": engine},
        "features": features.to_dict(),
        SOURCES: {**data.sources, **digest},
    }
    claimed = claim_run(folder, asked, writes=trainer.writes)
    if (how := ending(claimed.state, settings)) is not None:
        logger.info("the run %s is done: %s", folder, how)
        return load_model(folder / BEST, compiled=True)
    if (state := claimed.state).epoch or state.step:
        logger.info("going on in epoch %d, after %d batches of it", state.epoch + 1, state.step)
    valid = data.valid
    inputs, directions = balanced_arrays(
        [valid] if isinstance(valid, (str, Path, Scenes)) else valid,
        features=features,
        highpass_hz=settings.highpass_hz,
    )
    check_validation(directions, settings)
    run = Run(claimed, settings, features, inputs, directions, origin)
    try:
        model = trainer.train(run)
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}. {folder} keeps the last good state") from error
    return load_model(folder / BEST, compiled=True) if trainer.writes else model


def epoch_line(epoch: int, figures: Mapping[str, float]) -> str:
    """An epoch's figures in a line, for people."""
    return f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _engine_class(name: str) -> type[KerasEngine] | type[JaxEngine]:
    """The engine of a name, which alone is imported: each needs a backend of Keras."""
    if name not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}. Received: engine={name!r}")
    if name == "jax":
        from doa_tf.training.jax_engine.train import JaxEngine

        return JaxEngine
    from doa_tf.training.keras_engine import KerasEngine

    return KerasEngine
