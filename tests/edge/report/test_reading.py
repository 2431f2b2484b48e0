"""Files become messages: parts, folders, tables, and what is none of ours."""

import csv
import json
import os
import threading
from datetime import timedelta

import pytest

from doa_core.errors import InputError
from doa_edge.report.files import find_outputs
from doa_edge.report.history import MOST_PLACES, History
from doa_edge.report.intervals import MOST_INTERVALS, Interval, Intervals
from doa_edge.report.lines import LONGEST_LINE, read_report
from doa_edge.report.report import MOST_MICROPHONES
from doa_edge.report.span import Place, Span
from tests.edge.report.lines_of_runs import EVENING, STEP_S, estimate, run_of, write_lines

COLUMNS = (
    *("time", "time_s", "file", "event", "id", "slot", "azimuth_deg", "elevation_deg"),
    *("confidence", "active", "level_dbfs", "zones", "details"),
)


def read(*paths, zone=None):
    return read_report(find_outputs(paths), zone)


def only(report):
    (history,) = report.histories.values()
    return history


def write_table(path, rows, columns=COLUMNS):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def rotated(tmp_path):
    """Three files of one run, the newest without a number; each of a hundred estimates."""
    messages = run_of(300, 30.0, clock=EVENING)
    for name, start in (("a.jsonl.2", 0), ("a.jsonl.1", 100), ("a.jsonl", 200)):
        write_lines(tmp_path / name, messages[start : start + 100])
    return tmp_path


def test_older_parts_are_found_and_read_first(rotated):
    (output,) = find_outputs([rotated / "a.jsonl"])
    assert [part.name for part in output.parts] == ["a.jsonl.2", "a.jsonl.1", "a.jsonl"]
    report, unread = read(rotated / "a.jsonl")
    history = only(report)
    assert history.runs == 1
    assert history.heard_s == pytest.approx(300 * STEP_S)
    assert history.missing == {}
    assert (unread.damaged, unread.cut) == (0, 0)


def test_parts_that_are_given_too_are_read_once(rotated):
    given = [rotated / name for name in ("a.jsonl", "a.jsonl.1", "a.jsonl.2", "a.jsonl")]
    assert only(read(*given)[0]).heard_s == pytest.approx(48.0)
    assert only(read(rotated)[0]).heard_s == pytest.approx(48.0)


def test_an_older_part_alone(rotated):
    assert only(read(rotated / "a.jsonl.1")[0]).heard_s == pytest.approx(16.0)
    both = read(rotated / "a.jsonl.1", rotated / "a.jsonl.2")[0]
    assert only(both).heard_s == pytest.approx(32.0)
    assert only(both).runs == 1


def test_a_number_of_ten_is_older_than_one_of_nine(tmp_path):
    for number in (9, 10):
        write_lines(tmp_path / f"a.jsonl.{number}", run_of(2, 30.0))
    write_lines(tmp_path / "a.jsonl", run_of(2, 30.0))
    (output,) = find_outputs([tmp_path / "a.jsonl"])
    assert [part.name for part in output.parts] == ["a.jsonl.10", "a.jsonl.9", "a.jsonl"]


def test_outputs_are_put_into_the_order_of_their_times(tmp_path):
    later = EVENING + timedelta(hours=1)
    second = write_lines(tmp_path / "a.jsonl", run_of(50, 30.0, clock=later))
    first = write_lines(tmp_path / "b.jsonl", run_of(50, -30.0, clock=EVENING))
    assert [output.name for output in find_outputs([second, first])] == ["b.jsonl", "a.jsonl"]
    history = only(read(second, first)[0])
    assert history.runs == 2
    assert history.missing["not running"].times == 1


def test_outputs_of_the_same_time_are_of_several_microphones(tmp_path):
    paths = [
        write_lines(tmp_path / name, run_of(2000, azimuth_deg, clock=EVENING))
        for name, azimuth_deg in (("north.jsonl", 30.0), ("south.jsonl", -30.0))
    ]
    report, _ = read(*paths)
    assert set(report.histories) == {"north.jsonl", "south.jsonl"}
    assert report.histories["south.jsonl"].sectors[66] == pytest.approx(320.0)


