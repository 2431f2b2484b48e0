"""Grid heads and any number of talkers: targets and losses in closed form, nobody included."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import doa_tf
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_tf.heads.loss import DirectionLoss
from doa_tf.losses import gibbs_weighted_crossentropy

SEVERAL = ("gibbs", "gibbs-weighted", "gibbs-harmonic")
WEIGHTED = ("gibbs-weighted", "gibbs-harmonic")
ONE = ("spherical", "spherical-angular", "cartesian", "onehot", "gibbs-softmax")
NOBODY = np.zeros(3)


def direction(azimuth_deg, elevation_deg=0.0):
    return angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))


def random_talkers(*shape, silent=0.3, seed=0):
    """(*shape, 3) unit vectors, some of them rows of zeros."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((*shape, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors[rng.random(shape) < silent] = 0.0
    return vectors


def gibbs_values(head, talkers):
    """(V, G) float64 G_in, by the formula."""
    distance = great_circle_distance(np.asarray(talkers)[:, np.newaxis], head.grid.vectors)
    return np.exp(-((distance / head.beta) ** 2))


def nearest_cells(head, talkers):
    return {int(np.argmax(values)) for values in gibbs_values(head, talkers)}


def formula(head, talkers, logits):
    """The loss of one frame in float64, cell by cell."""
    score = 1.0 / (1.0 + np.exp(-logits))
    nearest = nearest_cells(head, talkers) if len(talkers) else set()
    values = gibbs_values(head, talkers) if len(talkers) else np.zeros((1, head.outputs))
    loss = 0.0
    for cell in range(head.outputs):
        if cell in nearest:
            loss -= np.log(score[cell])
        else:
            loss -= (1.0 - values[:, cell].max()) * np.log(1.0 - score[cell])
    return loss


CROWDS = {
    "far apart": [direction(10.0), direction(-120.0, 40.0)],
    "in one cell": [direction(1.0, 0.5), direction(3.0, 1.0)],
    "three": [direction(10.0), direction(35.0), direction(-90.0, -30.0)],
    "one": [direction(77.0, 12.0)],
    "nobody": [],
}


def test_which_heads_take_several_talkers():
    several = {name for name in doa_tf.heads.names() if doa_tf.heads.get(name).several}
    assert several == set(SEVERAL)


def test_a_head_of_ones_own_takes_one_talker_unless_it_says_more():
    base = doa_tf.heads.GibbsWeighted
    assert type("Renamed", (base,), {"name": "renamed"}).several
    assert not type("Own", (base,), {"encoded_loss": lambda self: None}).several
    said = {"encoded_loss": lambda self: None, "several": True}
    assert type("Said", (base,), said).several
    assert not type("Grid", (doa_tf.heads.GridHead,), {"name": "grid"}).several


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("crowd", CROWDS)
def test_targets_are_1_nearest_to_a_talker_and_the_largest_gibbs_value_elsewhere(name, crowd):
    head, talkers = doa_tf.heads.get(name), CROWDS[crowd]
    targets = head.encode(np.array([*talkers, NOBODY]))
    nearest = nearest_cells(head, talkers) if talkers else set()
    assert set(np.flatnonzero(targets == 1.0)) == nearest
    expected = gibbs_values(head, talkers).max(axis=0) if talkers else np.zeros(head.outputs)
    expected[list(nearest)] = 1.0
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-12)
    cells = {"far apart": 2, "in one cell": 1, "three": 3, "one": 1, "nobody": 0}
    assert len(nearest) == cells[crowd]


@pytest.mark.parametrize("crowd", CROWDS)
def test_targets_of_gibbs_are_the_largest_values(crowd):
    head, talkers = doa_tf.heads.get("gibbs"), CROWDS[crowd]
    expected = gibbs_values(head, talkers).max(axis=0) if talkers else np.zeros(head.outputs)
    targets = head.encode(np.array([*talkers, NOBODY]))
    np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", SEVERAL)
