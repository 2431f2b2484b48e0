"""`doa_edge run --listen DIR`: speech kept on disk, a file for each talker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def open_listening(
    options: argparse.Namespace,
    listener: TalkerListener,
    *,
    live: bool,
    signals: Signals,
) -> Iterator[Callable[[Estimate], None] | None]:
    """What takes the estimates of a run where `--listen` asks for it, open and closed again.

    Args:
        options: of `doa_edge run`.
        listener: of the engine.
        live: whether the sound cannot wait: then a slow disk must not block it.
        signals: held while sound is written.

    Raises:
        InputError: a size or a count out of range.
        OSError: the folder cannot be made; when closed, the disk is full.
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
    direct = ListenSink(files, listener)
    sink: Receiver[Estimate] = Queued(direct, length=QUEUE_LENGTH) if live else direct

    def send(estimate: Estimate) -> None:
        with signals.held():
            sink.send(estimate)

    try:
        yield send
    except BaseException:
        with suppress(OSError):
            sink.close()
        raise
    else:
        sink.close()
    finally:
        if sink.dropped:
            sys.stderr.write(f"doa_edge: --listen missed the sound of {sink.dropped} directions\n")
