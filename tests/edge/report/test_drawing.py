"""The panels: what is drawn where, how scales and columns are made, and what may be in names."""

import json
import re
import struct
import zlib
from datetime import timedelta
from itertools import combinations

import pytest

from doa_edge.report.columns import Block, TimeColumns
from doa_edge.report.drawing.canvas import Box, Raster, SvgCanvas
from doa_edge.report.drawing.panels import sections
from doa_edge.report.drawing.rose import _main_sectors, draw_rose, stretches
from doa_edge.report.drawing.scales import most_but_few
from doa_edge.report.span import SECTORS, Place, Span
from doa_edge.sinks.tables.day_log import DayLogSink
from tests.edge.report.lines_of_runs import EVENING, history_of, made, run_of, write_lines


def test_a_petal_is_a_sector_and_has_its_seconds(tmp_path):
    messages = [*run_of(50, 35.0, -5.0), *run_of(100, 36.0, first_s=0.832 + 50 * 0.16)]
    text = made(tmp_path, write_lines(tmp_path / "a.jsonl", messages)).read_text()
    assert re.findall(r"<polygon[^>]*><title>(.*?)</title>", text) == [
        *("around 35°: 24 s", "around -5°: 8.0 s"),
    ]
    assert "outer circle 24 s, inner 6.0 s from 5 degrees" in text


def test_a_zone_is_marked_where_somebody_was():
    zone = Place()
    zone.hear(105.0, 6.0)
    zone.hear(106.0, 1.0)
    zone.hear(-163.0, 3.0)
    zone.hear(0.0, 0.1)  # for a moment
    assert 115.0 < zone.azimuth_deg < 187.0  # where nobody was
    assert zone.peak_deg == 105.0
    assert stretches(_main_sectors(zone)) == [(21, 1), (39, 1)]


def test_a_zone_of_two_talkers_is_marked_the_same_of_a_log(tmp_path):
    messages = run_of(400, 105.0, -163.0, clock=EVENING, zones=["all"])
    sink = DayLogSink(tmp_path / "logs", live=False)
    for message in messages:
        sink.send(message)
    sink.close()
    of_lines = history_of(write_lines(tmp_path / "a.jsonl", messages)).zones["all"]
    of_logs = history_of(tmp_path / "logs").zones["all"]
    assert set(of_lines.sectors) == set(of_logs.sectors) == {21, 39}
    assert of_logs.sectors == pytest.approx({21: 32.0, 39: 32.0}, abs=0.01)


@pytest.mark.parametrize(
    ("sectors", "expected"),
    [
        (set(), []),
        ({3}, [(3, 1)]),
        ({3, 4, 6}, [(3, 2), (6, 1)]),
        ({71, 0, 1}, [(71, 3)]),
        (set(range(SECTORS)), [(0, SECTORS)]),
    ],
)
def test_stretches_of_sectors(sectors, expected):
    assert stretches(sectors) == expected


@pytest.mark.parametrize("azimuth_deg", [0.0, 44.0, 89.0, 91.0, 179.0, -90.0])
def test_names_of_zones_that_lie_close_are_not_printed_over_each_other(tmp_path, azimuth_deg):
    messages = [
        message
        for number in range(6)
        for message in run_of(
            30 - number,
            azimuth_deg + number,
            zones=[f"zone {number}"],
            first_s=0.832 + 30 * 0.16 * number,
        )
    ]
    history = history_of(write_lines(tmp_path / "a.jsonl", messages))
    canvas = SvgCanvas(388, 420, "rose")
    draw_rose(canvas, history, 388)
    drawn = re.findall(
        r'<text x="([^"]*)" y="([^"]*)" text-anchor="(\w+)"[^>]*>([^<]*)', canvas.svg()
    )
    assert [name for *_, name in drawn if name.startswith("zone")]
    boxes = []
    for x, y, anchor, text in drawn:
        left = float(x) - 6.0 * len(text) * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        boxes.append((left, left + 6.0 * len(text), float(y)))
    for first, second in combinations(boxes, 2):
        beside = first[1] <= second[0] or second[1] <= first[0]
        assert beside or abs(first[2] - second[2]) >= 12.0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "0 to 1"),
        ([0.0], "0 to 1"),
        ([2.0, 9.0], "0 to 9"),
        ([*range(1, 51)], "0 to 50"),
        ([*range(1, 52)], "0 to 50 and more"),
        ([5.0] * 200, "0 to 5"),
        ([*range(1, 201)], "0 to 197 and more"),
    ],
)
def test_a_scale_says_where_it_ends(values, told):
    most = most_but_few(values)
    assert most.told(f"{most.value:g}") == told


