"""Lines to a file descriptor: each is there whole or not at all, whatever lies behind it."""

from __future__ import annotations

import errno
import os
import select
import stat


class LineWriter:
    """Writes to a descriptor that may be full, or may not block.

    Where a write fails, what it and those before it left of a line without its end is removed from
    an ordinary file, so that the file ends with a whole line. Where the descriptor does not block,
    as that of a pipe from an event loop, a write waits for room as it would on one that does. The
    flag itself stays: whoever has the other copies of the descriptor has set it for a reason. What
    is written to a terminal that has been closed is dropped: SIGHUP has told of it.

    Args:
        descriptor: open for writing; it stays the caller's.
        name: of what is written to, which its errors tell.
    """

    def __init__(self, descriptor: int, name: str = "standard output") -> None:
        self._descriptor = descriptor
        self._name = name
        self._terminal = os.isatty(descriptor)
        self._begun = 0  # bytes since the latest line break

    def write(self, data: bytes) -> None:
        """Write all of the data.

        Raises:
            OSError: the disk is full, for instance, or nobody reads the pipe any more.
        """
        left = memoryview(data)
        try:
            while left:
                written = self._write_some(left)
                self._count(left[:written])
                left = left[written:]
        except OSError as error:
            if self._terminal and error.errno == errno.EIO:
                return
            self._remove_begun()
            error.filename = self._name
            raise

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                room.poll()

    def _count(self, written: memoryview) -> None:
        last_break = bytes(written).rfind(b"\n")
        if last_break >= 0:
            self._begun = len(written) - last_break - 1
        else:
            self._begun += len(written)

    def _remove_begun(self) -> None:
        """Remove a part of a line from the end of an ordinary file, unless others wrote on."""
        if not self._begun:
            return
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                return
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if end == status.st_size:
                os.ftruncate(self._descriptor, end - self._begun)
                os.lseek(self._descriptor, end - self._begun, os.SEEK_SET)
                self._begun = 0
        except OSError:  # the write's own error is the one to tell
            return
