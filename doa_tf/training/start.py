"""What a training begins with: its network, its first weights, its validation scenes."""

from __future__ import annotations

import logging

import keras

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.heads import Head
from doa_tf.models import build_crnn
from doa_tf.training.settings import TrainSettings

logger = logging.getLogger(__name__)


def build_network(
    head: Head, features: FeatureSpec, settings: TrainSettings, *, synchronized: bool = False
) -> keras.Model:
    """The network of the settings, see `doa_tf.build_crnn`."""
    return build_crnn(
        head,
        features=features,
        filters=settings.filters,
        lstm_units=settings.lstm_units,
        dense_units=settings.dense_units,
        dropout=settings.dropout,
        highpass_hz=settings.highpass_hz,
        synchronized=synchronized,
    )


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
    logger.info("starting from the weights of %s", ", ".join(copied))
    return copied
