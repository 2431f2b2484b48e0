"""What a run does with a source: its items through the engine, estimates and events to outputs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from doa_core.errors import say

if TYPE_CHECKING:
    from doa_edge.engine import DirectionEngine
    from doa_edge.estimate import Estimate
    from doa_edge.input.stream import Gap, Source, StreamItem
    from doa_edge.recording import OutputAverage, TalkerTally
    from doa_edge.sinks.hub import Hub
    from doa_edge.sinks.listen import Listening
    from doa_edge.sinks.notify import Notifier
    from doa_edge.sinks.view import TerminalView
    from doa_edge.wall_clock.clock import WallClock


class RecordingName:
    """A stage that says of which recording a message is, where a run has several.

    Attributes:
        file: the recording's name; None where there is one.
    """

    def __init__(self) -> None:
        self.file: str | None = None

    def __call__(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The message with its `file`."""
        yield message if self.file is None else {**message, "file": self.file}


class Follower:
    """Runs a source through the engine, and passes estimates and events to sinks and view.

    Attributes:
        average: outputs of the active windows, if the options need them.
        tally: who talked for how long, if the options need it.
        track: estimates for a picture, if the options ask for one.
        listening: takes each estimate with its sound, if an option asks for that.
        file: name of the recording, where a run has several.
        read_seconds: time spent on waiting for sound, reading and resampling [seconds].
    """

    def __init__(
        self,
        options: argparse.Namespace,
        engine: DirectionEngine,
        hub: Hub,
        view: TerminalView | None,
        notifier: Notifier,
        clock: WallClock,
    ) -> None:
        from doa_edge.recording import OutputAverage, TalkerTally

        features = engine.spec.features
        step_s = engine.settings.every * features.hop / features.sample_rate
        self.average: OutputAverage = OutputAverage(engine.spec)
        self.tally: TalkerTally = TalkerTally(step_s=step_s)
        self.track: list[Estimate] = []
        self.listening: Listening | None = None
        self.file: str | None = None
        self.read_seconds = 0.0
        self._options = options
        self._engine = engine
        self._rate = engine.spec.features.sample_rate
        self._hub = hub
        self._view = view
        self._notifier = notifier
        self._clock = clock
        self._kept: list[str] = []

    def follow(self, items: Iterator[StreamItem]) -> None:
        """Process the blocks and gaps of a source until it ends."""
        from doa_edge.input.stream import Gap

        began = asked = time.perf_counter()
        for item in items:
            self.read_seconds += time.perf_counter() - asked
            self._notifier.alive()
            if isinstance(item, Gap):
                self._engine.skip(item)
                self._tell(item)
            else:
                end_s = (self._engine.samples + len(item)) / self._rate
                self._clock.observe(end_s, new=len(item) > 0)
                for estimate in self._engine.push(item):
                    if self._options.realtime:
                        time.sleep(max(0.0, began + estimate.time_s - time.perf_counter()))
                    self._show(estimate)
            asked = time.perf_counter()
        self._hub.drain()

    def say(self, text: str) -> None:
        """Tell people: at once, or at the end where a picture is drawn on the terminal."""
        if self._view:
            self._kept.append(text)
        else:
            say(f"doa_edge: {text}")

    def finish(self, source: Source) -> None:
        """Print the summary, what was kept, and counts of what was lost."""
        for text in self._kept:
            say(f"doa_edge: {text}")
        if self._options.summary and self.average.windows:
            from doa_edge.recording import summary_dict
            from doa_edge.sinks.sink import json_line

            duration_s = self._engine.samples / self._rate
            method = self._engine.method
            summary = summary_dict(
                self.average, method=method, duration_s=duration_s, tally=self.tally
            )
            if self.file is not None:
                summary["file"] = self.file
            sys.stdout.write(json_line(summary))
            sys.stdout.flush()
        if self._engine.left_out:
            say(
                f"doa_edge: {source.name}: more voices at once than --talkers "
                f"{self._engine.talkers}: estimates that left one out: {self._engine.left_out}"
            )
        lost = {name: count for name, count in source.statistics().items() if count}
        if lost:
            told = ", ".join(f"{name} {count:g}" for name, count in lost.items())
            say(f"doa_edge: {source.name}: {told}")

    def _show(self, estimate: Estimate) -> None:
        from dataclasses import replace

        # First what the end is made of: a signal may come as soon as the line is written.
        if self._engine.settings.keep_outputs:
            self.average.add(estimate)
            self.tally.add(estimate)
        if self._options.plot:
            self.track.append(replace(estimate, outputs=None, audio=None))
        self._hub.send(estimate.to_dict())
        if self.listening:
            self.listening.send(estimate)
        if self._view:
            self._view.update(estimate, clock=self._clock.at(estimate.time_s))

    def _tell(self, gap: Gap) -> None:
        """Send an event to every sink, and tell people."""
        from doa_edge.estimate import rounded_time

        event: dict[str, Any] = {
            "time_s": rounded_time(self._engine.samples / self._rate),
            "event": "gap",
            "reason": gap.reason,
            "lost_s": rounded_time(gap.samples / self._rate),
        }
        if gap.detail:
            event["detail"] = gap.detail
        self._hub.send(event)
        text = f"{gap.reason}, {event['lost_s']:.3f} s missing: {gap.detail or 'no detail'}"
        self._notifier.status(text)
        if not self._view:
            say(f"doa_edge: {text}")
