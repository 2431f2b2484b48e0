"""A report under way: messages of any number of microphones become their histories."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo

from doa_edge.report.counting import SpanCounter
from doa_edge.report.history import History
from doa_edge.report.messages import Happened, Heard
from doa_edge.report.repeats import Repeats
from doa_edge.report.span import Span

MOST_MICROPHONES = 8  # that are told apart; further ones are one
OTHERS = "others"
_MOST_COUNTERS = 256
_WIDTH_S = 1.0  # of the spans: columns of a short recording are as narrow


class Report:
    """Counts messages and lines of daily logs, each microphone's on its own.

    Attributes:
        histories: by the name of the microphone, "" where lines have none.

    Args:
        zone: whose local time is told; that of the lines if None.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self.histories: dict[str, History] = {}
        self._zone = zone
        self._counters: dict[str, SpanCounter] = {}
        self._repeats = Repeats()

    @property
    def heard_s(self) -> float:
        """What was heard of all [seconds]."""
        return sum(history.heard_s for history in self.histories.values())

    def add(self, message: Heard | Happened, source: str = "") -> None:
        """Count a message.

        Args:
            message: of a run.
            source: the microphone, where the message names none.

        Raises:
            ValueError: its `time` is none.
        """
        name = message.name or source
        if name not in self._counters and len(self._counters) >= _MOST_COUNTERS:
            name = OTHERS
        if name not in self._counters:
            known = "" if name == OTHERS else message.name
            self._counters[name] = SpanCounter(_WIDTH_S, self._zone, name=known)
        self._take(name, self._counters[name].add(message), source)

    def add_span(self, span: Span, source: str = "") -> None:
        """Count a line of a daily log."""
        self._take(span.name or source, [span], source)

    def next_output(self, *, same_time: bool) -> None:
        """What follows is of another output.

        Args:
            same_time: whether any two outputs are of the same time, so that no run goes on from one
                to the next.
        """
        if same_time:
            self._finish_counters()
        self._repeats.next_output()

    def finish(self) -> None:
        """Count what waits for a next message, and what lies between runs."""
        self._finish_counters()
        for history in self.histories.values():
            history.finish()

    def _finish_counters(self) -> None:
        for name, counter in self._counters.items():
            self._take(name, counter.finish(), name)

    def _take(self, name: str, spans: Iterable[Span], source: str) -> None:
        for span in spans:
            repeated = self._repeats.is_one(span, source)
            if name not in self.histories and len(self.histories) >= MOST_MICROPHONES:
                name = OTHERS
            history = self.histories.setdefault(name, History())
            if repeated:
                history.repeated_s += span.heard_s
            else:
                history.add(span)
