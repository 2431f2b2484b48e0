"""`doa_edge run`: sound in, directions out, until it ends or somebody ends it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, Terminated, as_input_errors, visible_lines
from doa_core.files import say_written
from doa_core.process.signals import Signals
from doa_edge.options.command import add_options, in_frames, installed_version, peak_memory_kib
from doa_edge.options.common import add_directions, add_network_outputs, add_outputs
from doa_edge.options.input import add_input_arguments, source_settings
from doa_edge.options.streams import drop_talk_while
from doa_edge.sinks.network.address import microphone_name

if TYPE_CHECKING:
    from doa_core.spec import FeatureSpec
    from doa_edge.engine import DirectionEngine, EngineSettings
    from doa_edge.input.stream import Source, StreamItem
    from doa_edge.sinks.hub import Hub
    from doa_edge.sinks.view import TerminalView
    from doa_edge.tflite.network import TfliteModel


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of `doa_edge`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="directions of a recording, a pipe or a microphone",
        description="Print the direction of the voice, one JSON object per window.",
        epilog="On a terminal the directions are drawn instead; --json prints them there, too.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    add_input_arguments(parser)
    texts = {
        "--realtime": "process a recording at its own speed, as if it were live",
        "--name NAME": "of this microphone, in every message and at the end of the default topic "
        "and prefix of MQTT and OSC: letters, digits and hyphens, as in a host name",
    }
    add_options(parser, texts, {"--name": microphone_name})
    add_directions(parser.add_argument_group("directions"))
    add_outputs(parser.add_argument_group("outputs, several at once"))
    add_network_outputs(parser.add_argument_group("outputs to other programs"))
    text = "options from a file: their names without dashes are its keys; the command line wins"
    add_options(parser, {"--config FILE.toml": text}, {"FILE.toml": Path})
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the directions of the input; returns the exit status.

    Raises:
        InputError, MissingPackageError, OSError: like the parts that it combines.
        KeyboardInterrupt, Terminated: a signal to end; everything so far is written.
    """
    with Signals() as signals:
        try:
            return _run(options, signals)
        except ImportError as error:
            # Packages raise this when they are interrupted while they are imported.
            if (stop := signals.received) is not None:
                raise stop from error
            raise


def _run(options: argparse.Namespace, signals: Signals) -> int:
    started = time.perf_counter()
    from doa_edge.engine import DirectionEngine
    from doa_edge.following import Follower
    from doa_edge.input.sources import open_source
    from doa_edge.sinks.listen import open_listening
    from doa_edge.sinks.notify import Notifier
    from doa_edge.sinks.outputs import check_files
    from doa_edge.tflite.network import TfliteModel, default_model_path

    model_path = options.model or default_model_path()
    check_files(options, model_path)
    if options.plot and options.input is None:
        raise InputError("--plot is for recordings and pipes: a device has no end")
    if options.dcase and options.input is None:
        raise InputError("--dcase is for recordings and pipes: a device has no end")
    with ExitStack() as stack:
        notifier = Notifier()
        stack.callback(notifier.close)
        with _quiet_runtime():
            model = TfliteModel(model_path, threads=options.threads)
        with as_input_errors():
            engine = DirectionEngine(model, _engine_settings(options, model.spec.features))
            source = open_source(
                **source_settings(options), model_rate=model.spec.features.sample_rate
            )
        if (pace := source.pace) is not None:
            drop_talk_while(lambda: not pace.faster)
        _tell_of_one_voice(options, engine)
        if options.realtime and source.live:
            raise InputError("--realtime is for recordings: a device or a pipe has its own pace")
        ready = time.perf_counter()
        listening = open_listening(options, engine.listener(), pace=source.pace, signals=signals)
        listen = stack.enter_context(listening)
        hub, view = stack.enter_context(_sinks(options, engine, source, signals))
        follower = Follower(options, engine, hub, view, notifier)
        follower.listening = listen
        stack.callback(notifier.stopping)
        stopped: BaseException | None = None
        try:
            stack.enter_context(source)
            notifier.ready(f"listening to {source.name}")
            follower.follow(_watched(source, options, engine, follower.say))
        except (KeyboardInterrupt, Terminated) as stop:
            stopped = stop
        finished = time.perf_counter()
        follower.finish(source)
        if options.verbose and engine.samples:
            _report(engine, model, follower.read_seconds, ready - started, finished - ready)
        if stopped is not None:
            raise stopped
        engine.finish()
    if options.plot:
        from doa_edge.sinks.plot import plot_track

        path, track, outputs = options.plot, follower.track, follower.average.outputs
        plot_track(path, track, outputs, spec=model.spec, method=engine.method, title=source.name)
        say_written("doa_edge", path)
    return 1 if listen and listen.sink.failed else 0


