"""Heads, losses and metrics against closed forms in float64 numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import doa_tf
from doa_core.angles import great_circle_distance
from doa_core.grid import sphere_grid
from doa_tf.losses import GibbsWeightedCrossentropy, gibbs_weighted_crossentropy
from doa_tf.metrics import AccuracyWithin, AngularError, MedianAngularError

NAMES = ["cartesian", "gibbs-weighted"]


def random_directions(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def degrees_between(a, b):
    return np.degrees(great_circle_distance(np.asarray(a, float), np.asarray(b, float)))


def logit(values):
    values = np.clip(values, 1e-6, 1 - 1e-6)
    return np.log(values / (1 - values))


def perfect_outputs(head, directions):
    """(B, T, K) model outputs that say exactly the targets."""
    targets = head.encode(directions)
    outputs = logit(targets) if head.gives_logits else targets
    return np.repeat(outputs[:, None], 5, axis=1).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_targets_hold_the_direction_itself(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(200)
    targets = head.encode(directions)
    assert targets.shape == (200, head.outputs)
    assert targets.dtype == np.float32
    assert targets.min() >= 0.0
    assert targets.max() <= 1.0
    again = np.asarray(head.targets_to_vectors(targets))
    assert degrees_between(again, directions).max() < 0.05  # float32 targets


@pytest.mark.parametrize("resolution_deg", [5.0, 20.0])
def test_targets_hold_the_direction_at_other_resolutions(resolution_deg):
    head = doa_tf.heads.get("gibbs-weighted", resolution_deg=resolution_deg)
    directions = random_directions(50)
    again = np.asarray(head.targets_to_vectors(head.encode(directions)))
    assert degrees_between(again, directions).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_perfect_outputs_decode_to_the_truth(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(100)
    outputs = perfect_outputs(head, directions)
    limit = 0.05 if name == "cartesian" else 7.0  # half of a 10-degree cell's diagonal
    decoded, confidence = head.decode(outputs)
    assert degrees_between(decoded, directions).max() < limit
    assert confidence.min() > 0.5
    # What the metrics use in `keras.ops` is the same answer.
    assert degrees_between(head.outputs_to_vectors(outputs), decoded).max() < 0.05


def test_gibbs_targets_fall_with_distance_as_the_formula_says():
    head = doa_tf.heads.get("gibbs-weighted")
    direction = random_directions(1)[0]
    distance_deg = degrees_between(sphere_grid().vectors, direction)
    expected = np.exp(-((distance_deg / 20.0) ** 2))
    np.testing.assert_allclose(head.encode(direction), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("from_logits", [True, False])
def test_the_gibbs_weighted_loss_is_its_formula(from_logits):
    rng = np.random.default_rng(1)
    gibbs = doa_tf.heads.get("gibbs-weighted").encode(random_directions(6)).astype(float)
    logits = rng.normal(0, 3, gibbs.shape)
    scores = 1 / (1 + np.exp(-logits))
    expected = []
    for weights, score in zip(gibbs, scores, strict=True):
        nearest = int(np.argmax(weights))
        others = np.arange(len(score)) != nearest
        expected.append(
            -np.log(score[nearest]) - np.sum((1 - weights[others]) * np.log(1 - score[others]))
        )
    given = logits if from_logits else scores
    loss = gibbs_weighted_crossentropy(
        gibbs.astype(np.float32), given.astype(np.float32), from_logits=from_logits
    )
    # float32 sums of 429 terms
    np.testing.assert_allclose(np.asarray(loss), expected, rtol=1e-4)
    whole = GibbsWeightedCrossentropy(from_logits=from_logits)
    mean = whole(gibbs.astype(np.float32), given.astype(np.float32))
    assert float(mean) == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_loss_stays_finite_where_scores_saturate():
    gibbs = doa_tf.heads.get("gibbs-weighted").encode(random_directions(2))
    logits = np.where(np.arange(429) % 2, 200.0, -200.0) * np.ones((2, 1))
    for given, from_logits in ((logits, True), ((logits > 0) * 1.0, False)):
        loss = gibbs_weighted_crossentropy(gibbs, given.astype(np.float32), from_logits)
        assert np.all(np.isfinite(np.asarray(loss)))


def test_a_wrong_cell_costs_less_nearby():
    head = doa_tf.heads.get("gibbs-weighted")
    grid = sphere_grid()
    truth = grid.vectors[200]
    loss = head.loss()
    costs = []
    order = np.argsort(degrees_between(grid.vectors, truth))
    for cell in order[1::60]:
        logits = np.full((1, 429), -6.0, np.float32)
        logits[0, cell] = 3.0
        costs.append(float(loss(head.encode(truth)[None], logits)))
    assert np.all(np.diff(costs) > -1e-6)  # float32
    assert costs[-1] > costs[0] + 0.5


def test_the_loss_weights_samples():
    loss = GibbsWeightedCrossentropy(from_logits=True)
    gibbs = doa_tf.heads.get("gibbs-weighted").encode(random_directions(2))
    logits = np.random.default_rng(0).normal(size=(2, 429)).astype(np.float32)
    both = np.asarray(gibbs_weighted_crossentropy(gibbs, logits, True))
    weighted = float(loss(gibbs, logits, sample_weight=np.array([1.0, 0.0])))
    assert weighted == pytest.approx(both[0] / 2, rel=1e-5)


@pytest.mark.parametrize(
    "made",
    [
        GibbsWeightedCrossentropy(from_logits=True, reduction="sum", name="other"),
        AngularError(head="gibbs-weighted", resolution_deg=15.0, name="other"),
        MedianAngularError(head="gibbs-weighted", resolution_deg=15.0, name="other"),
        AccuracyWithin(5.0, head="gibbs-weighted", resolution_deg=15.0, name="other"),
    ],
)
def test_serialisation_keeps_every_argument(made):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize("name", NAMES)
def test_metrics_measure_angles(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(64, seed=3)
    # Outputs of each scene that point to the next one's direction: known errors.
    outputs = perfect_outputs(head, np.roll(directions, 1, axis=0))
    targets = np.repeat(head.encode(directions)[:, None], 5, axis=1)
    answers, _ = head.decode(outputs)
    errors = degrees_between(answers, directions)
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


@pytest.mark.parametrize("name", NAMES)
def test_a_small_net_learns_one_scene(name):
    head = doa_tf.heads.get(name)
    inputs = keras.Input((5, 4))
    layer = keras.layers.Dense(
        head.outputs, bias_initializer=keras.initializers.Constant(head.output_bias())
    )
    outputs = doa_tf.layers.HeadOutput(name, head.resolution_deg)(layer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Nadam(0.1), loss=head.loss(), metrics=head.metrics())
    direction = random_directions(1, seed=7)
    x = np.ones((4, 5, 4), np.float32)
    y = np.repeat(np.repeat(head.encode(direction)[:, None], 5, axis=1), 4, axis=0)
    model.fit(x, y, epochs=150, verbose=0)
    answer, _ = head.decode(model.predict(x, verbose=0))
    assert degrees_between(answer[0], direction[0]) < (1.0 if name == "cartesian" else 7.0)


def test_a_user_adds_a_head():
    class Mirrored(doa_tf.heads.Cartesian):
        name = "mirrored"

        def encode(self, directions):
            return super().encode(-np.asarray(directions))

    try:
        doa_tf.heads.register(Mirrored)
        assert isinstance(doa_tf.heads.get("mirrored"), Mirrored)
    finally:
        del doa_tf.heads.base._HEADS["mirrored"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ([[0.0, 0.0, 2.0]], "length 2"),
        ([[np.nan, 0.0, 1.0]], "length nan"),
        ([[0.0, 1.0]], "x, y and z"),
    ],
)
def test_bad_directions_are_refused(name, directions, message):
    with pytest.raises(ValueError, match=message):
        doa_tf.heads.get(name).encode(directions)


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="cartesian, onehot, gibbs, gibbs-weighted"):
        doa_tf.heads.get("polar")


def test_gradients_of_the_loss_are_those_of_finite_differences():
    gibbs = doa_tf.heads.get("gibbs-weighted", resolution_deg=30.0).encode(random_directions(1))
    rng = np.random.default_rng(0)
    logits = rng.normal(size=gibbs.shape)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        variable = tf.Variable(logits.astype(np.float32))
        loss = ops.sum(gibbs_weighted_crossentropy(gibbs, variable, True))
    gradient = tape.gradient(loss, variable).numpy()[0]
    step = 1e-3

    def value(x):
        sigmoid = 1 / (1 + np.exp(-x))
        nearest = np.arange(len(x)) == np.argmax(gibbs[0])
        return -np.sum(np.log(sigmoid[nearest])) - np.sum(
            ((1 - gibbs[0].astype(float)) * np.log(1 - sigmoid))[~nearest]
        )

    for cell in range(0, gibbs.shape[1], 7):
        up, down = logits[0].copy(), logits[0].copy()
        up[cell] += step
        down[cell] -= step
        expected = (value(up) - value(down)) / (2 * step)
        assert gradient[cell] == pytest.approx(expected, abs=1e-4)
