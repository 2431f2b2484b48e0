"""The queue from the audio thread to the one that computes: bounded; what is dropped is counted."""

from __future__ import annotations

import queue
from dataclasses import dataclass

from doa_edge.input.stream import Samples


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Samples that the audio thread hands over.

    Attributes:
        samples: (N, 4) float32.
        arrival_s: when the callback got them, by the monotonic clock [seconds].
        dropped: samples that did not fit just before them.
        overflowed: whether the device reported lost sound before them.
    """

    samples: Samples
    arrival_s: float
    dropped: int
    overflowed: bool


class Handover:
    """A queue of chunks that holds no more than `capacity` samples.

    When it is full, everything is dropped until the reader has emptied it. So a reader that is too
    slow gets long stretches with single gaps between them, and not a useless hole in every block.

    Args:
        capacity: samples per channel, one block at least.
    """

    def __init__(self, *, capacity: int) -> None:
        self.capacity = capacity
        self._queue: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        # Each is written by one thread only; the difference is what waits.
        self._put = 0
        self._taken = 0
        self._dropping = False
        self._dropped = 0
        self._overflowed = False

    def put(self, samples: Samples, *, arrival_s: float, overflowed: bool = False) -> None:
        """Hand over (N, 4) samples that nobody changes; for the audio thread: it never waits."""
        waiting = self._put - self._taken
        if self._dropping and waiting == 0:
            self._dropping = False
        self._overflowed |= overflowed
        if self._dropping or (waiting and waiting + len(samples) > self.capacity):
            self._dropping = True
            self._dropped += len(samples)
            return
        self._queue.put(
            Chunk(
                samples=samples,
                arrival_s=arrival_s,
                dropped=self._dropped,
                overflowed=self._overflowed,
            )
        )
        self._dropped, self._overflowed = 0, False
        self._put += len(samples)

    def get(self, *, timeout_s: float) -> Chunk | None:
        """The next chunk, or None after a time without one [seconds]."""
        try:
            chunk = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._taken += len(chunk.samples)
        return chunk
