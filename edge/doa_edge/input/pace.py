"""Tells a pipe that is live, such as that of `arecord`, from one that comes as fast as it is taken.

How fast sound is taken says nothing: a slow reader of standard output slows a file down to real
time as well. But whenever a read finds nothing, all that the other side has made so far has been
taken. Between two such moments the sound that came is the sound that was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S = 1.0  # in which a pipe is found to be live
SPAN_S = 10.0  # in which that is found again, each time, and the other way round
TOLERANCE = 0.05  # share of such a time by which sound may come early
LEAST_TOLERANCE_S = 0.2
AHEAD_S = 4.0  # of sound that no live source has before its time
BACKLOG_S = 20.0  # of sound that a live source may catch up with after it was held up itself
FIRST_BACKLOG_S = 1.0  # and once it is found to be live


class _Span:
    """Sound since a moment.

    Attributes:
        begin_s: that moment [seconds].
        sound_s: that came since [seconds].
    """

    def __init__(self, begin_s: float) -> None:
        self.begin_s = begin_s
        self.sound_s = 0.0

    def early_s(self, now_s: float) -> float:
        """Sound that came before its time [seconds]; negative if it is late."""
        return self.sound_s - (now_s - self.begin_s)


class Pace:
    """Whether sound comes in real time, found out while it is read.

    `live` and `faster` are both False as long as it is not known; each may turn into the other, as
    where a recording is sent after what a microphone gave. Sound that waited for this program to
    start, or for a machine that stood still, is no sign of a recording: up to `BACKLOG_S` of it may
    come at once, or as fast as a busy machine gets it there.

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
        self._all: _Span | None = None
        self._span: _Span | None = None  # begins where all that was made had been taken
        self._backlog_s = 0.0  # of sound that is still to come from before it
        self._unseen = False  # something has come since a read found nothing

    def begin(self, bytes_per_s: float) -> None:
        """The format is known: what comes from now on is sound."""
        self._bytes_per_s = bytes_per_s

    def came(self, count: int) -> None:
        """So many bytes have been read."""
        if not self._bytes_per_s:
            return
        now_s = self._clock()
        self._all = self._all or _Span(now_s)
        if self._span is not None:
            # However long nothing came, no more than a backlog is owed for it.
            longest_s = self._span.sound_s + BACKLOG_S - self._backlog_s
            self._span.begin_s = max(self._span.begin_s, now_s - longest_s)
        for span in (self._all, self._span):
            if span is not None:
                span.sound_s += count / self._bytes_per_s
        self._unseen = True
        if self.live:
            early_s = self._span.early_s(now_s) - self._backlog_s if self._span else 0.0
        else:
            early_s = self._all.early_s(now_s) - BACKLOG_S
        if early_s > AHEAD_S and not self.faster:
            self._conclude(live=False)
            self._span = None

    def waits(self) -> None:
        """A read found nothing: it has to wait."""
        if not self._unseen:
            return
        self._unseen = False
        now_s = self._clock()
        if self._span is not None:
            length_s = now_s - self._span.begin_s
            if length_s < (SPAN_S if self.live or self.faster else FIRST_S):
                return
            early_s = self._span.early_s(now_s)
            tolerance_s = max(LEAST_TOLERANCE_S, TOLERANCE * length_s)
            in_time = early_s - self._backlog_s <= tolerance_s
            if not in_time:
                self._backlog_s = 0.0
            elif self.live:
                self._backlog_s = min(max(self._backlog_s - early_s, 0.0), BACKLOG_S)
            else:
                self._backlog_s = FIRST_BACKLOG_S
            if in_time or self.live:
                self._conclude(live=in_time)
        self._span = _Span(now_s)

    def _conclude(self, *, live: bool) -> None:
        self.live, self.faster = live, not live
        if not live:
            self._backlog_s = 0.0
