"""`doa_edge run`: sound in, directions out, until it ends or somebody ends it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_input_errors, visible_lines
from doa_core.files import existing_path
from doa_core.process.signals import Signals
from doa_edge.options.command import add_options, in_frames
from doa_edge.options.common import add_directions, add_network_outputs, add_outputs
from doa_edge.options.input import add_input_arguments, source_settings
from doa_edge.options.streams import drop_talk_while
from doa_edge.sinks.network.address import microphone_name

if TYPE_CHECKING:
    from doa_core.spec import FeatureSpec
    from doa_edge.engine import DirectionEngine, EngineSettings


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of `doa_edge`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="directions of a recording, a pipe or a microphone",
        description="Print the directions of voices, one JSON object per window.",
        epilog="On a terminal the directions are drawn instead; --json prints them there, too.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    add_input_arguments(parser, several="of several recordings each line has its `file`")
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
    from doa_edge.commands.hearing import Hearing, hear_all
    from doa_edge.engine import DirectionEngine
    from doa_edge.input.sources import open_source
    from doa_edge.sinks.notify import Notifier
    from doa_edge.sinks.outputs import check_files
    from doa_edge.tflite.network import TfliteModel, default_model_path

    model_path = options.model or default_model_path()
    check_files(options, model_path)
    _check_inputs(options)
    with ExitStack() as stack:
        notifier = Notifier()
        stack.callback(notifier.close)
        with _quiet_runtime():
            model = TfliteModel(model_path, threads=options.threads)
        rate = model.spec.features.sample_rate
        with as_input_errors():
            engine = DirectionEngine(model, _engine_settings(options, model.spec.features))
        hearing = Hearing(options, signals, engine, model, notifier)
        if len(options.inputs) > 1:
            hearing.load_seconds = time.perf_counter() - started
            _tell_of_one_voice(options, engine)
            return hear_all(hearing)
        with as_input_errors():
            source = open_source(**source_settings(options), model_rate=rate)
        if (pace := source.pace) is not None:
            drop_talk_while(lambda: not pace.faster)
        _tell_of_one_voice(options, engine)
        if options.realtime and source.live:
            raise InputError("--realtime is for recordings: a device or a pipe has its own pace")
        hearing.load_seconds = time.perf_counter() - started
        with hearing.outputs(source):
            hearing.hear(source)
    if options.plot:
        hearing.plot(source)
    return 1 if hearing.failed else 0


def _check_inputs(options: argparse.Namespace) -> None:
    """Refuse what goes with one recording only, or with none at all.

    Raises:
        InputError: a picture or frames of a device or of several recordings; several inputs of
            which one is no file.
    """
    for name in ("plot", "dcase"):
        if not getattr(options, name):
            continue
        if options.input is None:
            raise InputError(f"--{name} is for recordings and pipes: a device has no end")
        if len(options.inputs) > 1:
            raise InputError(
                f"--{name} is of one recording: call doa_edge once for each. Received: "
                f"{len(options.inputs)} recordings"
            )
    if len(options.inputs) > 1:
        for path in options.inputs:
            if _is_pipe(path):
                raise InputError(f"Several inputs must be recordings. Received a pipe: {path}")
        if options.device is not None:
            raise InputError(
                f"--input and --device exclude each other. Received: --device {options.device}"
            )


def _is_pipe(path: str) -> bool:
    """Whether an input is standard input or a named pipe."""
    try:
        return path == "-" or existing_path(path).is_fifo()
    except OSError:  # said of it when it is its turn
        return False


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
        "ignore": options.ignore,
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
