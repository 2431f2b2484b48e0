"""A network that trains in no time."""

from __future__ import annotations

import keras
import pytest

import doa_tf
from doa_tf.training import start


@pytest.fixture
def small_net(monkeypatch):
    """The paper's network takes long to compile; test_resume trains it, test_layers its shape."""

    def build_small(head, features, settings=None):
        features = features or doa_tf.FeatureSpec()
        inputs = keras.Input(features.input_shape)
        x = doa_tf.layers.FeatureInput(features)(inputs)
        x = keras.layers.AveragePooling2D((1, features.bins))(x)
        x = keras.layers.Reshape((features.frames, -1))(x)
        x = keras.layers.Dropout(0.2, name="dropout")(x)
        x = keras.layers.Dense(8, name="dense")(x)
        x = keras.layers.Dense(head.outputs, name="directions")(x)
        outputs = doa_tf.layers.HeadOutput(
            head.name,
            head.resolution_deg,
            voices=settings.voices if settings else 1,
            name="head",
        )(x)
        return keras.Model(inputs, outputs, name="small")

    monkeypatch.setattr(start, "build_network", build_small)
