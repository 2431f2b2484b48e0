"""Messages become spans: what an estimate stands for, runs, gaps and clocks."""

import json
import math
from datetime import timedelta

import pytest

from doa_edge.report.counting import ALONE_S, NOT_WRITTEN, SpanCounter
from doa_edge.report.messages import read_message
from doa_edge.report.moments import duration_text, read_moment
from doa_edge.report.report import Report
from doa_edge.report.span import read_span, sector_azimuth, sector_of
from doa_edge.wall_clock.zone import read_zone
from tests.edge.report.lines_of_runs import EVENING, STEP_S, estimate, run_of, timed


def spans_of(messages, width_s=60.0, zone=None):
    counter = SpanCounter(width_s, zone)
    spans = [span for message in messages for span in counter.add(read_message(message))]
    return [*spans, *counter.finish()]


def history_of(messages, zone=None):
    report = Report(zone)
    for message in messages:
        report.add(read_message(message))
    report.finish()
    (history,) = report.histories.values()
    return history


@pytest.mark.parametrize(
    ("azimuth_deg", "sector"),
    [(0, 0), (2.4, 0), (2.6, 1), (-2.6, 71), (180, 36), (-180, 36), (177.6, 36), (-175, 37)],
)
def test_sectors_lie_around_multiples_of_five_degrees(azimuth_deg, sector):
    assert sector_of(azimuth_deg) == sector
    assert abs(math.remainder(sector_azimuth(sector) - azimuth_deg, 360)) <= 2.5


def test_an_estimate_stands_for_the_time_between_two():
    (span,) = spans_of([*run_of(50, 30.0), *run_of(25, first_s=0.832 + 50 * STEP_S)])
    assert span.heard_s == pytest.approx(75 * STEP_S)
    assert span.voice_s == pytest.approx(50 * STEP_S)
    assert span.counts == pytest.approx({1: 50 * STEP_S, 0: 25 * STEP_S})
    assert span.sectors == pytest.approx({6: 50 * STEP_S})
    assert span.missing == {}


def test_two_talkers_count_twice_by_direction_and_once_by_zone():
    (span,) = spans_of(run_of(10, 30.0, 40.0, zones=["desk"]))
    assert span.voice_s == pytest.approx(1.6)
    assert span.counts == pytest.approx({2: 1.6})
    assert span.sectors == pytest.approx({6: 1.6, 8: 1.6})
    assert span.zones["desk"].seconds == pytest.approx(1.6)
    assert span.zones["desk"].azimuth_deg == pytest.approx(35.0)
    assert {number: place.seconds for number, place in span.talkers.items()} == pytest.approx(
        {1: 1.6, 2: 1.6}
    )


def test_one_voice_has_zones_on_the_line_and_no_talkers():
    messages = run_of(10, -90.0)
    for message in messages:
        del message["talkers"], message["of_s"]
        message["zones"] = ["door"]
    (span,) = spans_of(messages)
    assert span.sectors == pytest.approx({54: 1.6})
    assert span.zones["door"].seconds == pytest.approx(1.6)
    assert span.talkers == {}


def test_one_estimate_alone():
    (span,) = spans_of(run_of(1, 30.0))
    assert span.heard_s == ALONE_S


def test_a_gap_is_missing_by_its_reason_and_its_refill_is_not():
    gap = {"time_s": 10.0, "event": "gap", "reason": "stalled", "lost_s": 4.0}
    before, after = run_of(10, 30.0), run_of(10, 30.0, first_s=0.832 + 9 * STEP_S + 4.0 + 0.8)
    (span,) = spans_of([*before, gap, *after])
    assert span.heard_s == pytest.approx(3.2)
    assert span.missing == {"stalled": 4.0}


def test_lines_that_were_dropped_or_rotated_away_are_missing():
    (span,) = spans_of([*run_of(10, 30.0), *run_of(10, 30.0, first_s=0.832 + 9 * STEP_S + 8.0)])
    assert span.missing == pytest.approx({NOT_WRITTEN: 8.0 - STEP_S})


def test_a_run_that_is_started_again_is_another_one():
    second = EVENING + timedelta(minutes=10)
    history = history_of([*run_of(100, 30.0, clock=EVENING), *run_of(100, 30.0, clock=second)])
    assert history.runs == 2
    assert history.heard_s == pytest.approx(32.0)
    assert len(history.talkers) == 2  # number 1 of each run
    last_s = 0.832 + 99 * STEP_S
    pause_s = 600.0 + 0.832 - STEP_S - last_s
    assert history.missing["not running"].seconds == pytest.approx(pause_s)
    assert [gap.reason for gap in history.gaps] == ["not running"]


