"""Tells a pipe that is live, such as that of `arecord`, from one that comes as fast as it is taken.

How fast sound is taken says nothing: a slow reader of standard output slows a file down to real
time as well. But whenever a read finds nothing, all that the other side has made so far has been
taken. Between two such moments the sound that came is the sound that was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S = 1.0  # how long a pipe is watched before it may count as live
SPAN_S = 10.0  # and from then on, each time
TOLERANCE_S = 0.5  # of sound that may come early in such a span
AHEAD_S = 2.0  # of sound that no live source has before its time
BACKLOG_S = 20.0  # of sound that a live source may catch up with after it was held up itself


class Pace:
    """Whether sound comes in real time, found out while it is read.

    `live` and `faster` are both False as long as it is not known; each may turn into the other, as
    where a recording is sent after what a microphone gave. Sound that waited for this program to
    start, or for a machine that stood still, is no sign of a recording: up to `BACKLOG_S` of it may
    come at once.

    Attributes:
        live: the sound comes no faster than real time, and cannot wait.
        faster: it comes faster; whoever sends it waits when it is not taken.

    Args:
        live: of a device, which is known beforehand.
        clock: gives the time [seconds].
    """

    def __init__(self, *, live: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.live = live
        self.faster = False
        self._clock = clock
        self._bytes_per_s = 0.0
        self._begin_s: float | None = None  # of the span
        self._whole = False  # whether all that was made before the span had been taken
        self._sound_s = 0.0  # that came in it
        self._backlog_s = BACKLOG_S  # of sound that may still come from before it
        self._unseen = False  # something has come since a read found nothing

    def begin(self, bytes_per_s: float) -> None:
        """The format is known: what comes from now on is sound."""
        self._bytes_per_s = bytes_per_s

    def came(self, count: int) -> None:
        """So many bytes have been read."""
        if not self._bytes_per_s:
            return
        now_s = self._clock()
        if self._begin_s is None:
            self._begin_s = now_s
        # However long nothing came, no more than a backlog is owed for it.
        longest_s = self._sound_s + BACKLOG_S - self._backlog_s
        self._begin_s = max(self._begin_s, now_s - longest_s)
        self._sound_s += count / self._bytes_per_s
        self._unseen = True
        if self._early_s() - self._backlog_s > AHEAD_S:
            self._conclude(live=False)
            self._whole = False
            self._start(backlog_s=0.0)

    def waits(self) -> None:
        """A read found nothing: it has to wait."""
        if not self._unseen:
            return
        self._unseen = False
        if not self._whole:
            self._whole = True
            self._start(backlog_s=0.0)
        elif self._span_s() >= (SPAN_S if self.live or self.faster else FIRST_S):
            early_s = self._early_s()
            self._conclude(live=early_s - self._backlog_s <= TOLERANCE_S)
            left_s = min(max(self._backlog_s - early_s, 0.0), BACKLOG_S)
            self._start(backlog_s=left_s if self.live else 0.0)

    def _span_s(self) -> float:
        return 0.0 if self._begin_s is None else self._clock() - self._begin_s

    def _early_s(self) -> float:
        """Sound that came before its time in this span [seconds]; negative if it is late."""
        return self._sound_s - self._span_s()

    def _start(self, *, backlog_s: float) -> None:
        self._begin_s = self._clock()
        self._sound_s, self._backlog_s = 0.0, backlog_s

    def _conclude(self, *, live: bool) -> None:
        self.live, self.faster = live, not live
