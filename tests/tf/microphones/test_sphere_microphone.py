"""Rigid spheres, spherical harmonics, and arrays that are measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import spherical_jn, spherical_yn

from doa_core.ambisonics import steering_vector
from doa_core.angles import random_rotation
from doa_core.errors import InputError
from doa_tf.microphones.base import SPEED_OF_SOUND, even_directions
from doa_tf.microphones.draw import draw_microphone, microphone_from_draw
from doa_tf.microphones.measured_array import MeasuredArrayMicrophone
from doa_tf.microphones.rigid_sphere import (
    RigidSphereMicrophone,
    radial_response,
    rigid_sphere_responses,
    sphere_layout,
    sphere_pressure,
)
from doa_tf.microphones.sofa_array import ArrayResponses, write_array
from doa_tf.spherical_harmonics import legendre, spherical_harmonics

RADIUS = 0.042
DIRECTIONS = even_directions(151)
IDEAL = steering_vector(DIRECTIONS)
MEASURED = {125.0: -7.7, 250.0: -3.2, 500.0: -1.1}  # dB, of a real sphere


@pytest.fixture(scope="module")
def array_file(tmp_path_factory):
    """A 32-capsule sphere of 42 mm, as if measured from 400 directions."""
    path = tmp_path_factory.mktemp("array") / "sphere.sofa"
    directions = even_directions(400)
    capsules = sphere_layout(32)
    responses = rigid_sphere_responses(directions, capsules=capsules, radius=RADIUS)
    array = ArrayResponses(directions=directions, responses=responses, capsules=RADIUS * capsules)
    write_array(path, array)
    return path


def gains(microphone, frequencies):
    """(F, 4) complex gain of each channel's own pattern."""
    response = microphone.response(DIRECTIONS, np.asarray(frequencies))
    return np.einsum("fic,ic->fc", response, IDEAL) / len(IDEAL) * [1, 3, 3, 3]


def test_spherical_harmonics_are_orthonormal_and_begin_with_ambix():
    directions = even_directions(4000)
    harmonics = spherical_harmonics(directions, 5)
    np.testing.assert_allclose(harmonics.T @ harmonics / 4000, np.eye(36), atol=1e-3)
    n3d = steering_vector(directions) * np.sqrt([1, 3, 3, 3])
    np.testing.assert_allclose(harmonics[:, :4], n3d, atol=1e-12)


def test_spherical_harmonics_add_up_to_legendre_polynomials():
    rng = np.random.default_rng(0)
    pair = rng.standard_normal((2, 3))
    pair /= np.linalg.norm(pair, axis=-1, keepdims=True)
    products = np.prod(spherical_harmonics(pair, 6), axis=0)
    polynomials = legendre(pair[0] @ pair[1], 6)
    for n in range(7):
        total = products[n * n : (n + 1) ** 2].sum()
        assert total == pytest.approx((2 * n + 1) * polynomials[n], abs=1e-12)


def test_radial_response_agrees_with_scipys_bessel_functions():
    ka = np.array([0.05, 0.7, 3.0, 7.5])
    for n, radial in enumerate(radial_response(ka, 9)):
        slope_j = spherical_jn(n, ka, derivative=True)
        hankel = spherical_jn(n, ka) - 1j * spherical_yn(n, ka)
        slope_h = slope_j - 1j * spherical_yn(n, ka, derivative=True)
        expected = 1j**n * (spherical_jn(n, ka) - slope_j / slope_h * hankel)
        np.testing.assert_allclose(radial, expected, rtol=1e-7, atol=1e-12)


def test_rigid_sphere_at_low_frequencies():
    """1 + 1.5 j ka cos: one and a half times the phase that it would have without a sphere."""
    capsules = sphere_layout(12)
    frequency = 20.0
    ka = 2 * np.pi * frequency * RADIUS / SPEED_OF_SOUND
    pressure = sphere_pressure(DIRECTIONS, np.array([frequency]), capsules=capsules, radius=RADIUS)
    expected = 1 + 1.5j * ka * DIRECTIONS @ capsules.T
    np.testing.assert_allclose(pressure[0], expected, atol=2 * ka**2)


def test_rigid_sphere_doubles_the_pressure_in_front_and_shades_the_back():
    front = np.array([[1.0, 0.0, 0.0]])
    pressure = np.abs(
        sphere_pressure(
            front, np.array([8000.0]), capsules=np.array([[1, 0, 0], [0, 1, 0]]), radius=0.1
        )
    )[0, 0]
    assert pressure[0] == pytest.approx(2.0, abs=0.1)
    assert pressure[1] < 1.5