def test_an_event_before_the_first_estimate_belongs_to_the_new_run():
    second = EVENING + timedelta(minutes=10)
    entered = {"time_s": 0.832, "event": "zone_entered", "zone": "a", **timed(second, 0.832)}
    messages = [*run_of(100, 30.0, clock=EVENING), entered, *run_of(10, 30.0, clock=second)]
    history = history_of(messages)
    assert history.runs == 2
    assert history.missing["not running"].seconds == pytest.approx(600.832 - 16.672, abs=0.2)
    assert history.zones["a"].entered == 1


def test_recordings_follow_one_another_without_a_clock():
    messages = [*run_of(50, 30.0, file="a.wav"), *run_of(50, -30.0, file="b.wav")]
    history = history_of(messages)
    assert (history.runs, history.has_clock) == (2, False)
    assert history.untimed_s == pytest.approx(16.0)
    assert history.latest.end == pytest.approx(2 * (0.832 + 49 * STEP_S))


def test_lines_without_a_time_have_that_of_their_run():
    messages = run_of(100, 30.0, clock=EVENING)
    for message in messages[1:]:
        del message["time"]
    history = history_of(messages)
    assert history.untimed_s == 0.0
    assert history.latest.end == pytest.approx(EVENING.timestamp() + 0.832 + 99 * STEP_S)


def test_what_comes_before_the_clock_is_known_is_counted_apart():
    messages = run_of(50, 30.0) + run_of(50, 30.0, clock=EVENING, first_s=0.832 + 50 * STEP_S)
    history = history_of(messages)
    assert history.heard_s == pytest.approx(16.0)
    assert history.untimed_s == pytest.approx(8.0)
    assert history.has_clock


@pytest.mark.parametrize("told", [True, False])
def test_a_clock_that_is_set_is_told_once(told):
    by = timedelta(hours=3)
    later = run_of(50, 30.0, clock=EVENING + by, first_s=0.832 + 50 * STEP_S)
    event = {"time_s": later[0]["time_s"], "event": "clock_stepped", "by_s": 10_800.0}
    messages = [*run_of(50, 30.0, clock=EVENING), *([event] if told else []), *later]
    history = history_of(messages)
    assert history.steps == 1
    assert history.steps_s == pytest.approx([10_800.0])
    assert history.runs == 1
    assert history.missing == {}
    assert history.heard_s == pytest.approx(16.0)


def test_a_slow_run_needs_no_narrow_columns():
    messages = [estimate(64.0 * n, 30.0, clock=EVENING) for n in range(1, 40)]
    history = history_of(messages)
    assert history.heard_s == pytest.approx(39 * 64.0)
    assert history.columns.width_s == 300
    assert all(column.heard_s <= 320.0 for column in history.columns.columns.values())


def test_a_minute_survives_the_log():
    messages = run_of(300, 30.0, -100.0, clock=EVENING, zones=["desk"])
    messages[-1]["talkers"][1]["tentative"] = True
    entered = {"time_s": 0.9, "event": "zone_entered", "zone": "desk", **timed(EVENING, 0.9)}
    (span,) = spans_of([*messages[:1], entered, *messages[1:]])
    line = json.loads(json.dumps(span.to_dict()))
    assert line["minute"] == "2026-11-28T19:00:00+01:00"
    assert line["azimuth_s"] == {"-100": 48.0, "30": 48.0}
    assert line["zones"]["desk"]["entered"] == 1
    read = read_span(line)
    assert read.begin == pytest.approx(span.begin, abs=1e-3)
    assert read.end == pytest.approx(span.end, abs=1e-3)
    assert (read.offset_s, read.run) == (3600.0, span.run)
    assert read.sectors == pytest.approx(span.sectors)
    assert read.counts == pytest.approx(span.counts)
    assert read.talkers[1].azimuth_deg == pytest.approx(30.0)
    assert read.talkers[1].confirmed


