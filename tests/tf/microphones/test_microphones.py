"""Microphones: what they hear of plane waves and of diffuse sound, and how they are drawn."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import spherical_jn

from doa_core.ambisonics import DEFAULT_LAYOUT, capsule_directions, steering_vector
from doa_core.errors import InputError
from doa_tf.microphones.base import SPEED_OF_SOUND, even_directions
from doa_tf.microphones.draw import (
    IdealMicrophone,
    MicrophoneSettings,
    draw_microphone,
    microphone_from_draw,
)
from doa_tf.microphones.rigid_sphere import RigidSphereMicrophone
from doa_tf.microphones.tetrahedral import TetrahedralMicrophone

DIRECTIONS = even_directions(200)
IDEAL = steering_vector(DIRECTIONS)
ISOTROPIC = np.diag([1.0, 1 / 3, 1 / 3, 1 / 3])


def drawn(number, kind="random", settings=None):
    rng = np.random.default_rng(number)
    return draw_microphone(rng, kind=kind, settings=settings)


def linear_gains(microphone, frequencies):
    """(F, 4) complex gain of W in W and of each dipole in its own channel."""
    response = microphone.response(DIRECTIONS, np.asarray(frequencies, float))
    return np.einsum("fic,ic->fc", response, IDEAL) / len(IDEAL) * [1, 3, 3, 3]


def dipoles_db(microphone, frequencies):
    """(F,) mean level of the dipoles relative to W [dB]."""
    gains = np.abs(linear_gains(microphone, frequencies))
    return 20 * np.log10(gains[:, 1:].mean(axis=1) / gains[:, 0])


def test_ideal_microphone_hears_the_steering_vector():
    response = IdealMicrophone().response(DIRECTIONS, np.array([0.0, 1000.0]))
    assert response.dtype == np.complex64
    np.testing.assert_allclose(response, np.stack([IDEAL, IDEAL]), atol=1e-6)
    assert IdealMicrophone().diffuse_response() is None
    np.testing.assert_array_equal(IdealMicrophone().noise_gains, np.ones(4))


@pytest.mark.parametrize("pattern", [0.4, 0.5, 0.65])
@pytest.mark.parametrize("limit", [None, 12.0])
def test_coincident_perfect_capsules_are_ideal(pattern, limit):
    microphone = TetrahedralMicrophone(pattern=pattern, driver_limit_db=limit)
    response = microphone.response(DIRECTIONS, np.linspace(0.0, 8000.0, 65))
    np.testing.assert_allclose(response, np.broadcast_to(IDEAL, response.shape), atol=1e-5)


def test_small_tetrahedron_tends_to_the_ideal_one():
    errors = []
    for radius in (0.02, 0.002, 0.0002):
        response = TetrahedralMicrophone(radius=radius).response(DIRECTIONS, np.array([2000.0]))
        errors.append(np.abs(response - IDEAL).max())
    # The leading error is kr in the dipoles: ten times smaller for a ten times smaller radius.
    assert errors[0] > 8 * errors[1] > 64 * errors[2]
    assert errors[2] < 0.02


@pytest.mark.parametrize("number", range(6))
def test_plane_wave_gives_its_direction_at_mid_frequencies(number):
    """The intensity vector points at the source, within what 1 dB of gain error explains."""
    response = drawn(number, "tetrahedral").response(DIRECTIONS, np.array([1000.0]))[0]
    intensity = np.real(response[:, :1].conj() * response[:, [3, 1, 2]])
    intensity /= np.linalg.norm(intensity, axis=-1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(np.sum(intensity * DIRECTIONS, axis=-1), -1, 1)))
    assert np.median(angle) < 8.0
    assert angle.max() < 25.0


def test_phase_is_that_of_the_delay():
    """A capsule at p hears a wave from u earlier by p.u / c; a delay makes the phase negative."""
    frequency = 800.0
    plain = TetrahedralMicrophone().response(DIRECTIONS, np.array([frequency]))
    offset = np.array([0.01, -0.02, 0.005])
    moved = TetrahedralMicrophone(offsets=(tuple(offset),) * 4)
    lead = DIRECTIONS @ offset / SPEED_OF_SOUND
    expected = plain * np.exp(2j * np.pi * frequency * lead)[:, np.newaxis]
    np.testing.assert_allclose(
        moved.response(DIRECTIONS, np.array([frequency])), expected, atol=1e-5
    )
    late = TetrahedralMicrophone(delays=(1e-4,) * 4).response(DIRECTIONS, np.array([frequency]))
    np.testing.assert_allclose(late, plain * np.exp(-2j * np.pi * frequency * 1e-4), atol=1e-5)


def test_uniform_grid_and_single_frequencies_agree():
    microphone = drawn(3, "tetrahedral")
    grid = np.fft.rfftfreq(2048, 1 / 16000)
    whole = microphone.response(DIRECTIONS, grid)
    some = microphone.response(DIRECTIONS, grid[[700, 31, 32, 1024]])
    assert whole.shape == (1025, 200, 4)
    assert whole.dtype == np.complex64
    np.testing.assert_allclose(whole[[700, 31, 32, 1024]], some, atol=2e-5)


def test_gradient_corner_makes_dipoles_sag_as_a_high_pass_does():
    frequencies = np.array([125.0, 250.0, 500.0])
    corner = 270.0
    microphone = TetrahedralMicrophone(radius=1e-5, gradient_corner=corner)
    expected = -10 * np.log10(1 + (corner / frequencies) ** 2)
    np.testing.assert_allclose(dipoles_db(microphone, frequencies), expected, atol=0.02)


def test_driver_restores_the_dipoles_up_to_its_limit():
    frequencies = np.array([20.0, 250.0, 1000.0])
    microphone = TetrahedralMicrophone(radius=0.015, gradient_corner=200.0, driver_limit_db=6.0)
    gains = 20 * np.log10(np.abs(linear_gains(microphone, frequencies)))
    np.testing.assert_allclose(gains[1:], 0.0, atol=0.05)
    plain = TetrahedralMicrophone(radius=0.015, gradient_corner=200.0)
    plain = 20 * np.log10(np.abs(linear_gains(plain, frequencies)))
    np.testing.assert_allclose(gains[0, 1:], plain[0, 1:] + 6.0, atol=0.05)


def test_spacing_aliases_where_theory_says():
    """What is left beside the first order: little at kr = 0.3, much at kr = 2; W is as j0, j1."""
    radius = 0.015
    frequencies = np.array([0.3, 2.0]) * SPEED_OF_SOUND / (2 * np.pi * radius)
    microphone = TetrahedralMicrophone(radius=radius)
    response = microphone.response(DIRECTIONS, frequencies)
    gains = linear_gains(microphone, frequencies)
    kr = np.array([0.3, 2.0])
    np.testing.assert_allclose(
        gains[:, 0], spherical_jn(0, kr) + 1j * spherical_jn(1, kr), atol=2e-3
    )
    dipole = 3j * spherical_jn(1, kr) + spherical_jn(0, kr) - 2 * spherical_jn(2, kr)
    np.testing.assert_allclose(gains[:, 1:], np.repeat(dipole[:, None], 3, 1), atol=5e-3)
    rest = response - gains[:, np.newaxis] * IDEAL
    share = np.sum(np.abs(rest) ** 2, (1, 2)) / np.sum(np.abs(response) ** 2, (1, 2))
    assert share[0] < 0.02
    assert share[1] > 0.1


def test_noise_of_a_perfect_tetrahedron():
    gains = TetrahedralMicrophone(radius=0.01).noise_gains
    np.testing.assert_allclose(gains, [1.0, *3 * [np.sqrt(3.0)]])
    # Measured: four independent noises through the matrix of the driver.
    noise = np.random.default_rng(0).standard_normal((100_000, 4))
    directions = capsule_directions(DEFAULT_LAYOUT)
    w = noise.sum(axis=1) / 2
    y = 1.5 * noise @ directions[:, 1]
    assert np.std(y) / np.std(w) == pytest.approx(gains[1], rel=0.02)


def test_driver_that_boosts_dipoles_boosts_their_noise():
    plain = TetrahedralMicrophone(gradient_corner=400.0)
    boosted = TetrahedralMicrophone(gradient_corner=400.0, driver_limit_db=20.0)
    assert boosted.noise_gains[1] > 1.05 * plain.noise_gains[1]


@pytest.mark.parametrize("kind", ["tetrahedral", "sphere"])
@pytest.mark.parametrize("number", range(4))
def test_diffuse_filters_reach_the_microphones_covariance(kind, number):
    microphone = drawn(number, kind)
    filters = microphone.diffuse_response()
    assert filters.dtype == np.float32
    assert filters.shape[1:] == (4, 4)
    frequencies = np.fft.rfftfreq(2048, 1 / 16000)
    directions = even_directions(400)
    heard = microphone.response(directions, frequencies)
    wanted = heard.swapaxes(1, 2) @ heard.conj() / len(directions)
    spectrum = np.fft.rfft(filters, 2048, axis=0)
    given = spectrum @ ISOTROPIC @ spectrum.conj().swapaxes(1, 2)
    edges = 100.0 * 2.0 ** np.append(np.arange(0, 6.1, 0.5), np.log2(70))
    for low, high in pairwise(edges):
        band = (frequencies >= low) & (frequencies < high)
        for channel in range(4):
            level = given[band, channel, channel].real.mean()
            level /= wanted[band, channel, channel].real.mean()
            assert abs(10 * np.log10(level)) < 1.0, (low, channel)


def test_diffuse_filters_of_an_ideal_response_are_a_centred_impulse():
    filters = TetrahedralMicrophone().diffuse_response(64)
    expected = np.zeros((64, 4, 4))
    expected[32] = np.eye(4)
    np.testing.assert_allclose(filters, expected, atol=0.02)
    with pytest.raises(ValueError, match=r"`taps` must be at least 16\. Received: taps=3"):
        TetrahedralMicrophone().diffuse_response(3)


@pytest.mark.parametrize("kind", ["ideal", "tetrahedral", "sphere", "random"])
def test_draws_repeat_and_survive_json(kind):
    frequencies = np.array([100.0, 1000.0, 5000.0])
    microphone = drawn(7, kind)
    response = microphone.response(DIRECTIONS, frequencies)
    again = microphone_from_draw(json.loads(json.dumps(microphone.draw)))
    assert again == microphone == drawn(7, kind)
    np.testing.assert_array_equal(again.response(DIRECTIONS, frequencies), response)
    if kind != "ideal":
        assert drawn(8, kind) != microphone


def test_random_draws_all_kinds_by_their_shares():
    settings = MicrophoneSettings(ideal_share=0.2, tetrahedral_share=0.5, sphere_share=0.3)
    rng = np.random.default_rng(0)
    kinds = [draw_microphone(rng, settings=settings).kind for _ in range(400)]
    shares = [kinds.count(kind) / 400 for kind in ("ideal", "tetrahedral", "sphere")]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.08)


def test_random_draws_cover_the_measured_sphere():
    """Dipoles of a real sphere of 32 capsules: 7.7, 3.2 and 1.1 dB low; others have none low."""
    rng = np.random.default_rng(1)
    levels = [dipoles_db(draw_microphone(rng), [125.0, 250.0, 500.0]) for _ in range(400)]
    low, high = np.percentile(levels, [5, 95], axis=0)
    assert np.all(low <= [-7.7, -3.2, -1.1])
    assert np.all(high >= 0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"radius": (0.02, 0.01)}, "`radius` must be .low, high."),
        ({"pattern": (0.0, 0.5)}, "`pattern` must be .low, high."),
        ({"steepness": (0.1, 0.5)}, "`steepness` must be"),
        ({"gain_tolerance_db": -1.0}, "`gain_tolerance_db` must lie between"),
        ({"capsule_corner": (float("nan"), 60.0)}, "`capsule_corner` must be"),
        ({"ideal_share": 0.5}, "must sum to 1"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        MicrophoneSettings(**values)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        ({}, "must be of kind ideal, tetrahedral, sphere. Received: None"),
        ({"kind": "cube"}, "Received: 'cube'"),
        ({"kind": "tetrahedral", "colour": 1}, "no draw of a tetrahedral microphone"),
        ({"kind": "tetrahedral", "gains_db": [0.0]}, "`gains_db` must be finite and of shape"),
        ({"kind": "tetrahedral", "radius": -0.01}, "`radius` must not be negative"),
        ({"kind": "tetrahedral", "driver_limit_db": -3.0}, "`driver_limit_db` must not be"),
        ({"kind": "sphere", "capsules": 5}, "`capsules` must be one of 12, 20, 32"),
        ({"kind": "sphere", "steepness": 0.1}, "`steepness` between 0.5 and 1"),
        ({"kind": "sphere", "gains_db": [1.0]}, r"`gains_db` must be .* shape \(32,\)"),
    ],
)
def test_draws_that_cannot_be(draw, message):
    with pytest.raises(InputError, match=message):
        microphone_from_draw(draw)


def test_unknown_kind_is_named():
    with pytest.raises(InputError, match=r"one of ideal, .* or a SOFA file\. Received: pear"):
        draw_microphone(np.random.default_rng(0), kind="pear")


def test_tolerances_of_zero_give_perfect_parts():
    zero = dict.fromkeys(
        (
            *("pattern_tolerance", "gain_tolerance_db", "delay_tolerance", "position_tolerance"),
            *("orientation_tolerance", "capsule_corner_tolerance"),
            *("sphere_gain_tolerance_db", "sphere_position_tolerance"),
        ),
        0.0,
    )
    settings = MicrophoneSettings(**zero, capsule_corner=(1.0, 1.0), gradient_corner=(1.0, 1.0))
    for kind in ("tetrahedral", "sphere"):
        microphone = drawn(2, kind, settings)
        response = microphone.response(DIRECTIONS, np.array([1000.0]))[0]
        dipoles = np.einsum("ic,id->cd", response, IDEAL)[1:, 1:]
        off_axis = dipoles - np.diag(np.diag(dipoles))
        assert np.abs(off_axis).max() < 0.01 * np.abs(dipoles).max()
    assert isinstance(microphone, RigidSphereMicrophone)
