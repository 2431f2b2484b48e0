"""All that a report tells of one microphone: sums over its spans, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from doa_edge.report.columns import DayHours, TimeColumns
from doa_edge.report.intervals import Interval, Intervals
from doa_edge.report.span import MOST_COUNTED, SECTORS, Place, Span

MOST_PLACES = 256  # zones, and talkers, that are told one by one
MOST_GAPS = 12  # the longest, that are told one by one
MOST_REASONS = 12
NOT_RUNNING = "not running"
OTHERS = "others"


class Gap(NamedTuple):
    """A stretch of time of which nothing is known.

    Attributes:
        seconds: how long it is.
        begin: since 1970 or of stream time [seconds].
        offset_s: what local time is ahead; None without a clock.
        reason: in a word.
    """

    seconds: float
    begin: float
    offset_s: float | None
    reason: str


@dataclass
class Missing:
    """What is missing for one reason.

    Attributes:
        times: how often.
        seconds: in all.
    """

    times: int = 0
    seconds: float = 0.0


class History:
    """Sums over spans.

    Attributes:
        heard_s, voice_s: [seconds].
        counts: seconds by how many were heard at once.
        sectors: 72 sums of seconds of voice.
        zones: by name.
        talkers: by run and id, those heard longest.
        other_talkers: how many more there were, at least.
        clocked, unclocked: azimuths over time, by the clock and by stream time.
        days: hours of days, by the clock.
        runs: how many.
        missing: by reason.
        gaps: the longest, in their order.
        steps_s: steps of the clock, of which the latest ones [seconds].
        steps: how many there were.
        untimed_s: heard without a clock [seconds].
        repeated_s: told twice, and counted once [seconds].
        begin, end: by the clock, or of stream time where there is none [seconds].
    """

    def __init__(self) -> None:
        self.heard_s = self.voice_s = self.untimed_s = self.repeated_s = 0.0
        self.counts = [0.0] * (MOST_COUNTED + 1)
        self.sectors = [0.0] * SECTORS
        self.zones: dict[str, Place] = {}
        self.talkers: dict[tuple[str, int], Place] = {}
        self.other_talkers = 0
        self.clocked, self.unclocked = TimeColumns(), TimeColumns()
        self.days = DayHours()
        self.runs = self.steps = 0
        self.missing: dict[str, Missing] = {}
        self.gaps: list[Gap] = []
        self.steps_s: list[float] = []
        self._first: dict[bool, Span] = {}  # by whether there is a clock
        self._latest: dict[bool, Span] = {}
        self._run: tuple[str, str] | None = None
        self._running = Intervals()  # from the begin to the end of each run, by the clock
        self._extent: Interval | None = None  # of the one under way

    @property
    def has_clock(self) -> bool:
        """Whether times are by a clock."""
        return bool(self.clocked.columns)

    @property
    def columns(self) -> TimeColumns:
        """Azimuths over time: by the clock, where any line has one."""
        return self.clocked if self.has_clock else self.unclocked

    @property
    def first(self) -> Span:
        """The earliest span of those times, without its numbers. Raises KeyError: there is none."""
        return self._first[self.has_clock]

    @property
    def latest(self) -> Span:
        """The one that ends last."""
        return self._latest[self.has_clock]

    def add(self, span: Span) -> None:
        """Add a span."""
        clock = span.offset_s is not None
        self._note_run(span)
        self.heard_s += span.heard_s
        self.voice_s += span.voice_s
        for many, seconds in span.counts.items():
            self.counts[min(max(many, 0), MOST_COUNTED)] += seconds
        for sector, seconds in span.sectors.items():
            self.sectors[sector % SECTORS] += seconds
        for name, place in span.zones.items():
            if len(self.zones) >= MOST_PLACES and name not in self.zones:
                name = OTHERS
            self.zones.setdefault(name, Place()).add(place)
        self._add_talkers(span)
        for reason, seconds in span.missing.items():
            self._miss(Gap(seconds, span.end, span.offset_s, reason))
        self.steps += len(span.steps_s)
        self.steps_s = [*self.steps_s, *span.steps_s][-MOST_GAPS:]
        if span.heard_s:
            (self.clocked if clock else self.unclocked).add(span)
        if clock:
            self.days.add(span)
        else:
            self.untimed_s += span.heard_s

    def finish(self) -> None:
        """Count what lies between runs, in whatever order they came, as missing."""
        self._end_run()
        for pause in self._running.pauses():
            self._miss_pause(pause)
        self._running = Intervals()

    def offset_at(self, moment: float) -> float:
        """What local time is ahead of UTC at a moment by the clock [seconds]."""
        number = int(moment // self.clocked.width_s)
        for place in (number, number - 1):  # the end of a span may lie beyond its column
            if (column := self.clocked.columns.get(place)) is not None:
                return column.offset_s
        return self.first.offset_s or 0.0

    def _note_run(self, span: Span) -> None:
        """Count runs, and keep from when to when each was."""
        clock = span.offset_s is not None
        latest = self._latest.get(clock)
        if (span.run, span.file) != self._run:
            self._end_run()
            self._run = span.run, span.file
            self.runs += 1
        if span.offset_s is not None:
            known = self._extent or Interval(span.begin, span.end)
            begin, end = min(known.begin, span.begin), max(known.end, span.end)
            self._extent = Interval(begin, end, span.offset_s)
        mark = replace(span, sectors={}, zones={}, talkers={}, counts={}, missing={}, steps_s=[])
        if clock not in self._first or span.begin < self._first[clock].begin:
            self._first[clock] = mark
        if latest is None or span.end > latest.end:
            self._latest[clock] = mark

    def _end_run(self) -> None:
        if self._extent is not None and (pause := self._running.add(self._extent)) is not None:
            self._miss_pause(pause)
        self._extent = None

    def _miss_pause(self, pause: Interval) -> None:
        self._miss(Gap(pause.end - pause.begin, pause.begin, pause.offset_s, NOT_RUNNING))

    def _add_talkers(self, span: Span) -> None:
        for number, place in span.talkers.items():
            key = span.run, number
            if key not in self.talkers and len(self.talkers) >= MOST_PLACES:
                self._forget_shortest(span)
            self.talkers.setdefault(key, Place()).add(place)

    def _forget_shortest(self, span: Span) -> None:
        """Forget whoever was heard shortest, and not just now."""
        silent = [key for key, one in self.talkers.items() if one.end < span.begin] or [
            *self.talkers
        ]
        shortest = min(silent, key=lambda key: self.talkers[key].seconds)
        self.other_talkers += self.talkers.pop(shortest).confirmed

    def _miss(self, gap: Gap) -> None:
        known = gap.reason in self.missing or len(self.missing) < MOST_REASONS
        missing = self.missing.setdefault(gap.reason if known else OTHERS, Missing())
        missing.times += 1
        missing.seconds += gap.seconds
        longest = sorted([*self.gaps, gap], reverse=True, key=lambda one: one.seconds)[:MOST_GAPS]
        self.gaps = sorted(longest, key=lambda one: one.begin)
