"""Who is reported where there are more voices than slots, and at which pace of estimates."""

import math

import numpy as np
import pytest

from doa_edge.tracking.tracker import REMEMBERED, Tracker, TrackSettings
from tests.edge.conftest import unit_vector
from tests.edge.tracking.meeting import FAINT, PERIOD_S, SURE, Meeting, at, ids, tracker


@pytest.mark.parametrize("pause_s", [1.0, 3.0, 30.0])
def test_a_pause_at_one_place_keeps_id_and_slot(pause_s):
    meeting = Meeting()
    meeting.hear((40.0, SURE), (-80.0, SURE), times=5)
    before = at(meeting.hear((40.0, SURE), (-80.0, SURE)), -80.0)
    meeting.hear((40.0, SURE), times=round(pause_s / PERIOD_S))
    after = at(meeting.hear((40.0, SURE), (-78.0, SURE)), -80.0)
    assert (after.id, after.slot) == (before.id, before.slot)


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


def test_the_reported_slots_differ():
    meeting = Meeting()
    rng = np.random.default_rng(4)
    for _ in range(300):
        peaks = [(float(azimuth), float(rng.uniform())) for azimuth in rng.uniform(-180, 180, 4)]
        slots = [track.slot for track in meeting.hear(*peaks)]
        assert len(set(slots)) == len(slots) <= 3


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
