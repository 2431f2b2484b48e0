"""What PortAudio and ALSA write to standard error by themselves, kept from it.

PortAudio's thread writes some lines each time a microphone is lost, from wherever it is then. The
run tells of the loss itself, once.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TALK = re.compile(rb"Expression '.*' failed in '|ALSA lib ")
_READ_BYTES = 65_536
_END_SECONDS = 1.0  # for what was written last to pass


@contextmanager
def without_talk() -> Iterator[None]:
    """Pass on what is written to descriptor 2, but for the lines of PortAudio and ALSA.

    Descriptor 2 is a pipe meanwhile, which a thread reads line by line. Where there is no standard
    error, or no descriptor left for a pipe, nothing is done.
    """
    try:
        stderr = os.dup(2)
    except OSError:
        yield
        return
    try:
        receiver, sender = os.pipe()
    except OSError:
        os.close(stderr)
        yield
        return
    thread = threading.Thread(
        target=_pass_on, args=(receiver, stderr), name="doa_edge talk", daemon=True
    )
    thread.start()
    os.dup2(sender, 2)
    os.close(sender)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        thread.join(_END_SECONDS)


def _pass_on(receiver: int, stderr: int) -> None:
    """Copy lines from one descriptor to another until the first one ends; closes both."""
    rest = b""
    try:
        while data := os.read(receiver, _READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            _write_lines(stderr, [line + b"\n" for line in lines])
        _write_lines(stderr, [rest])
    except OSError:  # nobody reads: the next one who writes to the pipe is told so
        return
    finally:
        os.close(receiver)
        os.close(stderr)


def _write_lines(descriptor: int, lines: list[bytes]) -> None:
    """Write the lines that are no talk."""
    kept = b"".join(line for line in lines if not _TALK.match(line))
    while kept:
        kept = kept[os.write(descriptor, kept) :]
