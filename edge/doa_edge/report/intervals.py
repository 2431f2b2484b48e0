"""Stretches of time that were heard, joined where they touch, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

MOST_INTERVALS = 4096
TOUCH_S = 1.0  # between two that count as one


class Interval(NamedTuple):
    """From one moment to another [seconds].

    Attributes:
        offset_s: what local time is ahead of UTC at its end [seconds].
    """

    begin: float
    end: float
    offset_s: float = 0.0


class Intervals:
    """A union of intervals, in their order.

    Attributes:
        joined: apart by more than `TOUCH_S`.
    """

    def __init__(self) -> None:
        self.joined: list[Interval] = []

    def add(self, one: Interval) -> Interval | None:
        """Add an interval, in any order.

        Returns:
            The pause that is no longer told, the shortest, where there are too many of them.
        """
        low = bisect_left(self.joined, one.begin - TOUCH_S, key=lambda known: known.end)
        high = bisect_right(self.joined, one.end + TOUCH_S, key=lambda known: known.begin)
        met = [*self.joined[low:high], one]
        last = max(met, key=lambda known: known.end)
        whole = Interval(min(known.begin for known in met), last.end, last.offset_s)
        self.joined[low:high] = [whole]
        return self._forget_shortest() if len(self.joined) > MOST_INTERVALS else None

    def holds(self, moment: float) -> bool:
        """Whether a moment lies in one of them."""
        number = bisect_right(self.joined, moment, key=lambda known: known.begin) - 1
        return number >= 0 and moment < self.joined[number].end

    def pauses(self) -> list[Interval]:
        """What lies between them."""
        pairs = zip(self.joined, self.joined[1:], strict=False)
        return [Interval(before.end, after.begin, before.offset_s) for before, after in pairs]

    def _forget_shortest(self) -> Interval:
        pauses = self.pauses()
        number = min(range(len(pauses)), key=lambda n: pauses[n].end - pauses[n].begin)
        first, second = self.joined[number : number + 2]
        self.joined[number : number + 2] = [Interval(first.begin, second.end, second.offset_s)]
        return pauses[number]
