"""Who reads standard output, or no longer does: sound that is live goes on, no line is halved."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

from tests.processes import HANG_S

RUN = [sys.executable, "-m", "doa_edge", "run"]
RATE = 16_000
FRAME_BYTES = 8
PIPE = ["--input", "-", "--encoding", "s16le", "--rate", str(RATE), "--every", "1"]


@pytest.fixture
def pcm(plane_wave):
    """Ten seconds of sound, 16 bits."""
    return (plane_wave(40.0, 20.0, seconds=10.0) * 32767).astype("<i2").tobytes()


@pytest.fixture
def small_pipe():
    """Both ends of a pipe that holds some thirty lines."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    for descriptor in (reading, writing):
        os.close(descriptor)


def start(*arguments, **settings):
    return subprocess.Popen(
        [*RUN, *map(str, arguments)],
        **{"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **settings},
    )


def wait_for(condition, seconds=HANG_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(descriptor):
    """Bytes in a pipe that nobody has read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def lines(path):
    text = path.read_text() if path.exists() else ""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


class Microphone(threading.Thread):
    """Writes sound into a pipe as it is heard, over and over, until nobody listens."""

    def __init__(self, stream, sound):
        super().__init__(daemon=True)
        self._stream, self._sound = stream, sound
        self.ended = threading.Event()
        self.start()

    def run(self):
        begun_s, given, size = time.monotonic(), 0, 512 * FRAME_BYTES
        try:
            with self._stream as stream:
                while not self.ended.is_set():
                    start = given % (len(self._sound) - size)
                    stream.write(self._sound[start : start + size])
                    given += size
                    due_s = begun_s + given / FRAME_BYTES / RATE
                    self.ended.wait(max(0.0, due_s - time.monotonic()))
        except BrokenPipeError:
            return


def test_a_pipe_that_is_live_waits_for_no_reader(pcm, small_pipe, tiny_tflite, tmp_path):
    reading, writing = small_pipe
    out = tmp_path / "track.jsonl"
    process = start(*PIPE, "--model", tiny_tflite, "--out", out, stdout=writing)
    microphone = Microphone(process.stdin, pcm)
    process.stdin = None
    # Three times what the pipe holds, and it has held no more for long.
    wait_for(lambda: len(lines(out)) > 100)
    held = waiting(reading)
    assert held > 3500
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=HANG_S)
    microphone.ended.set()
    assert process.returncode == 143
    assert b"doa_edge: --json missed " in error
    assert b"--out missed" not in error
    read = os.read(reading, 4096).decode()
    assert len(read) == held
    assert out.read_text().startswith(read[: read.rindex("\n") + 1])


TALKATIVE = """
import sys
from doa_edge.options.streams import drop_talk_while, open_standard_streams
open_standard_streams()
drop_talk_while(lambda: True)
for number in range(10_000):
    sys.stderr.write(f"{number} of many lines that nobody reads\\n")
print("done")
"""


def test_talk_that_nobody_reads_holds_up_nothing_live():
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE], stdout=subprocess.PIPE, stderr=writing
    )
    printed, _ = process.communicate(timeout=HANG_S)
    assert (process.returncode, printed) == (0, b"done\n")
    told = os.read(reading, 1 << 16)
    assert told.startswith(b"0 of many lines that nobody reads\n1 of many lines ")
    assert told.endswith(b"\n")
    os.close(reading)
    os.close(writing)


def test_a_terminal_that_is_stopped_holds_up_nothing_live(pcm, tiny_tflite, tmp_path):
    """Ctrl-S: it takes nothing until Ctrl-Q."""
    pytest.importorskip("rich")
    master, slave = pty.openpty()
    out = tmp_path / "track.jsonl"
    with (tmp_path / "log").open("wb") as log:
        process = start(*PIPE, "--model", tiny_tflite, "--out", out, stdout=slave, stderr=log)
    microphone = Microphone(process.stdin, pcm)
    process.stdin = None
    assert os.read(master, 1 << 16)
    termios.tcflow(slave, termios.TCOOFF)
    before = len(lines(out))
    wait_for(lambda: len(lines(out)) > before + 100)
    termios.tcflow(slave, termios.TCOON)
    reader = threading.Thread(target=read_all, args=(master,), daemon=True)
    reader.start()
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) == 143
    microphone.ended.set()
    os.close(slave)
    reader.join(HANG_S)
    os.close(master)


def read_all(descriptor):
    with contextlib.suppress(OSError):  # the other end has been closed
        while os.read(descriptor, 1 << 16):
            pass


def test_a_pipe_that_pours_waits_for_its_reader_and_loses_no_line(
    pcm, small_pipe, tiny_tflite, tmp_path
):
    reading, writing = small_pipe
    out, sound = tmp_path / "track.jsonl", 4 * pcm
    process = start(*PIPE, "--model", tiny_tflite, "--out", out, stdout=writing)
    stdin, process.stdin = process.stdin, None

    def pour():
        with stdin:
            stdin.write(sound)

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    wait_for(lambda: waiting(reading) > 3500 and len(lines(out)) > 100)
    read = b""
    while process.poll() is None or waiting(reading):
        if waiting(reading):
            read += os.read(reading, 4096)
    thread.join(HANG_S)
    _, error = process.communicate(timeout=HANG_S)
    assert (process.returncode, error.decode()) == (0, f"doa_edge: wrote {out}\n")
    assert read == out.read_bytes()
    windows = 1 + (len(sound) // FRAME_BYTES - 13_312) // 512
    assert len(lines(out)) == windows == 1225


@pytest.mark.parametrize("output", ["lines", "--summary"])
def test_an_output_that_does_not_block_gets_every_line(
    output, pcm, small_pipe, tiny_tflite, tmp_path
):
    """As programs on an event loop give to those that they start."""
    reading, writing = small_pipe
    os.set_blocking(writing, False)
    sound, out = tmp_path / "sound.raw", tmp_path / "track.jsonl"
    sound.write_bytes(pcm)
    options = ["--model", tiny_tflite, "--out", out]
    if output == "--summary":
        options.append(output)
        os.write(writing, b"x" * 4096)  # there is no room when it comes
    with sound.open("rb") as stdin:
        process = start(*PIPE, *options, stdin=stdin, stdout=writing)
    wait_for(lambda: waiting(reading) > 3500)
    read = b""
    while process.poll() is None or waiting(reading):
        if waiting(reading):
            read += os.read(reading, 4096)
    _, error = process.communicate(timeout=HANG_S)
    assert (process.returncode, error.decode()) == (0, f"doa_edge: wrote {out}\n")
    if output == "--summary":
        assert json.loads(read.lstrip(b"x"))["duration_s"] == 10.0
    else:
        assert read == out.read_bytes()
        assert len(lines(out)) == 287
    assert not os.get_blocking(writing)


def test_a_pipe_whose_reader_goes_ends_the_run(pcm, tiny_tflite):
    process = start(*PIPE, "--model", tiny_tflite, stdout=subprocess.PIPE)
    process.stdin.write(pcm[: FRAME_BYTES * RATE])
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    stdin, process.stdin = process.stdin, None
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(pcm)
    _, error = process.communicate(timeout=HANG_S)
    assert (process.returncode, error) == (141, b"")


def limit_file_size(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(
    ("options", "size"), [((), 1000), (("--json",), 4000), (("--summary",), 30)]
)
def test_a_full_disk_of_standard_output_ends_with_a_whole_line(
    options, size, pcm, tiny_tflite, tmp_path
):
    printed = tmp_path / "printed.jsonl"
    with printed.open("wb") as stdout:
        process = start(
            *PIPE, "--model", tiny_tflite, *options,
            stdout=stdout, preexec_fn=limit_file_size(size),
        )  # fmt: skip
    _, error = process.communicate(pcm, timeout=HANG_S)
    assert process.returncode == 1
    assert error.decode() == "doa_edge: [Errno 27] File too large: 'standard output'\n"
    if options == ("--summary",):
        assert lines(printed) == []
    else:
        longest = max(len(line) for line in printed.read_bytes().splitlines(keepends=True))
        assert len(lines(printed)) >= 7
        assert size - longest - 5 < printed.stat().st_size <= size  # no further line fits


def test_what_info_prints_is_whole_or_not_there(tiny_tflite, tmp_path):
    printed = tmp_path / "info.json"
    with printed.open("wb") as stdout:
        process = subprocess.run(
            [sys.executable, "-m", "doa_edge", "info", str(tiny_tflite)],
            stdout=stdout, stderr=subprocess.PIPE, preexec_fn=limit_file_size(100), timeout=HANG_S,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.decode() == "doa_edge: [Errno 27] File too large: 'standard output'\n"
    text = printed.read_text()
    assert text == "" or text.endswith("\n")


def test_talk_to_nobody_ends_nothing(pcm, tiny_tflite, tmp_path):
    out = tmp_path / "track.jsonl"
    options = ["--model", tiny_tflite, "--verbose", "--out", out]
    process = start(*PIPE, *options, stdout=subprocess.DEVNULL)
    process.stderr.close()
    process.stderr = None
    process.communicate(pcm, timeout=HANG_S)
    assert process.returncode == 0
    assert len(lines(out)) == 287


@pytest.mark.parametrize("printing", [(), ("--json",)])
def test_a_terminal_that_is_closed_leaves_what_was_found(
    printing, write_wave, tiny_tflite, tmp_path
):
    pytest.importorskip("rich")
    master, slave = pty.openpty()
    folder, wave = tmp_path / "out", write_wave(seconds=30)
    folder.mkdir()
    out = folder / "track.jsonl"
    options = ["--input", wave, "--realtime", "--model", tiny_tflite, "--out", out, *printing]
    with (tmp_path / "log").open("wb") as log:
        process = start(
            *options,
            stdin=slave, stdout=slave, stderr=log, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
    os.close(slave)
    drawn = threading.Event()

    def look():
        while not drawn.is_set():
            os.read(master, 1 << 16)

    threading.Thread(target=look, daemon=True).start()
    wait_for(lambda: any(path.stat().st_size > 300 for path in folder.iterdir()))
    drawn.set()
    time.sleep(0.2)  # the last read takes what is drawn next
    os.close(master)
    assert process.wait(HANG_S) == 129
    assert [path.name for path in folder.iterdir()] == ["track.jsonl"]
    assert len(lines(out)) >= 2
    told = (tmp_path / "log").read_text()
    assert told == f"doa_edge: wrote {out}\ndoa_edge: hung up\n"
