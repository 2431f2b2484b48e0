"""Training on an accelerator: scenes are mixed, turned and learned in one JAX program.

    KERAS_BACKEND=jax doa_tf train ... --engine jax

A network of half a million weights is too small to keep a GPU busy from a pipeline on the
processor: there, a scene takes 6 ms of a core to mix and a GPU learns thousands a second. So the
bank and all recordings lie in the accelerator's memory (`doa_tf.training.jax_engine.mixing`),
processes draw what a scene is made of, and every epoch has new scenes. The network is the Keras
model of every other backend, and so are its loss and its optimiser.

The folder is that of `doa_tf.training.run_folder`. A run that was killed goes on from its last
whole epoch.
"""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf import heads
from doa_tf.checkpoint import save_model
from doa_tf.data.validation import validation_scenes
from doa_tf.files import HISTORY, MONITOR, sha256
from doa_tf.layers import features_of_waveform
from doa_tf.models import load_model, model_spec
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.training.callbacks import CosineLearningRate, validation_figures
from doa_tf.training.jax_engine.draws import Drawing
from doa_tf.training.jax_engine.mixing import Arrays, mix_scenes, scene_arrays
from doa_tf.training.run_folder import BEST, LAST, TrainingState, claim_run
from doa_tf.training.settings import TrainSettings
from doa_tf.training.start import build_network, copy_weights

_CARRY = "jax_state.npz"  # in last.keras
_WEIGHTS, _STATES, _OPTIMIZER, _AVERAGES = "weights", "states", "optimizer", "averages"

Epoch = Callable[[int, dict[str, float]], None]


def train(
    folder: str | Path,
    *,
    mixer: SceneMixer,
    sources: dict[str, Any],
    valid: str | Path,
    settings: TrainSettings,
    features: FeatureSpec | None = None,
    init_from: str | Path | None = None,
    arrays: Arrays | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_epoch: Epoch | None = None,
) -> keras.Model:
    """Train a network, or go on with a run that was interrupted.

    Args:
        folder: the run; may hold one with the same settings. Only `epochs` and `patience` may
            differ.
        mixer: draws the scenes, and holds what they are made of.
        sources: names of bank, speech and noise.
        valid: scenes that choose the best epoch.
        settings: how to train; every epoch has new scenes whatever `live` says.
        features: the network's input.
        init_from: checkpoint whose weights a new run starts from, where they fit.
        arrays: of `scene_arrays`, where several trainings share them.
        workers: processes that draw; half of the cores by default.
        progress: called with batches done and in all, of all epochs.
        on_epoch: called with an epoch's number, from 1, and its figures.

    Returns:
        The network of the best epoch.

    Raises:
        InputError: another backend of Keras, a run of other settings, or bad validation scenes.
        FloatingPointError: the loss became NaN, with the batch; the last good state is kept.
    """
    if keras.config.backend() != "jax":
        raise InputError(
            "Training on an accelerator needs the JAX backend of Keras: set KERAS_BACKEND=jax. "
            f"Received: {keras.config.backend()}"
        )
    folder, features = Path(folder), features or FeatureSpec()
    head = heads.get(settings.head)
    origin = {} if init_from is None else {"init_from_sha256": sha256(init_from)}
    asked = {
        "settings": {**settings.lasting(), "engine": "jax"},
        "features": features.to_dict(),
        "sources": {**sources, **origin},
    }
    state = claim_run(folder, asked)
    if state.epoch >= settings.epochs:
        raise InputError(
            f"The run {folder} has ended after {state.epoch} epochs: ask for more with --epochs, "
            "or name another folder"
        )
    inputs, directions = validation_scenes(valid, features, highpass_hz=settings.highpass_hz)
    arrays = scene_arrays(mixer) if arrays is None else arrays
    with Drawing(mixer, head, settings, first_epoch=state.epoch, workers=workers) as batches:
        learner = _Learner(folder, settings, features, head, arrays, state, init_from)
        (folder / "spec.json").write_text(model_spec(learner.model).to_json(), encoding="utf-8")
        while state.epoch < settings.epochs and state.waited < settings.patience:
            begun = time.monotonic()
            logs = learner.epoch(batches, progress)
            logs |= validation_figures(learner.outputs(inputs), directions, head)
            logs["sequences_per_s"] = (
                settings.steps_per_epoch * settings.batch_size / (time.monotonic() - begun)
            )
            learner.keep(logs)
            if on_epoch:
                on_epoch(state.epoch, logs)
    return load_model(folder / BEST)


def epoch_line(epoch: int, figures: dict[str, float]) -> str:
    """An epoch's figures in a line, for people."""
    return f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


