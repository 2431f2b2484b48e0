"""Bytes of a file or a pipe, as they come: looked at before they are taken."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Generator

from doa_edge.input.pace import Pace
from doa_edge.input.stream import Samples, no_sound

WAIT_S = 0.5  # seconds without data after which an empty block is yielded
READ_BYTES = 1 << 16


class ByteStream:
    """A buffer of bytes that were read from a descriptor and not taken yet.

    Attributes:
        ended: whether the descriptor has given its last byte.
        position: how many bytes have been taken.

    Args:
        descriptor: an open file descriptor; it stays the caller's.
        pace: is told what comes, and when reads find nothing.
    """

    def __init__(self, descriptor: int, *, pace: Pace | None = None) -> None:
        self._descriptor = descriptor
        self._pace = pace
        self._ready = select.poll()  # select() takes no descriptor above 1023
        self._ready.register(descriptor, select.POLLIN)
        self._held = bytearray()
        self.ended = False
        self.position = 0

    def __len__(self) -> int:
        return len(self._held)

    def fill(self, timeout: float = WAIT_S) -> bool:
        """Wait for more, `timeout` [seconds] at most; False if nothing came."""
        if self._pace and not self._ready.poll(0):
            self._pace.waits()
        if not self._ready.poll(1000.0 * timeout):
            return False
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:  # another reader of this stream was faster
            return False
        if self._pace:
            self._pace.came(len(data))
        self.ended = not data
        self._held += data
        return True

    def wait_for(self, count: int) -> Generator[Samples, None, None]:
        """Empty blocks until that many bytes are there, or the stream has ended."""
        while len(self._held) < count and not self.ended:
            if not self.fill():
                yield no_sound()

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay; fewer where no more are there."""
        return bytes(memoryview(self._held)[:count])

    def take(self, count: int) -> bytes:
        """The next bytes; fewer where no more are there."""
        data = self.peek(count)
        del self._held[: len(data)]
        self.position += len(data)
        return data

    def skip(self, count: int) -> Generator[Samples, None, int]:
        """Let bytes go without holding them; empty blocks while it waits.

        Returns:
            How many there were.
        """
        left = count - self._jump(count)
        while left:
            yield from self.wait_for(1)
            taken = len(self.take(min(left, READ_BYTES)))
            if not taken:
                break
            left -= taken
        return count - left

    def _jump(self, count: int) -> int:
        """Let bytes of a file go without reading them; returns how many, none of a pipe."""
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or count <= len(self._held):
            return 0
        held = len(self.take(count))
        place = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        jumped = max(0, min(count - held, status.st_size - place))
        os.lseek(self._descriptor, jumped, os.SEEK_CUR)
        self.position += jumped
        return held + jumped
