"""Sinks: files, a queue that nobody waits for, and the hub that serves them all."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from doa_edge.input.pace import Pace
from doa_edge.sinks.hub import Hub
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.sink import Queued
from tests.processes import wait_until

HOP_SECONDS = 0.032


def estimate(number=0, *, azimuth_deg=90.0, elevation_deg=30.0, active=True):
    return {
        "time_s": 0.832 + 0.16 * number,
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "confidence": 0.75,
        "active": active,
        "level_dbfs": -20.5,
    }


GAP = {"time_s": 2.0, "event": "gap", "reason": "overrun", "lost_s": 0.25}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- files


def test_a_file_holds_every_message_as_a_line(tmp_path):
    sink = FileSink(tmp_path / "track.jsonl")
    sink.send(estimate())
    assert lines(tmp_path / "track.jsonl") == [estimate()]  # at once, not when it is closed
    sink.send(GAP)
    sink.close()
    assert lines(tmp_path / "track.jsonl") == [estimate(), GAP]


def test_lines_are_added_to_a_file_that_exists(tmp_path):
    path = tmp_path / "track.jsonl"
    path.write_text('{"time_s": 1}\n{"time_')  # the power went
    sink = FileSink(path)
    sink.send(estimate())
    sink.close()
    assert path.read_text().splitlines()[:2] == ['{"time_s": 1}', '{"time_']
    assert json.loads(path.read_text().splitlines()[2]) == estimate()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_files_are_rotated_by_size_and_count(tmp_path, count):
    path = tmp_path / "track.jsonl"
    length = len(json.dumps(estimate())) + 1
    sink = FileSink(path, size=3 * length + length // 2, count=count)
    for number in range(20):
        sink.send({**estimate(), "time_s": 0.832 + number / 1000 + 0.0001})
    sink.close()
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["track.jsonl", *(f"track.jsonl.{n}" for n in range(1, count + 1))]
    kept = []
    for name in [*(f"track.jsonl.{n}" for n in range(count, 0, -1)), "track.jsonl"]:
        assert (tmp_path / name).stat().st_size <= 3.5 * length
        kept += lines(tmp_path / name)
    times = [message["time_s"] for message in kept]
    assert times == sorted(times)
    assert len(times) == 3 * count + 2  # the newest, nothing in between is lost
    assert times[-1] == pytest.approx(0.8511)


def test_a_rotation_costs_what_there_is_and_not_what_there_may_be(tmp_path, monkeypatch):
    asked = []
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: asked.append(path) or exists(path))
    sink = FileSink(tmp_path / "track.jsonl", size=1, count=1_000_000_000)
    for number in range(4):
        sink.send(estimate(number))
    sink.close()
    assert len(asked) < 20
    names = ["track.jsonl.3", "track.jsonl.2", "track.jsonl.1", "track.jsonl"]
    kept = [lines(tmp_path / name) for name in names]
    assert kept == [[estimate(number)] for number in range(4)]


def test_older_files_fill_a_gap(tmp_path):
    path = tmp_path / "track.jsonl"
    for name in ("track.jsonl.1", "track.jsonl.3"):
        (tmp_path / name).write_text(name)
    sink = FileSink(path, size=1, count=5)
    for number in range(2):
        sink.send(estimate(number))
    sink.close()
    assert lines(path) == [estimate(1)]
    assert lines(tmp_path / "track.jsonl.1") == [estimate(0)]
    assert (tmp_path / "track.jsonl.2").read_text() == "track.jsonl.1"
    assert (tmp_path / "track.jsonl.3").read_text() == "track.jsonl.3"


def test_a_device_is_written_and_never_rotated():
    sink = FileSink(os.devnull, size=1)
    for number in range(3):
        sink.send(estimate(number))
    sink.close()
    assert not os.path.isfile(os.devnull)


def test_a_disk_that_is_full_leaves_whole_lines(tmp_path):
    """RLIMIT_FSIZE makes the kernel cut a write short, as a disk does that fills up."""
    path = tmp_path / "track.jsonl"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        sink = FileSink(path)
        try:
            for number in range(100):
                sink.send(estimate(number))
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == errno.EFBIG
    text = path.read_text()
    assert text.endswith("}\n")
    assert 700 < len(text) <= 1000
    assert [message["time_s"] for message in lines(path)][:2] == [0.832, 0.832 + 0.16]


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path, monkeypatch):
    opened = os.open

    def refused(name, flags, *mode, **more):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return opened(name, flags, *mode, **more)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(PermissionError, match="Permission denied"):
        FileSink(tmp_path / "new.jsonl")
    assert list(tmp_path.iterdir()) == []
    sink = FileSink("/dev/null")  # can be written, if not made
    sink.send(estimate())
    sink.close()


def test_a_full_device_is_an_error():
    sink = FileSink("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        sink.send(estimate())


@pytest.mark.parametrize(("size", "count"), [(0, 1), (10, -1)])
def test_rotation_is_checked(tmp_path, size, count):
    with pytest.raises(ValueError, match="or more"):
        FileSink(tmp_path / "x", size=size, count=count)


# --- the queue


class SlowSink:
    name = "slow"
    dropped = 0

    def __init__(self):
        self.open = threading.Event()
        self.taken = []
        self.closed = False

    def send(self, message):
        self.open.wait(60)
        self.taken.append(message["time_s"])

    def close(self):
        self.closed = True


def test_a_slow_receiver_delays_nobody_and_gets_the_newest():
    slow = SlowSink()
    queued = Queued(slow, length=10)
    for number in range(1000):
        queued.send(estimate(number))
    assert not slow.taken  # nobody waited: the receiver still holds the first one
    slow.open.set()
    queued.close()
    assert slow.closed
    newest = [estimate(number)["time_s"] for number in range(991, 1000)]
    assert slow.taken[-9:] == newest
    assert len(slow.taken) <= 12  # the queue, and what was in the sink's hands
    # The last place in the queue went to the word that it ends.
    assert queued.dropped + len(slow.taken) == 1000


def test_a_receiver_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.sink.CLOSE_SECONDS", 0.2)
    slow = SlowSink()
    queued = Queued(slow, length=10)
    for number in range(5):
        queued.send(estimate(number))
    queued.close()
    assert not slow.taken  # nor waited for
    assert queued.dropped >= 4
    slow.open.set()


def test_sound_that_can_wait_loses_nothing_however_slow_the_receiver():
    slow, pace = SlowSink(), Pace()  # not known yet
    queued = Queued(slow, length=10, pace=pace)
    sent = []

    def send():
        for number in range(100):
            queued.send(estimate(number))
            sent.append(number)
        queued.drain()
        sent.append("all")

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert wait_until(lambda: len(sent) == 11)  # the queue, and what is in the sink's hands
    slow.open.set()
    thread.join(60)
    assert sent[-1] == "all"
    assert slow.taken == [estimate(number)["time_s"] for number in range(100)]
    queued.close()
    assert queued.dropped == 0


def test_sound_that_comes_faster_is_in_step_with_its_receiver():
    slow, pace = SlowSink(), Pace()
    queued = Queued(slow, length=10, pace=pace)
    queued.send(estimate(0))
    pace.faster = True
    thread = threading.Thread(target=queued.send, args=(estimate(1),), daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    slow.open.set()
    thread.join(60)
    assert slow.taken == [estimate(0)["time_s"], estimate(1)["time_s"]]
    queued.close()


def test_sound_that_turns_out_to_be_live_waits_for_nobody(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.sink.CLOSE_SECONDS", 0.2)
    slow, pace = SlowSink(), Pace()
    queued = Queued(slow, length=10, pace=pace)
    queued.send(estimate(0))
    pace.live = True
    for number in range(1, 100):
        queued.send(estimate(number))
    queued.drain()
    queued.close()
    assert not slow.taken
    assert queued.dropped == 99  # and one in the sink's hands
    slow.open.set()


def test_an_error_wakes_who_waits():
    queued = Queued(FileSink("/dev/full"), length=1, pace=Pace())
    with pytest.raises(OSError, match="No space left"):
        send_on(queued)
    with pytest.raises(OSError, match="No space left"):
        queued.drain()
    with pytest.raises(OSError, match="No space left"):
        queued.close()


def send_on(queued):
    for number in range(100):
        queued.send(estimate(number))


def test_an_interrupted_end_waits_as_long_as_messages_are_taken(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.sink.CLOSE_SECONDS", 5.0)
    slow = SlowSink()
    queued = Queued(slow, length=100, pace=Pace())
    for number in range(100):
        queued.send(estimate(number))
    threading.Timer(0.1, slow.open.set).start()
    queued.close()
    assert len(slow.taken) == 100
    assert queued.dropped == 0


def test_what_fails_in_the_thread_is_raised_by_the_next_send(tmp_path):
    queued = Queued(FileSink("/dev/full"))
    queued.send(estimate())
    assert wait_until(lambda: queued._error is not None)
    with pytest.raises(OSError, match="No space left"):
        queued.send(estimate())
    with pytest.raises(OSError, match="No space left"):
        queued.close()


# --- the hub


class Recorder:
    def __init__(self, name="recorder"):
        self.name = name
        self.dropped = 0
        self.messages = []
        self.closed = False

    def send(self, message):
        self.messages.append(message)

    def close(self):
        self.closed = True


def test_what_a_message_becomes_on_its_way_is_what_every_sink_gets():
    def number(message):
        return [{**message, "number": 1}]

    def twice(message):
        return [message, {"time_s": message["time_s"], "event": "twice", "of": message["number"]}]

    one, other = Recorder("out"), Recorder("osc")
    with Hub([one, other], stages=[number, twice]) as hub:
        hub.send({"time_s": 1.0})
        other.dropped = 7
        hub.send({"time_s": 10.5})
    assert one.messages == other.messages
    assert one.messages[:2] == [
        {"time_s": 1.0, "number": 1},
        {"time_s": 1.0, "event": "twice", "of": 1},
    ]
    assert one.messages[4]["event"] == "dropped"
    assert one.messages[4]["number"] == 1


def test_the_hub_serves_all_and_reports_what_was_dropped(capsys):
    good, bad = Recorder("out"), Recorder("osc")
    with Hub([good, bad]) as hub:
        hub.send(estimate(0))
        bad.dropped = 7
        hub.send({**estimate(), "time_s": 10.5})
        hub.send({**estimate(), "time_s": 11.0})
    assert good.messages[2] == {
        "time_s": 10.5,
        "event": "dropped",
        "output": "osc",
        "messages": 7,
    }
    assert len(good.messages) == 4
    assert good.closed
    assert bad.closed
    assert "--osc missed 7 messages" in capsys.readouterr().err


def test_a_sink_that_cannot_be_closed_does_not_keep_the_others_open():
    class Broken(Recorder):
        def close(self):
            raise OSError("No space left on device")

    after = Recorder()
    with pytest.raises(OSError, match="No space left"), Hub([Broken(), after]) as hub:
        hub.send(estimate())
    assert after.closed


def test_the_hub_reports_again_where_stream_time_starts_anew():
    good, bad = Recorder("out"), Recorder("osc")
    with Hub([good, bad]) as hub:
        hub.send({"time_s": 3600.0})  # the end of a recording
        bad.dropped = 2
        hub.send({"time_s": 0.832})
    assert good.messages[2] == {
        **{"time_s": 0.832, "event": "dropped", "output": "osc", "messages": 2}
    }
