"""The steady pointer: its delay, its weights, and that it is off unless asked for."""

import math

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.smoother import DirectionSmoother
from tests.edge.conftest import unit_vector

PERIOD_S = 0.16


def follow(smoother, directions, *, confidence=0.5, active=True, start_s=0.832):
    return [
        smoother.update(
            direction, confidence=confidence, active=active, time_s=start_s + PERIOD_S * number
        )
        for number, direction in enumerate(directions)
    ]


def angle_deg(one, other):
    return math.degrees(great_circle_distance(one, other))


@pytest.mark.parametrize("tau_s", [0.5, 1.0, 3.0])
def test_step_of_a_right_angle_is_half_done_after_069_tau(tau_s):
    front, left = unit_vector(0, 0), unit_vector(90, 0)
    smoother = DirectionSmoother(tau_s)
    follow(smoother, [front] * 5)
    track = follow(smoother, [left] * 100, start_s=0.832 + 5 * PERIOD_S)
    half = next(n for n, direction in enumerate(track, start=1) if angle_deg(direction, front) > 45)
    assert half * PERIOD_S == pytest.approx(math.log(2.0) * tau_s, abs=PERIOD_S)
    assert angle_deg(track[-1], left) < 0.6


def test_the_delay_does_not_depend_on_the_period():
    front, left = unit_vector(0, 0), unit_vector(90, 0)
    results = []
    for period_s in (0.032, 0.16, 0.32):
        smoother = DirectionSmoother(1.0)
        smoother.update(front, confidence=0.5, active=True, time_s=1.0)
        for number in range(round(0.96 / period_s)):
            time_s = 1.0 + (number + 1) * period_s
            last = smoother.update(left, confidence=0.5, active=True, time_s=time_s)
        results.append(angle_deg(last, front))
    assert np.ptp(results) < 1e-9


def test_a_slow_talker_is_followed_tau_seconds_behind():
    tau_s, speed_deg_s = 1.0, 10.0
    azimuths = np.arange(0.0, 120.0, speed_deg_s * PERIOD_S)
    track = follow(DirectionSmoother(tau_s), [unit_vector(azimuth, 0) for azimuth in azimuths])
    behind = angle_deg(track[-1], unit_vector(azimuths[-1], 0)) / speed_deg_s
    assert behind == pytest.approx(tau_s, abs=PERIOD_S)


def test_it_crosses_180_degrees_the_short_way():
    smoother = DirectionSmoother(1.0)
    follow(smoother, [unit_vector(170, 0)] * 3)
    track = follow(smoother, [unit_vector(-170, 0)] * 30, start_s=0.832 + 3 * PERIOD_S)
    assert all(angle_deg(direction, unit_vector(180, 0)) < 10.1 for direction in track)


def test_jitter_becomes_smaller():
    rng = np.random.default_rng(9)
    noisy = unit_vector(40, 20) + 0.1 * rng.standard_normal((200, 3))
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    track = follow(DirectionSmoother(1.0), noisy)
    raw, smooth = (
        np.sqrt(np.mean([angle_deg(d, unit_vector(40, 20)) ** 2 for d in directions[50:]]))
        for directions in (noisy, track)
    )
    # Of an exponential filter: sqrt((1 - a) / (1 + a)) = 0.28 at this period.
    assert smooth < 0.4 * raw


def test_a_doubtful_outlier_moves_it_less():
    front, left = unit_vector(0, 0), unit_vector(90, 0)
    moved = []
    for confidence in (0.05, 0.5):
        smoother = DirectionSmoother(1.0)
        follow(smoother, [front] * 20, confidence=0.5)
        time_s = 0.832 + 20 * PERIOD_S
        moved.append(
            angle_deg(
                smoother.update(left, confidence=confidence, active=True, time_s=time_s), front
            )
        )
    assert moved[0] < 0.2 * moved[1]


def test_silence_holds_it_and_the_first_voice_starts_it():
    front, left = unit_vector(0, 0), unit_vector(90, 0)
    smoother = DirectionSmoother(5.0)
    held = follow(smoother, [left] * 3, active=False)
    np.testing.assert_allclose(held, [left] * 3)  # nothing to hold yet
    np.testing.assert_allclose(follow(smoother, [front]), [front])
    np.testing.assert_allclose(follow(smoother, [left] * 50, active=False), [front] * 50)


def test_silence_does_not_count_as_time():
    """The first words after a long pause do not replace what was before."""
    front, left = unit_vector(0, 0), unit_vector(90, 0)
    smoother = DirectionSmoother(2.0)
    follow(smoother, [front] * 5)
    follow(smoother, [front] * 500, active=False, start_s=2.0)
    (after,) = follow(smoother, [left], start_s=2.0 + 500 * PERIOD_S)
    assert angle_deg(after, front) < 10.0


def test_directions_that_cancel_are_no_error():
    front, back = unit_vector(0, 0), unit_vector(180, 0)
    track = follow(DirectionSmoother(0.5), [front, *[back] * 60, *[front] * 60])
    assert np.isfinite(track).all()
    np.testing.assert_allclose(np.linalg.norm(track, axis=1), 1.0)


def test_the_engine_smooths_only_if_asked(plane_wave, intensity_model):
    scene = np.concatenate([plane_wave(0, 0, seconds=4.0), plane_wave(90, 0, seconds=4.0)])
    raw = DirectionEngine(intensity_model).push(scene)
    steady = DirectionEngine(intensity_model, EngineSettings(smooth_s=2.0)).push(scene)
    times = [estimate.time_s for estimate in raw]
    place = next(n for n, time_s in enumerate(times) if time_s > 5.0)
    assert raw[place].azimuth_deg == pytest.approx(90.0, abs=0.1)
    assert 5.0 < steady[place].azimuth_deg < 60.0


@pytest.mark.parametrize("smooth_s", [-1.0, math.nan, math.inf])
def test_bad_time_constant(intensity_model, smooth_s):
    with pytest.raises(ValueError, match="`smooth` must be a positive number"):
        DirectionEngine(intensity_model, EngineSettings(smooth_s=smooth_s))