def test_the_numbers_of_each_hour_can_be_read(tmp_path):
    messages = run_of(1000, 30.0, clock=EVENING + timedelta(minutes=59))
    messages += run_of(1000, clock=EVENING + timedelta(minutes=59), first_s=160.832)
    text = made(tmp_path, write_lines(tmp_path / "a.jsonl", messages)).read_text()
    assert re.findall("<title>(Sat 28 Nov, [^<]*)</title>", text) == [
        "Sat 28 Nov, 19:00: 59 s of voice, 59 s listened",
        "Sat 28 Nov, 20:00: 1 min 41 s of voice, 4 min 21 s listened",
    ]
    assert "voice in an hour, 0 to 1 min 41 s; grey" in text


def test_columns_of_a_short_recording_are_of_a_second(tmp_path):
    history = history_of(write_lines(tmp_path / "a.jsonl", run_of(88, 30.0)))
    assert history.columns.width_s == 1
    assert sorted(history.columns.columns) == list(range(15))
    long = history_of(write_lines(tmp_path / "b.jsonl", run_of(1700, 30.0)))
    assert long.columns.width_s == 1
    assert len(long.columns.columns) == 273


def test_columns_of_a_log_are_of_a_minute(tmp_path):
    sink = DayLogSink(tmp_path, live=False)
    for message in run_of(5000, 30.0, clock=EVENING):
        sink.send(message)
    sink.close()
    history = history_of(tmp_path)
    assert history.columns.width_s == 60
    assert len(history.columns.columns) == 14


def test_control_characters_in_names_are_told_and_not_obeyed(tmp_path):
    messages = run_of(50, 30.0, clock=EVENING, zones=["a\x1b[31m\nb"], name="mic\x1b]0;x\x07")
    messages.append({"time_s": 9.0, "event": "gap", "reason": "lo\x1bst", "lost_s": 5.0})
    messages += run_of(10, 30.0, clock=EVENING, name="mic\x1b]0;x\x07", first_s=14.8)
    messages[50]["name"] = messages[0]["name"]
    text = made(tmp_path, write_lines(tmp_path / "a\x1b.jsonl", messages)).read_text()
    assert set(re.findall(r"[\x00-\x1f\x7f]", text)) == {"\n"}
    for shown in (r"a\x1b[31m\nb: 8.0 s", r"mic\x1b]0;x\x07", r"a\x1b.jsonl", r"lo\x1bst"):
        assert shown in text
    assert "a\n" not in re.sub(r"(?s)<style>.*?</style>", "", text)


def test_columns_widen_and_keep_all():
    columns = TimeColumns()
    for second in range(5000):
        columns.add(Span(second, second + 1.0, 0.0, heard_s=1.0, sectors={3: 0.5}))
    assert columns.width_s == 15
    assert len(columns.columns) == 334
    assert columns.columns[10].heard_s == 15.0
    assert columns.columns[10].sectors == {3: 7.5}
    assert columns.blocks() == [Block(0, 333)]


def test_a_long_pause_is_a_break():
    columns = TimeColumns()
    for second in [*range(100), *range(110, 150), *range(10_000, 10_100)]:
        columns.add(Span(second, second + 1.0, 0.0, heard_s=1.0))
    assert columns.blocks() == [Block(0, 149), Block(10_000, 10_099)]


def test_a_raster_is_a_png():
    raster = Raster([bytes([0, 1]), bytes([1, 0])], [(0, 0, 0, 0), (255, 128, 0, 255)])
    data = raster.png()
    assert struct.unpack(">IIBBBBB", data[16:29]) == (2, 2, 8, 3, 0, 0, 0)
    place = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[place - 4 : place])
    assert zlib.decompress(data[place + 4 : place + 4 + length]) == b"\0\0\1\0\1\0"


def test_svg_is_escaped():
    canvas = SvgCanvas(10, 10, '"<a>')
    canvas.text((1, 2), "<b>&")
    canvas.rect(Box(0, 0, 1, 1), "accent", tip="<c>")
    text = canvas.svg()
    assert 'aria-label="&quot;&lt;a&gt;"' in text
    assert ">&lt;b&gt;&amp;</text>" in text
    assert "<title>&lt;c&gt;</title>" in text


def test_a_report_of_nothing_has_no_section():
    from doa_edge.report.report import Report

    report = Report()
    report.finish()
    assert sections(report) == []
    assert json.dumps(report.heard_s) == "0"
