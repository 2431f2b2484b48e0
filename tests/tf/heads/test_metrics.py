"""Metrics: angles in degrees, over batches, weighted, serialised."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.angles import great_circle_distance
from doa_tf.metrics import AccuracyWithin, AngularError, MedianAngularError


def random_directions(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", doa_tf.heads.names())
def test_metrics_measure_angles(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(64, seed=3)
    targets = np.repeat(head.encode(directions)[:, None], 5, axis=1)
    # Outputs of each scene that point to the next one's direction: known errors.
    outputs = np.roll(targets, 1, axis=0)
    if head.gives_logits:
        outputs = np.log(np.clip(outputs, 1e-6, 1 - 1e-6) / np.clip(1 - outputs, 1e-6, 1))
    outputs = outputs.astype(np.float32)
    answers, _ = head.decode(outputs, method="peak")
    truths = np.asarray(head.targets_to_vectors(head.encode(directions)), float)
    errors = np.degrees(great_circle_distance(answers, truths))
    options = {"head": name, "resolution_deg": head.resolution_deg}
    mean, median = AngularError(**options), MedianAngularError(**options)
    within = AccuracyWithin(60.0, **options)
    for metric in (mean, median, within):
        for half in (slice(0, 20), slice(20, 64)):  # state adds up over batches
            metric.update_state(targets[half], outputs[half])
    assert float(mean.result()) == pytest.approx(errors.mean(), abs=0.05)
    middle = np.sort(errors)[31:33]
    assert middle[0] - 0.1 <= float(median.result()) <= middle[1] + 0.1
    assert float(within.result()) == pytest.approx(np.mean(errors <= 60.0), abs=1e-6)
    for metric in (mean, median, within):
        metric.reset_state()
    mean.update_state(targets[:2], outputs[:2], sample_weight=[0.0, 1.0])
    assert float(mean.result()) == pytest.approx(errors[1], abs=0.05)


@pytest.mark.parametrize(
    "made",
    [
        AngularError(head="gibbs-weighted", resolution_deg=15.0, name="other", dtype="float16"),
        MedianAngularError(head="gibbs", resolution_deg=15.0, name="other", dtype="float16"),
        AccuracyWithin(5.0, head="onehot", resolution_deg=15.0, name="other", dtype="float16"),
    ],
)
def test_serialisation_keeps_every_argument(made):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    assert {"head", "resolution_deg", "name", "dtype"} <= set(again.get_config())
    assert keras.saving.get_registered_name(type(made)).startswith("doa_tf>")


def test_outputs_of_another_head_are_refused():
    metric = AngularError(head="gibbs", resolution_deg=10.0)
    with pytest.raises(ValueError, match=r"`y_pred` of the head 'gibbs' must be.*\(2, 5, 3\)"):
        metric.update_state(np.zeros((2, 5, 429)), np.zeros((2, 5, 3)))
