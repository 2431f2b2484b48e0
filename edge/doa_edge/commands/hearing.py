"""What `doa_edge run` does with its input, or with one recording after the other."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from doa_core.errors import (
    InputError,
    PackageError,
    Terminated,
    as_input_errors,
    say,
    visible_lines,
)
from doa_core.files import printable, say_written
from doa_edge.options.command import EXIT_FAILED, EXIT_MISUSE, peak_memory_kib
from doa_edge.options.input import source_settings

if TYPE_CHECKING:
    from doa_core.process.signals import Signals
    from doa_edge.engine import DirectionEngine
    from doa_edge.following import Follower
    from doa_edge.input.stream import Source, StreamItem
    from doa_edge.sinks.hub import Hub
    from doa_edge.sinks.notify import Notifier
    from doa_edge.sinks.stages import Stage
    from doa_edge.sinks.view import TerminalView
    from doa_edge.tflite.network import TfliteModel


class Hearing:
    """An engine, the outputs of a run, and what follows a source through them.

    Attributes:
        options: of `doa_edge run`.
        engine: that estimates.
        failed: whether an output was given up that the run does not depend on.
        load_seconds: until the input could be heard [seconds].

    Args:
        options: of `doa_edge run`.
        signals: held while something is written.
        engine: that estimates.
        model: of the engine.
        notifier: of the service manager.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        signals: Signals,
        engine: DirectionEngine,
        model: TfliteModel,
        notifier: Notifier,
    ) -> None:
        from doa_edge.following import RecordingName
        from doa_edge.wall_clock.clock import WallClock

        self.options = options
        self.engine = engine
        self.failed = False
        self.load_seconds = 0.0
        self._model = model
        self._signals = signals
        self._notifier = notifier
        self._clock = WallClock(options.zone)
        self._name = RecordingName()
        self._hub: Hub
        self._view: TerminalView | None = None
        self._follower: Follower

    @contextmanager
    def outputs(self, source: Source | None) -> Iterator[None]:
        """All sinks, and the picture on the terminal where nothing is printed to it.

        Args:
            source: whose pace they keep; None of several recordings.
        """
        from doa_edge.options.command import installed_version
        from doa_edge.sinks.network.home_assistant import asked_discovery
        from doa_edge.sinks.outputs import open_outputs, prints_lines
        from doa_edge.sinks.stages import message_stages
        from doa_edge.tflite.network import default_model_path

        features, options = self.engine.spec.features, self.options
        model = options.model or default_model_path()
        discovery = asked_discovery(
            options, talkers=self.engine.talkers, model=model.stem, version=installed_version()
        )
        clock = self._clock
        stages: list[Stage] = [clock.steps, *message_stages(options), clock.stamp, self._name]
        with ExitStack() as stack:
            self._hub = stack.enter_context(
                open_outputs(
                    options,
                    pace=None if source is None else source.pace,
                    paced=bool(options.realtime) or (source is not None and source.live),
                    hop_seconds=features.hop / features.sample_rate,
                    window_seconds=features.samples / features.sample_rate,
                    signals=self._signals,
                    stages=stages,
                    discovery=discovery,
                )
            )
            if not options.summary and not prints_lines(options):
                from doa_edge.sinks.view import TerminalView

                self._view = stack.enter_context(TerminalView(source.name if source else ""))
            stack.callback(self._notifier.stopping)
            yield

    def hear(self, source: Source, *, file: str | None = None) -> None:
        """Follow a source to its end, or to that of the run.

        Args:
            source: to open and to close.
            file: its name, where a run has several.

        Raises:
            InputError: it cannot be heard, or not to its end.
            KeyboardInterrupt, Terminated: a signal to end; everything so far is written.
        """
        from doa_edge.following import Follower
        from doa_edge.input.audio import FileSource
        from doa_edge.input.containers.broadcast import contradiction
        from doa_edge.input.recordings import reading
        from doa_edge.sinks.listen import open_listening

        began = time.perf_counter()
        options, engine, notifier = self.options, self.engine, self._notifier
        self._name.file = file
        self._hub.restart()
        self._clock.begin(source)
        if isinstance(source, FileSource):
            sentence = contradiction(source.broadcast, source.sample_rate)
            if sentence is not None:
                say(f"doa_edge: {source.name}: {sentence}")
        if self._view:
            self._view.title = source.name
        with ExitStack() as stack:
            listen = stack.enter_context(
                open_listening(
                    options,
                    engine.listener(),
                    pace=source.pace,
                    signals=self._signals,
                    clock=self._clock.at,
                    file=file,
                )
            )
            follower = Follower(options, engine, self._hub, self._view, notifier, self._clock)
            self._follower = follower
            follower.listening, follower.file = listen, file
            stopped: BaseException | None = None
            try:
                stack.enter_context(source)
                notifier.ready(f"listening to {source.name}")
                items: Iterable[StreamItem] = source if file is None else reading(source)
                follower.follow(self._watched(items, source))
            except (KeyboardInterrupt, Terminated) as stop:
                stopped = stop
            finished = time.perf_counter()
            follower.finish(source)
            if options.verbose and engine.samples:
                self._report(finished - began)
            if stopped is not None:
                raise stopped
            engine.finish()
        self.failed |= bool(listen and listen.sink.failed)

    def plot(self, source: Source) -> None:
        """Draw what was heard of a source."""
        from doa_edge.sinks.plot import plot_track

        follower, path, engine = self._follower, self.options.plot, self.engine
        plot_track(
            path,
            follower.track,
            follower.average.outputs,
            spec=engine.spec,
            answer=follower.average.direction(method=engine.method),
            title=source.name,
        )
        say_written("doa_edge", path)

    def _watched(self, items: Iterable[StreamItem], source: Source) -> Iterator[StreamItem]:
        """The items; says once if their sound is of another format than it is read in."""
        from doa_edge.input.format_evidence import watch_format

        def contrary(sentence: str) -> None:
            text = f"{source.name}: {sentence}; `doa_edge doctor` looks closer"
            self._follower.say(text)

        return watch_format(
            items,
            source_settings(self.options)["input_format"],
            contrary,
            sample_rate=self.engine.spec.features.sample_rate,
            declared=lambda: source.declared,
        )

    def _report(self, run_seconds: float) -> None:
        """Time per stage, real-time factor and memory, on standard error."""
        engine, model = self.engine, self._model
        duration = engine.samples / engine.spec.features.sample_rate
        stages = {"read and resample": self._follower.read_seconds, **engine.seconds}
        quantization = model.spec.quantization
        lines = [
            f"model              {model.spec.head}, {quantization}, run by {model.runtime}",
            f"loading            {self.load_seconds:.3f} s",
            *(
                f"{name:18} {seconds:.3f} s, {1e3 * seconds / duration:.2f} ms per second of sound"
                for name, seconds in stages.items()
            ),
            f"all                {run_seconds:.3f} s for {duration:.3f} s of sound",
            f"real-time factor   {run_seconds / duration:.4f} "
            f"({duration / run_seconds:.0f} times faster than real time)",
            f"peak memory        {peak_memory_kib() / 1024:.0f} MB",
        ]
        sys.stderr.write(visible_lines("\n".join(lines) + "\n"))


