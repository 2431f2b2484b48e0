"""The loss of directions, on a model that is trained with whatever a user may give it."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

import doa_tf


@pytest.fixture
def model():
    head = doa_tf.heads.get("cartesian")
    inputs = keras.Input((25, 6))
    outputs = doa_tf.layers.HeadOutput(head.name)(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss=head.loss(), metrics=head.metrics())
    return model


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((4, 25, 6)).astype(np.float32)


FORWARD = np.tile(np.float32([1.0, 0.0, 0.0]), (4, 1, 1))


def test_both_kinds_of_labels_for_one_model_are_refused_with_what_to_do(model, features):
    assert np.isfinite(model.fit(features, FORWARD, verbose=0).history["loss"][0])
    moving = np.repeat(FORWARD[:, np.newaxis], 25, axis=1)
    with pytest.raises(ValueError, match=r"always the same of the two.*compile anew"):
        model.fit(features, moving, verbose=0)


@pytest.mark.parametrize("name", ["cartesian", "onehot", "gibbs-softmax"])
@pytest.mark.parametrize("length", [0.0, 2.0])
def test_a_label_that_is_no_direction_gives_no_number(name, length):
    head = doa_tf.heads.get(name)
    outputs = np.full((4, 25, head.outputs), 0.5, np.float32)
    labels = FORWARD.copy()
    assert np.isfinite(head.loss()(labels, outputs))
    labels[2] *= length
    assert np.isnan(head.loss()(labels, outputs))


def test_a_head_by_its_name_is_refused_as_well():
    with pytest.raises(TypeError, match="takes no head"):
        doa_tf.data.mixed_dataset(None, "gibbs-weighted", scenes=8, batch_size=2)


@pytest.mark.parametrize("module", ["losses", "heads.loss"])
def test_any_module_of_keras_classes_may_be_the_first_to_be_imported(module):
    """Keras, which it imports, has all of them imported while it is half done itself."""
    look = "keras.saving.get_registered_object('doa_tf>AngularError')()"
    program = f"import doa_tf.{module}, keras; {look}"
    subprocess.run([sys.executable, "-c", program], check=True)
