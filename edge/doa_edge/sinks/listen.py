"""`doa_edge run --listen DIR`: speech kept on disk, a file for each talker."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from doa_core.errors import as_input_errors, say
from doa_edge.sinks.sink import Queued, Receiver

if TYPE_CHECKING:
    from doa_core.process.signals import Signals
    from doa_edge.estimate import Estimate, VoiceSound
    from doa_edge.input.pace import Pace
    from doa_edge.listening import TalkerListener
    from doa_edge.sinks.talker_files import TalkerFiles

Clock: TypeAlias = "Callable[[float], datetime.datetime | None]"

DEFAULT_LISTEN_BYTES = 10_000_000  # of one file: five minutes
DEFAULT_LISTEN_COUNT = 1000  # files of a run
QUEUE_LENGTH = 256  # estimates that may wait for a disk: 40 seconds, 10 MB


class ListenSink:
    """Estimates with their sound in, files of each talker out, until the disk refuses.

    A run goes on without it then: its directions do not depend on sound that is kept.

    Attributes:
        failed: whether the disk has refused, which is said once.

    Args:
        files: to write to.
        listener: of the engine that gives the estimates.
    """

    name = "listen"

    def __init__(self, files: TalkerFiles, listener: TalkerListener) -> None:
        self._files = files
        self._listener = listener
        self.failed = False

    @property
    def dropped(self) -> int:
        """Stretches that could not be written so far."""
        return self._files.missed

    def send(self, estimate: Estimate) -> None:
        """Write what becomes known."""
        if not self.failed:
            self._write(self._listener.push(estimate))

    def close(self) -> None:
        """Write the rest."""
        if not self.failed:
            self._write(self._listener.finish())
        try:
            self._files.close()
        except OSError as error:
            self._fail(error)

    def _write(self, voices: Sequence[VoiceSound]) -> None:
        try:
            for voice in voices:
                self._files.write(voice)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self.failed:
            say(f"doa_edge: {error}; the run goes on without --listen")
        self.failed = True


@dataclass(frozen=True)
class Listening:
    """What a run with `--listen` sends its estimates to.

    Attributes:
        send: takes an estimate.
        sink: that writes it.
    """

    send: Callable[[Estimate], None]
    sink: ListenSink


def no_clock(_time_s: float) -> None:
    """The time of day is not known."""


@contextmanager
def open_listening(
    options: argparse.Namespace,
    listener: TalkerListener,
    *,
    pace: Pace | None,
    signals: Signals,
    clock: Clock = no_clock,
    file: str | None = None,
) -> Iterator[Listening | None]:
    """What takes the estimates of a run where `--listen` asks for it, open and closed again.

    Args:
        options: of `doa_edge run`.
        listener: of the engine.
        pace: of the sound, which a slow disk must not block where it is live; None of a file.
        signals: held while sound is written.
        clock: tells the time of day of stream time [seconds], where it is known.
        file: the recording that is heard, where a run has several.

    Raises:
        InputError: a size or a count out of range.
        OSError: the folder cannot be made.
    """
    if not options.listen:
        yield None
        return
    from doa_edge.sinks.talker_files import TalkerFiles

    size, count = options.listen_size, options.listen_count
    with as_input_errors():
        files = TalkerFiles(
            options.listen,
            sample_rate=listener.sample_rate,
            size=DEFAULT_LISTEN_BYTES if size is None else size,
            count=DEFAULT_LISTEN_COUNT if count is None else count,
            clock=clock,
        )
    of_file = "" if file is None else f" of {file}"
    say(f"doa_edge: --listen keeps speech{of_file} in {files.folder}")
    direct = ListenSink(files, listener)
    sink: Receiver[Estimate] = direct
    if pace is not None:
        sink = Queued(direct, length=QUEUE_LENGTH, pace=pace)

    def send(estimate: Estimate) -> None:
        with signals.held():
            sink.send(estimate)

    try:
        yield Listening(send, direct)
    except BaseException:
        with suppress(OSError):
            sink.close()
        raise
    else:
        try:
            if isinstance(sink, Queued):
                sink.drain()
        finally:
            sink.close()
    finally:
        if sink.dropped:
            say(f"doa_edge: --listen missed the sound of {sink.dropped} directions")
