"""Training on an accelerator: scenes are mixed, turned and learned in one JAX program.

    KERAS_BACKEND=jax doa_tf train ... --engine jax

A network of half a million weights is too small to keep a GPU busy from a pipeline on the
processor: there, a scene takes 6 ms of a core to mix and a GPU learns thousands a second. So the
bank and all recordings lie in the accelerator's memory (`doa_tf.training.jax_engine.mixing`),
processes draw what a scene is made of, and every epoch has new scenes. The network is the Keras
model of every other backend, and so are its loss and its optimiser.

A run that was killed goes on from its last whole epoch.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from doa_core.angles import FloatArray
from doa_core.errors import InputError, as_damage
from doa_core.reading.npy_array import parse_npz
from doa_core.reading.zip_archive import open_zip, read_entry
from doa_core.spec import FeatureSpec
from doa_tf.checkpoint import LARGEST_WEIGHTS
from doa_tf.data.pipeline import check_rate
from doa_tf.data.recorded import RecordedScenes
from doa_tf.data.rehearsed import RehearsedScenes
from doa_tf.files import Progress
from doa_tf.heads import Head
from doa_tf.layers import IntensityFeatures
from doa_tf.models import model_spec, predict_padded
from doa_tf.training import callbacks
from doa_tf.training.jax_engine.draws import DrawnBatches
from doa_tf.training.jax_engine.mixing import Arrays, highpassed, mix_scenes, scene_arrays
from doa_tf.training.memory import naming_batch_size
from doa_tf.training.run_folder import LAST
from doa_tf.training.settings import RunOptions, TrainingData, TrainSettings
from doa_tf.training.start import Run, check_targets

_CARRY = "jax_state.npz"  # in last.keras
_WEIGHTS, _STATES, _OPTIMIZER, _AVERAGES = "weights", "states", "optimizer", "averages"


class JaxEngine:
    """Trains on one accelerator, or on a processor; every epoch has new scenes.

    Args:
        data: what to train on: a mixer.
        settings: how to train.
        options: processes that draw, who is told.

    Raises:
        InputError: another backend of Keras, or something that this engine cannot do.
    """

    writes = True

    def __init__(self, data: TrainingData, settings: TrainSettings, options: RunOptions) -> None:
        if keras.config.backend() != "jax":
            raise InputError(
                "Training on an accelerator needs the JAX backend of Keras: set KERAS_BACKEND=jax. "
                f"Received: {keras.config.backend()}"
            )
        mixer = None if data.mixer is None else data.mixer()
        if (
            mixer is None
            or isinstance(mixer, (RecordedScenes, RehearsedScenes))
            or options.strategy != "none"
        ):
            raise InputError("The engine jax mixes as it trains: no scenes, batches or strategy")
        check_targets(mixer.target_shape, settings)
        self._mixer, self._data = mixer, data
        self._settings, self._options = settings, options

    def train(self, run: Run) -> keras.Model:
        """Whole epochs, from where the run stands."""
        settings, state, tell = self._settings, run.folder.state, self._options.on_epoch
        given = self._data.arrays
        arrays = scene_arrays(self._mixer) if given is None else dict(given)
        workers = self._options.workers
        check_rate(self._mixer, run.features)
        drawing = DrawnBatches(self._mixer, settings, first_epoch=state.epoch, workers=workers)
        memory = naming_batch_size(settings.batch_size, RuntimeError)  # what JAX's error is
        with memory, drawing as batches:
            learner = _Learner(run, arrays)
            run.folder.write_spec(model_spec(learner.model))
            while not run.ended:
                begun = time.monotonic()
                logs = learner.epoch(batches, self._options.progress)
                outputs = learner.outputs()
                logs |= callbacks.validation_figures(outputs, run.directions, run.head)
                sequences = settings.steps_per_epoch * settings.batch_size
                logs["sequences_per_s"] = sequences / (time.monotonic() - begun)
                run.folder.keep_epoch(learner.model, logs, learner.entries())
                if tell:
                    tell(state.epoch, logs)
        return learner.model


class _Learner:
    """The network, its optimiser, and the program that takes one step of both."""

    def __init__(self, run: Run, arrays: Arrays) -> None:
        import jax

        self._run, settings = run, run.settings
        self.model = run.new_network()
        self._carry, optimizer = new_carry(self.model, settings)
        self._rate = callbacks.CosineLearningRate(
            highest=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            steps=settings.epochs * settings.steps_per_epoch,
        ).rate
        if run.folder.state.epoch:
            self._carry = _read_carry(run.folder.path / LAST, self._carry)
        self._carry = jax.device_put(self._carry)
        self._arrays = jax.device_put(arrays)
        self._step = jax.jit(step_program(self.model, optimizer, run.head, run.features, settings))
        call = partial(self.model.stateless_call, training=False)
        self._predict = jax.jit(lambda *given: call(*given)[0])

    def epoch(self, batches: Iterator[Arrays], progress: Progress | None) -> dict[str, float]:
        """One epoch's steps; its mean loss. The model has its weights then.

        Raises:
            FloatingPointError: the loss of a batch, or a weight, is not finite.
        """
        settings, epoch = self._run.settings, self._run.folder.state.epoch
        steps = settings.steps_per_epoch
        losses = []
        for step in range(steps):
            rate = np.float32(self._rate(epoch * steps + step))
            self._carry, loss = self._step(self._carry, self._arrays, next(batches), rate)
            losses.append(loss)
            if step % 16 == 15:
                losses[step - 15].block_until_ready()  # or the host would run far ahead
                if progress:
                    progress(epoch * steps + step + 1, settings.epochs * steps)
        values = np.array(losses)
        for batch, value in enumerate(values):
            callbacks.check_loss(value, batch=batch, epoch=epoch)
        model = self.model
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        kept = [*self._kept_weights(), *self._carry[_STATES]]
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
        callbacks.check_weights(self.model, epoch=epoch)
        return {"loss": float(values.mean()), "learning_rate": float(rate)}

    def outputs(self) -> FloatArray:
        """(S, T, K) of the network as it would be kept, for the validation scenes."""
        inputs, weights = self._run.inputs, self._kept_weights()
        predict = partial(self._predict, weights, self._carry[_STATES])
        return predict_padded(predict, inputs, min(len(inputs), self._run.settings.batch_size))

    def entries(self) -> dict[str, bytes]:
        """What `last.keras` holds beside the model: all that a step changes."""
        arrays: dict[str, Any] = {}
        for part, values in self._carry.items():
            arrays |= {f"{part}.{k}": np.asarray(value) for k, value in enumerate(values)}
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return {_CARRY: stream.getvalue()}

    def _kept_weights(self) -> list[Any]:
        return self._carry[_AVERAGES] or self._carry[_WEIGHTS]


def new_carry(
    model: keras.Model, settings: TrainSettings
) -> tuple[dict[str, list[Any]], keras.optimizers.Optimizer]:
    """What a step changes, by kind, as a training begins with it; the optimiser."""
    optimizer = keras.optimizers.Nadam(settings.learning_rate, clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    weights = [variable.value for variable in model.trainable_variables]
    carry = {
        _WEIGHTS: weights,
        _STATES: [variable.value for variable in model.non_trainable_variables],
        _OPTIMIZER: [variable.value for variable in optimizer.variables],
        _AVERAGES: [weight.copy() for weight in weights] if settings.average else [],
    }
    return carry, optimizer


def step_program(
    model: keras.Model, optimizer: Any, head: Head, features: FeatureSpec, settings: TrainSettings
) -> Callable[..., Any]:
    """(carry, arrays, batch, learning rate) -> (carry, loss)."""
    import jax
    import jax.numpy as jnp

    features_of, loss_of = IntensityFeatures(features, dtype="float32"), head.loss()
    is_rate = [variable is optimizer.learning_rate for variable in optimizer.variables]
    rate_place = is_rate.index(True)

    def step(carry: Any, arrays: Arrays, batch: Arrays, rate: Any) -> Any:
        waveforms = mix_scenes(arrays, batch, samples=features.samples)
        exact = jax.lax.Precision.HIGHEST
        waveforms = jnp.einsum("bij,bnj->bni", batch["turn"], waveforms, precision=exact)
        waveforms = highpassed(
            waveforms, cutoff_hz=settings.highpass_hz, sample_rate=features.sample_rate
        )
        inputs = features_of(waveforms)

        def loss(weights: Any, states: Any) -> Any:
            outputs, states = model.stateless_call(weights, states, inputs, training=True)
            return loss_of(batch["targets"], outputs), states

        gradient_of = jax.value_and_grad(loss, has_aux=True)
        (value, states), gradients = gradient_of(carry[_WEIGHTS], carry[_STATES])
        before = list(carry[_OPTIMIZER])
        before[rate_place] = rate
        weights, after = optimizer.stateless_apply(before, gradients, carry[_WEIGHTS])
        averages = carry[_AVERAGES]
        if averages:
            share = 1.0 - settings.average
            averages = [a + share * (w - a) for a, w in zip(averages, weights, strict=True)]
        carry = {_WEIGHTS: weights, _STATES: states, _OPTIMIZER: after, _AVERAGES: averages}
        return carry, value

    return step


def _read_carry(path: Path, like: dict[str, list[Any]]) -> dict[str, list[Any]]:
    with (
        as_damage(f"{path} is damaged"),
        path.open("rb") as file,
        open_zip(file) as archive,
    ):
        if _CARRY not in archive.namelist():
            raise InputError(
                f"{path} was trained by another engine: go on with it, or start from it with "
                "--init-from"
            )
        stored = parse_npz(read_entry(archive, _CARRY, largest=LARGEST_WEIGHTS))
        return {
            part: [_like(stored[f"{part}.{k}"], value) for k, value in enumerate(values)]
            for part, values in like.items()
        }


def _like(stored: np.ndarray, value: Any) -> np.ndarray:
    """A stored array, which must have the shape of what it stands for."""
    if stored.shape != np.shape(value):
        raise ValueError(
            f"an array must have the shape {np.shape(value)}. Received: {stored.shape}"
        )
    return stored