def test_lines_that_name_their_microphone(tmp_path):
    pairs = zip(
        run_of(50, 30.0, name="north", clock=EVENING),
        run_of(50, -30.0, name="south", clock=EVENING),
        strict=True,
    )
    path = write_lines(tmp_path / "a.jsonl", [message for pair in pairs for message in pair])
    report, _ = read(path)
    assert {name: one.heard_s for name, one in report.histories.items()} == pytest.approx(
        {"north": 8.0, "south": 8.0}
    )


def test_more_microphones_than_can_be_told_apart(tmp_path):
    messages = [message for n in range(40) for message in run_of(3, 30.0, name=f"m{n}")]
    report, _ = read(write_lines(tmp_path / "a.jsonl", messages))
    assert len(report.histories) == MOST_MICROPHONES + 1
    assert report.heard_s == pytest.approx(40 * 3 * STEP_S)


def test_a_table_reads_as_its_lines(tmp_path):
    messages = run_of(20, 30.0, -40.0, clock=EVENING, zones=["desk", "room"])
    messages += run_of(10, clock=EVENING, first_s=0.832 + 20 * STEP_S)
    rows = []
    for message in messages:
        for talker in message["talkers"] or [{}]:
            keys = {key: message[key] for key in ("time", "time_s", "level_dbfs")}
            zones = ";".join(talker.get("zones", ()))
            told = {key: talker[key] for key in ("id", "slot", "azimuth_deg") if talker}
            active = str(message["active"]).lower()
            rows.append({**keys, **told, "active": active, "zones": zones})
    gap = {"time_s": 9.0, "event": "gap", "details": '{"reason": "lost", "lost_s": 3.5}'}
    last = {"time_s": 0.832 + 30 * STEP_S + 3.5, "active": "false"}
    table = write_table(tmp_path / "a.csv", [*rows, gap, last])
    messages += [{"time_s": 9.0, "event": "gap", "reason": "lost", "lost_s": 3.5}]
    messages += run_of(1, first_s=last["time_s"])
    lines = only(read(write_lines(tmp_path / "a.jsonl", messages))[0])
    report, unread = read(table)
    history = only(report)
    assert (unread.damaged, unread.cut) == (0, 0)
    assert history.heard_s == pytest.approx(lines.heard_s)
    assert history.sectors == pytest.approx(lines.sectors)
    assert history.counts == pytest.approx(lines.counts)
    assert {name: one.seconds for name, one in history.zones.items()} == pytest.approx(
        {"desk": 3.2, "room": 3.2}
    )
    assert set(history.talkers) == set(lines.talkers)
    assert {name: one.seconds for name, one in history.missing.items()} == {"lost": 3.5}


def test_a_talker_of_a_table_who_is_tentative_all_along(tmp_path):
    common = {"id": 1, "azimuth_deg": 90.0, "active": "true"}
    rows = [
        {"time_s": 1.0, **common, "tentative": "true"},
        {"time_s": 1.16, **common, "tentative": "true"},
        {"time_s": 1.16, **common, "id": 2, "tentative": "false"},
    ]
    columns = (*COLUMNS, "tentative")
    history = only(read(write_table(tmp_path / "a.csv", rows, columns))[0])
    assert [number for (_, number), one in history.talkers.items() if one.confirmed] == [2]


def test_a_table_of_one_voice_and_of_parts_with_headers(tmp_path):
    rows = [
        {"time_s": 0.832 + STEP_S * n, "azimuth_deg": 90.0, "active": "true"} for n in range(20)
    ]
    write_table(tmp_path / "a.csv.1", rows[:10])
    path = write_table(tmp_path / "a.csv", rows[10:])
    history = only(read(path)[0])
    assert history.heard_s == pytest.approx(3.2)
    assert history.sectors[18] == pytest.approx(3.2)


def test_a_table_of_which_lines_are_damaged(tmp_path):
    rows = [
        {"time_s": 0.832 + STEP_S * n, "id": 1, "azimuth_deg": 90.0, "active": "true"}
        for n in range(20)
    ]
    rows[3]["azimuth_deg"] = "nan"
    rows[5]["active"] = "maybe"
    rows[7]["id"] = "one"
    path = write_table(tmp_path / "a.csv", rows)
    path.write_text(path.read_text() + ",4.032,,,1,", encoding="utf-8")
    report, unread = read(path)
    assert (unread.damaged, unread.cut) == (3, 1)
    assert only(report).heard_s == pytest.approx(17 * STEP_S)