def test_silent_places_and_the_order_of_talkers_change_nothing(name):
    head = doa_tf.heads.get(name)
    two = np.array(CROWDS["far apart"])
    targets = head.encode(two)
    padded = np.array([NOBODY, two[1], NOBODY, two[0]])
    np.testing.assert_array_equal(head.encode(padded), targets)
    as_tensors = [np.asarray(head.encode_tensor(np.float32(given))) for given in (two, padded)]
    np.testing.assert_array_equal(as_tensors[0] == 1.0, as_tensors[1] == 1.0)
    # Eigen's arctan2 rounds the last values of an array, which fill no vector, otherwise.
    np.testing.assert_allclose(*as_tensors, rtol=3e-6)
    np.testing.assert_array_equal(head.encode(np.zeros((2, 3, 3))), np.zeros((2, head.outputs)))


@pytest.mark.parametrize("name", WEIGHTED)
def test_of_equally_near_cells_the_first_is_nearest(name):
    head = doa_tf.heads.get(name)
    row = np.flatnonzero(head.grid.elevation == 0.0)[:2]
    between = head.grid.vectors[row].sum(axis=0)
    between /= np.linalg.norm(between)
    targets = head.encode(np.array([between, direction(120.0)]))
    assert targets[row[0]] == 1.0
    assert targets[row[1]] == pytest.approx(gibbs_values(head, [between])[0, row[1]], rel=1e-5)
    tensors = np.asarray(head.encode_tensor(np.float32([between, direction(120.0)])))
    np.testing.assert_array_equal(tensors == 1.0, targets == 1.0)


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("resolution_deg", [5.0, 10.0, 90.0])
def test_what_is_encoded_in_tensors_is_what_numpy_encodes(name, resolution_deg):
    head = doa_tf.heads.get(name, resolution_deg=resolution_deg)
    talkers = random_talkers(200, 4)
    targets = head.encode(talkers)
    assert targets.shape == (200, head.outputs)
    tensors = np.asarray(head.encode_tensor(talkers.astype(np.float32)))
    assert tensors.dtype == np.float32
    np.testing.assert_allclose(tensors, targets, atol=1e-5)
    np.testing.assert_array_equal(tensors == 1.0, targets == 1.0)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("from_logits", [True, False])
def test_the_weighted_loss_is_its_formula(name, crowd, from_logits):
    head, talkers = doa_tf.heads.get(name), CROWDS[crowd]
    logits = np.random.default_rng(1).normal(0.0, 1.5, head.outputs)
    given = logits if from_logits else 1.0 / (1.0 + np.exp(-logits))
    targets = head.encode(np.array([*talkers, NOBODY]))
    loss = gibbs_weighted_crossentropy(targets, given.astype(np.float32), from_logits)
    assert float(loss) == pytest.approx(formula(head, talkers, logits), rel=1e-5)


@pytest.mark.parametrize("crowd", CROWDS)
def test_the_loss_of_gibbs_is_its_formula(crowd):
    head, talkers = doa_tf.heads.get("gibbs"), CROWDS[crowd]
    scores = np.random.default_rng(1).random((1, 1, head.outputs))
    true = gibbs_values(head, talkers).max(axis=0) if talkers else 0.0
    loss = head.loss()(np.array([[*talkers, NOBODY]]), scores.astype(np.float32))
    assert float(loss) == pytest.approx(np.mean((scores - true) ** 2), rel=1e-5)


@pytest.mark.parametrize("name", SEVERAL)
def test_the_loss_is_that_of_who_talks_in_each_frame(name):
    head = doa_tf.heads.get(name, resolution_deg=20.0)
    talkers = random_talkers(2, 5, 3, seed=4)
    outputs = np.random.default_rng(0).uniform(0.1, 0.9, (2, 5, head.outputs)).astype(np.float32)
    expected = float(head.encoded_loss()(head.encode(talkers), outputs))
    assert float(head.loss()(talkers, outputs)) == pytest.approx(expected, rel=1e-5)
    frames = [
        float(head.loss()(talkers[s : s + 1, t : t + 1], outputs[s : s + 1, t : t + 1]))
        for s in range(2)
        for t in range(5)
    ]
    assert np.mean(frames) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", SEVERAL)