def hear_all(hearing: Hearing) -> int:
    """Hear several recordings, and go on where one cannot be heard; returns the exit status.

    Raises:
        InputError: none of them can be heard.
        OSError: an output fails that the run depends on.
        KeyboardInterrupt, Terminated: a signal to end; everything so far is written.
    """
    from doa_edge.input.recordings import UnreadableError, in_order
    from doa_edge.input.sources import open_source

    options, engine = hearing.options, hearing.engine
    refusals = _Refusals(options)

    def open_one(path: str) -> Source:
        rate = engine.spec.features.sample_rate
        try:
            with as_input_errors():
                return open_source(**source_settings(options, path), model_rate=rate)
        except OSError as error:
            raise UnreadableError(str(error)) from error

    paths = in_order(options.inputs, open_one, refusals.of)
    heard = 0
    with ExitStack() as outputs:
        if paths:
            outputs.enter_context(hearing.outputs(None))
        for path in paths:
            engine.reset(ids_go_on=True)
            with refusals.of(path):
                hearing.hear(open_one(path), file=printable(path))
                heard += 1
        if not heard:
            raise InputError(
                "One recording at least must be heard; standard error says why each is not. "
                f"Received: {len(options.inputs)} recordings"
            )
    return refusals.status or (EXIT_FAILED if hearing.failed else 0)


class _Refusals:
    """Says why a recording cannot be heard, and lets the run go on.

    Attributes:
        status: of the whole run: 2 after bad input, else 1 after another failure, else 0.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.status = 0
        self._options = options

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Take the errors of a recording."""
        from doa_edge.input.recordings import UnreadableError

        try:
            yield
        except (InputError, PackageError) as error:
            known = isinstance(error, InputError)
            text = error.with_advice(self._options) if isinstance(error, InputError) else str(error)
            say(f"doa_edge: {text}" if path in text else f"doa_edge: {path}: {text}")
            bad = known and not isinstance(error, UnreadableError)
            self.status = max(self.status, EXIT_MISUSE if bad else EXIT_FAILED)
