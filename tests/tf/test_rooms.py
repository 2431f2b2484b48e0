"""Simulated rooms: the physics of their responses, and that they are repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms import RoomSettings, simulate_room

SETTINGS = RoomSettings(rt60=(0.3, 0.6), dry_share=0.0, sources=1, image_order=6)


def direct_direction(srir):
    """Intensity of the first half millisecond around the direct sound."""
    peak = int(np.argmax(np.abs(srir[:, 0])))
    part = srir[peak - 4 : peak + 5].astype(float)
    vector = np.sum(part[:, :1] * part[:, [3, 1, 2]], axis=0)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("number", range(8))
def test_direct_sound_comes_from_the_source(number):
    # Also what holds pyroomacoustics' colatitude to our elevation: a wrong border would mirror it.
    settings = replace(SETTINGS, dry_share=1.0)
    room = simulate_room(number, seed=5, settings=settings)
    error = great_circle_distance(direct_direction(room.srirs[0]), room.directions[0])
    # A room without reflections: only the fractional delay's rounding is left.
    assert np.degrees(error) < 0.1


def test_direct_sound_of_a_reverberant_room_comes_from_the_source():
    errors = []
    for number in range(8):
        room = simulate_room(number, seed=6, settings=SETTINGS)
        errors.append(great_circle_distance(direct_direction(room.srirs[0]), room.directions[0]))
    # A reflection may fall into the same half millisecond in some rooms, not in most.
    assert np.degrees(np.median(errors)) < 1.0


def test_the_direct_sound_arrives_when_sound_would():
    settings = replace(SETTINGS, dry_share=1.0, sources=3, size_min=(6, 6, 3))
    room = simulate_room(0, seed=2, settings=settings)
    arrivals = [int(np.argmax(np.abs(srir[:, 0]))) for srir in room.srirs]
    expected = room.distances / 343.0 * SAMPLE_RATE
    # All responses share the simulator's filter delay, so differences count; peaks are rounded.
    np.testing.assert_allclose(np.diff(arrivals), np.diff(expected), atol=1.5)


def test_the_tail_decays_as_asked():
    slopes = []
    for number in range(6):
        room = simulate_room(number, seed=7, settings=replace(SETTINGS, rt60=(0.5, 0.5)))
        energy = np.cumsum(room.srirs[0][::-1, 0].astype(float) ** 2)[::-1]
        curve_db = 10 * np.log10(energy / energy[0])
        inside = (curve_db < -10) & (curve_db > -30)
        time = np.flatnonzero(inside) / SAMPLE_RATE
        slopes.append(-60.0 / np.polyfit(time, curve_db[inside], 1)[0])
    # Schroeder's curve of one noise tail, cut at 60 dB, in rooms with early reflections of their
    # own decay: within 20 % of the 0.5 s asked.
    assert np.median(slopes) == pytest.approx(0.5, rel=0.2)


def test_the_tail_is_isotropic():
    powers = []
    for number in range(20):
        room = simulate_room(number, seed=8, settings=replace(SETTINGS, rt60=(0.5, 0.5)))
        tail = room.srirs[0][int(0.25 * SAMPLE_RATE) :].astype(float)
        powers.append(np.mean(tail**2, axis=0) / np.mean(tail[:, 0] ** 2))
    # 20 tails of 4,000 samples: the ratio of two powers scatters by a few percent.
    np.testing.assert_allclose(np.mean(powers, axis=0), [1, 1 / 3, 1 / 3, 1 / 3], rtol=0.1)


def test_the_joint_of_early_part_and_tail_is_even():
    steps = []
    for number in range(20):
        settings = replace(SETTINGS, rt60=(0.6, 0.6))
        room = simulate_room(number, seed=9, settings=settings)
        joint = int(7 * room.size.min() / 343.0 * SAMPLE_RATE)
        w = room.srirs[0][:, 0].astype(float) ** 2
        span = int(0.01 * SAMPLE_RATE)
        before, after = w[joint - span : joint].mean(), w[joint : joint + span].mean()
        steps.append(10 * np.log10(after / before))
    # 10 ms of decay at 0.6 s is 1 dB; a jump of more than 3 dB on average would be audible.
    assert abs(np.mean(steps)) < 3.0


def test_a_room_is_a_function_of_seed_and_number():
    first = simulate_room(3, seed=1, settings=SETTINGS)
    again = simulate_room(3, seed=1, settings=SETTINGS)
    np.testing.assert_array_equal(first.srirs[0], again.srirs[0])
    for other in (
        simulate_room(4, seed=1, settings=SETTINGS),
        simulate_room(3, seed=2, settings=SETTINGS),
    ):
        assert not np.allclose(first.directions, other.directions)


def test_full_order_has_no_tail_of_ours():
    full = simulate_room(0, seed=1, settings=replace(SETTINGS, rt60=(0.2, 0.2), image_order=None))
    early = simulate_room(0, seed=1, settings=replace(SETTINGS, rt60=(0.2, 0.2), image_order=2))
    assert np.array_equal(full.size, early.size)
    peak = np.argmax(np.abs(full.srirs[0][:, 0]))
    # The same walls give the same direct sound; fractional delays of later images ring a little
    # ahead of them, 80 dB down and less.
    np.testing.assert_allclose(full.srirs[0][: peak + 10], early.srirs[0][: peak + 10], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rt60": (0.5, 0.2)}, "rt60"),
        ({"rt60": (0.0, 0.2)}, "rt60"),
        ({"distance": (-1.0, 2.0)}, "distance"),
        ({"size_min": (9.0, 9.0, 9.0)}, "size_min"),
        ({"size_min": (1.0, 1.0, 1.0)}, "clearances"),
        ({"dry_share": 1.5}, "dry_share"),
        ({"sources": 0}, "sources"),
        ({"image_order": 0}, "image_order"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)


def test_rooms_that_cannot_reach_the_decay_are_an_error():
    settings = replace(SETTINGS, rt60=(0.02, 0.03), size_min=(9.9, 7.9, 4.4))
    with pytest.raises(ValueError, match="reverberation time"):
        simulate_room(0, seed=0, settings=settings)


def test_sources_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="No source fits"):
        simulate_room(0, seed=0, settings=replace(SETTINGS, distance=(30.0, 40.0)))
