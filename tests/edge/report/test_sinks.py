"""`run --report` and `run --log`: what they leave, whatever ends the run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.commands.main import main
from doa_edge.report.files import find_outputs
from doa_edge.report.lines import read_report
from doa_edge.sinks.tables.day_log import DayLogSink
from doa_edge.sinks.tables.report import ReportSink, check_report
from doa_edge.wall_clock.zone import read_zone
from tests.edge.report.lines_of_runs import EVENING, STEP_S, run_of, timed, write_lines


def logged(folder, messages, *, live=False, close=True):
    sink = DayLogSink(folder, live=live)
    for message in messages:
        sink.send(message)
    if close:
        sink.close()
    return sink


def lines_in(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def history_in(*paths):
    report, _ = read_report(find_outputs(paths))
    (history,) = report.histories.values()
    return history


def test_a_day_has_a_file_of_a_line_a_minute(tmp_path):
    clock = EVENING + timedelta(hours=4, minutes=57)  # 23:57
    logged(tmp_path / "logs", run_of(2000, 30.0, clock=clock, zones=["desk"]))
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["2026-11-28.jsonl", "2026-11-29.jsonl"]
    first = lines_in(tmp_path / "logs" / "2026-11-28.jsonl")
    assert [line["minute"][11:16] for line in first] == ["23:57", "23:58", "23:59"]
    assert first[1]["heard_s"] == pytest.approx(60.0)
    assert first[1]["azimuth_s"] == pytest.approx({"30": 60.0})
    assert first[1]["count_s"] == pytest.approx({"1": 60.0})
    assert first[1]["zones"] == {"desk": {"s": pytest.approx(60.0), "azimuth_deg": 30.0}}


def test_a_report_of_logs_is_that_of_the_lines(tmp_path):
    messages = run_of(2000, 30.0, -100.0, clock=EVENING, zones=["desk"])
    logged(tmp_path / "logs", messages)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(m) + "\n" for m in messages))
    of_logs, of_lines = history_in(tmp_path / "logs"), history_in(tmp_path / "a.jsonl")
    assert of_logs.heard_s == pytest.approx(of_lines.heard_s, abs=0.01)
    assert of_logs.sectors == pytest.approx(of_lines.sectors, abs=0.01)
    assert of_logs.counts == pytest.approx(of_lines.counts, abs=0.01)
    assert of_logs.runs == of_lines.runs == 1
    assert set(of_logs.talkers) == set(of_lines.talkers)
    day = of_lines.days.heard_s
    assert of_logs.days.heard_s.keys() == day.keys()


def test_lines_and_log_of_a_microphone_with_a_name_are_counted_once(tmp_path):
    messages = run_of(400, 30.0, clock=EVENING, name="door", zones=["desk"])
    entered = {"time_s": 0.9, "event": "zone_entered", "zone": "desk", "name": "door"}
    messages.insert(1, {**entered, **timed(EVENING, 0.9)})
    logged(tmp_path / "logs", messages)
    lines = write_lines(tmp_path / "a.jsonl", messages)
    for given in ([lines, tmp_path / "logs"], [tmp_path / "logs", lines], [tmp_path / "logs"]):
        history = history_in(*given)
        assert history.heard_s == pytest.approx(64.0, abs=0.01)
        assert history.voice_s == pytest.approx(64.0, abs=0.01)
        assert history.zones["desk"].entered == 1
        assert len(history.talkers) == history.runs == 1
        assert history.repeated_s == pytest.approx(64.0 if len(given) == 2 else 0.0, abs=0.01)


@pytest.mark.parametrize("keys", [{}, {"name": "door"}])
def test_a_recording_that_was_run_twice_is_in_the_log_once(tmp_path, keys):
    messages = run_of(40, 30.0, clock=EVENING, **keys)
    for _ in range(2):
        logged(tmp_path, messages)
    history = history_in(tmp_path)
    assert history.heard_s == pytest.approx(6.4, abs=0.01)
    assert history.repeated_s == pytest.approx(6.4, abs=0.01)
    assert history.runs == 1


def test_short_outputs_of_the_same_time_without_names_are_kept_apart(tmp_path):
    messages = run_of(40, 30.0, clock=EVENING)
    logged(tmp_path / "logs", messages)
    lines = write_lines(tmp_path / "a.jsonl", messages)
    report, _ = read_report(find_outputs([lines, tmp_path / "logs"]))
    heard = {name: history.heard_s for name, history in report.histories.items()}
    assert heard == pytest.approx({"a.jsonl": 6.4, "2026-11-28.jsonl": 6.4}, abs=0.01)


def test_a_later_run_of_the_same_name_is_no_repeat(tmp_path):
    first = run_of(400, 30.0, clock=EVENING, name="door")
    second = run_of(400, 30.0, clock=EVENING + timedelta(seconds=66), name="door")
    paths = [write_lines(tmp_path / f"{n}.jsonl", m) for n, m in enumerate((first, second))]
    logged(tmp_path / "logs", [*first, *second])
    history = history_in(*paths, tmp_path / "logs")
    assert history.heard_s == pytest.approx(128.0, abs=0.05)
    assert history.runs == 2


def test_a_run_that_is_killed_has_lost_no_more_than_a_minute(tmp_path):
    messages = run_of(2000, 30.0, clock=EVENING)
    logged(tmp_path, messages, close=False)
    (path,) = tmp_path.iterdir()
    assert sum(line["heard_s"] for line in lines_in(path)) >= 2000 * STEP_S - 60.0 - STEP_S


def test_a_log_goes_on_behind_half_a_line(tmp_path):
    logged(tmp_path, run_of(500, 30.0, clock=EVENING))
    (path,) = tmp_path.iterdir()
    whole = path.read_text()
    path.write_text(whole + '{"minute": "2026-11')
    logged(tmp_path, run_of(500, 30.0, clock=EVENING + timedelta(minutes=5)))
    report, unread = read_report(find_outputs([tmp_path]))
    assert (unread.damaged, unread.cut) == (1, 0)
    assert report.heard_s == pytest.approx(160.0, abs=0.01)
    assert report.histories[""].runs == 2
    assert report.histories[""].missing["not running"].times == 1


def test_a_live_run_without_a_time_has_that_of_the_machine(tmp_path):
    logged(tmp_path, run_of(3, 30.0), live=True)
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.jsonl", path.name)
    assert lines_in(path)[0]["minute"].startswith(path.stem)


class Clock:
    """A clock that a test sets: aware times, in the zone of the evening."""

    def __init__(self):
        self.time = EVENING

    def __call__(self):
        return self.time


def test_what_came_before_a_pipe_was_known_to_be_live_is_put_back(tmp_path):
    clock = Clock()
    sink = DayLogSink(tmp_path, live=True, now=clock)
    for message in run_of(20, 30.0):  # all at once: what had waited in the pipe
        sink.send(message)
    for message in run_of(20, 30.0, clock=EVENING, first_s=0.832 + 20 * STEP_S):
        sink.send(message)
    sink.close()
    (line,) = lines_in(tmp_path / "2026-11-28.jsonl")
    assert line["minute"] == "2026-11-28T19:00:00+01:00"
    assert line["run"] == "2026-11-28T19:00:00+01:00"
    assert line["heard_s"] == pytest.approx(40 * STEP_S)
    assert line["from_s"] == pytest.approx(0.832 - STEP_S)
    assert line["to_s"] == pytest.approx(0.832 + 39 * STEP_S)


def test_a_pipe_that_ends_before_it_is_known_ends_now(tmp_path):
    clock = Clock()
    sink = DayLogSink(tmp_path, live=True, now=clock)
    for message in run_of(20, 30.0):
        sink.send(message)
    sink.close()
    (line,) = lines_in(tmp_path / "2026-11-28.jsonl")
    begin_s = -20 * STEP_S
    assert line["minute"] == "2026-11-28T18:59:00+01:00"
    assert line["heard_s"] == pytest.approx(20 * STEP_S)
    assert (line["from_s"], line["to_s"]) == pytest.approx((60.0 + begin_s, 60.0))


@pytest.mark.parametrize("step_s", [STEP_S, 0.0])
def test_a_long_pipe_of_which_no_clock_is_known(tmp_path, capsys, step_s):
    clock = Clock()
    sink = DayLogSink(tmp_path / "logs", live=True, now=clock)
    for message in run_of(2048, 30.0):
        clock.time += timedelta(seconds=step_s)
        sink.send(message)
    sink.close()
    told = capsys.readouterr().err
    if step_s:  # a machine that is too busy to find out
        lines = lines_in(tmp_path / "logs" / "2026-11-28.jsonl")
        assert sum(line["heard_s"] for line in lines) == pytest.approx(2048 * STEP_S, abs=0.01)
        assert told == ""
    else:  # a recording
        assert list(tmp_path.iterdir()) == []
        assert told.count("the recording tells of no clock") == 1


def test_a_recording_that_is_played_now_has_this_machines_clock(tmp_path):
    clock = Clock()
    sink = DayLogSink(tmp_path, live=True, played=True, now=clock)
    for message in run_of(20, 30.0):
        clock.time = EVENING + timedelta(seconds=message["time_s"])
        sink.send(message)
    sink.close()
    (line,) = lines_in(tmp_path / "2026-11-28.jsonl")
    assert line["minute"] == "2026-11-28T19:00:00+01:00"
    assert line["to_s"] == pytest.approx(0.832 + 19 * STEP_S)


@pytest.mark.parametrize("shift_s", [0.0, 0.03, 0.07, 0.12, 0.159])
def test_a_line_a_minute_in_the_file_of_its_day(tmp_path, shift_s):
    clock = EVENING + timedelta(hours=4, minutes=57, seconds=shift_s)  # 23:57
    messages = run_of(2000, 30.0, clock=clock)
    for number in (0, 1063, 1999):  # events about minutes' ends, too
        time_s = messages[number]["time_s"]
        entered = {"time_s": time_s, "event": "zone_entered", "zone": "a", **timed(clock, time_s)}
        messages.insert(number + 1, entered)
    logged(tmp_path, messages)
    days = [lines_in(path) for path in sorted(tmp_path.iterdir())]
    minutes = [line["minute"][11:16] for lines in days for line in lines]
    assert minutes == ["23:57", "23:58", "23:59", "00:00", "00:01", "00:02"]
    assert [len(lines) for lines in days] == [3, 3]
    assert all(line["from_s"] >= -0.08 and line["to_s"] <= 60.08 for one in days for line in one)
    assert sum(line["heard_s"] for one in days for line in one) == pytest.approx(320.0, abs=0.01)


def test_no_label_that_no_clock_shows_where_summer_time_begins(tmp_path):
    berlin = read_zone("Europe/Berlin")
    begin = datetime(2026, 3, 29, 0, 59, 30, tzinfo=timezone.utc)
    messages = run_of(375, 30.0)
    for message in messages:
        time = begin + timedelta(seconds=message["time_s"] + 0.03)
        message["time"] = time.astimezone(berlin).isoformat()
    logged(tmp_path, messages)
    lines = lines_in(tmp_path / "2026-03-29.jsonl")
    assert [line["minute"] for line in lines] == [
        *("2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"),
    ]
    assert sum(line["heard_s"] for line in lines) == pytest.approx(60.0)


def test_a_recording_without_a_clock_has_no_log(tmp_path, capsys):
    sink = DayLogSink(tmp_path / "logs", live=False)
    told = "doa_edge: --log leaves out what has no time: "
    for message in [*run_of(3, 30.0, file="a.wav"), *run_of(2, 30.0, file="b.wav")]:
        sink.send(message)
    assert capsys.readouterr().err == (  # at once, of each
        f"{told}a.wav: the recording tells of no clock\n"
        f"{told}b.wav: the recording tells of no clock\n"
    )
    sink.close()
    assert list(tmp_path.iterdir()) == []
    logged(tmp_path, run_of(3, 30.0))
    assert capsys.readouterr().err == f"{told}the recording tells of no clock\n"
    assert tmp_path.is_dir()  # it was there before


def test_a_log_that_cannot_be_written_is_told_once_and_counted(tmp_path, capsys):
    folder = tmp_path / "logs"
    sink = DayLogSink(folder, live=False)
    shutil.rmtree(folder)
    for message in run_of(1200, 30.0, clock=EVENING):
        sink.send(message)
    sink.close()
    assert sink.dropped == 4
    assert capsys.readouterr().err.count("--log cannot be written: No such file") == 1


def test_a_file_that_was_removed_is_begun_again(tmp_path):
    sink = DayLogSink(tmp_path, live=False)
    messages = run_of(1200, 30.0, clock=EVENING)
    for message in messages[:600]:
        sink.send(message)
    (path,) = tmp_path.iterdir()
    path.unlink()
    for message in messages[600:]:
        sink.send(message)
    sink.close()
    assert path.exists()
    assert sink.dropped == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_log_in_a_folder_of_somebody_else(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written"):
        DayLogSink(tmp_path, live=True)


def test_a_report_of_a_run_is_written_at_its_end(tmp_path, capsys):
    sink = ReportSink(tmp_path / "a.html", of="the kitchen")
    for message in run_of(100, 30.0, clock=EVENING):
        sink.send(message)
    assert not (tmp_path / "a.html").exists()
    sink.close()
    assert "the kitchen" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert capsys.readouterr().err == f"doa_edge: wrote {tmp_path / 'a.html'}\n"


def test_a_run_that_heard_nothing_has_no_report(tmp_path, capsys):
    ReportSink(tmp_path / "a.html", of="nothing").close()
    assert list(tmp_path.iterdir()) == []
    assert "--report has nothing to tell" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_report_on_a_full_device_says_where(tmp_path, recording, capsys):
    full = tmp_path / "full.html"
    full.symlink_to("/dev/full")
    assert main(["run", str(recording), "--report", str(full), "--json"]) == 1
    assert f"No space left on device: '{full}'" in capsys.readouterr().err
    assert full.is_symlink()


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.htm", "report.jsonl"])
def test_a_report_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.html or \.png\. Received: "):
        check_report(tmp_path / name)


@pytest.fixture
def recording(tmp_path, plane_wave):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "in.wav"
    sound = np.clip(0.1 * plane_wave(60.0, 20.0, seconds=4.0), -1, 1)
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    return path


def test_a_run_of_a_recording(tmp_path, recording, capsys):
    out = tmp_path / "a.html"
    assert main(["run", str(recording), "--report", str(out), "--json"]) == 0
    assert out.stat().st_size > 5000
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 20
    assert f"doa_edge: wrote {out}\n" in told.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "a.pdf"], "must end in .html or .png"),
        (["--report", "in.wav"], "must not replace another file in use"),
        (["--report", "no/a.html"], "must be a file in a folder that exists"),
        (["--log", "in.wav"], "--log must be a folder"),
        (["--report", "a.html", "--out", "a.html"], "must not replace another file in use"),
    ],
)
def test_outputs_that_would_fail_are_refused_at_once(
    tmp_path, recording, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "in.wav", *options]) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_report_and_the_log(tmp_path, recording, number):
    out, logs = tmp_path / "a.html", tmp_path / "logs"
    sound = 0.1 * np.random.default_rng(1).standard_normal((16_000, 4))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "doa_edge", "run", "--json"),
            *("--input", "-", "--encoding", "f32le", "--rate", "16000"),
            *("--report", str(out), "--log", str(logs)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(sound.astype("<f4").tobytes())
    process.stdin.flush()
    assert process.stdout.readline().startswith(b'{"time_s": 0.832')
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert f"wrote {out}" in told.decode()
    assert b"Where voices were" in out.read_bytes()
    (log,) = logs.iterdir()
    assert lines_in(log)[0]["heard_s"] > 0.0
