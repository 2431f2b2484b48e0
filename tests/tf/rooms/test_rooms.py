"""Simulated rooms: the physics of their responses, and that they are repeatable."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.acoustics import c50, diffuseness, direct_direction, direct_index, drr_db, t30
from doa_tf.rooms.image_sources import BANDS
from doa_tf.rooms.plan import RoomSettings, draw_plan, image_order, talker_gains
from doa_tf.rooms.room import simulate_room

SETTINGS = RoomSettings(rt60=(0.3, 0.5), dry_share=0.0, sources=1, microphone="ideal")
REFERENCE = replace(SETTINGS, rt60=(0.25, 0.3), size_max=(5.0, 4.0, 3.0), mixing_time=None)


@pytest.fixture(scope="module")
def rooms():
    return [simulate_room(number, seed=6, settings=SETTINGS) for number in range(24)]


def test_the_direct_sound_comes_from_the_source_when_it_should(rooms):
    errors = [great_circle_distance(direct_direction(r.srirs[0]), r.directions[0]) for r in rooms]
    # A reflection may fall into the same milliseconds in some rooms, not in most.
    assert np.degrees(np.median(errors)) < 0.5
    for room in rooms:
        expected = room.distances[0] / 343.0 * SAMPLE_RATE
        assert direct_index(room.srirs[0][:, 0]) == pytest.approx(expected, abs=6)


def test_rooms_decay_as_asked(rooms):
    ratios = [room.rt60_measured / room.rt60 for room in rooms]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)
    assert np.all(np.abs(np.log(ratios)) < 0.5)


def test_what_the_record_says_is_what_the_response_has(rooms):
    for room in rooms:
        w = room.srirs[0][:, 0]
        assert room.drr_db[0] == pytest.approx(drr_db(w), abs=1e-3)
        assert room.rt60_measured == pytest.approx(t30(w), rel=1e-3)


def test_nearer_sources_have_more_direct_sound():
    def ratio(distance):
        settings = replace(SETTINGS, distance=(distance, distance), directivity=(0.0, 0.0))
        rooms = [simulate_room(number, seed=3, settings=settings) for number in range(10)]
        return np.median([room.drr_db[0] for room in rooms])

    # Free field: 6 dB a doubling, over a reverberant field that is everywhere alike.
    assert ratio(0.6) - ratio(2.4) == pytest.approx(12.0, abs=3.0)


def test_the_hybrid_is_close_to_all_image_sources():
    # The benchmark has the distribution at full size; small, short rooms keep this quick.
    differences = []
    for number in range(6):
        full = simulate_room(number, seed=4, settings=REFERENCE)
        hybrid = simulate_room(number, seed=4, settings=replace(REFERENCE, mixing_time=6.0))
        np.testing.assert_array_equal(full.directions, hybrid.directions)
        w, v = full.srirs[0][:, 0], hybrid.srirs[0][:, 0]
        late = slice(int(0.06 * SAMPLE_RATE), None)
        differences.append(
            [
                t30(v) / t30(w) - 1.0,
                drr_db(v) - drr_db(w),
                c50(v) - c50(w),
                diffuseness(hybrid.srirs[0][late]) - diffuseness(full.srirs[0][late]),
            ]
        )
    decay, ratio, clarity, diffuse = np.median(np.abs(differences), axis=0)
    assert decay < 0.15
    assert ratio < 1.0
    assert clarity < 1.5
    assert diffuse < 0.15


def test_the_joint_is_even():
    steps = []
    for number in range(20):
        plan = draw_plan(np.random.default_rng((9, number, 0)), SETTINGS)
        room = simulate_room(number, seed=9, settings=SETTINGS)
        joint = plan.mixing_samples(SETTINGS.mixing_time)
        w = room.srirs[0][:, 0].astype(float) ** 2
        span = int(0.012 * SAMPLE_RATE)
        start = joint - int(0.25 * joint)
        before, after = w[start - span : start].mean(), w[joint : joint + span].mean()
        decay_db = 60.0 * (joint - start + span) / SAMPLE_RATE / room.rt60
        steps.append(10 * np.log10(after / before) + decay_db)
    # What is left after the decay itself: image sources are few and uneven, so the mean counts.
    assert abs(np.mean(steps)) < 2.5


def test_talkers_radiate_forwards_and_least_at_low_frequencies():
    plan = draw_plan(np.random.default_rng(0), replace(SETTINGS, directivity=(1.0, 1.0)))
    omni = plan.omni[0]
    front, side, back = talker_gains(np.array([1.0, 0.0, -1.0]), omni).T
    np.testing.assert_allclose(front, 1.0)
    assert np.all(np.diff(side) <= 0)
    assert back[0] == pytest.approx(0.8)
    assert back[-1] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(talker_gains(np.array([-1.0]), np.ones(7)), 1.0)  # omnidirectional


def test_nearly_dry_rooms_hardly_reverberate():
    settings = replace(SETTINGS, dry_share=1.0)
    for number in range(6):
        room = simulate_room(number, seed=1, settings=settings)
        assert room.rt60 == 0.0
        assert room.rt60_measured == 0.0
        error = great_circle_distance(direct_direction(room.srirs[0]), room.directions[0])
        assert np.degrees(error) < 2.0


def test_a_room_is_a_function_of_seed_and_number():
    settings = replace(SETTINGS, microphone="random", sources=2)
    first = simulate_room(3, seed=1, settings=settings)
    again = simulate_room(3, seed=1, settings=settings)
    for a, b in zip(first.srirs, again.srirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.microphone_draw == again.microphone_draw
    for other in (
        simulate_room(4, seed=1, settings=settings),
        simulate_room(3, seed=2, settings=settings),
    ):
        assert not np.allclose(first.directions, other.directions)


@pytest.mark.parametrize("kind", ["tetrahedral", "sphere"])
def test_another_microphone_hears_the_same_room(kind):
    ideal = simulate_room(2, seed=1, settings=SETTINGS)
    other = simulate_room(2, seed=1, settings=replace(SETTINGS, microphone=kind))
    assert other.microphone_kind == kind
    assert other.diffuse_response is not None
    np.testing.assert_array_equal(ideal.directions, other.directions)
    assert other.rt60_measured == pytest.approx(ideal.rt60_measured, rel=0.2)
    # Gains differ by tolerances, and the dipoles of all bands fall short together.
    assert drr_db(other.srirs[0][:, 0]) == pytest.approx(ideal.drr_db[0], abs=3.0)


def test_drawn_rooms_cover_their_distributions():
    settings = RoomSettings(sources=3)
    plans = [draw_plan(np.random.default_rng((0, n)), settings) for n in range(300)]
    assert np.mean([plan.rt60 == 0.0 for plan in plans]) == pytest.approx(0.1, abs=0.06)
    heights = np.concatenate([plan.sources[:, 2] for plan in plans])
    assert heights.min() < 0.6
    assert heights.max() > 2.5
    assert np.mean((heights > 1.0) & (heights < 1.9)) > 0.55
    distances = np.concatenate(
        [np.linalg.norm(plan.sources - plan.microphone, axis=1) for plan in plans]
    )
    assert distances.min() < 0.8
    assert distances.max() <= 4.0
    asked = [plan.rt60 for plan in plans if plan.rt60]
    assert min(asked) < 0.3
    assert max(asked) > 0.7
    for plan in plans:
        assert np.all(plan.attenuation > 0)
        middle = -np.expm1(-plan.attenuation[:, (BANDS == 500) | (BANDS == 1000)])
        assert plan.rt60 == 0.0 or middle.mean() <= 0.9
        assert np.all(plan.sources >= 0.3 - 1e-9)
        assert np.all(plan.sources <= plan.size - 0.3 + 1e-9)


def test_order_suffices_for_the_time():
    size = np.array([3.0, 4.0, 2.5])
    # Along an axis, sound meets a wall every 2.5 m at the most often; along a diagonal more.
    assert image_order(size, 0.05) >= 0.05 * 343.0 / 2.5
    assert image_order(size, 0.0) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rt60": (0.5, 0.2)}, "rt60"),
        ({"rt60": (0.0, 0.2)}, "rt60"),
        ({"distance": (-1.0, 2.0)}, "distance"),
        ({"size_min": (9.0, 9.0, 9.0), "size_max": (8.0, 8.0, 8.0)}, "size_min"),
        ({"size_min": (0.9, 3.0, 3.0)}, "clearances"),
        ({"dry_share": 1.5}, "dry_share"),
        ({"dry_absorption": (0.5, 1.5)}, "dry_absorption"),
        ({"directivity": (-1.0, 0.5)}, "directivity"),
        ({"sources": 0}, "sources"),
        ({"mixing_time": 0.0}, "mixing_time"),
        ({"talker_height": (0.0, 1.0)}, "talker_height"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)


def test_settings_survive_json():
    assert RoomSettings(**asdict(SETTINGS)) == SETTINGS


def test_rooms_that_cannot_reach_the_decay_are_an_error():
    settings = replace(SETTINGS, rt60=(0.02, 0.03), size_min=(9.9, 7.9, 4.4))
    with pytest.raises(ValueError, match="reverberation time"):
        simulate_room(0, seed=0, settings=settings)


def test_sources_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="No source fits"):
        simulate_room(0, seed=0, settings=replace(SETTINGS, distance=(30.0, 40.0)))


def test_an_unknown_microphone_is_an_error():
    with pytest.raises(ValueError, match="microphone"):
        simulate_room(0, seed=0, settings=replace(SETTINGS, microphone="carbon"))
