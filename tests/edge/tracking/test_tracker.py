"""Who stays who: births, silences, crossings and slots, from peaks of known directions."""

import math
from itertools import pairwise

import numpy as np
import pytest

from doa_edge.tracking.motion import angle
from doa_edge.tracking.tracker import REMEMBERED, Tracker, TrackSettings
from tests.edge.conftest import unit_vector

PERIOD_S = 0.16
SURE, FAIR, FAINT = 0.6, 0.25, 0.16  # begins at once; needs another; only goes on


def tracker(**changed):
    return Tracker(TrackSettings(**{"slots": 3, "confidence": 0.2, **changed}))


class Meeting:
    """Feeds a tracker an estimate at a time: peaks as (azimuth_deg, confidence)."""

    def __init__(self, tracks=None):
        self.tracks = tracks or tracker()
        self.time_s = 0.832

    def hear(self, *peaks, times=1):
        for _ in range(times):
            directions = [tuple(unit_vector(azimuth, 5.0).tolist()) for azimuth, _ in peaks]
            confidences = [confidence for _, confidence in peaks]
            speaking = self.tracks.update(directions, confidences, time_s=self.time_s)
            self.time_s += PERIOD_S
        return speaking

    def silence(self, seconds):
        return self.hear(times=round(seconds / PERIOD_S))


def ids(speaking):
    return [track.id for track in speaking]


def at(speaking, azimuth_deg):
    """The track that is reported nearest to an azimuth."""
    where = tuple(unit_vector(azimuth_deg, 5.0).tolist())
    return min(speaking, key=lambda track: angle(track.motion.direction, where))


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


@pytest.mark.parametrize("pause_s", [1.0, 3.0, 30.0])
def test_a_pause_at_one_place_keeps_id_and_slot(pause_s):
    meeting = Meeting()
    meeting.hear((40.0, SURE), (-80.0, SURE), times=5)
    before = at(meeting.hear((40.0, SURE), (-80.0, SURE)), -80.0)
    meeting.hear((40.0, SURE), times=round(pause_s / PERIOD_S))
    after = at(meeting.hear((40.0, SURE), (-78.0, SURE)), -80.0)
    assert (after.id, after.slot) == (before.id, before.slot)


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


def test_slots_stay_and_the_free_one_is_given_first():
    meeting = Meeting()
    speaking = meeting.hear((0.0, SURE), (60.0, 0.55), (120.0, 0.5), times=5)
    assert [(track.id, track.slot) for track in speaking] == [(1, 1), (2, 2), (3, 3)]
    speaking = meeting.hear((0.0, 0.4), (120.0, 0.7), times=5)  # another order
    assert [(track.id, track.slot) for track in speaking] == [(3, 3), (1, 1)]


def test_a_new_voice_takes_the_slot_of_who_is_silent_for_longest():
    meeting = Meeting()
    meeting.hear((0.0, SURE), times=5)
    meeting.hear((60.0, SURE), times=5)
    meeting.hear((120.0, SURE), times=5)
    assert ids(meeting.hear((-120.0, SURE))) == [3]  # a single peak does not take a slot
    speaking = meeting.hear((-120.0, SURE))
    assert [(track.id, track.slot) for track in speaking if track.id == 4] == [(4, 1)]
    (back,) = [track for track in meeting.hear((0.0, SURE), times=3) if track.id == 1]
    assert back.slot == 2  # the id is kept, the slot is that of who is silent for longest now


def test_more_voices_than_slots_the_most_confident_ones_are_reported():
    meeting = Meeting(tracker(slots=2))
    speaking = meeting.hear((0.0, 0.6), (70.0, 0.5), (140.0, 0.45), times=5)
    assert ids(speaking) == [1, 2]
    assert meeting.tracks.left_out == 4  # since a second peak agreed with its first
    speaking = meeting.hear((0.0, 0.6), (70.0, 0.5), (140.0, 0.9), times=8)
    assert [(track.id, track.slot) for track in speaking] == [(3, 2), (1, 1)]
    back = meeting.hear((0.0, 0.6), (70.0, 1.0), times=12)  # who it was before, 1.0 s after 3
    assert [(track.id, track.slot) for track in back] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("confidence", [0.55, 0.6])
def test_a_voice_that_is_not_clearly_more_confident_takes_no_slot(confidence):
    meeting = Meeting(tracker(slots=2))
    meeting.hear((0.0, 0.5), (70.0, 0.5), times=5)
    speaking = meeting.hear((0.0, 0.5), (70.0, 0.5), (140.0, confidence), times=50)
    assert sorted((track.id, track.slot) for track in speaking) == [(1, 1), (2, 2)]


def test_a_moment_of_confidence_takes_no_slot():
    meeting = Meeting(tracker(slots=2))
    meeting.hear((0.0, 0.5), (70.0, 0.5), (140.0, 0.45), times=20)
    for _ in range(20):  # every other estimate
        assert sorted(ids(meeting.hear((0.0, 0.5), (70.0, 0.5), (140.0, 0.7)))) == [1, 2]
        assert sorted(ids(meeting.hear((0.0, 0.5), (70.0, 0.5), (140.0, 0.4)))) == [1, 2]


