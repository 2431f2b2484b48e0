"""JSON lines to standard output and to files. A line is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TextIO

from doa_edge.sinks.sink import Message, json_line

DEFAULT_OUT_BYTES = 10_000_000  # about four hours of six estimates a second
DEFAULT_OUT_COUNT = 5  # older files beside the newest


class StreamSink:
    """JSON lines to a text stream, one by one.

    Lines bypass Python's buffer where the stream has a descriptor: a buffer that a reader does not
    empty would block the interpreter at its end.

    Args:
        stream: such as `sys.stdout`; it is not closed.
    """

    name = "json"
    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        stream.flush()
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):  # a stream in memory has none
            self._descriptor = stream.fileno()

    def send(self, message: Message) -> None:
        """Write a line. Raises OSError, BrokenPipeError where the reader has gone."""
        line = json_line(message)
        if self._descriptor is None:
            self._stream.write(line)
            return
        data = line.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Nothing is buffered here."""


class FileSink:
    """JSON lines to a file, which is rotated when it has grown.

    Lines are appended to a file that exists. `FILE` is the newest; when the next line would make it
    larger than `size`, it becomes `FILE.1`, that `FILE.2`, and so on; the oldest is deleted. A
    line that does not fit on the disk is removed again, so that the file ends with a whole one.

    Args:
        path: the file; a device or a pipe is written as it is and never rotated.
        size: bytes of one file; None for no limit.
        count: older files to keep; with 0 a file that is full is emptied.

    Raises:
        OSError: the file cannot be written.
    """

    name = "out"
    dropped = 0

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: int | None = DEFAULT_OUT_BYTES,
        count: int = DEFAULT_OUT_COUNT,
    ) -> None:
        if size is not None and size < 1:
            raise ValueError(f"`size` must be 1 byte or more. Received: size={size}")
        if count < 0:
            raise ValueError(f"`count` must be 0 or more. Received: count={count}")
        self.path = Path(os.path.realpath(path))
        self._size = size
        self._count = count
        self._descriptor = -1
        self._open()

    def send(self, message: Message) -> None:
        """Write a line. Raises OSError: the disk is full, for instance."""
        line = json_line(message).encode()
        full = self._size and self._written and len(line) + self._written > self._size
        if self._ordinary and full:
            self._rotate()
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            if self._ordinary and written:
                os.ftruncate(self._descriptor, self._written)
            raise
        self._written += len(line)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self.path, flags, 0o644)
        except PermissionError as refused:  # such as a device that can only be written
            try:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except OSError:
                raise refused from None
        status = os.fstat(self._descriptor)
        self._ordinary = stat.S_ISREG(status.st_mode)
        self._written = status.st_size
        # After a power cut the last line may be incomplete: keep the next one apart from it.
        holds_lines = self._ordinary and self._written
        if holds_lines and os.pread(self._descriptor, 1, self._written - 1) != b"\n":
            self._written += os.write(self._descriptor, b"\n")

    def _rotate(self) -> None:
        self.close()
        if self._count == 0:
            self.path.unlink(missing_ok=True)
        else:
            kept = 0  # as many as there are, not as many as there may be
            while kept < self._count - 1 and self._numbered(kept + 1).exists():
                kept += 1
            for number in range(kept, 0, -1):
                self._numbered(number).replace(self._numbered(number + 1))
            if self.path.exists():
                self.path.replace(self._numbered(1))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
