"""The process as a service manager, a shell and a bad day see it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.places import DEMO
from tests.processes import HANG_S

OFFICE = DEMO / "recordings" / "office.wav"
RUN = [sys.executable, "-m", "doa_edge", "run"]
PIPE = ["--input", "-", "--encoding", "f32le", "--rate", "16000"]

# The network's place is taken by something that says when it is loaded, and then takes its time.
SLOW_LOADING = """
import sys, time
import doa_edge.tflite.network
class Slow(doa_edge.tflite.network.TfliteModel):
    def __init__(self, *arguments, **options):
        print("loading", flush=True)
        time.sleep(600)
doa_edge.tflite.network.TfliteModel = Slow
from doa_edge.commands.main import main
sys.exit(main(sys.argv[1:]))
"""
HANGING = """
import sys, time
import doa_edge.tflite.network
class Hanging(doa_edge.tflite.network.TfliteModel):
    def stream(self): return None
    def predict(self, features):
        print("hanging", flush=True)
        time.sleep(600)
doa_edge.tflite.network.TfliteModel = Hanging
from doa_edge.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments, command=RUN, **options):
    environment = {**os.environ, **options.pop("environment", {})}
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=environment,
        stdin=options.pop("stdin", subprocess.PIPE),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        bufsize=0,  # what `readline` has not given, `communicate` must
        **options,
    )


def end(process, number, seconds=HANG_S):
    """Send a signal; exit status, standard output and error."""
    process.send_signal(number)
    out, error = process.communicate(timeout=seconds)
    assert "Traceback" not in error.decode(), error.decode()
    return process.returncode, out.decode(), error.decode()


def wait_for(condition, seconds=HANG_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def complete_lines(text):
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


ENDS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "hung up"),
]


@pytest.fixture
def long_pcm(plane_wave):
    return plane_wave(40.0, 20.0, seconds=20).tobytes()


# --- signals


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_signal_while_the_model_is_loaded(number, status, word, write_wave, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", SLOW_LOADING, "run"]
    process = start("--input", write_wave(), "--out", out / "track.jsonl", command=command)
    assert process.stdout.readline() == b"loading\n"
    assert end(process, number) == (status, "", f"doa_edge: {word}\n")
    assert names(out) == []


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_signal_while_a_pipe_is_silent(number, status, word, tmp_path, long_pcm):
    out = tmp_path / "track.jsonl"
    process = start(*PIPE, "--out", out)
    process.stdin.write(long_pcm[: 16 * 32_000])
    process.stdin.flush()
    first = b"".join(process.stdout.readline() for _ in range(8))
    time.sleep(0.2)
    code, rest, error = end(process, number)
    assert code == status
    assert error == f"doa_edge: wrote {out}\ndoa_edge: {word}\n"
    assert out.read_text() == first.decode() + rest
    assert len(complete_lines(out.read_text())) == 8
    assert names(tmp_path) == ["track.jsonl"]


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_signal_while_a_pipe_pours(number, status, word, tmp_path, long_pcm):
    """It comes at any moment, in the middle of a line for instance."""
    out = tmp_path / "track.jsonl"
    process = start(*PIPE, "--every", "1", "--out", out)

    stdin, process.stdin = process.stdin, None

    def pour():
        with contextlib.suppress(BrokenPipeError), stdin:
            for _ in range(100):
                stdin.write(long_pcm)

    thread = threading.Thread(target=pour)
    thread.start()
    first = process.stdout.readline()
    code, rest, _ = end(process, number)
    thread.join(HANG_S)
    assert code == status
    assert out.read_text() == first.decode() + rest
    assert len(complete_lines(out.read_text())) >= 1


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_signal_during_a_recording_keeps_its_lines(number, status, word, tmp_path, write_wave):
    out = tmp_path / "out"
    out.mkdir()
    process = start(
        "--input", write_wave(seconds=10), "--realtime", "--out", out / "track.jsonl", "--summary"
    )
    wait_for(lambda: any(path.stat().st_size for path in out.iterdir()))
    code, printed, _ = end(process, number)
    assert code == status
    assert names(out) == ["track.jsonl"]
    assert len(complete_lines((out / "track.jsonl").read_text())) >= 1
    (summary,) = complete_lines(printed)  # of what was heard
    assert 0.0 < summary["duration_s"] < 10.0


def test_a_reader_that_hangs_is_left_at_the_second_signal(long_pcm, tmp_path):
    import fcntl
    import termios

    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    sound = tmp_path / "sound.raw"
    sound.write_bytes(long_pcm)
    with sound.open("rb") as stdin:
        process = start(*PIPE, "--every", "1", stdin=stdin, stdout=write_end)

    def waiting():
        return int.from_bytes(fcntl.ioctl(read_end, termios.FIONREAD, bytes(4)), "little")

    wait_for(lambda: waiting() > 3800)  # another line has no room
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(HANG_S) == 130
    os.close(read_end)
    os.close(write_end)
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_child_of_nohup_ignores_what_it_was_told_to_ignore(number, long_pcm):
    def ignore():
        signal.signal(number, signal.SIG_IGN)

    process = start(*PIPE, preexec_fn=ignore)
    process.stdin.write(long_pcm[: 16 * 16_000])
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(number)
    process.stdin.write(long_pcm[: 16 * 16_000])
    out, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0
    assert len(complete_lines(out.decode())) > 2


# --- a disk that is full, a port that is taken


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_full_disk_while_a_pipe_is_followed(tmp_path, long_pcm):
    out = tmp_path / "track.jsonl"
    process = start(*PIPE, "--out", out, preexec_fn=limit_file_size)
    _, error = process.communicate(long_pcm, timeout=HANG_S)
    assert process.returncode == 1
    assert error.decode() == f"doa_edge: [Errno 27] File too large: '{out}'\n"
    assert 3 <= len(complete_lines(out.read_text())) <= 8


def test_full_disk_during_a_recording_leaves_nothing(tmp_path, write_wave):
    out = tmp_path / "out"
    out.mkdir()
    path = write_wave(seconds=5)
    process = start("--input", path, "--out", out / "x.jsonl", preexec_fn=limit_file_size)
    _, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    named = str(out / "x.jsonl")
    assert error.decode() == f"doa_edge: [Errno 27] File too large: '{named}'\n"
    assert names(out) == []


@pytest.mark.parametrize("option", ["--web", "--tcp"])
def test_a_port_that_is_taken(option, write_wave, tmp_path):
    if option == "--web":
        pytest.importorskip("websockets")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        arguments = ["--input", write_wave(), option, port, "--out", tmp_path / "track.jsonl"]
        process = start(*arguments)
        out, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    assert out == b""
    assert f"{option} cannot listen at 127.0.0.1:{port}" in error.decode()
    assert len(error.decode().splitlines()) == 1
    assert names(tmp_path) == ["wave.wav"]


def test_a_picture_of_what_has_no_end_is_refused():
    process = start("--plot", "track.png", "--device", "0")
    _, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 2
    assert error.decode() == "doa_edge: --plot is for recordings and pipes: a device has no end\n"


# --- several outputs at once


def test_all_outputs_tell_the_same(tmp_path):
    osc_message = pytest.importorskip("pythonosc.osc_message")
    listener = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.settimeout(HANG_S)
    out = tmp_path / "track.jsonl"
    process = start(
        "--input", OFFICE, "--every", 20, "--talkers", 1, "--out", out,
        "--osc", f"127.0.0.1:{udp.getsockname()[1]}",
        "--tcp-connect", f"127.0.0.1:{listener.getsockname()[1]}", "--web", "0", "--tcp", "0",
    )  # fmt: skip
    printed, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, error
    estimates = complete_lines(printed.decode())
    assert out.read_text() == printed.decode()
    peer, _ = listener.accept()
    odas = complete_lines(peer.makefile("r").read())
    assert [line["time_s"] for line in odas] == [line["time_s"] for line in estimates]
    count = sum(7 if line["active"] else 4 for line in estimates)
    datagrams = [osc_message.OscMessage(udp.recv(2048)) for _ in range(count)]
    azimuths = [d.params[0] for d in datagrams if d.address == "/doa/azimuth"]
    assert azimuths == pytest.approx(
        [line["azimuth_deg"] for line in estimates if line["active"]], rel=1e-6
    )
    assert "live page at http://127.0.0.1:" in error.decode()
    for opened in (peer, listener, udp):
        opened.close()


# --- systemd


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.heard = []

    def environment(self, watchdog_s):
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(round(watchdog_s * 1e6))}

    def listen(self, seconds=HANG_S, *, until=None, times=1):
        """Datagrams that come within that time, or until so many have that text."""
        self._socket.settimeout(0.1)
        stop = time.monotonic() + seconds
        new = []
        while time.monotonic() < stop and not (
            until and sum(until in text for text in new) >= times
        ):
            try:
                new.append(self._socket.recv(4096).decode())
            except TimeoutError:
                continue
        self.heard += new
        return new

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    opened = Manager(tmp_path)
    yield opened
    opened.close()