@pytest.mark.parametrize("capsules", [12, 20, 32])
def test_layouts_are_even(capsules):
    layout = sphere_layout(capsules)
    assert layout.shape == (capsules, 3)
    np.testing.assert_allclose(np.linalg.norm(layout, axis=-1), 1.0)
    np.testing.assert_allclose(layout.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(layout.T @ layout / capsules, np.eye(3) / 3, atol=1e-12)
    assert len(np.unique(np.round(layout, 6), axis=0)) == capsules


def test_sphere_of_32_capsules_is_like_a_measured_one():
    microphone = RigidSphereMicrophone()
    level = np.abs(gains(microphone, list(MEASURED)))
    relative = 20 * np.log10(level[:, 1:] / level[:, :1])
    expected = np.array(list(MEASURED.values()))[:, np.newaxis]
    np.testing.assert_allclose(relative, np.repeat(expected, 3, 1), atol=0.3)
    mid = gains(microphone, [1000.0, 2000.0, 4000.0, 7000.0])
    np.testing.assert_allclose(mid, 1.0, atol=0.025)
    response = microphone.response(DIRECTIONS, np.array([1500.0, 3000.0, 5000.0]))
    np.testing.assert_allclose(response, np.broadcast_to(IDEAL, response.shape), atol=0.04)


def test_fewer_capsules_alias_earlier():
    errors = []
    for capsules in (12, 32):
        response = RigidSphereMicrophone(capsules=capsules).response(DIRECTIONS, np.array([6000.0]))
        errors.append(np.sqrt(np.mean(np.abs(response - IDEAL) ** 2)))
    assert errors[0] > 5 * errors[1]


def test_a_turned_layout_hears_the_same_at_mid_frequencies():
    rotation = random_rotation(np.random.default_rng(0))
    turned = RigidSphereMicrophone(rotation=tuple(rotation))
    plain = RigidSphereMicrophone()
    frequencies = np.array([300.0, 1000.0, 3000.0])
    np.testing.assert_allclose(
        turned.response(DIRECTIONS, frequencies),
        plain.response(DIRECTIONS, frequencies),
        atol=0.01,
    )


def test_harder_regularisation_sags_more_and_is_quieter():
    soft = RigidSphereMicrophone(regularisation_db=-35.0)
    hard = RigidSphereMicrophone(regularisation_db=-15.0)
    assert np.abs(gains(hard, [125.0]))[0, 1] < 0.5 * np.abs(gains(soft, [125.0]))[0, 1]
    assert hard.noise_gains[1] < soft.noise_gains[1]


def test_measured_array_is_heard_like_the_analytic_one(array_file):
    """Between the measured directions too, and without the delay of the measurement."""
    measured = MeasuredArrayMicrophone(file=str(array_file))
    frequencies = np.array([125.0, 250.0, 500.0, 1000.0, 3000.0, 6000.0])
    analytic = RigidSphereMicrophone().response(DIRECTIONS, frequencies)
    response = measured.response(DIRECTIONS, frequencies)
    assert response.dtype == np.complex64
    np.testing.assert_allclose(response, analytic, atol=0.08)
    np.testing.assert_allclose(measured.noise_gains, RigidSphereMicrophone().noise_gains, rtol=0.05)


def test_measured_array_on_a_uniform_grid(array_file):
    measured = MeasuredArrayMicrophone(file=str(array_file))
    grid = np.fft.rfftfreq(2048, 1 / 16000)
    whole = measured.response(DIRECTIONS[:20], grid)
    some = measured.response(DIRECTIONS[:20], grid[[16, 128, 700]])
    np.testing.assert_allclose(whole[[16, 128, 700]], some, atol=1e-4)
    coarse = measured.response(DIRECTIONS[:20], grid[::16])  # coarser than its own responses
    np.testing.assert_allclose(coarse[[1, 8]], whole[[16, 128]], atol=1e-4)


def test_array_is_drawn_from_a_file(array_file):
    for kind, sofa in ((str(array_file), None), ("sphere", array_file)):
        microphone = draw_microphone(np.random.default_rng(0), kind=kind, sofa=sofa)
        assert isinstance(microphone, MeasuredArrayMicrophone)
        assert microphone.draw["file"] == str(array_file)
        assert microphone_from_draw(microphone.draw) == microphone


def test_array_of_another_file_is_refused(array_file, tmp_path):
    draw = MeasuredArrayMicrophone(file=str(array_file)).draw
    with pytest.raises(InputError, match="not the file that this microphone was drawn from"):
        microphone_from_draw({**draw, "digest": "0" * 64})
    with pytest.raises(InputError, match="must be a SOFA file of a microphone array"):
        microphone_from_draw({**draw, "file": str(tmp_path / "gone.sofa")})


def test_array_of_too_few_directions_is_refused(tmp_path):
    directions = even_directions(10)
    responses = rigid_sphere_responses(directions, capsules=sphere_layout(12), radius=RADIUS)
    array = ArrayResponses(
        directions=directions, responses=responses, capsules=RADIUS * sphere_layout(12)
    )
    write_array(tmp_path / "few.sofa", array)
    with pytest.raises(InputError, match=r"at least 24 directions\. Received: 10"):
        MeasuredArrayMicrophone(file=str(tmp_path / "few.sofa"))
