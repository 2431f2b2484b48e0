"""The sinks that the options of `doa_edge run` ask for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, as_input_errors, say
from doa_core.files import INTERRUPTIONS, check_writable, say_written, write_beside
from doa_edge.sinks.hub import Hub
from doa_edge.sinks.lines import (
    DEFAULT_OUT_BYTES,
    DEFAULT_OUT_COUNT,
    FileSink,
    Form,
    JsonLines,
    StreamSink,
)
from doa_edge.sinks.sink import Queued, Sink
from doa_edge.sinks.stages import Stage

if TYPE_CHECKING:
    from doa_core.process.signals import Signals
    from doa_edge.input.pace import Pace
    from doa_edge.sinks.network.home_assistant import Discovery

# Lines that may wait for a disk or a terminal: three minutes, or half of one with --every 1, which
# is more than a pipe may give before it is known not to be live.
LINES_LENGTH = 1024


@contextmanager
def open_outputs(
    options: argparse.Namespace,
    *,
    pace: Pace | None,
    paced: bool,
    hop_seconds: float,
    window_seconds: float,
    signals: Signals,
    stages: Sequence[Stage] = (),
    discovery: Discovery | None = None,
) -> Iterator[Hub]:
    """A hub with every sink that was asked for, open and closed again.

    Args:
        options: of `doa_edge run`.
        pace: of the sound: whether it cannot wait for a sink; None of a file, which waits.
        paced: whether sound may come in real time; a recording comes as fast as it is processed.
        hop_seconds: of the model [seconds].
        window_seconds: of the model [seconds].
        signals: held while a message is sent.
        stages: that every message passes before it is sent.
        discovery: how Home Assistant is to find the microphone, if at all.

    Raises:
        InputError: an option that a sink refuses.
        MissingPackageError: an option whose package is not installed.
        OSError: a port that is taken, a file that cannot be written.
    """
    with ExitStack() as stack:
        sinks: list[Sink] = []
        stack.callback(_close_unowned, sinks)
        with as_input_errors():
            for sink in _network_sinks(
                options, paced=paced, hop_seconds=hop_seconds, discovery=discovery
            ):
                sinks.append(sink)
        if options.out:
            stack.push(partial(_say_where, options.out))
            path = options.out
            if not paced:
                path = stack.enter_context(write_beside(path, keep_on=INTERRUPTIONS))
            file = FileSink(
                path,
                size=(options.out_size or DEFAULT_OUT_BYTES) if paced else None,
                count=DEFAULT_OUT_COUNT if options.out_count is None else options.out_count,
                form=_form_of(options.out),
            )
            sinks.append(_in_queue(file, pace))
        sinks += _countings(options, live=paced)
        if options.dcase:
            from doa_edge.sinks.tables.dcase import DcaseSink

            stack.push(partial(_say_where, options.dcase))
            part = stack.enter_context(write_beside(options.dcase, keep_on=INTERRUPTIONS))
            number = options.dcase_class or 0
            sinks.append(DcaseSink(part, window_s=window_seconds, class_number=number))
        if prints_lines(options):
            sinks.append(_in_queue(StreamSink(sys.stdout), pace))
        hub = stack.enter_context(Hub(sinks, signals=signals, stages=stages))
        sinks.clear()
        yield hub


def _form_of(path: Path) -> Form:
    """How lines are written to a file, by its name."""
    from doa_edge.sinks.tables.rows import SUFFIX, CsvRows

    return CsvRows() if path.suffix.lower() == SUFFIX else JsonLines()


def _countings(options: argparse.Namespace, *, live: bool) -> Iterator[Sink]:
    """Sinks that count what they are sent, in little time."""
    if options.log:
        from doa_edge.sinks.tables.day_log import DayLogSink

        yield DayLogSink(options.log, live=live, played=bool(options.realtime))
    if options.report:
        from doa_edge.sinks.tables.report import ReportSink

        yield ReportSink(options.report, of=f"doa_edge run of {_heard(options)}")


def _heard(options: argparse.Namespace) -> str:
    """What is listened to, for people."""
    names = [Path(path).name for path in options.inputs]
    if len(names) > 3:
        return f"{names[0]} and {len(names) - 1} more"
    return ", ".join(names) or str(options.device or "a device")


def _in_queue(sink: Sink, pace: Pace | None) -> Sink:
    """A sink that cannot hold up live sound."""
    return sink if pace is None else Queued(sink, length=LINES_LENGTH, pace=pace)


def _say_where(path: Path, error: type[BaseException] | None, *_: object) -> None:
    """Say where the lines are, unless what ended the run left none."""
    if error is None or issubclass(error, INTERRUPTIONS):
        say_written("doa_edge", path)


def prints_lines(options: argparse.Namespace) -> bool:
    """Whether JSON lines go to standard output; on a terminal they are drawn instead."""
    return not options.summary and bool(options.json or not sys.stdout.isatty())


def check_files(options: argparse.Namespace, model_path: Path) -> None:
    """Refuse, before the work, outputs that would fail after it or overwrite an input.

    Raises:
        InputError: an output that is another file in use.
        OSError: an output whose folder does not exist.
    """
    outputs = [path for path in (options.out, options.dcase, options.report, options.plot) if path]
    inputs = [*options.inputs, model_path, *([options.config] if options.config else [])]
    for path in outputs:
        taken = [*inputs, *(other for other in outputs if other is not path)]
        if any(os.path.realpath(path) == os.path.realpath(other) for other in taken):
            raise InputError(f"An output must not replace another file in use. Received: {path}")
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise OSError(f"An output must be a file in a folder that exists. Received: {path}")
    if options.report:
        from doa_edge.sinks.tables.report import check_report

        check_report(options.report)
        check_writable(options.report)
    if options.log and options.log.exists() and not options.log.is_dir():
        raise InputError(f"--log must be a folder. Received: {options.log}")
    if options.plot:
        from doa_edge.sinks.plot import check_plot

        check_plot(options.plot)
        check_writable(options.plot)


def _network_sinks(
    options: argparse.Namespace,
    *,
    paced: bool,
    hop_seconds: float,
    discovery: Discovery | None,
) -> Iterator[Sink]:
    """Sinks to other programs; a recording waits for OSC and TCP clients, a live input does not."""
    zones = [zone.name for zone in options.zones or ()]
    if options.web:
        from doa_edge.sinks.network.web import WebSink

        names = [options.web_name, options.name, options.name and f"{options.name}.local"]
        web = WebSink(
            options.web,
            names=[name for name in names if name],
            zones=options.zones or (),
            ignore=options.ignore or (),
        )
        say(f"doa_edge: live page at {web.url}")
        yield web
    if options.tcp:
        from doa_edge.sinks.network.tcp import TcpServerSink

        yield TcpServerSink(options.tcp, hop_seconds=hop_seconds)
    if options.osc:
        from doa_edge.sinks.network.osc import DEFAULT_PREFIX, OscSink

        prefix = options.osc_prefix or _own(DEFAULT_PREFIX, options)
        osc = OscSink(options.osc, prefix=prefix, zones=zones)
        yield Queued(osc) if paced else osc
    if options.tcp_connect:
        from doa_edge.sinks.network.tcp import TcpClientSink

        client = TcpClientSink(options.tcp_connect, hop_seconds=hop_seconds)
        yield Queued(client) if paced else client
    if options.mqtt:
        from doa_edge.sinks.network.mqtt import DEFAULT_TOPIC, MqttSink

        topic = options.mqtt_topic or _own(DEFAULT_TOPIC, options)
        mqtt = MqttSink(
            options.mqtt,
            topic=topic,
            qos=options.mqtt_qos or 0,
            user=options.mqtt_user,
            tls=bool(options.mqtt_tls),
            discovery=discovery,
        )
        yield mqtt  # first, so that it is closed where a zone is refused
        mqtt.count_zones(zones)
        if discovery is not None:
            place = discovery.config_topic(topic.rstrip("/"))
            say(f"doa_edge: Home Assistant finds the microphone by {place}")


def _own(place: str, options: argparse.Namespace) -> str:
    """The default of a topic or a prefix: each named microphone has one of its own."""
    return f"{place}/{options.name}" if options.name else place


def _close_unowned(sinks: list[Sink]) -> None:
    """Close what was opened before something else could not be."""
    for sink in sinks:
        sink.close()
