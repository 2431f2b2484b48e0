"""Lines to descriptors that are full, do not block, or have lost their other end."""

from __future__ import annotations

import errno
import os
import resource
import threading

import pytest

from doa_edge.whole_lines import LineWriter

LINE = b"0123456789" * 6 + b"123\n"  # 64 bytes


@pytest.fixture
def small_files():
    """No file may be larger than 1000 bytes: fifteen lines and a half."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("pieces", [1, 2, 64])
@pytest.mark.parametrize("flags", [0, os.O_APPEND])
def test_a_file_that_is_full_ends_with_a_whole_line(small_files, tmp_path, flags, pieces):
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags)
    writer = LineWriter(descriptor)
    size = len(LINE) // pieces

    def write_on():
        for number in range(20 * len(LINE)):
            start = number * size % len(LINE)
            writer.write(LINE[start : start + size])

    with pytest.raises(OSError, match="too large"):
        write_on()
    assert path.read_bytes() == 15 * LINE
    # There is room again: the next line is whole, too.
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    writer.write(LINE)
    assert path.read_bytes() == LINE
    os.close(descriptor)


def test_of_several_lines_at_once_those_that_fit_stay(small_files, tmp_path):
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="too large"):
        LineWriter(descriptor).write(40 * LINE)
    assert path.read_bytes() == 15 * LINE
    os.close(descriptor)


def test_what_others_wrote_behind_it_stays(monkeypatch, tmp_path):
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)
    writer.write(LINE + b"half")
    with path.open("ab") as other:
        other.write(b"theirs\n")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        writer.write(b" a line\n")
    assert path.read_bytes() == LINE + b"halftheirs\n"
    os.close(descriptor)


def test_a_pipe_that_does_not_block_gets_everything():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = threading.Thread(target=LineWriter(writing).write, args=(10_000 * LINE,))
    thread.start()  # more than a pipe holds
    read = b""
    while len(read) < 10_000 * len(LINE):
        read += os.read(reading, 1 << 16)
    thread.join(60)
    assert read == 10_000 * LINE
    assert not os.get_blocking(writing)  # whoever made it so relies on it
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        LineWriter(writing).write(LINE)
    os.close(writing)


def test_a_terminal_that_has_been_closed_takes_nothing():
    import pty

    master, slave = pty.openpty()
    writer = LineWriter(slave)
    writer.write(LINE)
    os.close(master)
    writer.write(LINE)  # OSError: [Errno 5] Input/output error
    os.close(slave)