def test_gradients_are_finite_with_and_without_talkers(name):
    head = doa_tf.heads.get(name)
    talkers = random_talkers(3, 4, 2, silent=0.5)
    assert (~talkers.any(axis=(-1, -2))).any()  # a frame of nobody
    start = np.where(np.arange(head.outputs) % 2, 200.0, -200.0) if head.gives_logits else 0.0
    outputs = tf.Variable(np.broadcast_to(start, (3, 4, head.outputs)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = head.loss()(talkers, outputs)
    assert np.isfinite(float(loss))
    assert np.all(np.isfinite(tape.gradient(loss, outputs).numpy()))


@pytest.mark.parametrize("name", WEIGHTED)
def test_nobody_costs_least_with_all_scores_low(name):
    head = doa_tf.heads.get(name)
    low = np.full((1, 2, head.outputs), -20.0, np.float32)
    nobody, somebody = np.zeros((1, 2, 3)), np.array([[direction(40.0), NOBODY]])
    assert float(head.loss()(nobody, low)) < 1e-5
    assert float(head.loss()(somebody, low)) == pytest.approx(20.0, rel=1e-5)
    targets = head.encode(somebody)[:, np.newaxis].repeat(2, axis=1)
    found = np.where(targets == 1.0, 20.0, -20.0).astype(np.float32)
    assert float(head.loss()(somebody, found)) < 1e-5


def loss_of_0_1(gibbs, logits):
    """What gibbs-weighted learned from before it knew several talkers."""
    nearest = ops.one_hot(ops.argmax(gibbs, axis=-1), gibbs.shape[-1])
    log_score, log_rest = ops.log_sigmoid(logits), -ops.softplus(logits)
    return -ops.sum(nearest * log_score + (1.0 - nearest) * (1.0 - gibbs) * log_rest, axis=-1)


@pytest.mark.parametrize("name", WEIGHTED)
def test_one_talker_costs_to_the_last_digit_what_they_did(name):
    head = doa_tf.heads.get(name)
    talkers = np.float32([[direction(a, e)] for a in range(-180, 180, 45) for e in (-90, 0, 33)])
    gibbs = doa_tf.heads.get("gibbs").encode_tensor(talkers)  # as 0.1 encoded
    logits = np.random.default_rng(2).normal(0.0, 3.0, gibbs.shape).astype(np.float32)
    before = np.asarray(loss_of_0_1(ops.convert_to_tensor(gibbs), ops.convert_to_tensor(logits)))
    # Encoded now, and encoded by 0.1, without a 1 but where the talker is at a cell's centre.
    for targets in (head.encode_tensor(talkers), gibbs):
        after = np.asarray(gibbs_weighted_crossentropy(targets, logits, from_logits=True))
        np.testing.assert_array_equal(after, before)
    directly = head.loss().call(
        ops.convert_to_tensor(talkers), ops.convert_to_tensor(logits[:, None])
    )
    np.testing.assert_array_equal(np.asarray(directly)[:, 0], before)


RECORDED = {  # by the code that knew one talker
    "spherical": 0.16807474195957184,
    "spherical-angular": 1.605381965637207,
    "cartesian": 0.19675703346729279,
    "onehot": 7.392630100250244,
    "gibbs": 0.33717164397239685,
    "gibbs-weighted": 427.8741149902344,
    "gibbs-softmax": 7.397701263427734,
    "gibbs-harmonic": 427.8741149902344,
}


@pytest.mark.parametrize("name", doa_tf.heads.names())
def test_the_recorded_losses_of_one_talker(name):
    head = doa_tf.heads.get(name)
    azimuth_deg, elevation_deg = [0.0, 35.0, -120.0, 180.0], [0.0, 12.0, -40.0, 70.0]
    talkers = direction(azimuth_deg, elevation_deg)[:, np.newaxis]
    places = np.arange(4 * 3 * head.outputs)
    outputs = 0.5 + 0.45 * np.sin(places).reshape(4, 3, head.outputs)
    if head.gives_logits:
        outputs = np.log(outputs / (1.0 - outputs))
    loss = float(head.loss()(talkers, outputs.astype(np.float32)))
    # Exact on the machine that recorded it; another processor sums in another order.
    assert loss == pytest.approx(RECORDED[name], rel=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_vector_that_is_no_direction_gives_no_number(name):
    head = doa_tf.heads.get(name)
    outputs = np.full((2, 3, head.outputs), 0.5, np.float32)
    talkers = np.tile(np.stack([direction(20.0), NOBODY]), (2, 3, 1, 1))
    assert np.isfinite(float(head.loss()(talkers, outputs)))
    for length in (0.5, 2.0, np.nan):
        bad = talkers.copy()
        bad[1, 2, 0] *= length
        assert np.isnan(float(head.loss()(bad, outputs)))
        lost = np.isnan(np.asarray(DirectionLoss(head, reduction="none")(bad, outputs)))
        assert lost.sum() == 1
        assert lost[1, 2]


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]], "or zeros for who is silent.*length 2"),
        ([[np.nan, 0.0, 1.0]], "length nan"),
        ([[0.0, 1.0]], "x, y and z"),
        ([0.0, 0.0, 1.0], r"\(\.\.\., talkers, 3\).*shape=\(3,\)"),
        (np.zeros((2, 0, 3)), r"\(\.\.\., talkers, 3\).*shape=\(2, 0, 3\)"),
    ],
)
def test_bad_directions_are_refused(name, directions, message):
    with pytest.raises(ValueError, match=message):
        doa_tf.heads.get(name).encode(directions)