def _engine_settings(options: argparse.Namespace, features: FeatureSpec) -> EngineSettings:
    """The settings that the options of `run` ask for; the engine's own where they are silent.

    Args:
        options: of the command.
        features: of the model, whose frames they count.

    Raises:
        ValueError: a value out of range.
    """
    from doa_edge.engine import EngineSettings

    hop_s = features.hop / features.sample_rate
    spans = {"every": options.every, "average": options.average}
    frames = {name: in_frames(span, hop_s) for name, span in spans.items() if span is not None}
    asked = {
        **frames,
        "talkers": options.talkers,
        "method": options.decode,
        "gate_dbfs": options.gate,
        "margin_db": options.margin,
        "min_confidence": options.confidence,
        "smooth_s": options.smooth,
        "lead_s": options.lead,
    }
    return EngineSettings(
        **{name: value for name, value in asked.items() if value is not None},
        keep_outputs=bool(options.summary or options.plot),
        keep_audio=options.listen is not None,
    )


def _tell_of_one_voice(options: argparse.Namespace, engine: DirectionEngine) -> None:
    """Say so where more voices were asked for than the model knows."""
    if (options.talkers or 1) > engine.talkers:
        sys.stderr.write(
            f"doa_edge: the model knows one voice: it runs as without --talkers {options.talkers}\n"
        )


@contextmanager
def _sinks(
    options: argparse.Namespace, engine: DirectionEngine, source: Source, signals: Signals
) -> Iterator[tuple[Hub, TerminalView | None]]:
    """All sinks, and the picture on the terminal where nothing is printed to it."""
    from doa_edge.sinks.network.home_assistant import asked_discovery
    from doa_edge.sinks.outputs import open_outputs, prints_lines
    from doa_edge.sinks.stages import message_stages
    from doa_edge.tflite.network import default_model_path

    features = engine.spec.features
    model = options.model or default_model_path()
    discovery = asked_discovery(
        options, talkers=engine.talkers, model=model.stem, version=installed_version()
    )
    with ExitStack() as stack:
        hub = stack.enter_context(
            open_outputs(
                options,
                pace=source.pace,
                paced=source.live or bool(options.realtime),
                hop_seconds=features.hop / features.sample_rate,
                window_seconds=features.samples / features.sample_rate,
                signals=signals,
                stages=message_stages(options),
                discovery=discovery,
            )
        )
        view: TerminalView | None = None
        if not options.summary and not prints_lines(options):
            from doa_edge.sinks.view import TerminalView

            view = stack.enter_context(TerminalView(source.name))
        yield hub, view


def _watched(
    source: Source,
    options: argparse.Namespace,
    engine: DirectionEngine,
    say: Callable[[str], None],
) -> Iterator[StreamItem]:
    """The items of a source; says once if its sound is of another format than it is read in."""
    from doa_edge.input.format_evidence import watch_format

    input_format = source_settings(options)["input_format"]

    def contrary(sentence: str) -> None:
        say(f"{source.name}: {sentence}; `doa_edge doctor` looks closer")

    return watch_format(
        source,
        input_format,
        contrary,
        sample_rate=engine.spec.features.sample_rate,
        declared=lambda: source.declared,
    )


def _report(
    engine: DirectionEngine,
    model: TfliteModel,
    read_seconds: float,
    load_seconds: float,
    run_seconds: float,
) -> None:
    """Time per stage, real-time factor and memory, on standard error."""
    duration = engine.samples / engine.spec.features.sample_rate
    stages = {"read and resample": read_seconds, **engine.seconds}
    lines = [
        f"model              {model.spec.head}, {model.spec.quantization}, run by {model.runtime}",
        f"loading            {load_seconds:.3f} s",
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


@contextmanager
def _quiet_runtime() -> Iterator[None]:
    """Drop the INFO lines that a runtime writes to descriptor 2, past Python.

    Its other lines are passed on, unless it raises: then the exception has the reason.
    """
    import tempfile

    from doa_edge.input.live.portaudio import stderr_to

    with ExitStack() as stack:
        try:
            said = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # nowhere to keep it
            yield
            return
        with stderr_to(said):
            yield
        said.seek(0)
        for line in said:
            if not line.startswith(b"INFO:"):
                os.write(2, visible_lines(line.decode(errors="backslashreplace")).encode())
