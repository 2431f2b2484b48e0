"""Messages as rows of CSV, and the files that hold them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import resource
import signal

import pytest

from doa_core.errors import InputError
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.tables.rows import COLUMNS, CsvRows
from tests.edge.conftest import no_descriptor_left
from tests.edge.sinks.messages import several, talker

HEADER = (
    "time,time_s,file,name,event,details,active,level_dbfs,of_s,id,slot,azimuth_deg,elevation_deg,"
    "confidence,tentative,zones\n"
)
VOICE = {
    "time_s": 0.832,
    "azimuth_deg": 40.0,
    "elevation_deg": 20.0,
    "confidence": 0.93,
    "active": True,
    "level_dbfs": -20.1,
}
GAP = {"time_s": 2.0, "event": "gap", "reason": "lost", "lost_s": 0.25, "detail": 'a "b",\nc'}


def rows(message):
    """The rows of a message, as text."""
    return CsvRows().lines(message).decode()


def read(text):
    """The cells that are not empty, of each row."""
    table = csv.DictReader(io.StringIO(text), COLUMNS)
    return [{key: cell for key, cell in row.items() if cell} for row in table]


def test_the_header_names_the_columns():
    assert CsvRows.header.decode() == HEADER
    assert HEADER.strip().split(",") == list(COLUMNS)


def test_one_voice_is_a_row():
    assert rows(VOICE) == ",0.832,,,,,true,-20.1,,,,40.0,20.0,0.93,,\n"
    stamped = {**VOICE, "zones": ["desk", "door"], "time": "2026-11-29T12:00:00.000+01:00"}
    (row,) = read(rows(stamped))
    assert row["time"] == "2026-11-29T12:00:00.000+01:00"
    assert row["zones"] == "desk;door"


def test_a_window_in_which_nobody_talks_is_a_row_without_a_talker():
    assert rows({**VOICE, "active": False}) == ",0.832,,,,,false,-20.1,,,,,,,,\n"
    (row,) = read(rows({**several(1.0), "file": "a.wav"}))
    assert row == {
        "time_s": "1.0",
        "file": "a.wav",
        "active": "false",
        "level_dbfs": "-20.5",
        "of_s": "0.75",
    }


def test_several_voices_are_a_row_each():
    message = several(1.0, talker(7, 2, -45.0, tentative=True), talker(3, 1, 90.0, 5.0, 0.95))
    message["talkers"][0]["zones"] = ["desk"]
    first, second = read(rows(message))
    common = {"time_s": "1.0", "active": "true", "level_dbfs": "-20.5", "of_s": "0.75"}
    assert first == {
        **common,
        "id": "3",
        "slot": "1",
        "azimuth_deg": "90.0",
        "elevation_deg": "5.0",
        "confidence": "0.95",
        "tentative": "false",
        "zones": "desk",
    }
    assert second == {
        **common,
        "id": "7",
        "slot": "2",
        "azimuth_deg": "-45.0",
        "elevation_deg": "0.0",
        "confidence": "0.9",
        "tentative": "true",
    }


def test_an_event_has_its_name_and_the_rest_in_a_cell_of_their_own():
    (row,) = read(rows({**GAP, "time": "2026-11-29T12:00:00.000"}))
    details = json.loads(row.pop("details"))
    assert row == {"time": "2026-11-29T12:00:00.000", "time_s": "2.0", "event": "gap"}
    assert details == {"reason": "lost", "lost_s": 0.25, "detail": 'a "b",\nc'}
    entered = {"time_s": 2.0, "event": "zone_entered", "zone": "desk", "id": 4}
    (row,) = read(rows(entered))
    assert "id" not in row  # nobody's row: who counts rows by id counts estimates
    assert json.loads(row["details"]) == {"zone": "desk", "id": 4}
    assert read(rows({"time_s": 2.0, "event": "x"})) == [{"time_s": "2.0", "event": "x"}]


@pytest.mark.parametrize(
    ("file", "cell"),
    [
        ("a,b.wav", "a,b.wav"),
        ('"a".wav', '"a".wav'),
        ("a\nb.wav", "a\\nb.wav"),
        ("b\xfcro.wav", "b\xfcro.wav"),
        ("b\udcfcro.wav", "b\ufffdro.wav"),
    ],
)
def test_names_of_files_stay_in_their_cell(file, cell):
    text = rows({**VOICE, "file": file})
    assert text.count("\n") == 1
    assert read(text)[0]["file"] == cell


# --- files


def sink(path, **settings):
    return FileSink(path, form=CsvRows(), **settings)


def test_a_file_begins_with_the_header_and_holds_rows(tmp_path):
    path = tmp_path / "x.csv"
    opened = sink(path)
    assert path.read_text() == HEADER
    opened.send(VOICE)
    assert path.read_text() == HEADER + rows(VOICE)  # at once, not when it is closed
    opened.close()


def test_rows_are_added_to_a_file_with_the_same_header(tmp_path):
    path = tmp_path / "x.csv"
    for number in range(2):
        opened = sink(path)
        opened.send({**VOICE, "time_s": number})
        opened.close()
    assert path.read_text().count(HEADER) == 1
    assert [row["time_s"] for row in read(path.read_text().removeprefix(HEADER))] == ["0", "1"]


@pytest.mark.parametrize(
    "text", ["time,azimuth\n1,2\n", '{"time_s": 1}\n', "\n", HEADER.replace("zones\n", "zones,x\n")]
)
def test_a_file_with_another_header_stays_as_it_is(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    open_before = len(os.listdir("/proc/self/fd"))
    first = text.split("\n")[0][:80]
    with pytest.raises(InputError) as refused:
        sink(path)
    assert str(refused.value) == (
        f"--out adds rows to a file that begins with `{HEADER.strip()}`: name another file, or "
        f"move this one away. Received: {path} that begins with `{first}`"
    )
    assert path.read_text() == text
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("cut", [0, 1, len(HEADER) - 1])
def test_a_header_in_which_the_power_went_is_written_anew(tmp_path, cut):
    path = tmp_path / "x.csv"
    path.write_text(HEADER[:cut])
    sink(path).close()
    assert path.read_text() == HEADER


def test_a_row_in_which_the_power_went_is_kept_apart(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(HEADER + ",1.0,,,")
    opened = sink(path)
    opened.send(VOICE)
    opened.close()
    assert path.read_text() == HEADER + ",1.0,,,\n" + rows(VOICE)


def test_each_rotated_file_begins_with_the_header(tmp_path):
    path = tmp_path / "x.csv"
    size = len(HEADER) + 2 * len(rows(VOICE)) + 5
    opened = sink(path, size=size, count=2)
    for number in range(7):
        opened.send({**VOICE, "time_s": number})
    opened.close()
    names = ["x.csv.2", "x.csv.1", "x.csv"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)
    kept = []
    for name in names:
        text = (tmp_path / name).read_text()
        assert text.startswith(HEADER)
        assert len(text) <= size
        kept.append([row["time_s"] for row in read(text.removeprefix(HEADER))])
    assert kept == [["2", "3"], ["4", "5"], ["6"]]


def test_a_size_below_that_of_the_header_gives_a_row_a_file(tmp_path):
    path = tmp_path / "x.csv"
    opened = sink(path, size=1, count=5)
    for number in range(3):
        opened.send({**VOICE, "time_s": number})
    opened.close()
    names = ["x.csv", "x.csv.1", "x.csv.2"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names
    assert all((tmp_path / name).read_text().count("\n") == 2 for name in names)


def test_a_file_that_cannot_be_rotated_grows_on(tmp_path):
    path = tmp_path / "x.csv"
    opened = sink(path, size=300, count=2)
    with no_descriptor_left():
        for number in range(10):
            opened.send({**VOICE, "time_s": number})
    opened.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text().count(HEADER) == 1
    assert len(read(path.read_text())) == 11


def test_a_disk_that_is_full_leaves_whole_rows(tmp_path):
    """RLIMIT_FSIZE makes the kernel cut a write short, as a disk does that fills up."""
    path = tmp_path / "x.csv"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        opened = sink(path)
        try:
            for _ in range(100):
                opened.send(VOICE)
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == errno.EFBIG
    text = path.read_text()
    count = (500 - len(HEADER)) // len(rows(VOICE))
    assert text == HEADER + count * rows(VOICE)


def test_a_disk_that_is_full_when_a_file_is_rotated_loses_nothing(tmp_path):
    path = tmp_path / "x.csv"
    opened = sink(path, size=len(HEADER) + len(rows(VOICE)), count=2)
    opened.send(VOICE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            opened.send(VOICE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text() == HEADER + rows(VOICE)
    opened.send(VOICE)  # there is room again
    opened.close()
    assert path.read_text() == HEADER + rows(VOICE)
    assert path.with_name("x.csv.1").read_text() == HEADER + rows(VOICE)
