"""`doa_edge run --listen DIR`: speech kept on disk, a file for each talker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doa_core.errors import as_input_errors
from doa_edge.sinks.sink import Queued, Receiver

if TYPE_CHECKING:
    from doa_edge.estimate import Estimate
    from doa_edge.listening import TalkerListener
    from doa_edge.signals import Signals
    from doa_edge.sinks.talker_files import TalkerFiles

DEFAULT_LISTEN_BYTES = 10_000_000  # of one file: five minutes
DEFAULT_LISTEN_COUNT = 1000  # files of a run
QUEUE_LENGTH = 256  # estimates that may wait for a disk: 40 seconds, 10 MB


class ListenSink:
    """Estimates with their sound in, files of each talker out.

    Args:
        files: to write to.
        listener: of the engine that gives the estimates.
    """

    name = "listen"
    dropped = 0

    def __init__(self, files: TalkerFiles, listener: TalkerListener) -> None:
        self._files = files
        self._listener = listener

    def send(self, estimate: Estimate) -> None:
        """Write what becomes known. Raises OSError: the disk is full, for instance."""
        for voice in self._listener.push(estimate):
            self._files.write(voice)

    def close(self) -> None:
        """Write the rest. Raises OSError."""
        try:
            for voice in self._listener.finish():
                self._files.write(voice)
        finally:
            self._files.close()


class Listening:
    """Where the estimates of a run go for `--listen`, until the disk refuses.

    The run goes on without it then: directions do not depend on sound that is kept.

    Attributes:
        failed: whether sound was lost for that reason, which is said once.

    Args:
        files: to write to.
        listener: of the engine that gives the estimates.
        live: whether the sound cannot wait: then a slow disk must not block it.
        signals: held while sound is written.
    """

    def __init__(
        self, files: TalkerFiles, listener: TalkerListener, *, live: bool, signals: Signals
    ) -> None:
        self.failed = False
        self._files = files
        self._signals = signals
        direct = ListenSink(files, listener)
        self._sink: Receiver[Estimate] = Queued(direct, length=QUEUE_LENGTH) if live else direct

    def send(self, estimate: Estimate) -> None:
        """Take the next estimate, with its sound."""
        if self.failed:
            return
        with self._signals.held(), self._until_it_fails():
            self._sink.send(estimate)

    def close(self) -> None:
        """Write the rest, and say what was lost."""
        if not self.failed:
            with self._until_it_fails():
                self._sink.close()
        if self._sink.dropped:
            sys.stderr.write(
                f"doa_edge: --listen missed the sound of {self._sink.dropped} directions\n"
            )

    @contextmanager
    def _until_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = True
            sys.stderr.write(f"doa_edge: {error}; the run goes on without --listen\n")
            self._files.close()


@contextmanager
def open_listening(
    options: argparse.Namespace,
    listener: TalkerListener,
    *,
    live: bool,
    signals: Signals,
) -> Iterator[Listening | None]:
    """What takes the estimates of a run where `--listen` asks for it, open and closed again.

    Args:
        options: of `doa_edge run`.
        listener: of the engine.
        live: whether the sound cannot wait: then a slow disk must not block it.
        signals: held while sound is written.

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
        )
    sys.stderr.write(f"doa_edge: --listen keeps speech in {files.folder}\n")
    listening = Listening(files, listener, live=live, signals=signals)
    try:
        yield listening
    finally:
        listening.close()