@pytest.mark.parametrize("name", ONE)
def test_heads_of_one_talker_say_so(name):
    head = doa_tf.heads.get(name)
    for talkers in ([direction(0.0), direction(90.0)], [direction(0.0), NOBODY]):
        with pytest.raises(ValueError, match=r"\(\.\.\., 1, 3\).*takes one talker.*\(2, 3\)"):
            head.encode(talkers)
        outputs = np.full((1, 2, head.outputs), 0.5, np.float32)
        for given in (head.loss(), *(metric.update_state for metric in head.metrics())):
            with pytest.raises(ValueError, match=r"\(batch, 1, 3\) or.*takes one talker"):
                given(np.array([talkers]), outputs)
    with pytest.raises(ValueError, match=r"takes one talker, in every frame.*length 0"):
        head.encode([NOBODY])


# Encoded targets of 0.1, no batch, frames that are not those of the outputs, no axis of voices,
# no voice at all.
@pytest.mark.parametrize("shape", [(2, 25, 429), (2, 3), (2, 5, 2, 3), (2, 25, 3), (2, 25, 0, 3)])
def test_labels_that_are_no_directions_are_refused(shape):
    head = doa_tf.heads.get("gibbs")
    outputs = np.zeros((2, 25, head.outputs), np.float32)
    message = r"\(batch, voices, 3\) or \(batch, 25, voices, 3\).*" + re.escape(f"{shape}")
    for given_labels in (head.loss(), *(metric.update_state for metric in head.metrics())):
        with pytest.raises(ValueError, match=message):
            given_labels(np.zeros(shape, np.float32), outputs)


def test_a_small_net_learns_two_talkers_at_once_and_silence():
    keras.utils.set_random_seed(1)
    head = doa_tf.heads.get("gibbs-weighted")
    inputs = keras.Input((5, 2))
    bias = keras.initializers.Constant(head.output_bias())
    layer = keras.layers.Dense(head.outputs, bias_initializer=bias)
    outputs = doa_tf.layers.HeadOutput(head.name, head.resolution_deg)(layer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Nadam(0.1), loss=head.loss(), metrics=head.metrics())
    talk = np.arange(256) % 2 == 0
    heard = np.stack([talk, ~talk], axis=-1).astype(np.float32)
    two = np.array(CROWDS["far apart"], np.float32)
    talkers = np.where(talk[:, None, None], two, 0.0)
    x, y = np.repeat(heard[:, None], 5, axis=1), np.repeat(talkers[:, None], 5, axis=1)
    model.fit(x, y, batch_size=8, epochs=4, verbose=0)
    scores = np.asarray(head.scores(model.predict_on_batch(x[:2]))).mean(axis=1)
    assert set(np.argsort(scores[0])[-2:]) == nearest_cells(head, two)
    assert scores[0][list(nearest_cells(head, two))].min() > 0.9
    assert scores[1].max() < 0.1
