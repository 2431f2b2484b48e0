"""Standard input, output and error of a command, which its caller may have closed.

Python has None for a stream that was closed before it started (`>&-`, `2>&-`, `<&-`), and the
system gives its descriptor to the next file that is opened: what libraries write to descriptor 2
would go into somebody's recording. A caller may also have set a stream not to block, or have gone.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from doa_core.errors import visible_lines
from doa_edge.whole_lines import LineWriter

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by descriptor
PATIENCE_S = 0.5  # with a reader of standard error who holds up live sound


class VisibleFormatter(logging.Formatter):
    """Formats log records so that they can be written to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, whose traceback keeps its lines."""
        return visible_lines(super().format(record))


def open_standard_streams() -> None:
    """Open closed standard streams to the null device, and let names of any encoding be printed.

    To be called by a command before it opens files. A name that is not UTF-8 is printed as the
    bytes that it has; a character that the terminal's encoding lacks is printed as its number.
    Warnings of a program that sets up no logging are written with their control characters escaped.
    """
    for descriptor in range(len(_STREAMS)):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor)
    for name, mode in _STREAMS:
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            null = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, null)
    _write_by(_Output, "stdout")
    _write_by(_Talk, "stderr")
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a test's stream may have none
    if reconfigure is not None:
        unicode = sys.stdout.encoding.lower().replace("-", "").startswith("utf")
        reconfigure(errors="surrogateescape" if unicode else "backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(VisibleFormatter())


def drop_talk_while(hurried: Callable[[], bool]) -> None:
    """Drop what is said to standard error while nobody reads it and somebody is in a hurry.

    Args:
        hurried: whether that is so now: sound that is live waits for no reader.
    """
    buffer = getattr(sys.stderr, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if isinstance(raw, _Talk):
        raw.hurried = hurried


class _Output(io.FileIO):
    """Standard output: whole lines or none, and as patient where it does not block."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lines = LineWriter(descriptor)
        self._failed = False

    def write(self, data: Any, /) -> int:
        """Write all of the data. Raises OSError once; what comes after that is dropped."""
        if not self._failed:
            try:
                self._lines.write(data)
            except OSError:
                self._failed = True  # or the interpreter would try again at its end
                raise
        return memoryview(data).nbytes


class _Talk(io.FileIO):
    """Standard error: nothing ends because talk reaches nobody, as of a terminal that is closed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lines = LineWriter(descriptor)
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._patience_s = PATIENCE_S
        self.hurried: Callable[[], bool] = lambda: False

    def write(self, data: Any, /) -> int:
        """Write the data, if it can be written."""
        if self.hurried() and not self._room.poll(1000.0 * self._patience_s):
            self._patience_s = 0.0  # once is enough
        else:
            self._patience_s = PATIENCE_S
            with contextlib.suppress(OSError):  # nobody reads it any more
                self._lines.write(data)
        return memoryview(data).nbytes


def _write_by(kind: type[_Output] | type[_Talk], name: str) -> None:
    """Let a stream that Python has made be written so; it has a descriptor of its own."""
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return
    buffer = stream.buffer
    raw = getattr(buffer, "raw", buffer)  # `python -u` has no buffer
    stream.flush()
    own = kind(stream.fileno())
    written = io.TextIOWrapper(
        own if raw is buffer else io.BufferedWriter(own),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=raw is buffer,
    )
    setattr(sys, name, written)


def _open_null(descriptor: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    os.set_inheritable(descriptor, True)