@pytest.mark.parametrize(
    "change",
    [
        {"minute": 3},
        {"minute": "yesterday"},
        {"minute": "9999-12-31T23:59:00+00:00"},
        {"to_s": 1e9},
        {"run": None},
        {"heard_s": -1.0},
        {"heard_s": math.nan},
        {"heard_s": True},
        {"from_s": "0"},
        {"azimuth_s": [1]},
        {"azimuth_s": {"north": 1.0}},
        {"azimuth_s": {"9" * 5000: 1.0}},
        {"zones": {"a": 1.0}},
        {"talkers": {"1": {"s": math.inf}}},
        {"clock_stepped_s": 5},
        {"name": 5},
    ],
)
def test_a_minute_that_is_none(change):
    line = spans_of(run_of(10, 30.0, clock=EVENING))[0].to_dict()
    with pytest.raises((ValueError, OverflowError)):
        read_span({**line, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"time_s": None},
        {"time_s": math.nan},
        {"time_s": -1.0},
        {"time_s": True},
        {"time_s": 1e300},
        {"time": 5},
        {"talkers": 5},
        {"talkers": [5]},
        {"talkers": [{"id": "one", "azimuth_deg": 3.0}]},
        {"talkers": [{"id": 1, "azimuth_deg": math.nan}]},
        {"talkers": [{"id": 1, "azimuth_deg": 3.0, "zones": "desk"}]},
        {"talkers": [{"id": 1, "azimuth_deg": 3.0, "zones": [5]}]},
        {"talkers": None, "azimuth_deg": "30"},
        {"talkers": None, "active": "yes"},
        {"file": 5},
        {"name": 5},
        {"event": 5},
    ],
)
def test_a_message_that_is_none(change):
    with pytest.raises(ValueError, match=r"must|missing|range"):
        read_message({**estimate(1.0, 30.0), **change})


@pytest.mark.parametrize("message", [5, [], "a", None, {}, {"a": 1}])
def test_a_line_of_another_program(message):
    with pytest.raises(ValueError, match=r"must|missing"):
        read_message(message)


@pytest.mark.parametrize("values", [{}, {"lost_s": math.nan}, {"lost_s": "3"}, {"lost_s": True}])
def test_a_gap_without_its_length_is_none(values):
    gap = {"time_s": 3.0, "event": "gap", "reason": "lost", **values}
    (span,) = spans_of([*run_of(5, 30.0), gap, *run_of(5, 30.0, first_s=0.832 + 5 * STEP_S)])
    assert span.missing == {}


@pytest.mark.parametrize(
    ("text", "utc_s", "offset_s"),
    [
        ("1970-01-02T01:00:00+01:00", 86_400.0, 3600.0),
        ("1970-01-02T00:00:00.25Z", 86_400.25, 0.0),
        ("1970-01-02T00:00:00.1234567+00:00", 86_400.123456, 0.0),
        ("1970-01-02T05:30:00", 106_200.0, 0.0),
        ("1970-01-02T05:30:00+05:30", 86_400.0, 19_800.0),
    ],
)
def test_times_of_lines(text, utc_s, offset_s):
    assert read_moment(text) == pytest.approx((utc_s, offset_s))


def test_the_zone_that_is_asked_for():
    berlin = read_zone("Europe/Berlin")
    assert read_moment("2026-07-01T12:00:00Z", berlin).offset_s == 7200.0
    assert read_moment("2026-12-01T12:00:00Z", berlin).offset_s == 3600.0
    local = read_moment("2026-12-01T12:00:00", berlin)  # a field recorder's, without a zone
    assert local == read_moment("2026-12-01T11:00:00Z", berlin)


def test_summer_time_ends_in_an_hour_that_comes_twice():
    berlin = read_zone("Europe/Berlin")
    begin = read_moment("2026-10-25T00:00:00Z").utc_s  # 2:00 of summer time; two hours at 2
    report = Report(berlin)
    for minute in range(180):
        time = EVENING.fromtimestamp(begin + 60 * minute, tz=EVENING.tzinfo).isoformat()
        line = {"minute": time, "from_s": 0, "to_s": 60, "run": "a", "heard_s": 60, "voice_s": 6}
        report.add_span(read_span(line, berlin))
    history = report.histories[""]
    (day,) = history.days.heard_s
    assert history.days.heard_s[day][2:4] == [7200.0, 3600.0]
    assert history.days.voice_s[day][2:4] == [720.0, 360.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (8.34, "8.3 s"),
        (59.9, "1 min"),
        (185.0, "3 min 5 s"),
        (3599.0, "1 h"),
        (18_720.0, "5 h 12 min"),
        (90 * 3600.0, "3 days 18 h"),
    ],
)
def test_spans_of_time_in_words(seconds, text):
    assert duration_text(seconds) == text
