"""`run --report` and `run --log`: what they leave, whatever ends the run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.commands.main import main
from doa_edge.report.files import find_outputs
from doa_edge.report.lines import read_report
from doa_edge.sinks.tables.day_log import DayLogSink
from doa_edge.sinks.tables.report import ReportSink, check_report
from tests.edge.report.lines_of_runs import EVENING, STEP_S, run_of


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


def test_a_recording_without_a_clock_has_no_log(tmp_path, capsys):
    logged(tmp_path, run_of(3, 30.0))
    assert list(tmp_path.iterdir()) == []
    assert "the recording tells of no clock (3 messages)" in capsys.readouterr().err


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
