"""What is told twice is counted once: lines and log of one run, a recording that was run twice."""

from __future__ import annotations

import math

from doa_edge.report.intervals import Interval, Intervals
from doa_edge.report.span import Span

_SAME_S = 1.0  # between the beginnings of one run, told twice
_MOST_KEYS = 256  # microphones, and runs of those without a name, that are known again


class _Telling:
    """One after the other, the spans that an output holds of a run."""

    def __init__(self, first: Span) -> None:
        self.run, self.begin = first.run, first.begin
        self.latest = -math.inf
        self.heard = Intervals()

    def goes_on(self, span: Span) -> bool:
        """Whether a span is a further one, and not the first of the same run told again."""
        again = span.begin <= self.latest and abs(span.begin - self.begin) < _SAME_S
        return span.run == self.run and not again


class Repeats:
    """Knows which spans of a microphone tell of a time that was told before.

    A microphone with a name is one: whatever another output, or another run, tells of the same
    time is the same sound. Without a name only the same run can be known again. A clock that is set
    back within a run repeats nothing.
    """

    def __init__(self) -> None:
        self._told: dict[str, Intervals] = {}
        self._telling: dict[str, _Telling] = {}

    def is_one(self, span: Span, source: str) -> bool:
        """Whether a span, by a clock, was told before by another output or run.

        Args:
            span: the next one, in the order of the output.
            source: what the output is known by, where the span has no name.
        """
        if span.offset_s is None:
            return False
        key = span.name or f"{source}\n{span.run}"
        telling = self._telling.get(key)
        if telling is None or not telling.goes_on(span):
            self._close(key)
            telling = self._telling[key] = _Telling(span)
        telling.latest = span.begin
        told = self._told.get(key)
        if told is not None and told.holds(span.middle):
            return True
        telling.heard.add(Interval(span.begin, span.end))
        return False

    def next_output(self) -> None:
        """What follows is of another output."""
        for key in [*self._telling]:
            self._close(key)

    def _close(self, key: str) -> None:
        """From now on what this telling has told is known."""
        telling = self._telling.pop(key, None)
        if telling is not None:
            told = self._told.pop(key, None) or Intervals()
            self._told[key] = told
            if len(self._told) > _MOST_KEYS:
                del self._told[next(iter(self._told))]
            for interval in telling.heard.joined:
                told.add(interval)