@pytest.mark.parametrize(("missing", "most"), [(0.0, 6), (0.05, 7), (0.2, 16)])
def test_slots_do_not_flap_among_more_voices_than_there_are(missing, most):
    """Three voices alike in a minute, two slots: 240 changes where each moment decides."""
    changes = 0
    for seed in range(5):
        rng, meeting, before = np.random.default_rng(seed), Meeting(tracker(slots=2)), {}
        for _ in range(375):
            peaks = [(90.0 * n, rng.normal(0.5, 0.12)) for n in range(3) if rng.random() >= missing]
            meeting.hear(*((azimuth, float(np.clip(c, 0.0, 1.0))) for azimuth, c in peaks))
            now = {track.slot: track.id for track in meeting.tracks._tracks if track.slot}
            changes += sum(now[slot] != before[slot] for slot in before)
            before = now
    assert changes <= 5 * most


def test_who_pauses_shortly_keeps_the_slot():
    meeting = Meeting(tracker(slots=2))
    meeting.hear((0.0, 0.5), (70.0, 0.5), times=5)
    assert ids(meeting.hear((0.0, 0.5), (140.0, 0.5), times=6)) == [1]  # 2 is silent for 0.96 s
    assert ids(meeting.hear((0.0, 0.5), (140.0, 0.5))) == [1, 3]


def test_silent_tracks_do_not_pile_up():
    meeting = Meeting(tracker(slots=2))
    rng = np.random.default_rng(2)
    for _ in range(200):
        meeting.hear((float(rng.uniform(-180, 180)), SURE), times=5)
        assert len(meeting.tracks._tracks) <= 2 + REMEMBERED + 1


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


def test_the_reported_slots_differ():
    meeting = Meeting()
    rng = np.random.default_rng(4)
    for _ in range(300):
        peaks = [(float(azimuth), float(rng.uniform())) for azimuth in rng.uniform(-180, 180, 4)]
        slots = [track.slot for track in meeting.hear(*peaks)]
        assert len(set(slots)) == len(slots) <= 3


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


@pytest.mark.parametrize("every", [1, 5, 25])
def test_the_pace_of_estimates_does_not_matter_much(every):
    """A voice of two seconds is confirmed, and one who comes back is the same, at any pace."""
    period_s = 0.032 * every
    tracks = tracker(step_s=period_s)
    here = [tuple(unit_vector(30.0, 0.0).tolist())]
    speaking = []
    for number in range(round(2.0 / period_s) + 1):
        speaking = tracks.update(here, [SURE], time_s=period_s * number)
    assert [track.confirmed for track in speaking] == [True]
    assert tracks.update([], [], time_s=5.0) == []
    assert ids(tracks.update(here, [SURE], time_s=6.0)) == [1]


@pytest.mark.parametrize("every", [5, 12, 20, 30])
def test_a_missing_peak_is_bridged_at_any_pace(every):
    """Up to a second between estimates; a fainter peak lets a track go on at any pace."""
    meeting = Meeting(tracker(step_s=0.032 * every))

    def hear(*peaks):
        meeting.time_s += 0.032 * every - PERIOD_S
        return meeting.hear(*peaks)

    for _ in range(4):
        hear((40.0, SURE))
    assert ids(hear()) == [1]
    assert ids(hear((42.0, SURE))) == [1]
    assert ids(hear((40.0, FAINT))) == [1]


def test_nothing_is_bridged_for_longer_than_a_second():
    period_s = 0.032 * 64
    meeting = Meeting(tracker(step_s=period_s))
    for _ in range(3):
        speaking = meeting.hear((40.0, SURE))
        meeting.time_s += period_s - PERIOD_S
    assert [(track.id, track.confirmed) for track in speaking] == [(1, True)]
    assert meeting.hear() == []


def test_a_voice_at_the_slowest_pace_stays_the_same():
    """2000 frames, 64 s: longer than a silent track is remembered."""
    meeting = Meeting(tracker(step_s=64.0))
    for _ in range(5):
        assert ids(meeting.hear((40.0, SURE))) == [1]
        meeting.time_s += 64.0 - PERIOD_S


@pytest.mark.parametrize("every", [5, 20])
def test_a_walker_is_followed_at_any_pace(every):
    period_s = 0.032 * every
    meeting = Meeting(tracker(step_s=period_s))
    for number in range(round(6.0 / period_s)):
        azimuth = 25.0 * period_s * number - 90.0
        (track,) = meeting.hear((azimuth, SURE))
        meeting.time_s += period_s - PERIOD_S
        assert track.id == 1
    speed_deg = math.degrees(math.dist(track.motion.velocity, (0.0, 0.0, 0.0)))
    assert speed_deg == pytest.approx(25.0, abs=5.0)


def test_no_threshold_reports_every_peak():
    meeting = Meeting(tracker(confidence=0.0))
    assert ids(meeting.hear((0.0, 0.0), (90.0, 0.1))) == [1, 2]


def test_a_voice_without_a_slot_never_takes_the_place_of_one_with_an_id():
    """Two slots, three voices: the first walks up to the third, which has no slot; they meet."""
    tracker = Tracker(TrackSettings(slots=2, confidence=0.3))
    ids = set()
    for step in range(60):
        azimuth_deg = -12.0 * min(step / 28.0, 1.0)
        peaks = [(azimuth_deg, 0.9), (90.0, 0.8)] + ([(-25.0, 0.7)] if step < 28 else [])
        directions = [
            (math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth)), 0.0)
            for azimuth, _ in peaks
        ]
        told = tracker.update(directions, [c for _, c in peaks], time_s=0.16 * step)
        ids |= {track.id for track in told}
    assert ids == {1, 2}
