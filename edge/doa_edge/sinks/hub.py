"""All sinks of a run: every message goes to each of them, at its own pace."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from doa_edge.sinks.sink import Message, Queued, Sink
from doa_edge.sinks.stages import Stage, passed

if TYPE_CHECKING:
    from doa_core.process.signals import Signals

REPORT_SECONDS = 10.0  # of stream time between two reports of what was dropped


class Hub:
    """Sends every message to every sink, and reports what they dropped.

    For every ten seconds of the stream in which a sink dropped messages it sends an event
    `{"time_s", "event": "dropped", "output", "messages"}`; at the end it writes a line to standard
    error.

    Args:
        sinks: already open; the hub closes them.
        signals: held while a message is sent, so that no line is interrupted.
        stages: that every message passes before it is sent, the hub's own events as well.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        signals: Signals | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        self._sinks = list(sinks)
        self._stages = stages
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

    def restart(self) -> None:
        """Another recording begins, of which no stage knows anything yet."""
        for stage in self._stages:
            if forget := getattr(stage, "restart", None):
                forget()

    def send(self, message: Message) -> None:
        """Send a message to every sink.

        Raises:
            OSError: a sink that the run depends on has failed.
        """
        with nullcontext() if self._signals is None else self._signals.held():
            self._send(message)
            restarted = message["time_s"] + REPORT_SECONDS < self._next_report  # another recording
            if restarted or message["time_s"] >= self._next_report:
                self._next_report = message["time_s"] + REPORT_SECONDS
                for event in self._news(message["time_s"]):
                    self._send(event)

    def drain(self) -> None:
        """Wait for every sink that the sound can wait for, so that nothing is lost at its end.

        Raises:
            OSError: a sink that the run depends on has failed.
        """
        with nullcontext() if self._signals is None else self._signals.held():
            for sink in self._sinks:
                if isinstance(sink, Queued):
                    sink.drain()

    def close(self) -> None:
        """Close every sink even if others fail; then raise the first error."""
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

    def _send(self, message: Message) -> None:
        for changed in passed(message, self._stages):
            for sink in self._sinks:
                sink.send(changed)

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