def test_systemd_hears_ready_alive_and_stopping(manager):
    process = start(*PIPE, environment=manager.environment(0.9))
    assert "READY=1" in manager.listen(until="READY=1")[-1].splitlines()
    # Nothing comes through the pipe, and yet somebody looks after it.
    assert manager.listen(until="WATCHDOG=1", times=3).count("WATCHDOG=1") == 3
    assert end(process, signal.SIGTERM)[0] == 143
    assert manager.listen(until="STOPPING=1")[-1] == "STOPPING=1"


def test_systemd_hears_nothing_of_a_stream_that_hangs(manager, long_pcm):
    command = [sys.executable, "-c", HANGING, "run"]
    process = start(*PIPE, command=command, environment=manager.environment(0.3))
    manager.listen(until="READY=1")
    process.stdin.write(long_pcm[: 16 * 16_000])
    process.stdin.flush()
    assert process.stdout.readline() == b"hanging\n"
    manager.listen(1.0)  # what was sent before the first window
    assert manager.listen(1.0) == []
    process.kill()
    process.communicate()


def test_without_systemd_nothing_is_sent(tmp_path):
    from doa_edge.sinks.notify import Notifier

    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    notifier.ready("x")
    assert notifier.interval is None
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})
    gone.ready("a manager that is gone is no reason to stop")
    other = Notifier(
        {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}
    )
    assert other.interval is None
    for opened in (notifier, gone, other):
        opened.close()


BROKEN_BY_A_SIGNAL = """
import os, signal, sys
import doa_edge.engine
class Module:
    def find_spec(self, name, path=None, target=None):
        if name == "doa_edge.input.sources":
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except BaseException as error:
                raise ImportError("this installation is broken") from error
sys.meta_path.insert(0, Module())
from doa_edge.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_package_that_is_interrupted_in_its_import_is_not_called_broken():
    """As numpy and the TFLite runtime do, of which only the rough moment is ours to choose."""
    process = start("--input", OFFICE, command=[sys.executable, "-c", BROKEN_BY_A_SIGNAL, "run"])
    _, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 143
    assert error.decode() == "doa_edge: terminated\n"
