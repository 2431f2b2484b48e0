"""Heads: what they encode, decode and train on."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.errors import InputError
from doa_core.grid import sphere_grid
from tests.places import PROJECT

NAMES = doa_tf.heads.names()
REGRESSION = ("spherical", "spherical-angular", "cartesian")
GIBBS = ("gibbs", "gibbs-weighted", "gibbs-softmax", "gibbs-harmonic")
HALF_CELL_DEG = 7.0  # the farthest that a direction is from a cell's centre, at 10 degrees


def random_directions(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def of_one_voice(directions):
    return np.asarray(directions)[..., np.newaxis, :]


def degrees_between(a, b):
    return np.degrees(great_circle_distance(np.asarray(a, float), np.asarray(b, float)))


def perfect_outputs(head, directions, frames=5):
    """(B, T, K) model outputs that say exactly the targets."""
    scores = np.clip(head.encode(of_one_voice(directions)).astype(float), 1e-6, 1 - 1e-6)
    if head.gives_logits and head.activation == "sigmoid":
        scores = np.log(scores / (1 - scores))
    elif head.gives_logits:
        scores = np.log(scores)
    return np.repeat(scores[:, None], frames, axis=1).astype(np.float32)


def test_the_six_of_the_paper_and_two_more():
    paper = [*REGRESSION, "onehot", "gibbs", "gibbs-weighted"]
    assert list(NAMES) == [*paper, "gibbs-softmax", "gibbs-harmonic"]


def directions_that_are_hard():
    """(S, 1, 3) random ones, whole degrees, half of them between two cells, and the seam."""
    azimuth, elevation = np.meshgrid(np.arange(-180.0, 181.0, 5.0), np.arange(-90.0, 91.0, 5.0))
    lattice = angles_to_vector(np.radians(azimuth.ravel()), np.radians(elevation.ravel()))
    seam = [[-1.0, 0.0, 0.0], [-1.0, -0.0, 0.0], [-0.0, -0.0, 1.0], [-1.0, -1e-9, 0.0]]
    return of_one_voice(np.concatenate([random_directions(2000), lattice, seam]))


@pytest.mark.parametrize(
    ("name", "resolution_deg"),
    [*((name, None) for name in NAMES), ("onehot", 30.0), ("gibbs-weighted", 7.0), ("gibbs", 90.0)],
)
def test_what_is_encoded_in_tensors_is_what_numpy_encodes(name, resolution_deg):
    head = doa_tf.heads.get(name, resolution_deg=resolution_deg)
    directions = directions_that_are_hard()
    if head.grid is not None:
        directions = np.concatenate([directions, of_one_voice(head.grid.vectors)])
    targets = head.encode(directions)
    assert targets.shape == (len(directions), head.outputs)
    assert targets.dtype == np.float32
    assert targets.min() >= 0.0
    assert targets.max() <= 1.0
    tensors = np.asarray(
        head.encode_tensor(keras.ops.convert_to_tensor(directions, dtype="float32"))
    )
    np.testing.assert_allclose(tensors, targets, atol=1e-5)
    if head.grid is not None:
        # Of two cells that are equally near, both take the same: 0 degrees lies between two.
        np.testing.assert_array_equal(np.argmax(tensors, -1), np.argmax(targets, -1))
        near = degrees_between(head.grid.vectors[np.argmax(targets, -1)], directions[:, 0])
        least = degrees_between(
            head.grid.vectors[head.grid.nearest(directions[:, 0])], directions[:, 0]
        )
        np.testing.assert_allclose(near, least, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_perfect_outputs_decode_to_the_truth(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(100)
    outputs = perfect_outputs(head, directions)
    decoded, confidence = head.decode(outputs, method="peak")
    limit = 0.05 if name in REGRESSION else HALF_CELL_DEG
    assert degrees_between(decoded, directions).max() < limit
    assert confidence.min() > 0.5
    # What the metrics use in `keras.ops` is the same answer.
    assert degrees_between(head.outputs_to_vectors(outputs), decoded).max() < 0.05


@pytest.mark.parametrize("name", GIBBS)
def test_centroids_are_below_the_grid_step(name):
    head = doa_tf.heads.get(name)
    directions = random_directions(200)
    decoded, _ = head.decode(perfect_outputs(head, directions), method="centroid")
    assert degrees_between(decoded, directions).mean() < 0.3  # the peaks' is 3.7


@pytest.mark.parametrize("name", ["gibbs-softmax", "gibbs-harmonic"])
def test_heads_of_our_own_prefer_their_centroid(name):
    head = doa_tf.heads.get(name)
    outputs = perfect_outputs(head, random_directions(5))
    np.testing.assert_array_equal(
        head.decode(outputs)[0], head.decode(outputs, method="centroid")[0]
    )
    assert not np.allclose(head.decode(outputs)[0], head.decode(outputs, method="peak")[0])


@pytest.mark.parametrize("name", GIBBS)
def test_gibbs_targets_fall_with_distance_as_the_formula_says(name):
    direction = random_directions(1)[0]
    distance_deg = degrees_between(sphere_grid().vectors, direction)
    expected = np.exp(-((distance_deg / 20.0) ** 2))
    if name in ("gibbs-weighted", "gibbs-harmonic"):
        expected[np.argmin(distance_deg)] = 1.0  # by which the loss finds it
    targets = doa_tf.heads.get(name).encode(direction[np.newaxis])
    np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-12)


def test_onehot_targets_are_the_nearest_cell():
    directions = random_directions(50)
    targets = doa_tf.heads.get("onehot").encode(of_one_voice(directions))
    expected = np.argmin(degrees_between(directions[:, None], sphere_grid().vectors), axis=-1)
    np.testing.assert_array_equal(targets.sum(axis=-1), 1.0)
    np.testing.assert_array_equal(np.argmax(targets, axis=-1), expected)


def test_regression_targets_are_scaled_to_0_and_1():
    left_up = angles_to_vector(np.pi / 2, np.pi / 4)[np.newaxis]
    for name in ("spherical", "spherical-angular"):
        np.testing.assert_allclose(doa_tf.heads.get(name).encode(left_up), [0.75, 0.75], rtol=1e-6)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        doa_tf.heads.get("cartesian").encode(left_up),
        [0.5, (1 + half) / 2, (1 + half) / 2],
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["spherical", "spherical-angular"])
def test_spherical_heads_break_behind_the_microphone(name):
    head = doa_tf.heads.get(name)
    behind = angles_to_vector(np.radians([179.0, -179.0]), 0.0)
    answer, confidence = head.decode(head.encode(of_one_voice(behind)))
    assert degrees_between(answer, [1.0, 0.0, 0.0]) < 0.01
    assert confidence < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_activations_of_the_layer_and_of_the_scoring_model(name):
    head = doa_tf.heads.get(name)
    values = np.random.default_rng(0).normal(0, 2, (2, 3, head.outputs)).astype(np.float32)
    sigmoid = 1 / (1 + np.exp(-values))
    exponential = np.exp(values)
    softmax = exponential / exponential.sum(axis=-1, keepdims=True)
    expected = softmax if name in ("onehot", "gibbs-softmax") else sigmoid
    np.testing.assert_allclose(np.asarray(head.activate(values)), expected, rtol=1e-5)
    outputs = np.asarray(doa_tf.layers.HeadOutput(name, head.resolution_deg)(values))
    np.testing.assert_allclose(np.asarray(head.scores(outputs)), expected, rtol=1e-5)
    trained_from_logits = name in ("onehot", "gibbs-weighted", "gibbs-softmax", "gibbs-harmonic")
    assert head.gives_logits == trained_from_logits
    np.testing.assert_allclose(outputs, values if trained_from_logits else expected, rtol=1e-5)


def small_model(head):
    inputs = keras.Input((5, 4))
    layer = keras.layers.Dense(
        head.outputs, bias_initializer=keras.initializers.Constant(head.output_bias())
    )
    outputs = doa_tf.layers.HeadOutput(head.name, head.resolution_deg)(layer(inputs))
    model = keras.Model(inputs, outputs)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 150)  # so that it ends at the minimum
    model.compile(keras.optimizers.Nadam(rate), loss=head.loss(), metrics=head.metrics())
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_small_net_learns_one_scene(name):
    keras.utils.set_random_seed(1)
    head = doa_tf.heads.get(name)
    model = small_model(head)
    direction = random_directions(1, seed=7)
    x = np.ones((600, 5, 4), np.float32)
    y = np.repeat(of_one_voice(direction), 600, axis=0)
    model.fit(x, y, batch_size=4, verbose=0)
    answer, _ = head.decode(model.predict_on_batch(x[:1]))
    limit = (
        1.0
        if name in ("spherical", "spherical-angular", "cartesian", "gibbs-softmax")
        else HALF_CELL_DEG
    )
    assert degrees_between(answer[0], direction[0]) < limit


@pytest.mark.parametrize("resolution_deg", [5.0, 10.0, 20.0])
def test_harmonics_hold_a_lobe_alike_wherever_it_points(resolution_deg):
    head = doa_tf.heads.get("gibbs-harmonic", resolution_deg=resolution_deg)
    basis = head.basis()
    assert basis.shape == ((head.order + 1) ** 2, head.outputs)
    assert basis.dtype == np.float32
    np.testing.assert_allclose(np.sum(basis**2, axis=0), 1.0, rtol=1e-5)
    gibbs = doa_tf.heads.get("gibbs", resolution_deg=resolution_deg)
    lobes = gibbs.encode(of_one_voice(random_directions(50))).astype(float)
    amounts, *_ = np.linalg.lstsq(basis.T.astype(float), lobes.T, rcond=None)
    left = np.linalg.norm(amounts.T @ basis - lobes, axis=-1) / np.linalg.norm(lobes, axis=-1)
    assert left.max() < 0.12
    assert left.max() - left.min() < 0.005


def test_only_the_amounts_of_harmonics_are_learned():
    keras.utils.set_random_seed(0)
    head = doa_tf.heads.get("gibbs-harmonic")
    model = doa_tf.build_crnn(head, filters=2, lstm_units=2, dense_units=4)
    free = doa_tf.build_crnn(
        doa_tf.heads.get("gibbs-weighted"), filters=2, lstm_units=2, dense_units=4
    )
    learned = [sum(w.numpy().size for w in each.trainable_weights) for each in (free, model)]
    assert learned[0] - learned[1] == (4 + 1) * (429 - 81)
    coefficients, directions = model.get_layer("coefficients"), model.get_layer("directions")
    before = [layer.get_weights() for layer in (coefficients, directions)]
    model.compile(keras.optimizers.Nadam(0.01), loss=head.loss(), metrics=head.metrics())
    x = np.random.default_rng(0).uniform(-1, 1, (4, 25, 513, 6)).astype(np.float32)
    model.fit(x, of_one_voice(random_directions(4)), verbose=0)
    assert np.abs(coefficients.get_weights()[0] - before[0][0]).max() > 1e-3
    np.testing.assert_array_equal(directions.get_weights()[0], head.basis())
    np.testing.assert_array_equal(directions.get_weights()[1], before[1][1])


def test_the_output_bias_of_gibbs_is_the_mean_of_its_targets():
    head = doa_tf.heads.get("gibbs")
    mean = head.encode(of_one_voice(random_directions(500))).mean()
    assert 1 / (1 + np.exp(-head.output_bias())) == pytest.approx(mean, rel=0.05)


@pytest.fixture
def restored_registry():
    heads = dict(doa_tf.heads.registry._HEADS)
    yield
    doa_tf.heads.registry._HEADS.clear()
    doa_tf.heads.registry._HEADS.update(heads)


@pytest.mark.usefixtures("restored_registry")
def test_the_documented_head_of_a_users_own(tmp_path, monkeypatch):
    page = (PROJECT / "docs" / "heads.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<!-- runs as a test -->\n```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "docs/heads.md", "exec"), names)
    head = names["head"]
    assert doa_tf.heads.get(head.name) is not None
    spec = names["spec"]
    assert spec.head == head.decoded_as
    assert names["error_deg"] < HALF_CELL_DEG


@pytest.mark.usefixtures("restored_registry")
def test_a_head_without_a_known_decoding_has_no_spec():
    @doa_tf.heads.register
    class Mirrored(doa_tf.heads.Cartesian):
        name = "mirrored"

    model = doa_tf.build_crnn(doa_tf.heads.get("mirrored"), filters=2, lstm_units=2, dense_units=2)
    with pytest.raises(InputError, match=r"`decoded_as`: one of spherical.*'mirrored'"):
        doa_tf.model_spec(model)


def test_only_heads_are_registered():
    with pytest.raises(TypeError, match=r"subclass of doa_tf\.heads\.Head"):
        doa_tf.heads.register(dict)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("loss", "override `encoded_loss` instead of `loss`"),
        ("targets_to_vectors", "leave `targets_to_vectors` out"),
        ("encode", "override `encode_tensor`.*together with `encode`"),
    ],
)
def test_a_head_of_0_1_is_told_what_to_override_now(method, message):
    old = type("Old", (doa_tf.heads.Onehot,), {"name": "old", method: lambda self, *given: None})
    with pytest.raises(TypeError, match=f"Targets are directions now.*{message}"):
        doa_tf.heads.register(old)
    assert "old" not in doa_tf.heads.names()


@pytest.mark.parametrize("name", [name for name in NAMES if not doa_tf.heads.get(name).several])
@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ([[0.0, 0.0, 2.0]], "length 2"),
        ([[0.0, 0.0, 0.0]], "length 0"),
        ([[np.nan, 0.0, 1.0]], "length nan"),
        ([[0.0, 1.0]], "x, y and z"),
        ([0.0, 0.0, 1.0], r"\(\.\.\., 1, 3\).*shape=\(3,\)"),
        (np.tile([0.0, 0.0, 1.0], (2, 25, 1)), r"\(\.\.\., 1, 3\).*shape=\(2, 25, 3\)"),
    ],
)
def test_bad_directions_are_refused(name, directions, message):
    with pytest.raises(ValueError, match=message):
        doa_tf.heads.get(name).encode(directions)


def test_bad_heads_and_outputs_are_refused():
    with pytest.raises(ValueError, match=r"must be one of spherical, .*'polar'"):
        doa_tf.heads.get("polar")
    with pytest.raises(ValueError, match="belongs to heads with a grid"):
        doa_tf.heads.get("cartesian", resolution_deg=10.0)
    with pytest.raises(ValueError, match="between 1 and 90"):
        doa_tf.heads.get("gibbs", resolution_deg=0.5)
    with pytest.raises(ValueError, match=r"'gibbs' must be \(\.\.\., frames, 429\)"):
        doa_tf.heads.get("gibbs").decode(np.zeros((25, 3)))
    for name in ("cartesian", "gibbs-softmax"):
        head = doa_tf.heads.get(name)
        with pytest.raises(ValueError, match="must be finite"):
            head.decode(np.full((25, head.outputs), np.nan))
