"""Who stays who: births, silences, crossings and gaps, from peaks of known directions."""

import math
from itertools import pairwise

import numpy as np
import pytest

from doa_edge.tracking.motion import angle
from tests.edge.conftest import unit_vector
from tests.edge.tracking.meeting import FAINT, FAIR, PERIOD_S, SURE, Meeting, at, ids, tracker


def test_a_sure_peak_is_reported_at_once_and_confirmed_after_three_tenths():
    meeting = Meeting()
    (first,) = meeting.hear((40.0, SURE))
    assert (first.id, first.slot, first.confirmed) == (1, 1, False)
    assert math.degrees(angle(first.motion.direction, tuple(unit_vector(40.0, 5.0)))) < 1e-6
    (second,) = meeting.hear((40.0, SURE))
    assert not second.confirmed
    (third,) = meeting.hear((40.0, SURE))  # 0.32 s after the first
    assert third.confirmed
    assert third.id == 1


def test_a_fair_peak_needs_another_that_agrees():
    meeting = Meeting()
    assert meeting.hear((40.0, FAIR)) == []
    assert ids(meeting.hear((40.0, FAIR))) == [1]
    alone = Meeting()
    for azimuth in (0.0, 90.0, 180.0, -90.0):  # nothing agrees with anything
        assert alone.hear((azimuth, FAIR)) == []
    assert alone.tracks.left_out == 0


def test_a_faint_peak_begins_nothing_but_lets_a_track_go_on():
    meeting = Meeting()
    assert meeting.hear((40.0, FAINT), times=10) == []
    meeting.hear((40.0, SURE), times=3)
    assert ids(meeting.hear((42.0, FAINT), times=10)) == [1]


def test_a_missing_peak_is_bridged_and_a_silence_is_not_reported():
    meeting = Meeting()
    meeting.hear((40.0, SURE), times=5)
    assert ids(meeting.hear()) == [1]
    assert ids(meeting.hear()) == [1]  # 0.32 s
    assert meeting.hear() == []
    assert meeting.hear((40.0, FAINT)) == []  # too faint to come back
    assert ids(meeting.hear((40.0, FAIR))) == [1]


def test_what_was_only_tentative_is_forgotten():
    meeting = Meeting()
    meeting.hear((40.0, SURE))
    assert meeting.hear() == []
    assert meeting.silence(1.0) == []
    assert ids(meeting.hear((40.0, SURE))) == [2]


def test_who_was_silent_for_a_minute_is_somebody_new():
    meeting = Meeting()
    meeting.hear((40.0, SURE), times=5)
    meeting.silence(61.0)
    assert ids(meeting.hear((40.0, SURE))) == [2]


def test_who_was_not_heard_through_a_gap_of_a_minute_is_somebody_new():
    meeting = Meeting()
    meeting.hear((40.0, SURE), times=5)
    meeting.time_s += 59.0
    assert ids(meeting.hear((40.0, SURE))) == [1]
    meeting.time_s += 61.0
    assert ids(meeting.hear((40.0, SURE))) == [2]


def test_a_gap_confirms_nobody():
    """A peak before a gap and one behind it do not agree with each other."""
    meeting = Meeting()
    assert ids(meeting.hear((40.0, SURE))) == [1]
    meeting.time_s += 5.0
    (track,) = meeting.hear((40.0, SURE))
    assert (track.id, track.confirmed) == (2, False)
    fair = Meeting()
    fair.hear((40.0, FAIR))
    fair.time_s += 5.0
    assert fair.hear((40.0, FAIR)) == []


def test_turns_keep_their_ids():
    meeting = Meeting()
    places = (0.0, 60.0, -70.0)
    order = np.random.default_rng(0).integers(3, size=40)
    known = {}
    for place in order.tolist():
        for track in meeting.hear((places[place], SURE), times=8)[:1]:
            assert known.setdefault(place, track.id) == track.id
        meeting.silence(0.8)
    assert sorted(known.values()) == [1, 2, 3]


@pytest.mark.parametrize("speed", [20.0, 30.0, 40.0])
@pytest.mark.parametrize("nearest_deg", [0.0, 10.0, 20.0])
def test_walkers_who_cross_keep_their_ids(speed, nearest_deg):
    """Nearer than `nearest_deg` to each other they have one peak, between them."""
    meeting = Meeting()
    names = {}
    for number in range(round(100.0 / speed / PERIOD_S)):
        walked = speed * PERIOD_S * number
        one, other = -50.0 + walked, 50.0 - walked
        apart = abs(one - other) >= nearest_deg
        middle = 0.5 * (one + other)
        peaks = [(one, SURE), (other, 0.5)] if apart else [(middle, SURE)]
        speaking = meeting.hear(*peaks)
        if number > 5:
            assert len(speaking) == 2  # both all the time
        if abs(one - other) > 25.0:
            names.setdefault("one", set()).add(at(speaking, one).id)
            names.setdefault("other", set()).add(at(speaking, other).id)
    assert names == {"one": {1}, "other": {2}}


