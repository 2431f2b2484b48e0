"""The filter on the sphere: what it follows, how fast, and that it stays on the sphere."""

import math

import numpy as np
import pytest

from doa_core.angles import rotation_matrix
from doa_edge.tracking.motion import FORGETS_S, SPEED, SphereFilter, angle
from tests.edge.conftest import unit_vector

PERIOD_S = 0.16
NOISE = math.radians(8.0) ** 2


def direction(azimuth_deg, elevation_deg=0.0):
    return tuple(unit_vector(azimuth_deg, elevation_deg).tolist())


def follow(directions, *, noise=NOISE, period_s=PERIOD_S):
    motion = SphereFilter(directions[0], noise=noise)
    for measured in directions[1:]:
        motion.predict(period_s)
        motion.update(measured, noise=noise)
    return motion


def speed_deg(motion):
    return math.degrees(float(np.linalg.norm(motion.velocity)))


def test_a_resting_talker_is_where_they_are_measured():
    motion = follow([direction(40.0, 20.0)] * 20)
    assert math.degrees(angle(motion.direction, direction(40.0, 20.0))) < 1e-6
    assert speed_deg(motion) < 1e-6


def test_noise_is_halved():
    """Of a resting talker: in the mean over seeds, on both axes."""
    rng = np.random.default_rng(0)
    truth = unit_vector(40.0, 20.0)
    errors = []
    for _ in range(100):
        noisy = truth + math.radians(8.0) * rng.standard_normal((30, 3))
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        errors.append(angle(follow([tuple(v) for v in noisy.tolist()]).direction, tuple(truth)))
    raw = math.radians(8.0) * math.sqrt(math.pi / 2.0)  # mean of a Rayleigh distribution
    assert np.mean(errors) < 0.75 * raw


@pytest.mark.parametrize("speed", [20.0, -40.0])
def test_a_walker_is_followed_with_their_speed(speed):
    azimuths = [speed * PERIOD_S * number for number in range(40)]
    motion = follow([direction(azimuth, 10.0) for azimuth in azimuths])
    # On a circle of latitude. The model forgets velocities, and so expects less than there is.
    ratio = speed_deg(motion) / (abs(speed) * math.cos(math.radians(10.0)))
    assert 0.8 < ratio < 1.0
    assert math.degrees(angle(motion.direction, direction(azimuths[-1], 10.0))) < 3.0
    later = motion.ahead(0.4)
    assert math.degrees(angle(later, direction(azimuths[-1] + 0.4 * speed, 10.0))) < 6.0


def test_without_measurements_a_walker_comes_to_rest_on_a_great_circle():
    motion = SphereFilter(direction(0.0), noise=NOISE)
    motion.velocity = (0.0, math.radians(30.0), 0.0)
    for _ in range(1000):
        motion.predict(PERIOD_S)
    expected = direction(30.0 * FORGETS_S)
    assert math.degrees(angle(motion.direction, expected)) < 1e-3
    assert speed_deg(motion) < 1e-6


def test_prediction_does_not_depend_on_its_steps():
    """The model is exact in continuous time: one step of a second is ten of a tenth."""
    once = follow([direction(azimuth) for azimuth in (0.0, 4.0, 9.0)])
    often = follow([direction(azimuth) for azimuth in (0.0, 4.0, 9.0)])
    once.predict(1.0)
    for _ in range(10):
        often.predict(0.1)
    np.testing.assert_allclose(once.direction, often.direction, atol=1e-12)
    np.testing.assert_allclose(once.velocity, often.velocity, atol=1e-12)
    assert once.variance == pytest.approx(often.variance, rel=1e-9)
    once.update(direction(20.0), noise=NOISE)
    often.update(direction(20.0), noise=NOISE)
    np.testing.assert_allclose(once.velocity, often.velocity, rtol=1e-9, atol=1e-12)


def test_uncertainty_grows_as_a_walk_at_random():
    """Variance after a long time: 2 sigma^2 tau t, less what the first second costs."""
    motion = SphereFilter(direction(0.0), noise=NOISE)
    motion.predict(100.0)
    expected = NOISE + 2.0 * SPEED**2 * FORGETS_S * (100.0 - FORGETS_S)
    assert motion.variance == pytest.approx(expected, rel=1e-6)


def test_it_does_not_matter_how_the_axes_lie():
    rotation = rotation_matrix(0.7, -0.4, 1.1)
    path = [unit_vector(10.0 * number, 80.0 - 5.0 * number) for number in range(8)]
    here = follow([tuple(each) for each in path])
    there = follow([tuple(rotation @ each) for each in path])
    np.testing.assert_allclose(there.direction, rotation @ here.direction, atol=1e-9)
    np.testing.assert_allclose(there.velocity, rotation @ here.velocity, atol=1e-9)


def test_it_stays_on_the_sphere_and_in_its_tangent_plane():
    rng = np.random.default_rng(1)
    path = rng.standard_normal((500, 3))
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    motion = follow([tuple(each) for each in path.tolist()])
    assert np.linalg.norm(motion.direction) == pytest.approx(1.0, abs=1e-12)
    assert np.dot(motion.direction, motion.velocity) == pytest.approx(0.0, abs=1e-9)


def test_the_opposite_direction_moves_nothing_and_stays_finite():
    motion = follow([direction(0.0), direction(180.0)])
    assert motion.direction == direction(0.0)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 30.0, 90.0, 180.0])
def test_angles_are_exact_where_cosines_are_not(degrees):
    found = math.degrees(angle(direction(0.0), direction(degrees)))
    assert found == pytest.approx(degrees, abs=1e-9)


def test_the_course_is_the_mean_of_the_latest_velocities():
    motion = follow([direction(30.0 * PERIOD_S * number) for number in range(40)])
    course = math.degrees(float(np.linalg.norm(motion.course)))
    assert course == pytest.approx(speed_deg(motion), abs=1.0)


def test_who_walks_moves_on_along_the_course_unheard():
    motion = SphereFilter(direction(0.0), noise=NOISE)
    motion.course = (0.0, math.radians(30.0), 0.0)
    assert motion.coast(1.0)
    moved = 30.0 * FORGETS_S * (1.0 - math.exp(-1.0 / FORGETS_S))
    assert math.degrees(angle(direction(moved), motion.direction)) < 1e-9
    assert motion.coast(1.0)
    assert not motion.coast(1.0)  # 11 degrees a second: no faster than noise
    assert motion.velocity == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_who_stands_is_as_uncertain_at_any_pace(steps):
    """The variance after four seconds unheard does not depend on how often estimates come."""
    motion = follow([direction(40.0)] * 20)
    before, place = motion.variance, motion.direction
    for _ in range(steps):
        assert not motion.coast(4.0 / steps)
    grown = math.degrees(math.sqrt(motion.variance - before))
    assert grown == pytest.approx(24.0, rel=1e-6)  # 12 degrees in the first second
    assert motion.direction == place


def test_a_course_is_followed_evenly():
    motion = SphereFilter(direction(0.0), noise=NOISE)
    motion.course = (0.0, math.radians(10.0), 0.0)
    for _ in range(10):
        motion.follow_course(0.5)
    assert math.degrees(angle(motion.direction, direction(50.0))) < 1e-9
    assert math.degrees(float(np.linalg.norm(motion.course))) == pytest.approx(10.0)
