"""Beams against closed forms: what they hear, what they take out, what a diffuse field leaves."""

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, rotation_to_ambix_matrix, steering_vector
from doa_core.angles import angles_to_vector, random_rotation
from doa_core.beam import MAX_NOISE_GAIN_DB, beam_weights, noise_gain


def vector(azimuth_deg, elevation_deg=0.0):
    return angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))


def sphere(count=20_000):
    """(count, 3) unit vectors, evenly spread: a Fibonacci lattice."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    azimuth = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=-1)


def one_null_gain(angle_deg):
    """The closed form of the module."""
    return 4.0 / (16.0 - (1.0 + 3.0 * np.cos(np.radians(angle_deg))) ** 2)


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(0, 0), (70, 0), (-130, 35), (10, -90)])
def test_without_nulls_it_is_the_hypercardioid(azimuth_deg, elevation_deg):
    look = vector(azimuth_deg, elevation_deg)
    weights = beam_weights(look)
    np.testing.assert_allclose(weights, steering_vector(look) * [0.25, 0.75, 0.75, 0.75])
    # Directivity index: the power towards the look direction over the mean of all directions.
    mean_power = np.mean((steering_vector(sphere()) @ weights) ** 2)
    assert 10.0 * np.log10(1.0 / mean_power) == pytest.approx(6.0206, abs=1e-3)
    assert noise_gain(weights) == pytest.approx(0.25)


def test_its_null_without_a_constraint_is_at_109_degrees():
    angle = np.degrees(np.arccos(-1.0 / 3.0))
    assert beam_weights(vector(0)) @ steering_vector(vector(angle)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("angle_deg", [37, 60, 90, 109.4712, 150, 180])
def test_one_null_has_the_closed_form(angle_deg):
    weights = beam_weights(vector(0), [vector(angle_deg)])
    assert weights @ steering_vector(vector(0)) == pytest.approx(1.0)
    assert weights @ steering_vector(vector(angle_deg)) == pytest.approx(0.0, abs=1e-12)
    assert noise_gain(weights) == pytest.approx(one_null_gain(angle_deg))


def test_noise_gain_is_the_power_of_a_diffuse_field():
    weights = beam_weights(vector(20, 10), [vector(-60), vector(140, -30)])
    heard = np.mean((steering_vector(sphere()) @ weights) ** 2)
    assert noise_gain(weights) == pytest.approx(heard, rel=1e-4)  # of the lattice
    assert noise_gain([1.0, 0.0, 0.0, 0.0]) == 1.0  # W


def test_two_nulls_take_out_two_voices():
    rng = np.random.default_rng(0)
    talkers = [vector(10, 5), vector(-80, 0), vector(130, 20)]
    voices = rng.standard_normal((3, 100))
    scene = sum(
        encode_plane_wave(voice, talker) for voice, talker in zip(voices, talkers, strict=True)
    )
    for number, talker in enumerate(talkers):
        others = talkers[:number] + talkers[number + 1 :]
        np.testing.assert_allclose(scene @ beam_weights(talker, others), voices[number], atol=1e-12)


def test_no_other_weights_with_these_responses_have_less_noise():
    look, nulls = vector(25, -10), [vector(100), vector(-70, 30)]
    weights = beam_weights(look, nulls)
    constraints = steering_vector(np.array([look, *nulls]))
    free = np.linalg.svd(constraints)[2][3]  # the direction that no constraint sees
    for step in (-0.1, 0.1):
        assert noise_gain(weights + step * free) > noise_gain(weights)


def test_it_turns_with_the_scene():
    rotation = random_rotation(np.random.default_rng(4))
    look, nulls = vector(25, -10), np.array([vector(100), vector(-70, 30)])
    turned = beam_weights(rotation @ look, nulls @ rotation.T)
    still = beam_weights(look, nulls)
    np.testing.assert_allclose(turned, rotation_to_ambix_matrix(rotation) @ still, atol=1e-12)


def test_a_null_that_costs_too_much_is_left_out():
    # The closed form passes 0 dB, the default, where 1 + 3 cos(t) is the root of 12.
    limit_deg = np.degrees(np.arccos((np.sqrt(12.0) - 1.0) / 3.0))
    assert MAX_NOISE_GAIN_DB == 0.0
    near, far = vector(limit_deg - 0.1), vector(limit_deg + 0.1)
    np.testing.assert_array_equal(beam_weights(vector(0), [near]), beam_weights(vector(0)))
    assert beam_weights(vector(0), [far]) @ steering_vector(far) == pytest.approx(0.0, abs=1e-12)
    # A higher limit lets nearer nulls in.
    weights = beam_weights(vector(0), [near], max_noise_gain_db=1.0)
    assert weights @ steering_vector(near) == pytest.approx(0.0, abs=1e-12)


def test_no_limit_is_passed_wherever_the_talkers_are():
    rng = np.random.default_rng(1)
    for limit_db in (-4.0, 0.0, 6.0):
        for _ in range(200):
            look, *nulls = (random_rotation(rng)[0] for _ in range(3))
            weights = beam_weights(look, nulls, max_noise_gain_db=limit_db)
            assert 10.0 * np.log10(noise_gain(weights)) <= limit_db + 1e-9
            assert weights @ steering_vector(look) == pytest.approx(1.0)


def test_the_most_important_null_comes_first():
    look, first, second = vector(0), vector(45), vector(55)
    weights = beam_weights(look, [first, second], max_noise_gain_db=-1.5)
    np.testing.assert_array_equal(
        weights, beam_weights(look, [first], max_noise_gain_db=-1.5)
    )  # both would pass the limit
    other = beam_weights(look, [second, first], max_noise_gain_db=-1.5)
    assert other @ steering_vector(second) == pytest.approx(0.0, abs=1e-12)


def test_a_null_that_cannot_be_had_leaves_room_for_the_next():
    weights = beam_weights(vector(0), [vector(5), vector(90), vector(-120), vector(45)])
    expected = beam_weights(vector(0), [vector(90), vector(-120)])
    np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize("limit_db", [0.0, 1e3])
def test_directions_that_meet_are_one(limit_db):
    look = vector(33, 7)
    same = beam_weights(look, [look], max_noise_gain_db=limit_db)
    np.testing.assert_array_equal(same, beam_weights(look))
    twice = beam_weights(look, [vector(150), vector(150)], max_noise_gain_db=limit_db)
    np.testing.assert_array_equal(twice, beam_weights(look, [vector(150)]))


@pytest.mark.parametrize(
    ("look", "nulls", "message"),
    [
        ([1.0, 0.0], (), "`look` must hold x, y and z"),
        ([[1.0, 0.0, 0.0]], (), r"`look` must be \(3,\)"),
        ([2.0, 0.0, 0.0], (), "`look` must have unit length"),
        ([np.nan, 0.0, 0.0], (), "`look` must have unit length"),
        ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], r"`nulls` must be \(K, 3\)"),
        ([1.0, 0.0, 0.0], [[0.0, 0.0, 0.0]], "`nulls` must have unit length"),
        ([1.0, 0.0, 0.0], [[0.0, 1.0]], "`nulls` must hold x, y and z"),
    ],
)
def test_bad_directions_are_refused(look, nulls, message):
    with pytest.raises(ValueError, match=message):
        beam_weights(look, nulls)
