"""Losses against closed forms in float64, finite differences and their own limits."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import doa_tf
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.grid import sphere_grid
from doa_tf.heads.loss import DirectionLoss
from doa_tf.losses import (
    AngularDistance,
    GibbsSoftmaxCrossentropy,
    GibbsWeightedCrossentropy,
    angular_distance,
    gibbs_softmax_crossentropy,
    gibbs_weighted_crossentropy,
)

GRID_LOSSES = {
    "gibbs-weighted": (gibbs_weighted_crossentropy, GibbsWeightedCrossentropy),
    "gibbs-softmax": (gibbs_softmax_crossentropy, GibbsSoftmaxCrossentropy),
}


def random_directions(count, seed=0):
    """(B, 1, 3) unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))[:, np.newaxis]


def scores_of(name, logits):
    if name == "gibbs-weighted":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def formula(name, gibbs, logits):
    """(B,) losses in float64, term by term."""
    losses = []
    for weights, score in zip(gibbs, scores_of(name, logits), strict=True):
        if name == "gibbs-weighted":
            nearest = int(np.argmax(weights))
            others = np.arange(len(score)) != nearest
            rest = np.sum((1 - weights[others]) * np.log(1 - score[others]))
            losses.append(-np.log(score[nearest]) - rest)
        else:
            losses.append(-np.sum(weights / weights.sum() * np.log(score)))
    return np.array(losses)


@pytest.mark.parametrize("name", GRID_LOSSES)
@pytest.mark.parametrize("from_logits", [True, False])
def test_a_grid_loss_is_its_formula(name, from_logits):
    function, loss_class = GRID_LOSSES[name]
    gibbs = doa_tf.heads.get(name).encode(random_directions(6)).astype(float)
    logits = np.random.default_rng(1).normal(0, 1.5, gibbs.shape)
    expected = formula(name, gibbs, logits)
    given = (logits if from_logits else scores_of(name, logits)).astype(np.float32)
    loss = function(gibbs.astype(np.float32), given, from_logits=from_logits)
    # float32 sums of 429 terms; no score is below Keras's epsilon of 1e-7, where it is clipped
    np.testing.assert_allclose(np.asarray(loss), expected, rtol=1e-4)
    mean = loss_class(from_logits=from_logits)(gibbs.astype(np.float32), given)
    assert float(mean) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("name", GRID_LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    function, _ = GRID_LOSSES[name]
    head = doa_tf.heads.get(name, resolution_deg=30.0)
    gibbs = head.encode(random_directions(1))
    logits = np.random.default_rng(0).normal(size=gibbs.shape)
    with tf.GradientTape() as tape:
        variable = tf.Variable(logits.astype(np.float32))
        loss = ops.sum(function(gibbs, variable, True))
    gradient = tape.gradient(loss, variable).numpy()[0]
    step = 1e-4
    for cell in range(0, gibbs.shape[1], 7):
        nudge = step * np.eye(gibbs.shape[1])[cell]
        up, down = (formula(name, gibbs.astype(float), logits + s * nudge) for s in (1, -1))
        assert gradient[cell] == pytest.approx((up[0] - down[0]) / (2 * step), abs=1e-4)


@pytest.mark.parametrize("name", GRID_LOSSES)
def test_a_grid_loss_stays_finite_where_scores_saturate(name):
    function, _ = GRID_LOSSES[name]
    gibbs = doa_tf.heads.get(name).encode(random_directions(2))
    logits = np.where(np.arange(429) % 2, 200.0, -200.0) * np.ones((2, 1))
    for given, from_logits in ((logits, True), ((logits > 0) * 1.0, False)):
        with tf.GradientTape() as tape:
            variable = tf.Variable(given.astype(np.float32))
            loss = function(gibbs, variable, from_logits)
        assert np.all(np.isfinite(np.asarray(loss)))
        assert np.all(np.isfinite(tape.gradient(loss, variable).numpy()))


@pytest.mark.parametrize("name", GRID_LOSSES)
def test_a_wrong_cell_costs_less_nearby(name):
    head = doa_tf.heads.get(name)
    grid = sphere_grid()
    truth = grid.vectors[200]
    loss = head.encoded_loss()
    costs = []
    order = np.argsort(great_circle_distance(grid.vectors, truth))
    for cell in order[1::60]:
        logits = np.full((1, 429), -6.0, np.float32)
        logits[0, cell] = 3.0
        costs.append(float(loss(head.encode(truth[None, None]), logits)))
    assert np.all(np.diff(costs) > -1e-5)  # float32
    assert costs[-1] > costs[0] + 0.5


def test_gibbs_softmax_is_least_at_its_targets():
    gibbs = doa_tf.heads.get("gibbs-softmax").encode(random_directions(3))
    share = gibbs / gibbs.sum(axis=-1, keepdims=True)
    best = np.asarray(gibbs_softmax_crossentropy(gibbs, np.log(share + 1e-30), True))
    rng = np.random.default_rng(0)
    for _ in range(10):
        other = np.log(share + 1e-30) + rng.normal(0, 0.1, gibbs.shape)
        cost = np.asarray(gibbs_softmax_crossentropy(gibbs, other.astype(np.float32), True))
        assert np.all(cost > best)


def scaled(azimuth_deg, elevation_deg):
    return np.stack(
        np.broadcast_arrays(np.divide(azimuth_deg, 360) + 0.5, np.divide(elevation_deg, 180) + 0.5),
        axis=-1,
    ).astype(np.float32)


def test_angular_distance_is_the_great_circle():
    rng = np.random.default_rng(0)
    azimuth, elevation = rng.uniform(-180, 180, (2, 500)), rng.uniform(-90, 90, (2, 500))
    given = scaled(azimuth, elevation)
    radians = (given[..., 0].astype(float) - 0.5) * 2 * np.pi, (given[..., 1] - 0.5) * np.pi
    vectors = angles_to_vector(*radians)
    expected = great_circle_distance(vectors[0], vectors[1])
    distance = np.asarray(angular_distance(given[0], given[1]))
    np.testing.assert_allclose(distance, expected, atol=2e-6)  # float32 angles up to pi
    assert float(AngularDistance()(given[0], given[1])) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "expected_deg"),
    [
        ((30.0, 20.0), (30.0, 20.0), 0.0),
        ((0.0, 0.0), (180.0, 0.0), 180.0),
        ((30.0, 20.0), (-150.0, -20.0), 180.0),
        ((0.0, 90.0), (0.0, -90.0), 180.0),
        ((179.0, 0.0), (-179.0, 0.0), 2.0),  # the loss wraps, though the average of frames does not
        ((10.0, 89.99999), (-170.0, 90.0), 0.0),
    ],
)
def test_the_angular_loss_has_a_finite_gradient_everywhere(one, other, expected_deg):
    target, start = scaled(*one), scaled(*other)
    with tf.GradientTape() as tape:
        variable = tf.Variable(start)
        distance = angular_distance(target, variable)
    gradient = tape.gradient(distance, variable).numpy()
    assert np.degrees(float(distance)) == pytest.approx(expected_deg, abs=0.01)
    assert np.all(np.isfinite(gradient))
    # A degree of azimuth is one 360th of the scale: no slope is steeper than 2 pi.
    assert np.abs(gradient).max() <= 2 * np.pi * 1.001