def test_a_run_that_was_cut_short(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", run_of(50, 30.0), end='{"time_s": 9.5, "azi')
    report, unread = read(path)
    assert (unread.damaged, unread.cut) == (0, 1)
    assert only(report).heard_s == pytest.approx(8.0)


@pytest.mark.parametrize(
    "damage",
    [
        b'{"time_s": 9.5, "azi\n',
        b"\xff\xfe\x00\x00\n",
        b'{"time_s": NaN, "azimuth_deg": 3, "active": true}\n',
        b'{"time_s": 1e999, "azimuth_deg": 3, "active": true}\n',
        b'{"time_s": 3, "azimuth_deg": 3, "active": true, "time": "noon"}\n',
        b'{"time_s": 3, "azimuth_deg": 3, "active": true, "time": "0001-01-01T00:00:00+14:00"}\n',
        b'{"time_s": 3, "azimuth_deg": 3, "active": true, "time": "9999-12-31T23:59:59+00:00"}\n',
        b"[" * 100_000 + b"\n",
        b'{"time_s": ' + b"9" * 6000 + b"}\n",
        b"x" * (LONGEST_LINE + 5) + b"\n",
        b"null\n",
        b'{"minute": "2026-11-28T19:00:00+01:00"}\n',
    ],
    ids=lambda damage: damage[:20],
)
def test_a_damaged_line_is_left_out_and_counted(tmp_path, damage):
    path = write_lines(tmp_path / "a.jsonl", run_of(25, 30.0))
    later = run_of(25, 30.0, first_s=0.832 + 25 * STEP_S)
    text = "".join(json.dumps(message) + "\n" for message in later)
    path.write_bytes(path.read_bytes() + damage + text.encode())
    report, unread = read(path)
    assert unread.damaged == 1
    assert only(report).heard_s == pytest.approx(8.0)


def test_a_byte_order_mark_and_empty_lines_are_nothing(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", run_of(25, 30.0))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    report, unread = read(path)
    assert (unread.damaged, unread.cut) == (0, 0)
    assert only(report).heard_s == pytest.approx(4.0)


@pytest.mark.parametrize(
    "content",
    [
        b'{"level": "info", "msg": "started"}\n' * 5,
        b"frame,class,source\n0,0,0\n",
        b"RIFF\x24\x00\x00\x00WAVEfmt \x10" * 9,
        b"just words\n" * 3000,
    ],
)
def test_a_file_of_another_program(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jsonl must hold lines that .* Received: '") as told:
        read(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("messages", [[], [{"time_s": 3.0, "event": "gap"}]])
def test_no_estimate_at_all(tmp_path, messages):
    path = write_lines(tmp_path / "a.jsonl", messages)
    with pytest.raises(InputError, match=r"one estimate at least\. Received: none in a\.jsonl$"):
        read(path)


def test_an_empty_part_beside_others_is_nothing(rotated):
    (rotated / "a.jsonl").write_bytes(b"")
    assert only(read(rotated / "a.jsonl")[0]).heard_s == pytest.approx(32.0)


def test_a_pipe_is_read_as_it_comes(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = "".join(json.dumps(one) + "\n" for one in run_of(50, 30.0, clock=EVENING))
    writer = threading.Thread(target=path.write_text, args=(text,), daemon=True)
    writer.start()
    assert only(read(path)[0]).heard_s == pytest.approx(8.0)
    writer.join(30)


def test_a_folder_without_such_files(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"A folder must hold the \.jsonl files"):
        find_outputs([tmp_path])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"must be of files, .* Not found: .*a\.jsonl$"):
        find_outputs([tmp_path / "a.jsonl"])


def test_an_empty_folder_beside_others_is_left_out(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    path = write_lines(tmp_path / "a.jsonl", run_of(25, 30.0))
    assert only(read(tmp_path / "logs", path)[0]).heard_s == pytest.approx(4.0)
    assert capsys.readouterr().err == (
        f"doa_edge: {tmp_path / 'logs'} is left out: a folder must hold the .jsonl files that "
        "`doa_edge run --log` or `--out` wrote\n"
    )


def test_json_and_csv_of_a_microphone_with_a_name_are_counted_once(tmp_path):
    messages = run_of(40, 30.0, clock=EVENING, name="door")
    rows = [
        {
            **{key: message[key] for key in ("time", "time_s", "name")},
            **{"id": 1, "azimuth_deg": 30.0, "active": "true"},
        }
        for message in messages
    ]
    table = write_table(tmp_path / "a.csv", rows, (*COLUMNS, "name"))
    history = only(read(write_lines(tmp_path / "a.jsonl", messages), table)[0])
    assert history.heard_s == history.repeated_s == pytest.approx(6.4)
    assert history.runs == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_runs_in_any_order_leave_the_same_pause(tmp_path, order):
    runs = (
        run_of(40, 30.0, clock=EVENING, file="a.wav"),
        run_of(40, 30.0, file="b.wav"),
        run_of(40, 30.0, clock=EVENING + timedelta(minutes=50), file="c.wav"),
    )
    messages = [message for number in order for message in runs[number]]
    history = only(read(write_lines(tmp_path / "a.jsonl", messages))[0])
    missing = history.missing["not running"]
    assert (history.runs, missing.times) == (3, 1)
    assert missing.seconds == pytest.approx(3000.0 - 40 * STEP_S)
    (gap,) = history.gaps
    assert gap.begin == pytest.approx(EVENING.timestamp() + 0.832 + 39 * STEP_S)
    assert gap.offset_s == 3600.0


def test_intervals_are_joined_in_any_order():
    intervals = Intervals()
    for begin, end in ((10, 20), (0, 5), (19, 30), (40, 50), (5.5, 7)):
        assert intervals.add(Interval(begin, end)) is None
    assert intervals.joined == [(0, 7, 0.0), (10, 30, 0.0), (40, 50, 0.0)]
    assert [intervals.holds(moment) for moment in (-1, 0, 6.9, 7, 29, 30, 45)] == [
        *(False, True, True, False, True, False, True),
    ]
    assert intervals.pauses() == [(7, 10, 0.0), (30, 40, 0.0)]


def test_intervals_stay_few_and_lose_the_shortest_pause():
    intervals = Intervals()
    for n in range(MOST_INTERVALS):
        assert intervals.add(Interval(10.0 * n, 10.0 * n + 5.0)) is None
    assert intervals.add(Interval(-9.0, -3.0)) == (-3.0, 0.0, 0.0)
    assert len(intervals.joined) == MOST_INTERVALS


def test_a_history_stays_small_whatever_comes():
    history = History()
    for n in range(2_500):
        place = Place()
        place.hear(30.0, 1.0)
        place.confirmed, place.begin, place.end = True, 1e5 * n, 1e5 * n + 1
        history.add(
            Span(
                *(1e5 * n, 1e5 * n + 1, 0.0, f"run {n}"),
                heard_s=1.0,
                voice_s=1.0,
                zones={f"zone {n}": place},
                talkers={n: place},
                missing={f"reason {n}": 1.0},
                steps_s=[1.0],
            )
        )
    history.finish()
    assert history.heard_s == 2_500
    assert len(history.talkers) == MOST_PLACES
    assert history.other_talkers == 2_500 - MOST_PLACES
    assert len(history.zones) == MOST_PLACES + 1
    assert sum(zone.seconds for zone in history.zones.values()) == 2_500
    assert len(history.columns.columns) <= 800
    assert sum(column.heard_s for column in history.columns.columns.values()) == 2_500
    assert len(history.days.heard_s) == 1100
    assert history.days.left_out == 2_500 - 1100
    assert len(history.missing) == 13
    assert len(history.gaps) == 12
    assert (history.steps, len(history.steps_s)) == (2_500, 12)


def test_estimates_that_go_back_by_nothing_are_another_run(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [estimate(1.0, 30.0), estimate(1.0, 30.0)])
    assert only(read(path)[0]).runs == 2
