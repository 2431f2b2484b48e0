"""Who enters and leaves which zone, by the lines of a run."""

from __future__ import annotations

import pytest

from doa_edge import Zone
from doa_edge.zones.occupancy import Occupancy, ZoneStage
from tests.edge.sinks.messages import several, talker

STEP_S = 0.16
DESK = Zone(name="desk", azimuth_deg=(-30, 30))
LEFT_HALF = Zone(name="left", azimuth_deg=(0, 180))
BOARD = Zone(name="board", azimuth_deg=(60, 120), elevation_deg=(10, 40))


def one(time_s, azimuth_deg, *, elevation_deg=0.0, active=True):
    """A line of one voice."""
    return {
        "time_s": time_s,
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "confidence": 0.8,
        "active": active,
        "level_dbfs": -25.0,
    }


def times(count, *, begin_s=0.832):
    return [round(begin_s + STEP_S * number, 3) for number in range(count)]


def passed(stage, messages):
    return [changed for message in messages for changed in stage(message)]


def events(messages):
    return [message for message in messages if "event" in message]


def entered(time_s, zone, **whom):
    return {"time_s": time_s, "event": "zone_entered", "zone": zone, **whom}


def left(time_s, zone, **whom):
    return {"time_s": time_s, "event": "zone_left", "zone": zone, **whom}


def test_each_talker_has_their_zones_in_the_order_of_the_configuration():
    stage = ZoneStage([DESK, LEFT_HALF, BOARD])
    line = several(
        1.0, talker(1, 1, 10.0), talker(2, 2, 90.0, 20.0, 0.6), talker(3, 3, -90.0, 0.0, 0.4)
    )
    (told,) = stage(line)
    assert [talker["zones"] for talker in told["talkers"]] == [
        ["desk", "left"],
        ["left", "board"],
        [],
    ]
    assert list(told) == list(line)  # no key at the top
    assert [list(talker)[-1] for talker in told["talkers"]] == ["zones"] * 3
    assert "zones" not in line["talkers"][0]  # the message that came is as it was


def test_with_one_voice_they_are_on_the_line_while_somebody_talks():
    stage = ZoneStage([DESK, LEFT_HALF])
    (told,) = stage(one(1.0, 10.0))
    assert told == {**one(1.0, 10.0), "zones": ["desk", "left"]}
    (silent,) = stage(one(1.16, 10.0, active=False))
    assert silent == {**one(1.16, 10.0, active=False), "zones": []}


def test_other_messages_pass_as_they_are():
    gap = {"time_s": 2.0, "event": "gap", "reason": "lost", "lost_s": 0.5}
    assert list(ZoneStage([DESK])(gap)) == [gap]


def test_entering_takes_two_more_estimates_and_comes_behind_its_line():
    stage = ZoneStage([DESK])
    told = passed(stage, [several(t, talker(7, 1, 10.0)) for t in times(5)])
    assert [index for index, message in enumerate(told) if "event" in message] == [3]
    assert told[3] == entered(1.152, "desk", id=7)  # 0.3 s after 0.832 s, and the next estimate
    with_one = passed(ZoneStage([DESK]), [one(t, 10.0) for t in times(5)])
    assert events(with_one) == [entered(1.152, "desk")]  # nobody has an id


def test_a_single_window_that_points_elsewhere_is_no_event():
    moments = times(12)
    azimuths = [10.0] * 12
    azimuths[6] = -90.0
    told = passed(ZoneStage([DESK]), [one(*pair) for pair in zip(moments, azimuths, strict=True)])
    assert events(told) == [entered(1.152, "desk")]
    assert told[7]["zones"] == []  # the line tells of its own window


def test_who_is_heard_outside_leaves():
    stage = ZoneStage([DESK])
    there = passed(stage, [several(t, talker(1, 1, 10.0)) for t in times(4)])
    away = passed(stage, [several(t, talker(1, 1, 90.0)) for t in times(4, begin_s=1.472)])
    assert events(there + away) == [
        entered(1.152, "desk", id=1),
        left(1.792, "desk", id=1),  # 0.32 s after 1.472 s
    ]


def test_a_talker_on_a_border_does_not_go_back_and_forth():
    """Five degrees outside of a zone they are still in it."""
    azimuths = [29.0, 31.5, 28.5, 34.9, 30.5, 35.0, 33.0, 29.0] * 4
    moments = times(len(azimuths))
    lines = [several(t, talker(1, 1, a)) for t, a in zip(moments, azimuths, strict=True)]
    told = passed(ZoneStage([DESK]), lines)
    assert events(told) == [entered(1.152, "desk", id=1)]
    assert all(m["talkers"][0]["zones"] == ["desk"] for m in told if "event" not in m)
    (beyond,) = passed(ZoneStage([DESK]), [several(1.0, talker(1, 1, 31.0))])
    assert beyond["talkers"][0]["zones"] == []  # who comes from outside has to cross the border


