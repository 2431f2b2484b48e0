"""Turning: a scene that is turned about the vertical gives scores that are turned."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL, intensity_heading
from doa_core.spec import FeatureSpec
from doa_tf.data.augment import feature_blocks, random_turns
from doa_tf.layers import IntensityFeatures
from doa_tf.spherical_harmonics import spherical_harmonics
from doa_tf.turning import TurnHarmonics, TurnToIntensity

SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
SMALL = {"filters": 3, "lstm_units": 3, "dense_units": 5}


def some_features(channels=6, scenes=2):
    shape = (scenes, 25, 513, channels)
    return np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)


def turned(features, turns):
    blocks = feature_blocks(turns, features.shape[-1])
    return np.einsum("btfk,bkl->btfl", features, blocks).astype(np.float32)


def amounts_model(model):
    return keras.Model(model.input, model.get_layer("turn_back").output)


@pytest.mark.parametrize("spec", [FeatureSpec(), SEVEN])
def test_a_turned_scene_gives_turned_scores(spec):
    keras.utils.set_random_seed(0)
    head = doa_tf.heads.get("gibbs-harmonic")
    model = amounts_model(doa_tf.build_crnn(head, features=spec, **SMALL))
    features = some_features(len(spec.channels), scenes=3)
    turns = random_turns(np.random.default_rng(1), 3, "vertical")
    ours = np.asarray(model(features))
    theirs = np.asarray(model(turned(features, turns)))
    cells = head.grid.vectors
    for one, other, turn in zip(ours, theirs, turns, strict=True):
        before = one @ spherical_harmonics(cells, head.order).T
        after = other @ spherical_harmonics(cells @ turn.T, head.order).T
        assert before.std() > 0.01
        np.testing.assert_allclose(after, before, atol=2e-4 * np.abs(before).max())


def test_features_are_turned_to_their_intensity():
    features = some_features(7)
    result, heading = map(np.asarray, TurnToIntensity((6, 128))(features))
    total = result[:, :, 6:128, :2].sum(axis=(1, 2))
    np.testing.assert_allclose(total[:, 1], 0.0, atol=1e-3)
    assert (total[:, 0] > 0.0).all()
    np.testing.assert_allclose(np.sum(heading[:, :2] ** 2, axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(heading[:, 2], 1.0)
    np.testing.assert_array_equal(result[..., [2, 5, 6]], features[..., [2, 5, 6]])  # z and level
    for first in (0, 3):
        lengths = np.linalg.norm(features[..., first : first + 2], axis=-1)
        np.testing.assert_allclose(
            np.linalg.norm(result[..., first : first + 2], axis=-1), lengths, rtol=1e-4, atol=1e-6
        )


def test_the_heading_is_that_of_numpy():
    features = some_features(7, scenes=3)
    _, heading = map(np.asarray, TurnToIntensity((6, 128))(features))
    for window, found in zip(features, heading, strict=True):
        np.testing.assert_allclose(intensity_heading(window, bins=(6, 128)), found[:2], atol=1e-5)


@pytest.mark.parametrize("order", [1, 4, 12])
def test_harmonics_are_turned(order):
    rng = np.random.default_rng(2)
    amounts = rng.standard_normal((2, 3, (order + 1) ** 2)).astype(np.float32)
    angles, sides = np.array([0.9, -2.5]), np.array([1.0, -1.0])
    heading = np.stack([np.cos(angles), np.sin(angles), sides], axis=-1).astype(np.float32)
    result = np.asarray(TurnHarmonics(order)(amounts, heading))
    points = rng.standard_normal((20, 3))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    for one, other, angle, side in zip(amounts, result, angles, sides, strict=True):
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        turn = turn * [1.0, side, 1.0]
        expected = one @ spherical_harmonics(points, order).T
        found = other @ spherical_harmonics(points @ turn.T, order).T
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_silence_is_left_as_it_is():
    features = np.zeros((1, 25, 513, 6), np.float32)
    result, heading = map(np.asarray, TurnToIntensity()(features))
    np.testing.assert_array_equal(result, features)
    np.testing.assert_allclose(heading, [[1.0, 0.0, 1.0]])
    model = doa_tf.build_crnn(doa_tf.heads.get("gibbs-harmonic"), **SMALL)
    assert np.isfinite(np.asarray(model(features))).all()


def test_a_talker_is_at_azimuth_0_for_the_network():
    from doa_core.ambisonics import encode_plane_wave
    from doa_core.angles import angles_to_vector

    noise = np.random.default_rng(3).standard_normal(13_312)
    wave = encode_plane_wave(noise, angles_to_vector(2.0, 0.4))[None]
    result, heading = TurnToIntensity((6, 128))(IntensityFeatures()(wave))
    np.testing.assert_allclose(np.asarray(heading)[0], [np.cos(2.0), np.sin(2.0), 1.0], atol=1e-4)
    mean = np.asarray(result)[0, :, 6:128, :3].mean(axis=(0, 1))
    np.testing.assert_allclose(mean, angles_to_vector(0.0, 0.4), atol=1e-3)


def test_training_turns_and_mirrors_at_random_and_undoes_it():
    keras.utils.set_random_seed(4)
    layer = TurnToIntensity((6, 128), spread=30.0)
    features = np.repeat(some_features(scenes=1)[:, :2, :200], 400, axis=0)
    result, heading = map(np.asarray, layer(features, training=True))
    ((cosine, sine, _),) = np.asarray(layer(features[:1])[1])
    off = np.degrees(np.angle((heading[:, 0] + 1j * heading[:, 1]) / (cosine + 1j * sine)))
    assert np.std(off) == pytest.approx(30.0, abs=4.0)
    assert abs(np.mean(off)) < 5.0
    assert np.mean(heading[:, 2] == -1.0) == pytest.approx(0.5, abs=0.1)
    # A vector as the three harmonics of first order is turned back to what it was.
    amounts = np.zeros((400, 2, 4), np.float32)
    amounts[..., 1:] = result[:, :, 50, [1, 2, 0]]
    back = np.asarray(TurnHarmonics(1)(amounts, heading))[..., [3, 1, 2]]
    np.testing.assert_allclose(back, features[:, :, 50, :3], atol=1e-5)
    still = TurnToIntensity((6, 128), spread=0.0)
    np.testing.assert_array_equal(
        np.asarray(still(features, training=True)[0]), np.asarray(layer(features)[0])
    )


def test_a_saved_network_turns_as_before(tmp_path):
    model = doa_tf.build_crnn(doa_tf.heads.get("gibbs-harmonic", resolution_deg=20.0), **SMALL)
    model.save(tmp_path / "x.keras")
    again = doa_tf.models.load_model(tmp_path / "x.keras")
    features = some_features()
    np.testing.assert_allclose(np.asarray(again(features)), np.asarray(model(features)), atol=1e-6)
    assert again.get_layer("turn").bins == (6, 128)
    assert again.get_layer("turn").spread == 40.0
    assert again.get_layer("turn_back").order == 4


def test_half_precision_turns_as_well():
    features = some_features().astype("float32")
    layer, back = (
        TurnToIntensity((6, 128), dtype="mixed_bfloat16"),
        TurnHarmonics(2, dtype="mixed_bfloat16"),
    )
    exact = np.asarray(TurnToIntensity((6, 128))(features)[0])
    turned, heading = layer(features, training=False)
    assert keras.backend.standardize_dtype(turned.dtype) == "bfloat16"
    np.testing.assert_allclose(np.asarray(keras.ops.cast(turned, "float32")), exact, atol=0.05)
    layer(features, training=True)
    back(np.ones((2, 25, 9), np.float32), heading)


def test_what_has_no_harmonics_can_not_be_turned_back():
    class Turning(doa_tf.heads.Gibbs):
        turns_in_hz = (94.0, 2000.0)

    with pytest.raises(ValueError, match="needs a `basis` of spherical harmonics"):
        doa_tf.build_crnn(Turning(), **SMALL)
