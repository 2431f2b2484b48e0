"""The report itself: a page that asks for nothing, in a browser, and a picture."""

import re
import struct
from datetime import datetime, timedelta

import pytest

from benchmarks.evening import lines
from doa_edge.commands.main import main
from doa_edge.report.drawing.shares import talker_bars, zone_bars
from doa_edge.report.drawing.summary import extent, gap_lines, notes, totals
from doa_edge.wall_clock.zone import read_zone
from tests.edge.report.lines_of_runs import CET, EVENING, history_of, made, run_of, write_lines
from tests.edge.sinks.conftest import browser  # noqa: F401

HOSTILE = '</script><img src=x onerror="alert(1)">&amp;\'$a_b$'


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    """Lines of the evening that the pages show, an estimate every two seconds."""
    path = tmp_path_factory.mktemp("evening") / "evening.jsonl"
    return write_lines(path, lines(datetime(2026, 11, 28, tzinfo=CET), step_s=2.0))


def test_the_numbers_of_the_evening(evening):
    history = history_of(evening)
    assert extent(history) == "Sat 28 Nov 2026, 17:31 to 23:37"
    assert [name for name, _ in totals(history)][2:4] == ["3", "2"]
    assert [bar.name for bar in zone_bars(history)] == [
        *("television", "sofa", "table", "desk", "kitchen"),
    ]
    assert [bar.name for bar in talker_bars(history)][:2] == ["talker 4", "talker 1"]
    assert notes(history)[0] == "not running: 9 min, once"
    assert notes(history)[1] == "gaps (stalled): 6 min 30 s, once"
    assert [line.rpartition(", ")[2] for line in gap_lines(history)] == [
        *("9 min: not running", "6 min 30 s: stalled"),
    ]


def test_a_page_is_whole_small_and_asks_for_nothing(tmp_path, evening):
    text = made(tmp_path, evening).read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    assert not re.search(r"<script|<link|https?:|@import|\burl\(", text)
    assert not re.search(r'(?:src|href)="(?!data:image/png;base64,)', text)
    assert 'style="' not in text
    assert text.endswith("</html>\n")


def test_a_page_in_a_browser(tmp_path, evening, browser):  # noqa: F811
    path = made(tmp_path, evening)
    browser.problems.clear()
    for width, dark in ((1120, False), (1120, True), (400, False)):
        browser.size(width, 1500, dark=dark)
        browser.open(path.as_uri())
        browser.wait_for("document.querySelectorAll('svg').length === 6")
        assert browser.evaluate("document.querySelector('h1').textContent") == "Where voices were"
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(13, 19, 27)" if dark else "rgb(243, 245, 248)")
        petal = browser.evaluate("getComputedStyle(document.querySelector('polygon')).fill")
        assert petal == ("rgb(47, 181, 168)" if dark else "rgb(15, 118, 110)")
    assert browser.evaluate("performance.getEntriesByType('resource').length") == 0
    assert browser.evaluate("document.body.innerText.includes('not running: 9 min, once')")
    assert browser.problems == []


def test_names_are_shown_and_not_obeyed(tmp_path, browser):  # noqa: F811
    messages = run_of(100, 30.0, clock=EVENING, zones=[HOSTILE])
    path = tmp_path / "<b>a&b.jsonl"
    for message in messages:
        message["name"] = f"{HOSTILE} mic"
    page = made(tmp_path, write_lines(path, messages))
    assert "<img" not in page.read_text(encoding="utf-8")
    browser.problems.clear()
    browser.open(page.as_uri())
    shown = browser.evaluate("document.querySelector('p').textContent")
    assert "<b>a&b.jsonl" in shown
    assert f"{HOSTILE} mic" in shown
    assert browser.evaluate("document.querySelectorAll('img, b').length") == 0
    assert browser.problems == []


def test_each_microphone_has_its_panels(tmp_path):
    messages = [
        *run_of(100, 30.0, clock=EVENING, name="north"),
        *run_of(100, -30.0, clock=EVENING, name="south <2>"),
    ]
    text = made(tmp_path, write_lines(tmp_path / "a.jsonl", messages)).read_text()
    assert re.findall("<h2>(.*?)</h2>", text) == ["north", "south &lt;2&gt;"]
    assert text.count("<svg") == 12


def test_without_a_clock_there_are_no_hours_of_days(tmp_path):
    text = made(tmp_path, write_lines(tmp_path / "a.jsonl", run_of(100, 30.0))).read_text()
    assert "Hours and days" not in text
    assert "the lines have no time of a clock" in text
    assert "stream time 0:00:00 to 0:00:16" in text


def test_nobody_talked(tmp_path):
    text = made(tmp_path, write_lines(tmp_path / "a.jsonl", run_of(50, clock=EVENING))).read_text()
    assert "nobody 100 %" in text
    assert "<polygon" not in text


