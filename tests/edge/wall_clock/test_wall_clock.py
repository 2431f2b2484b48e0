"""The `time` of messages, by source: a device, a pipe, a recording with and without a clock."""

from __future__ import annotations

import datetime
import time

import pytest

from doa_edge.input.pace import Pace
from doa_edge.input.stream import Source
from doa_edge.wall_clock.clock import WallClock
from doa_edge.wall_clock.zone import read_zone

NOON_S = 1_796_040_000.0  # 2026-11-30 12:00 UTC
EVENT = {"time_s": 3.0, "event": "gap", "reason": "lost", "lost_s": 1.0}


class Now:
    """A wall clock that can be set, and a monotonic one."""

    def __init__(self):
        self.s, self.set_by_s = 0.0, 0.0

    def clock(self, zone="UTC"):
        return WallClock(
            None if zone is None else read_zone(zone),
            wall=lambda: NOON_S + self.s + self.set_by_s,
            monotonic=lambda: self.s,
        )


def source(*, live=None, began=None):
    made = Source()
    made.pace = None if live is None else Pace(live=live)
    made.began = began and datetime.datetime.fromisoformat(began)
    return made


def hear(clock, now, until_s):
    """Seconds of a stream that comes in time, each observed."""
    for second in range(int(until_s) + 1):
        now.s = float(second)
        clock.observe(now.s, new=True)


def stamped(clock, message):
    return [out for first in clock.steps(message) for out in clock.stamp(first)]


def test_live_sound_has_the_clock_of_the_system():
    now = Now()
    clock = now.clock()
    clock.begin(source(live=True))
    hear(clock, now, 3)
    assert clock.text(2.9996) == "2026-11-30T12:00:03.000+00:00"
    assert stamped(clock, EVENT) == [{**EVENT, "time": "2026-11-30T12:00:03.000+00:00"}]
    assert list(stamped(clock, EVENT)[0])[-1] == "time"


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", "2026-11-30T13:00:01.000+01:00"),
        ("-03:30", "2026-11-30T08:30:01.000-03:30"),
        (None, "2026-12-01T01:00:01.000+13:00"),  # the system's
    ],
)
def test_live_sound_has_the_zone_that_is_asked_for(zone, expected, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        now = Now()
        clock = now.clock(zone)
        clock.begin(source(live=True))
        hear(clock, now, 1)
        assert clock.text(1.0) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_step_is_an_event_before_the_message_that_has_the_new_time():
    now = Now()
    clock = now.clock()
    clock.begin(source(live=True))
    hear(clock, now, 2)
    assert len(stamped(clock, {"time_s": 2.0})) == 1
    now.set_by_s = 3600.0
    clock.observe(2.0, new=False)
    step, message = stamped(clock, {"time_s": 2.0})
    assert step == {
        "time_s": 2.0,
        "event": "clock_stepped",
        "by_s": 3600.0,
        "time": "2026-11-30T13:00:02.000+00:00",
    }
    assert message == {"time_s": 2.0, "time": step["time"]}
    assert stamped(clock, {"time_s": 2.0}) == [message]


def test_a_pipe_has_a_time_once_it_is_known_to_be_live():
    now = Now()
    clock, pipe = now.clock(), source(live=False)
    clock.begin(pipe)
    hear(clock, now, 2)
    assert stamped(clock, {"time_s": 1.0}) == [{"time_s": 1.0}]
    now.set_by_s = 100.0
    hear(clock, now, 3)
    assert stamped(clock, {"time_s": 2.0}) == [{"time_s": 2.0}]  # nor an event
    pipe.pace.live = True
    assert clock.text(3.0) == "2026-11-30T12:01:43.000+00:00"


def test_a_recording_has_its_own_clock_without_a_zone():
    clock = Now().clock(None)
    clock.begin(source(began="2024-02-29T23:59:59.999600"))
    assert clock.text(0.0) == "2024-03-01T00:00:00.000"
    assert clock.text(0.832) == "2024-03-01T00:00:00.832"


@pytest.mark.parametrize("live", [False, True])
def test_a_recording_that_is_piped_has_its_own_clock_too(live):
    clock = Now().clock("+05:45")
    clock.begin(source(live=live, began="2024-02-29T12:00:00"))
    assert clock.text(0.5) == "2024-02-29T12:00:00.500+05:45"


@pytest.mark.parametrize(
    ("began", "after_s", "expected"),
    [
        ("2026-03-29T01:59:59", 2.0, "2026-03-29T03:00:01.000+02:00"),
        ("2026-10-25T02:59:59", 2.0, "2026-10-25T02:00:01.000+01:00"),
    ],
)
def test_a_recording_in_a_zone_goes_through_the_night_on_which_clocks_are_set(
    began, after_s, expected
):
    clock = Now().clock("Europe/Berlin")
    clock.begin(source(began=began))
    assert clock.text(after_s) == expected


def test_a_recording_without_a_clock_has_no_time():
    clock = Now().clock("Europe/Berlin")
    assert clock.at(1.0) is None  # nothing is heard
    clock.begin(source())
    clock.observe(1.0, new=True)
    assert stamped(clock, EVENT) == [EVENT]


def test_the_next_recording_has_a_time_of_its_own():
    clock = Now().clock(None)
    clock.begin(source(began="2024-02-29T12:00:00"))
    clock.begin(source())
    assert clock.text(1.0) is None


# --- zones


@pytest.mark.parametrize(
    ("text", "hours"),
    [("+02:00", 2.0), ("-0530", -5.5), ("+14", 14.0), ("z", 0.0), ("UTC", 0.0), ("-14:00", -14.0)],
)
def test_offsets(text, hours):
    offset = read_zone(text).utcoffset(datetime.datetime(2026, 7, 1))
    assert offset == datetime.timedelta(hours=hours)


def test_a_name_knows_summer():
    zone = read_zone("Europe/Berlin")
    offsets = [zone.utcoffset(datetime.datetime(2026, month, 1)) for month in (1, 7)]
    assert offsets == [datetime.timedelta(hours=1), datetime.timedelta(hours=2)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "+15:00", "+02:60", "+02:", "2"),
        *("Europe", "a\0b", "x" * 5000, "\udcff"),
    ],
)
def test_what_is_no_zone(text):
    allowed = "must be a name of the IANA data base such as Europe/Berlin, or an offset from UTC"
    with pytest.raises(ValueError, match=allowed) as refused:
        read_zone(text)
    assert len(str(refused.value)) < 200


def test_a_machine_without_the_data_base_is_told_so(monkeypatch):
    import zoneinfo

    def missing(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    with pytest.raises(ValueError, match="no data base of zones: pip install tzdata, or name an"):
        read_zone("Europe/Berlin")
    assert read_zone("+01:00") is not None