@pytest.mark.parametrize(("one", "other"), [(8.0, 8.0), (12.0, 12.0), (18.0, 18.0), (8.0, 18.0)])
@pytest.mark.parametrize("weight", [0.5, 0.7])
def test_slow_walkers_who_cross_keep_their_ids(one, other, weight):
    """They have one peak for up to 2.5 s; for at most a second both are reported nevertheless."""
    meeting, names, alone = Meeting(), {}, 0
    for number in range(round(100.0 / (one + other) / PERIOD_S)):
        seconds = number * PERIOD_S
        here, there = -45.0 + one * seconds, 45.0 - other * seconds
        apart = abs(here - there) >= 20.0
        peaks = (
            [(here, SURE), (there, 0.5)]
            if apart
            else [(weight * here + (1.0 - weight) * there, SURE)]
        )
        speaking = meeting.hear(*peaks)
        alone += number > 0 and len(speaking) == 1
        if abs(here - there) > 25.0:
            names.setdefault("one", set()).add(at(speaking, here).id)
            names.setdefault("other", set()).add(at(speaking, there).id)
    assert names == {"one": {1}, "other": {2}}
    assert alone <= math.ceil((40.0 / (one + other) - 1.0) / PERIOD_S)


def test_most_slow_crossings_keep_their_ids_in_noise():
    """Peaks 3 degrees off on each axis: 33 of 40 as they were, and nobody is new."""
    kept = 0
    for seed in range(40):
        rng, meeting, names = np.random.default_rng(seed), Meeting(), {}
        for number in range(round(80.0 / 14.0 / PERIOD_S)):
            walked = 14.0 * number * PERIOD_S
            here, there = -40.0 + walked, 40.0 - walked
            pair = [here, there] if abs(here - there) >= 20.0 else [0.5 * (here + there)]
            speaking = meeting.hear(*((azimuth + rng.normal(0.0, 3.0), SURE) for azimuth in pair))
            if number > 3 and abs(here - there) > 27.0:
                names.setdefault("one", set()).add(at(speaking, here).id)
                names.setdefault("other", set()).add(at(speaking, there).id)
        assert names["one"] | names["other"] == {1, 2}
        kept += all(len(each) == 1 for each in names.values())
    assert kept >= 33


@pytest.mark.parametrize("speed", [20.0, 30.0, 40.0])
@pytest.mark.parametrize("pause_s", [0.6, 1.0])
def test_a_walker_who_pauses_is_the_same(speed, pause_s):
    meeting = Meeting()
    for number in range(45):
        azimuth = speed * PERIOD_S * number - 140.0
        paused = 3.0 <= number * PERIOD_S < 3.0 + pause_s
        speaking = meeting.hear(*([] if paused else [(azimuth, SURE)]))
        assert ids(speaking) in ([1], []) if paused else ids(speaking) == [1]


def test_who_stands_is_expected_where_they_were():
    """The gate of somebody who stands does not grow: a voice 30 degrees off is somebody else."""
    meeting = Meeting()
    rng = np.random.default_rng(6)
    for _ in range(20):
        meeting.hear((rng.normal(0.0, 4.0), SURE))
    meeting.silence(2.0)
    assert ids(meeting.hear((30.0, SURE))) == [2]


def test_who_is_one_with_another_stays_so_over_a_missing_peak():
    """The peak of two goes on being the older one's, and the other is back when there are two."""
    meeting = Meeting()
    for number in range(20):
        azimuth = max(8.0, 40.0 - 20.0 * PERIOD_S * number)
        meeting.hear((0.0, SURE), *([] if azimuth < 20.0 else [(azimuth, SURE)]))
    for _ in range(10):
        assert ids(meeting.hear(times=1)) in ([1], [])
        assert ids(meeting.hear((4.0, SURE), times=3)) == [1]
        meeting.silence(0.5)
    assert sorted(ids(meeting.hear((-3.0, SURE), (22.0, 0.5)))) == [1, 2]


def test_two_that_meet_become_the_older_one_without_flicker():
    meeting = Meeting()
    seen = []
    for number in range(60):  # the second comes to the first and stays there
        azimuth = max(0.0, 60.0 - 20.0 * PERIOD_S * number)
        near = azimuth < 20.0
        speaking = meeting.hear((0.0, SURE), *([] if near else [(azimuth, SURE)]))
        seen.append(tuple(sorted(ids(speaking))))
    changes = [after for before, after in pairwise(seen) if after != before]
    assert seen[0] == (1, 2)
    assert changes == [(1,)]
    assert ids(meeting.hear((0.0, SURE), (60.0, SURE))) == [1, 3]  # somebody else, or again


def test_ids_are_never_used_twice():
    meeting = Meeting()
    rng = np.random.default_rng(3)
    born = {}
    for _ in range(500):
        peaks = [(float(azimuth), SURE) for azimuth in rng.uniform(-180, 180, 2)]
        for track in meeting.hear(*peaks):
            assert born.setdefault(track.id, track.born_s) == track.born_s
            assert track.slot in (1, 2, 3)
    assert len(born) == max(born)


def test_a_walker_is_followed_within_three_degrees_and_is_one():
    meeting = Meeting()
    rng = np.random.default_rng(5)
    errors = []
    for number in range(60):
        azimuth = 35.0 * PERIOD_S * number - 150.0
        (track,) = meeting.hear((azimuth + rng.normal(0.0, 3.0), SURE))
        assert track.id == 1
        errors.append(angle(track.motion.direction, tuple(unit_vector(azimuth, 5.0))))
    assert math.degrees(np.median(errors[5:])) < 3.0


def test_no_threshold_reports_every_peak():
    meeting = Meeting(tracker(confidence=0.0))
    assert ids(meeting.hear((0.0, 0.0), (90.0, 0.1))) == [1, 2]
