"""The system's clock at the begin of a stream: times that do not jitter, of a clock that may jump.

A block of sound comes some time after its last sample was taken, and each by another time: a busy
machine, a buffer, a network. So the moment at which a block comes is not the time of its sound.
What holds still is the begin of the stream, and the block that waited least tells it best:

    time = begin + stream time

The begin is moved for three reasons alone:

- *Drift.* The crystal of a sound card and the clock of the system differ by some 50 microseconds a
  second. Every ten seconds the smallest lateness of these ten is compared with the begin; where
  they differ by more than 10 ms the begin is moved towards it in the ten seconds that follow, by a
  thousandth of the time at most: two estimates 160 ms apart are told 159.84 to 160.16 ms apart.
- *Steps.* The system's clock is set: a board without a battery boots hours wrong until it reaches
  a time server. A monotonic clock, which nobody sets, tells a step from time that went by. One of
  0.1 s or more is followed at once; a smaller one is followed as drift is. A machine that slept
  looks the same: the monotonic clock of Linux stands still meanwhile.
- *Sound that was lost unseen*, such as that of a pipe whose writer was too slow: the stream has
  fallen behind by more than a second for half a minute. That is followed at once, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WINDOW_S = 10.0  # seconds of the stream in which the smallest lateness counts
STILL_S = 0.010  # seconds that the begin may be wrong by without being moved
LARGEST_DRIFT = 1e-3  # seconds a second by which it is moved
STEP_S = 0.1  # seconds by which the system's clock is set; less is followed as drift is
LOST_S = 1.0  # seconds that the stream has fallen behind, or come forward
LOST_WINDOWS = 3  # in a row, before that is believed
_LOOK_S = 0.02  # seconds in which both clocks are read; a longer look tells nothing


class Anchor:
    """The begin of a live stream by the system's clock.

    Args:
        wall: gives the system's clock [seconds since 1970 UTC].
        monotonic: gives a clock that nobody sets [seconds].
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset_s = math.nan  # of the system's clock to the monotonic one
        self._begin_s = math.nan  # of the stream, by the system's clock
        self._smallest_s = math.inf  # lateness so far in the window
        self._window_s = 0.0  # stream time at which the window began
        self._slope = 0.0  # seconds a second by which the begin is moved in this window
        self._lost = 0  # windows in a row
        self._stepped_s = 0.0  # since `stepped_s` was asked for

    def observe(self, stream_s: float, *, new: bool = True) -> None:
        """Look at both clocks, for each block as soon as it has come.

        Args:
            stream_s: stream time of the end of the sound so far [seconds].
            new: whether sound has come just now.
        """
        before_s = self._monotonic()
        wall_s = self._wall()
        after_s = self._monotonic()
        if after_s - before_s > _LOOK_S:
            return
        self._follow_step(wall_s - 0.5 * (before_s + after_s))
        if not new:
            return
        self._smallest_s = min(self._smallest_s, wall_s - stream_s)
        if stream_s - self._window_s >= WINDOW_S:
            self._follow_drift(stream_s)

    @property
    def known(self) -> bool:
        """Whether anything was observed."""
        return not (math.isnan(self._begin_s) and math.isinf(self._smallest_s))

    def time_s(self, stream_s: float) -> float:
        """The system's clock at a moment of the stream [seconds since 1970 UTC].

        The first call fixes the begin of the stream.

        Args:
            stream_s: stream time, once it is `known` [seconds].
        """
        if math.isnan(self._begin_s):
            self._begin_s = self._smallest_s
        return self._begin_at(stream_s) + stream_s

    def stepped_s(self) -> float:
        """How far time has jumped since this was asked before, mostly 0 [seconds]."""
        stepped_s, self._stepped_s = self._stepped_s, 0.0
        return stepped_s

    def _begin_at(self, stream_s: float) -> float:
        """The begin of the stream as it is taken for at a moment of it."""
        since_s = min(max(stream_s - self._window_s, 0.0), WINDOW_S)
        return self._begin_s + self._slope * since_s

    def _follow_step(self, offset_s: float) -> None:
        jump_s = offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(jump_s) >= STEP_S:  # never of the first look, which is not a number
            self._smallest_s += jump_s
            self._jump(jump_s)

    def _follow_drift(self, stream_s: float) -> None:
        """Begin a new window, in which the begin is moved by what the one before has told."""
        if math.isnan(self._begin_s):  # nobody has asked for a time yet
            self._window_s = stream_s
            return
        self._begin_s = self._begin_at(stream_s)
        error_s = self._smallest_s - self._begin_s
        self._window_s, self._smallest_s = stream_s, math.inf
        self._slope = 0.0
        self._lost = self._lost + 1 if abs(error_s) > LOST_S else 0
        if self._lost == LOST_WINDOWS:
            self._lost = 0
            self._jump(error_s)
        elif abs(error_s) > STILL_S:
            self._slope = min(max(error_s / WINDOW_S, -LARGEST_DRIFT), LARGEST_DRIFT)

    def _jump(self, by_s: float) -> None:
        if not math.isnan(self._begin_s):
            self._begin_s += by_s
            self._stepped_s += by_s