@pytest.mark.parametrize("apart_deg", [1e-3, 0.1, 5.0, 90.0, 175.0, 179.9])
def test_the_slope_of_the_angular_loss(apart_deg):
    with tf.GradientTape() as tape:
        variable = tf.Variable(scaled(apart_deg, 0.0))
        distance = angular_distance(scaled(0.0, 0.0), variable)
    azimuth_slope, elevation_slope = tape.gradient(distance, variable).numpy()
    assert azimuth_slope == pytest.approx(2 * np.pi, rel=0.01)
    assert elevation_slope == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    "made",
    [
        AngularDistance(reduction="sum", name="other", dtype="float16"),
        GibbsWeightedCrossentropy(from_logits=True, reduction="sum", name="other", dtype="float16"),
        GibbsSoftmaxCrossentropy(from_logits=True, reduction="none", name="other", dtype="float16"),
        DirectionLoss("gibbs", 15.0, reduction="sum", name="other", dtype="float16"),
    ],
)
def test_serialisation_keeps_every_argument(made):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    assert again.dtype == "float16"
    assert again.reduction == made.reduction != type(made)().reduction
    assert keras.saving.get_registered_name(type(made)).startswith("doa_tf>")


@pytest.mark.parametrize("name", doa_tf.heads.names())
def test_a_heads_loss_is_that_of_its_encoded_targets_in_every_frame(name):
    head = doa_tf.heads.get(name, resolution_deg=20.0 if doa_tf.heads.get(name).grid else None)
    directions = random_directions(2)
    outputs = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, head.outputs)).astype(np.float32)
    loss = head.loss()
    frames = np.stack([directions, directions[::-1], directions], axis=1)  # they change places
    for given, encoded in (
        (directions, np.repeat(head.encode(directions)[:, np.newaxis], 3, axis=1)),
        (frames, head.encode(frames)),
    ):
        expected = float(head.encoded_loss()(encoded, outputs))
        assert float(loss(given.astype(np.float32), outputs)) == pytest.approx(expected, rel=1e-5)
    alone = [float(loss(directions[i : i + 1], outputs[i : i + 1])) for i in range(2)]
    weighted = float(loss(directions, outputs, sample_weight=np.array([[1.0], [0.0]])))
    assert weighted == pytest.approx(alone[0] / 2, rel=1e-5)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)


@pytest.mark.parametrize("function", [angular_distance, *(f for f, _ in GRID_LOSSES.values())])
def test_targets_of_another_head_are_refused(function):
    with pytest.raises(ValueError, match=r"`y_true` must have as many.*\(4, 3\)"):
        function(np.zeros((4, 3)), np.zeros((4, 2)))


def test_angular_distance_takes_two_angles():
    with pytest.raises(ValueError, match="azimuth and elevation"):
        angular_distance(np.zeros((4, 3)), np.zeros((4, 3)))
