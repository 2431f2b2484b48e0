"""Azimuths over time, and hours of days, in as much memory whatever the time that they cover."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from doa_edge.report.span import Span, add_seconds

MOST_COLUMNS = 800  # a month has 744 hours
MOST_DAYS = 1100  # three years
HOURS = 24
_WIDTHS_S = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200, 86_400)  # each divides the next
_BREAK_SHARE = 0.1  # of the columns: a longer pause is not drawn to scale


@dataclass
class Column:
    """A stretch of time.

    Attributes:
        offset_s: what local time is ahead [seconds].
        heard_s: [seconds].
        sectors: seconds of voice by sector of azimuth.
    """

    offset_s: float = 0.0
    heard_s: float = 0.0
    sectors: dict[int, float] = field(default_factory=dict)

    def add(self, offset_s: float, heard_s: float, sectors: Mapping[int, float]) -> None:
        """Add what was heard in it."""
        self.offset_s = offset_s
        self.heard_s += heard_s
        add_seconds(self.sectors, sectors)


class Block(NamedTuple):
    """Columns side by side, with no long pause between them.

    Attributes:
        first, last: their numbers, both included.
    """

    first: int
    last: int


class TimeColumns:
    """What was heard from where, in columns of equal width that grow with the time they cover.

    Attributes:
        width_s: of a column [seconds].
        columns: by number, those in which something was heard.
    """

    def __init__(self) -> None:
        self.width_s: float = _WIDTHS_S[0]
        self.columns: dict[int, Column] = {}

    def add(self, span: Span) -> None:
        """Add a span, whole, to the column of its middle."""
        if span.step_s > self.width_s:
            self._widen(lambda: span.step_s <= self.width_s)
        number = math.floor(span.middle / self.width_s)
        column = self.columns.setdefault(number, Column())
        column.add(span.offset_s or 0.0, span.heard_s, span.sectors)
        self.shrink(MOST_COLUMNS)

    def shrink(self, most: int) -> None:
        """Widen the columns until there are no more than `most` of them."""
        if len(self.columns) > most:
            self._widen(lambda: len(self.columns) <= most)

    def blocks(self) -> list[Block]:
        """The columns in order; pauses of more than a tenth of them stand between two blocks."""
        numbers = sorted(self.columns)
        longest = max(2.0, _BREAK_SHARE * len(numbers))
        blocks: list[Block] = []
        for number in numbers:
            if blocks and number - blocks[-1].last <= longest:
                blocks[-1] = Block(blocks[-1].first, number)
            else:
                blocks.append(Block(number, number))
        return blocks

    def _widen(self, enough: Callable[[], bool]) -> None:
        while not enough():
            wider = [width for width in _WIDTHS_S if width > self.width_s]
            width_s = wider[0] if wider else 2.0 * self.width_s
            columns: dict[int, Column] = {}
            for number, column in self.columns.items():
                place = math.floor((number + 0.5) * self.width_s / width_s)
                whole = columns.setdefault(place, Column())
                whole.add(column.offset_s, column.heard_s, column.sectors)
            self.width_s, self.columns = width_s, columns


class DayHours:
    """Seconds of each hour of each local day, heard and with a voice.

    Where summer time ends, the hour that comes twice has up to 7200 seconds.

    Attributes:
        heard_s, voice_s: 24 numbers by day since 1970.
        left_out: days that are no longer told: the earliest beyond three years.
    """

    def __init__(self) -> None:
        self.heard_s: dict[int, list[float]] = {}
        self.voice_s: dict[int, list[float]] = {}
        self.left_out = 0

    def add(self, span: Span) -> None:
        """Add a span by a clock, whole, to the hour of its middle."""
        local_s = span.middle + (span.offset_s or 0.0)
        day, hour = divmod(math.floor(local_s / 3600.0), HOURS)
        if day not in self.heard_s:
            self.heard_s[day], self.voice_s[day] = [0.0] * HOURS, [0.0] * HOURS
        self.heard_s[day][hour] += span.heard_s
        self.voice_s[day][hour] += span.voice_s
        if len(self.heard_s) > MOST_DAYS:
            earliest = min(self.heard_s)
            del self.heard_s[earliest], self.voice_s[earliest]
            self.left_out += 1