def test_the_night_on_which_summer_time_ends(tmp_path):
    berlin = read_zone("Europe/Berlin")
    begin = datetime(2026, 10, 25, 2, 10, tzinfo=berlin).timestamp()
    messages = []
    for number, after_s in enumerate((0.0, 2997.0)):
        for message in run_of(40, 30.0, file=f"{number}.wav"):
            time = datetime.fromtimestamp(begin + after_s + message["time_s"], tz=berlin)
            messages.append({**message, "time": time.isoformat()})
    history = history_of(write_lines(tmp_path / "a.jsonl", messages))
    assert extent(history) == "Sun 25 Oct 2026, 02:10+02:00 to 02:00+01:00"
    assert {bar.told for bar in talker_bars(history)} == {
        *("+30°, 02:10 to 02:10", "+30°, 02:59 to 02:00"),
    }
    assert gap_lines(history) == ["02:10:07, 50 min: not running"]


def test_the_zone_that_is_asked_for_is_told(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", run_of(500, 30.0, clock=EVENING))
    text = made(tmp_path, path, options=["--zone", "Asia/Kolkata"]).read_text()
    assert "Sat 28 Nov 2026, 23:30 to 23:31" in text
    text = made(tmp_path, path, options=["--zone=-05:00"]).read_text()
    assert "Sat 28 Nov 2026, 13:00 to 13:01" in text


def test_months_apart_are_two_blocks_and_a_page_below_a_megabyte(tmp_path):
    messages = [
        message
        for day in (0, 1, 2, 300, 301, 20_000)
        for message in lines(
            datetime(2026, 3, 1, tzinfo=CET) + timedelta(days=day), step_s=30.0, seed=day
        )
    ]
    path = write_lines(tmp_path / "a.jsonl", messages)
    assert made(tmp_path, path).stat().st_size < 1_000_000
    blocks = history_of(path).columns.blocks()
    assert len(blocks) >= 3


def test_a_clock_that_begins_in_1970(tmp_path):
    early = datetime(1970, 1, 1, 1, tzinfo=CET)
    messages = [*run_of(400, 30.0, clock=early)]
    messages += run_of(400, 30.0, clock=EVENING, first_s=0.832 + 400 * 0.16)
    path = write_lines(tmp_path / "a.jsonl", messages)
    text = made(tmp_path, path).read_text()
    assert "the clock was set once" in text
    assert len(history_of(path).columns.blocks()) == 2


@pytest.mark.parametrize("voices", [(), (30.0,)])
def test_a_picture_of_one_estimate(tmp_path, voices):
    pytest.importorskip("matplotlib")
    path = write_lines(tmp_path / "a.jsonl", run_of(1, *voices))
    assert made(tmp_path, path, suffix="png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_picture_of_the_evening(tmp_path, evening):
    pytest.importorskip("matplotlib")
    path = made(tmp_path, evening, suffix="png")
    assert 50_000 < path.stat().st_size < 1_000_000
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    assert (width, height > width) == (1213, True)


def test_a_picture_of_hostile_names(tmp_path):
    pytest.importorskip("matplotlib")
    messages = run_of(20, 30.0, clock=EVENING, zones=[HOSTILE, "寝室"], name="$x^$")
    made(tmp_path, write_lines(tmp_path / "$a$.jsonl", messages), suffix="png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.pdf"], "must end in .html or .png"),
        (
            ["--out", "a.html", "--zone", "Mars/Crater"],
            "--zone must be a name of the IANA data base",
        ),
        (["--out", "a.html", "--zone", "../../etc"], "--zone must be a name of the IANA data base"),
        (["--out", "a.html", "--zone", ""], "--zone must be a name of the IANA data base"),
        (["--out", "a.html", "--zone", "Europe"], "--zone must be a name of the IANA data base"),
        (["--out", "no/a.html"], "cannot be written"),
        ([], "--out"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "a.jsonl", run_of(20, 30.0))
    assert main(["report", "a.jsonl", *options]) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert told.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_file_that_is_not_there_is_misuse(tmp_path, capsys):
    missing = tmp_path / "none.jsonl"
    assert main(["report", str(missing), "--out", str(tmp_path / "a.html")]) == 2
    assert capsys.readouterr().err == (
        "doa_edge: A report must be of files, or of folders of them, that `doa_edge run --log` or "
        f"`--out` wrote. Not found: {missing}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_report_does_not_replace_its_lines(tmp_path, capsys):
    path = write_lines(tmp_path / "a.html", run_of(20, 30.0))
    before = path.read_bytes()
    assert main(["report", str(path), "--out", str(path)]) == 2
    assert "--out must be another file than the lines" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_lines_that_were_left_out_are_told(tmp_path, capsys):
    end = "damaged\n" * 3 + '{"time_s": 4.'
    path = write_lines(tmp_path / "a.jsonl", run_of(20, 30.0), end=end)
    text = made(tmp_path, path).read_text()
    assert capsys.readouterr().err.splitlines()[:2] == [
        "doa_edge: lines that are left out, damaged: 3",
        "doa_edge: lines that are left out, cut short: 1",
    ]
    assert "lines that could not be read: 3" in text
    assert "a last line is cut short: the run was ended hard, or is still writing" in text