def test_a_pause_of_speech_is_no_leaving_and_an_end_is():
    stage = ZoneStage([DESK])
    told = passed(stage, [several(t, talker(1, 1, 0.0)) for t in times(4)])  # until 1.312
    told += passed(stage, [several(t) for t in times(11, begin_s=1.472)])  # 1.9 s of silence
    told += passed(stage, [several(3.232, talker(1, 1, 0.0))])
    assert events(told) == [entered(1.152, "desk", id=1)]
    ended = passed(stage, [several(t) for t in times(20, begin_s=3.392)])
    assert events(ended) == [left(5.312, "desk", id=1)]  # two seconds after 3.232


def test_silence_is_told_by_a_gap_too():
    stage = ZoneStage([DESK])
    told = passed(stage, [one(t, 0.0) for t in times(4)])
    gap = {"time_s": 61.312, "event": "gap", "reason": "lost", "lost_s": 60.0}
    assert list(stage(gap)) == [gap, left(61.312, "desk")]
    assert events(told) == [entered(1.152, "desk")]


def test_zones_that_overlap_are_entered_and_left_one_by_one():
    wide = Zone(name="wide", azimuth_deg=(-60, 60))
    stage = ZoneStage([wide, DESK])
    azimuths = [0.0] * 4 + [50.0] * 4
    lines = [several(t, talker(1, 1, a)) for t, a in zip(times(8), azimuths, strict=True)]
    assert events(passed(stage, lines)) == [
        entered(1.152, "wide", id=1),
        entered(1.152, "desk", id=1),
        left(1.792, "desk", id=1),
    ]


def test_two_talkers_are_two():
    stage, occupancy = ZoneStage([DESK]), Occupancy(["desk", "door"])
    told = passed(stage, [several(t, talker(1, 1, 0.0), talker(2, 2, 20.0)) for t in times(3)])
    for message in told:
        occupancy.update(message)
    assert events(told) == [entered(1.152, "desk", id=1), entered(1.152, "desk", id=2)]
    assert occupancy.counts == {"desk": 2, "door": 0}


def test_slow_estimates_are_enough():
    """With an estimate every five seconds a pause can't be told from an end, and speech is none."""
    stage = ZoneStage([DESK])
    told = passed(stage, [several(5.0 * n, talker(1, 1, 0.0)) for n in (1, 2, 3, 4)])
    assert events(told) == [entered(10.0, "desk", id=1)]
    assert events(stage(several(25.0))) == [left(25.0, "desk", id=1)]


@pytest.mark.parametrize("begin_s", [0.832, 1.312, 5.0])  # before, with and after the last line
def test_another_recording_begins_with_nobody(begin_s):
    """Nobody leaves the first one, whose lines have ended; its margins and dwells are forgotten."""
    stage = ZoneStage([DESK])
    told = passed(stage, [one(t, 10.0) for t in times(4)])
    assert events(told) == [entered(1.152, "desk")]
    stage.restart()
    begun = passed(stage, [one(t, 33.0) for t in times(3, begin_s=begin_s)])
    assert [line["zones"] for line in begun] == [[], [], []]  # without a margin
    stage.restart()
    begun = passed(stage, [one(t, 10.0) for t in times(3, begin_s=begin_s)])
    assert events(begun) == [entered(round(begin_s + 2 * STEP_S, 3), "desk")]


@pytest.mark.parametrize("begin_s", [0.832, 1.312, 5.0])
def test_who_counts_talkers_knows_another_recording_by_its_name(begin_s):
    occupancy = Occupancy(["desk"])
    for t in times(4):
        occupancy.update({**one(t, 10.0), "zones": ["desk"], "file": "a.wav"})
    assert occupancy.counts == {"desk": 1}
    occupancy.update({**one(begin_s, 10.0), "zones": ["desk"], "file": "b.wav"})
    assert occupancy.counts == {"desk": 0}


def test_counts_are_right_again_where_messages_were_lost():
    occupancy, stage = Occupancy(["desk"]), ZoneStage([DESK])
    for message in passed(stage, [several(t, talker(1, 1, 0.0)) for t in times(4)]):
        occupancy.update(message)
    assert occupancy.counts == {"desk": 1}
    lost = passed(stage, [several(t) for t in times(20, begin_s=1.472)])
    assert len(events(lost)) == 1
    occupancy.update(several(10.0))
    assert occupancy.counts == {"desk": 0}
    occupancy.update(several(10.16, talker(2, 1, 0.0)))
    occupancy.update(several(0.832))  # another recording
    assert occupancy.present == frozenset()


def test_nothing_grows_with_time():
    stage = ZoneStage([DESK])
    for number in range(1, 500):
        passed(stage, [several(10.0 * number, talker(number, 1, 0.0))])
    assert len(stage._inside) <= 2
    assert len(stage._occupancy._visitors) <= 2