class _Learner:
    """The network, its optimiser, and the program that takes one step of both."""

    def __init__(
        self,
        folder: Path,
        settings: TrainSettings,
        features: FeatureSpec,
        head: heads.Head,
        arrays: Arrays,
        state: TrainingState,
        init_from: str | Path | None,
    ) -> None:
        import jax

        self._folder, self._settings, self._state = folder, settings, state
        keras.utils.set_random_seed(settings.seed)
        self.model = build_network(head, features, settings)
        if init_from is not None:
            copy_weights(load_model(init_from), self.model)
        self._carry, optimizer = new_carry(self.model, settings)
        self._rate = CosineLearningRate(
            highest=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            steps=settings.epochs * settings.steps_per_epoch,
        ).rate
        if state.epoch:
            self._carry = _read_carry(folder / LAST, self._carry)
        self._carry = jax.device_put(self._carry)
        self._arrays = jax.device_put(arrays)
        self._step = jax.jit(step_program(self.model, optimizer, head, features, settings))
        self._predict = jax.jit(
            lambda weights, states, inputs: self.model.stateless_call(
                weights, states, inputs, training=False
            )[0]
        )

    def epoch(
        self, batches: Iterator[Arrays], progress: Callable[[int, int], None] | None
    ) -> dict[str, float]:
        """One epoch's steps; its mean loss.

        Raises:
            FloatingPointError: the loss of a batch, or a weight, is not finite.
        """
        steps, epoch = self._settings.steps_per_epoch, self._state.epoch
        losses = []
        for step in range(steps):
            rate = np.float32(self._rate(epoch * steps + step))
            self._carry, loss = self._step(self._carry, self._arrays, next(batches), rate)
            losses.append(loss)
            if step % 16 == 15:
                losses[step - 15].block_until_ready()  # or the host would run far ahead
                if progress:
                    progress(epoch * steps + step + 1, self._settings.epochs * steps)
        values = np.array(losses)
        if not np.all(np.isfinite(values)):
            raise FloatingPointError(
                f"The loss became NaN or infinite in batch {np.argmin(np.isfinite(values))} of "
                f"epoch {epoch} (both from 0). {self._folder} keeps the last good state: try a "
                "lower learning rate, and look for NaN in the data"
            )
        self._check_weights()
        return {"loss": float(values.mean()), "learning_rate": float(rate)}

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """(S, T, K) of the network as it would be kept."""
        size = min(len(inputs), self._settings.batch_size)
        parts = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            padded = np.zeros((size, *part.shape[1:]), np.float32)
            padded[: len(part)] = part
            outputs = self._predict(self._kept_weights(), self._carry[_STATES], padded)
            parts.append(np.asarray(outputs)[: len(part)])
        return np.concatenate(parts)

    def keep(self, logs: dict[str, float]) -> None:
        """End an epoch: history, best and last checkpoint."""
        state, value = self._state, logs[MONITOR]
        better = state.best is None or value < state.best
        state.best = value if better or state.best is None else state.best
        state.waited = 0 if better else state.waited + 1
        _append_row(self._folder / HISTORY, {"epoch": state.epoch, **logs})
        state.epoch += 1
        for variable, kept in zip(
            self.model.trainable_variables, self._kept_weights(), strict=True
        ):
            variable.assign(kept)
        for variable, kept in zip(
            self.model.non_trainable_variables, self._carry[_STATES], strict=True
        ):
            variable.assign(kept)
        if better:
            save_model(self._folder / BEST, self.model)
        entries = {**state.entries(), _CARRY: _pack_carry(self._carry)}
        save_model(self._folder / LAST, self.model, entries)

    def _check_weights(self) -> None:
        """A rectifier turns NaN into zero: the loss may look well where a weight is not."""
        for variable, value in zip(
            self.model.trainable_variables, self._carry[_WEIGHTS], strict=True
        ):
            if not np.all(np.isfinite(np.asarray(value))):
                raise FloatingPointError(
                    f"The weights of {variable.path} became NaN or infinite in epoch "
                    f"{self._state.epoch} (from 0). {self._folder} keeps the last good state"
                )

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
    model: keras.Model,
    optimizer: Any,
    head: heads.Head,
    features: FeatureSpec,
    settings: TrainSettings,
) -> Callable[..., Any]:
    """(carry, arrays, batch, learning rate) -> (carry, loss)."""
    import jax
    import jax.numpy as jnp

    loss_of = head.loss()
    (rate_place,) = (
        place
        for place, variable in enumerate(optimizer.variables)
        if variable is optimizer._learning_rate
    )

    def step(carry: Any, arrays: Arrays, batch: Arrays, rate: Any) -> Any:
        waveforms, _ = mix_scenes(arrays, batch, samples=features.samples)
        waveforms = jnp.einsum(
            "bij,bnj->bni", batch["turn"], waveforms, precision=jax.lax.Precision.HIGHEST
        )
        inputs = features_of_waveform(waveforms, features)
        targets = jnp.repeat(batch["targets"][:, None], features.frames, axis=1)

        def loss(weights: Any, states: Any) -> Any:
            outputs, states = model.stateless_call(weights, states, inputs, training=True)
            return loss_of(targets, outputs), states

        (value, states), gradients = jax.value_and_grad(loss, has_aux=True)(
            carry[_WEIGHTS], carry[_STATES]
        )
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


def _append_row(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _pack_carry(carry: dict[str, list[Any]]) -> bytes:
    stream = io.BytesIO()
    named = {f"{part}.{k}": np.asarray(v) for part in carry for k, v in enumerate(carry[part])}
    np.savez(stream, **named)
    return stream.getvalue()


def _read_carry(path: Path, like: dict[str, list[Any]]) -> dict[str, list[Any]]:
    with zipfile.ZipFile(path) as archive:
        if _CARRY not in archive.namelist():
            raise InputError(
                f"{path} was trained by another engine: go on with it, or start from it with "
                "--init-from"
            )
        stored = np.load(io.BytesIO(archive.read(_CARRY)))
    return {part: [stored[f"{part}.{k}"] for k in range(len(like[part]))] for part in like}
