"""Metrics: angles in degrees, over batches, weighted, serialised."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_tf.metrics import AccuracyWithin, AngularError, MedianAngularError


def random_directions(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", doa_tf.heads.names())
def test_metrics_measure_angles_to_the_true_directions(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(64, seed=3)[:, np.newaxis]
    # Outputs of each scene that point to the next one's direction: known errors.
    scores = head.encode(np.roll(directions, 1, axis=0))
    if head.gives_logits:
        scores = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / np.clip(1 - scores, 1e-6, 1))
    outputs = np.repeat(scores[:, None], 5, axis=1).astype(np.float32)
    answers, _ = head.decode(outputs, method="peak")
    errors = np.degrees(great_circle_distance(answers, directions[:, 0]))
    options = {"head": name, "resolution_deg": head.resolution_deg}
    mean, median = AngularError(**options), MedianAngularError(**options)
    within = AccuracyWithin(60.0, **options)
    moving = np.repeat(directions[:, np.newaxis], 5, axis=1)  # and standing still
    for metric in (mean, median, within):
        for half, given in ((slice(0, 20), directions), (slice(20, 64), moving)):
            metric.update_state(given[half], outputs[half])  # state adds up over batches
    assert float(mean.result()) == pytest.approx(errors.mean(), abs=0.05)
    middle = np.sort(errors)[31:33]
    assert middle[0] - 0.1 <= float(median.result()) <= middle[1] + 0.1
    assert float(within.result()) == pytest.approx(np.mean(errors <= 60.0), abs=1e-6)
    for metric in (mean, median, within):
        metric.reset_state()
    mean.update_state(directions[:2], outputs[:2], sample_weight=[0.0, 1.0])
    assert float(mean.result()) == pytest.approx(errors[1], abs=0.05)


def test_a_talker_who_moves_is_where_the_mean_of_the_frames_points():
    azimuth = np.radians([10.0, 20.0, 30.0])
    moving = angles_to_vector(azimuth, np.zeros(3))[np.newaxis, :, np.newaxis]
    outputs = np.tile((angles_to_vector(np.radians(25.0), 0.0) + 1.0) / 2.0, (1, 3, 1))
    metric = AngularError()
    metric.update_state(moving, outputs)
    assert float(metric.result()) == pytest.approx(5.0, abs=1e-3)


def silent_but_for(talker, frames, of=10):
    """(of, 3): the talker's direction in so many frames, then zeros."""
    return np.where(np.arange(of)[:, np.newaxis] < frames, talker, 0.0)


def test_of_several_talkers_the_nearest_to_the_answer_counts():
    """Who talks in less than 30 % of the frames does not, nor does a sequence of nobody."""
    head = doa_tf.heads.get("gibbs-weighted")
    cells = head.grid.vectors
    answer, near, far = cells[214], cells[216], cells[30]
    near_deg, far_deg = np.degrees(great_circle_distance(answer, np.stack([near, far])))
    outputs = np.full((4, 10, head.outputs), -5.0, np.float32)
    outputs[..., 214] = 5.0
    talkers = np.stack(
        [
            np.stack([silent_but_for(far, 10), silent_but_for(near, 3)]),
            np.stack([silent_but_for(far, 10), silent_but_for(near, 2)]),
            np.stack([silent_but_for(near, 2), silent_but_for(near, 0)]),
            np.stack([silent_but_for(near, 0), silent_but_for(near, 0)]),
        ]
    ).transpose(0, 2, 1, 3)
    mean, median, within = head.metrics()
    for metric in (mean, median, within):
        metric.update_state(talkers, outputs)
    assert float(mean.result()) == pytest.approx((near_deg + far_deg) / 2, abs=0.01)
    assert float(within.result()) == pytest.approx(float(near_deg <= 10.0) / 2, abs=1e-6)
    median.reset_state()
    median.update_state(talkers, outputs, sample_weight=np.array([1.0, 3.0, 9.0, 9.0]))
    assert float(median.result()) == pytest.approx(far_deg, abs=0.1)
    mean.reset_state()
    mean.update_state(talkers[2:], outputs[2:])
    assert float(mean.result()) == 0.0
    mean.update_state(np.stack([near, far])[np.newaxis], outputs[:1])  # who stay and never pause
    assert float(mean.result()) == pytest.approx(near_deg, abs=0.01)


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
        metric.update_state(np.zeros((2, 1, 3)), np.zeros((2, 5, 3)))


# What 0.1 trained on: encoded targets. Those of `cartesian` look like 25 voices.
@pytest.mark.parametrize("shape", [(2, 25, 429), (2, 25, 3), (2, 3), (2, 5, 1, 3), (2, 25, 2, 3)])
def test_labels_that_are_no_directions_are_refused(shape):
    for head in map(doa_tf.heads.get, ("onehot", "cartesian")):
        outputs = np.zeros((2, 25, head.outputs), np.float32)
        for given_labels in (head.loss(), *(metric.update_state for metric in head.metrics())):
            with pytest.raises(ValueError, match=r"directions, \(batch, 1, 3\) or"):
                given_labels(np.zeros(shape, np.float32), outputs)


def test_labels_of_0_1_do_not_train():
    head = doa_tf.heads.get("cartesian")
    inputs = keras.Input((25, 3))
    outputs = doa_tf.layers.HeadOutput("cartesian")(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(), loss=head.loss())
    with pytest.raises(ValueError, match=r"y_true.shape=\(.*, 25, 3\)"):
        model.fit(np.zeros((4, 25, 3)), np.full((4, 25, 3), 0.5), verbose=0)


def test_a_model_that_0_1_compiled_is_loaded_but_not_trained():
    """Its file says which loss and metrics, and nothing of what targets are."""
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, doa_tf.layers.HeadOutput("cartesian")(inputs))
    config = AngularError().get_config()
    del config["targets"]
    model.compile(keras.optimizers.SGD(), loss="mse", metrics=[AngularError.from_config(config)])
    with pytest.raises(ValueError, match=r"compiled by doa_tf 0\.1.*compile it anew"):
        model.evaluate(np.zeros((2, 5, 3)), random_directions(2)[:, np.newaxis], verbose=0)
    assert model.predict(np.zeros((2, 5, 3)), verbose=0).shape == (2, 5, 3)
