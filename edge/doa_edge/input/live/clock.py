"""Stream time of a live device: samples are counted, and the count is compared with a clock.

A device that loses sound, or an operating system that loses it on the way, does not always report
it. But then the samples fall behind the clock and stay behind. One late block proves nothing: it
may have waited, and the next ones catch up. So the *smallest* lateness within some seconds counts.
"""

from __future__ import annotations

import math

WINDOW_S = 2.0
TOLERANCE_S = 0.2
LARGEST_DRIFT = 1e-3  # seconds a second that two crystals may differ by; more is loss
DRIFT_AFTER_S = 60.0  # before it, drift cannot be told from jitter


class SampleClock:
    """The stream time of a device's sound.

    Attributes:
        position_s: stream time of the end of what was counted, missing sound included [seconds].

    Args:
        window_s: for how long sound has to be late to count as missing [seconds].
        tolerance_s: how late it has to be [seconds].
    """

    def __init__(self, *, window_s: float = WINDOW_S, tolerance_s: float = TOLERANCE_S) -> None:
        self.window_s = window_s
        self.tolerance_s = tolerance_s
        self.position_s = 0.0
        self._offset_s = math.inf  # arrival less position of sound that did not wait
        self._smallest_s = math.inf  # lateness within the window
        self._window_end_s = -math.inf
        self._slipped_s = 0.0  # how far the offset has moved
        self._steady_s = 0.0  # for how long

    @property
    def drift_ppm(self) -> float | None:
        """How much slower the device runs than the clock [parts per million]; None at first."""
        if self._steady_s < DRIFT_AFTER_S:
            return None
        return 1e6 * self._slipped_s / self._steady_s

    def advance(self, duration_s: float, *, arrival_s: float) -> float:
        """Count a block; returns how much was found to be missing before it, mostly 0 [seconds].

        Args:
            duration_s: of the block.
            arrival_s: when it arrived, by a monotonic clock.
        """
        self.position_s += duration_s
        lateness_s = arrival_s - self.position_s
        if self._window_end_s == -math.inf:
            self._window_end_s = arrival_s + self.window_s
        self._smallest_s = min(self._smallest_s, lateness_s)
        if self._steady_s == 0.0:
            self._offset_s = min(self._offset_s, lateness_s)
        if arrival_s < self._window_end_s:
            return 0.0
        slip_s = self._smallest_s - self._offset_s
        self._begin_window(arrival_s)
        if slip_s > self.tolerance_s:
            self.skip(slip_s)
            return slip_s
        limit_s = LARGEST_DRIFT * self.window_s
        step_s = min(max(slip_s, -limit_s), limit_s)
        if slip_s > -self.tolerance_s:
            self._offset_s += step_s
        self._slipped_s += step_s
        self._steady_s += self.window_s
        return 0.0

    def skip(self, duration_s: float) -> None:
        """Count sound that is known to be missing [seconds]."""
        self.position_s += duration_s

    def missing_s(self, *, now_s: float) -> float:
        """How much would be missing if sound came again now [seconds].

        Args:
            now_s: the time, or the arrival of a block less its duration.
        """
        if math.isinf(self._offset_s):
            return 0.0
        return max(0.0, now_s - self._offset_s - self.position_s)

    def resume(self) -> None:
        """Restart the observation after a silence of the device."""
        self._begin_window(-math.inf)

    def _begin_window(self, now_s: float) -> None:
        self._smallest_s = math.inf
        self._window_end_s = now_s + self.window_s
