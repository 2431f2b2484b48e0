"""A training as an engine starts or resumes it: its initial network, its first weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import keras
import numpy as np

from doa_core.angles import FloatArray
from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf import heads
from doa_tf.heads import Head
from doa_tf.layers import HeadOutput
from doa_tf.models import build_crnn
from doa_tf.training.run_folder import RunFolder, TrainingState
from doa_tf.training.settings import TrainSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A training that an engine starts or resumes.

    Attributes:
        folder: of the run, with its state.
        settings: how to train.
        features: the network's input.
        inputs: (S, T, F, K) features of the validation scenes.
        directions: (S, V, 3) or (S, T, V, 3) unit vectors to their talkers; zeros for those who are
            silent.
        origin: a network whose weights a new run starts from, or None.
    """

    folder: RunFolder
    settings: TrainSettings
    features: FeatureSpec
    inputs: FloatArray
    directions: FloatArray
    origin: keras.Model | None

    @property
    def head(self) -> Head:
        """The head of the settings."""
        return heads.get(self.settings.head)

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or `patience` is exhausted."""
        return ending(self.folder.state, self.settings) is not None

    def new_network(self, *, synchronized: bool = False) -> keras.Model:
        """The network with its initial weights.

        Args:
            synchronized: whether batch normalisation is computed over all replicas of a
                `tf.distribute` strategy.
        """
        keras.utils.set_random_seed(self.settings.seed)
        model = build_network(self.head, self.features, self.settings)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = synchronized
        if self.origin is not None:
            copied = copy_weights(self.origin, model)
            keep_decoding(self.origin, model)
            if not (self.folder.state.epoch or self.folder.state.step):
                tell_of_origin(self.origin, model, copied)
        return model


def ending(state: TrainingState, settings: TrainSettings) -> str | None:
    """Why a run has ended, and what goes on with it; None where epochs are left."""
    done = f"{state.epoch} {'epoch' if state.epoch == 1 else 'epochs'}"
    if state.epoch >= settings.epochs:
        return f"it has ended after {done}; more of them go on with it"
    if state.waited >= settings.patience:
        waited = f"the last {state.waited} without a better one"
        return f"it has ended after {done}, {waited}; more patience goes on with it"
    return None


def build_network(head: Head, features: FeatureSpec, settings: TrainSettings) -> keras.Model:
    """The network of the settings, see `doa_tf.build_crnn`."""
    return build_crnn(
        head,
        features=features,
        filters=settings.filters,
        lstm_units=settings.lstm_units,
        dense_units=settings.dense_units,
        dropout=settings.dropout,
        highpass_hz=settings.highpass_hz,
        voices=settings.voices,
    )


def check_targets(shape: tuple[int, ...], settings: TrainSettings) -> None:
    """Raise InputError unless the head takes the talkers of the scenes.

    Args:
        shape: of a scene's targets: (1, 3), or (T, V, 3) of any number of talkers.
        settings: with the head and the number of voices.
    """
    several = [name for name in heads.names() if heads.get(name).several]
    if len(shape) == 3 and settings.head not in several:
        raise InputError(
            f"The head '{settings.head}' takes one talker, who is in every frame; scenes of "
            f"several talkers, of nobody or with pauses need one of {', '.join(several)}"
        )
    if shape[-2] != settings.voices:
        raise InputError(
            f"The settings must have as many voices as the scenes have talkers, {shape[-2]}. "
            f"Received: voices={settings.voices}"
        )


def check_validation(directions: FloatArray, settings: TrainSettings) -> None:
    """Raise InputError unless the head takes the talkers of the validation scenes.

    Args:
        directions: (S, V, 3) or (S, T, V, 3), zeros for who is silent.
        settings: with the head.
    """
    single = directions.shape[-2] == 1 and bool(np.any(directions, axis=-1).all())
    if not (single or heads.get(settings.head).several):
        raise InputError(
            f"The head '{settings.head}' takes one talker, who is in every frame; the validation "
            "scenes have several talkers, nobody or pauses"
        )
    if not np.any(directions):
        raise InputError("Somebody must talk in one validation scene or more. Received: nobody")


def copy_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copy the weights of layers that have the same name and shapes; names of those layers.

    Raises:
        InputError: not one layer fits.
    """
    copied = []
    for layer in target.layers:
        if not layer.weights or layer.name not in {other.name for other in source.layers}:
            continue
        weights = source.get_layer(layer.name).get_weights()
        if [w.shape for w in weights] == [w.shape for w in layer.get_weights()]:
            layer.set_weights(weights)
            copied.append(layer.name)
    if not copied:
        raise InputError(
            f"The checkpoint to start from must share layers with the network '{target.name}'. "
            f"Received: '{source.name}', which shares none"
        )
    return copied


def keep_decoding(source: keras.Model, target: keras.Model) -> None:
    """Give a network the decoding of the one that it starts from, if their heads are the same."""
    kept, new = _head_output(source), _head_output(target)
    if kept.head.name == new.head.name:
        new.decode = kept.decode


def tell_of_origin(source: keras.Model, target: keras.Model, copied: list[str]) -> None:
    """Say what a network does not take over from the one that it starts from; nothing if all."""
    anew = [layer.name for layer in target.layers if layer.weights and layer.name not in copied]
    if anew:
        logger.warning(
            "These layers start anew, as the checkpoint has none of their names and shapes: %s",
            ", ".join(anew),
        )
    if _head_output(source).calibration:
        logger.warning(
            "The checkpoint's calibration is left out, as the weights will be others: "
            "doa_tf calibrate fits a new one"
        )


def _head_output(model: keras.Model) -> HeadOutput:
    (layer,) = (layer for layer in model.layers if isinstance(layer, HeadOutput))
    return layer
