"""Lines to standard output and to files: whole or not at all. Of JSON, or in a file of CSV."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Protocol, TextIO

from doa_core.errors import InputError, one_line
from doa_core.files import lacks_descriptors
from doa_edge.sinks.sink import Message, Reasons, json_line
from doa_edge.whole_lines import LineWriter

DEFAULT_OUT_BYTES = 10_000_000  # about four hours of six estimates a second
DEFAULT_OUT_COUNT = 5  # older files beside the newest
_SHOWN = 80  # characters of a header that is another


class Form(Protocol):
    """How messages become lines."""

    @property
    def header(self) -> bytes:
        """What each file begins with: a line with its break, or nothing."""
        ...

    def lines(self, message: Message) -> bytes:
        """The lines of a message, each with its break."""
        ...


class JsonLines:
    """A line of JSON a message, and no header."""

    header = b""

    def lines(self, message: Message) -> bytes:
        """The line of a message."""
        return json_line(message).encode()


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
        self._lines: LineWriter | None = None
        with contextlib.suppress(OSError):  # a stream in memory has none
            self._lines = LineWriter(stream.fileno())

    def send(self, message: Message) -> None:
        """Write a line. Raises OSError, BrokenPipeError where the reader has gone."""
        line = json_line(message)
        if self._lines is None:
            self._stream.write(line)
        else:
            self._lines.write(line.encode())

    def close(self) -> None:
        """Nothing is buffered here."""


class FileSink:
    """Lines to a file, which is rotated when it has grown.

    Lines are appended to a file that exists, which must have the header of this form. `FILE` is the
    newest; when the next line would make it larger than `size`, it becomes `FILE.1`, that `FILE.2`,
    and so on; the oldest is deleted. Each begins with the header. A line that does not fit on the
    disk is removed again, so that the file ends with a whole one. While too many files are open to
    make a new one, `FILE` grows on.

    Args:
        path: the file; a device or a pipe is written as it is and never rotated.
        size: bytes of one file; None for no limit.
        count: older files to keep; with 0 a file that is full is emptied.
        form: of the lines; JSON if None.

    Raises:
        InputError: the file that exists has no such header.
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
        form: Form | None = None,
    ) -> None:
        if size is not None and size < 1:
            raise ValueError(f"`size` must be 1 byte or more. Received: size={size}")
        if count < 0:
            raise ValueError(f"`count` must be 0 or more. Received: count={count}")
        self.path = Path(os.path.realpath(path))
        self._size = size
        self._count = count
        self._form = form or JsonLines()
        self._reasons = Reasons(self.name)
        self._descriptor = -1
        self._open()

    def send(self, message: Message) -> None:
        """Write its lines. Raises OSError: the disk is full, for instance."""
        data = self._form.lines(message)
        holds_lines = self._written > len(self._form.header)
        full = self._size and holds_lines and len(data) + self._written > self._size
        if self._ordinary and full:
            self._rotate()
        self._lines.write(data)
        self._written += len(data)

    def sync(self) -> None:
        """Have what was sent on the disk, where a power cut leaves it. Raises OSError."""
        if self._ordinary:
            os.fsync(self._descriptor)

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
        self._lines = LineWriter(self._descriptor, os.fspath(self.path))
        status = os.fstat(self._descriptor)
        self._ordinary = stat.S_ISREG(status.st_mode)
        self._written = status.st_size
        try:
            self._begin()
        except (InputError, OSError):
            self.close()
            raise

    def _begin(self) -> None:
        """Write or check the header, and keep the next line apart from what is there."""
        header = self._form.header
        if self._ordinary and self._written:
            found = os.pread(self._descriptor, max(len(header), _SHOWN), 0)
            if len(found) < len(header) and header.startswith(found):  # the power went in it
                os.ftruncate(self._descriptor, 0)
                self._written = 0
            elif not found.startswith(header):
                raise InputError(_another_header(self.path, header, found))
            # After a power cut the last line may be incomplete.
            elif os.pread(self._descriptor, 1, self._written - 1) != b"\n":
                self._lines.write(b"\n")
                self._written += 1
        if not self._written and header:
            self._lines.write(header)
            self._written = len(header)

    def _rotate(self) -> None:
        """Begin a new file, made under another name: until it is there, nothing is let go."""
        new = self._numbered(0)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            new.unlink(missing_ok=True)  # of a run that was killed in here
            descriptor = os.open(new, flags, 0o644)
        except OSError as error:
            if not lacks_descriptors(error):
                raise
            self._reasons.tell("cannot begin a new file and goes on in the old one", error)
            return
        lines = LineWriter(descriptor, os.fspath(self.path))
        try:
            lines.write(self._form.header)
        except OSError:
            os.close(descriptor)
            new.unlink()
            raise
        self.close()
        self._descriptor, self._written = descriptor, len(self._form.header)
        self._lines = lines
        if self._count:
            self._shift()
        new.replace(self.path)

    def _shift(self) -> None:
        """Number the older files anew: as many as there are, not as many as there may be."""
        kept = 0
        while kept < self._count - 1 and self._numbered(kept + 1).exists():
            kept += 1
        for number in range(kept, 0, -1):
            self._numbered(number).replace(self._numbered(number + 1))
        if self.path.exists():
            self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _another_header(path: Path, header: bytes, found: bytes) -> str:
    """What is said of a file to which no row can be added."""
    first = one_line(found.split(b"\n")[0].decode(errors="replace"), length=_SHOWN)
    return (
        f"--out adds rows to a file that begins with `{header.decode().rstrip()}`: name another "
        f"file, or move this one away. Received: {path} that begins with `{first}`"
    )
