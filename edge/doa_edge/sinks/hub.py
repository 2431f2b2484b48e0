"""All sinks of a run: one message in, each sink's own pace out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from doa_edge.sinks.sink import Message, Sink

if TYPE_CHECKING:
    from doa_edge.signals import Signals

REPORT_SECONDS = 10.0  # of stream time between two reports of what was dropped


class Hub:
    """Gives every message to every sink, and tells what they dropped.

    Every ten seconds of the stream in which a sink lost messages there is an event
    `{"time_s", "event": "dropped", "output", "messages"}`; at the end a line on standard error.

    Args:
        sinks: already open; the hub closes them.
        signals: what must not interrupt a line.
    """

    def __init__(self, sinks: Sequence[Sink], *, signals: Signals | None = None) -> None:
        self._sinks = list(sinks)
        self._signals = signals
        self._reported = {sink.name: 0 for sink in sinks}
        self._next_report = REPORT_SECONDS

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self.close()
        except OSError:
            if error is None:
                raise

    def send(self, message: Message) -> None:
        """Give a message to every sink.

        Raises:
            OSError: a sink that the run cannot do without has failed.
        """
        with self._whole():
            for sink in self._sinks:
                sink.send(message)
            if message["time_s"] >= self._next_report:
                self._next_report = message["time_s"] + REPORT_SECONDS
                for event in self._news(message["time_s"]):
                    for sink in self._sinks:
                        sink.send(event)

    def close(self) -> None:
        """Close every sink, whatever the others do; then raise what the first one raised."""
        errors = []
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as error:
                errors.append(error)
            if sink.dropped:
                sys.stderr.write(f"doa_edge: --{sink.name} missed {sink.dropped} messages\n")
        self._sinks = []
        if errors:
            raise errors[0]

    def _whole(self) -> AbstractContextManager[None]:
        return nullcontext() if self._signals is None else self._signals.held()

    def _news(self, time_s: float) -> list[Message]:
        events = []
        for sink in self._sinks:
            new = sink.dropped - self._reported[sink.name]
            self._reported[sink.name] += new
            if new:
                events.append(
                    {"time_s": time_s, "event": "dropped", "output": sink.name, "messages": new}
                )
        return events
