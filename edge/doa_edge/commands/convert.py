"""`doa_edge convert`: any input of `doa_edge run` as an AmbiX file in the room's axes."""

from __future__ import annotations

import argparse
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, MissingPackageError, Terminated, as_input_errors, say
from doa_core.files import (
    INTERRUPTIONS,
    as_disk_errors,
    check_writable,
    existing_path,
    say_written,
    write_beside,
)
from doa_core.process.signals import Signals
from doa_edge.options.command import Kind, Limited, add_options
from doa_edge.options.input import add_input_arguments, source_settings

if TYPE_CHECKING:
    from doa_edge.input.stream import Samples, Source, StreamItem

FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24")}  # by suffix
_WAV_BYTES = 2**32 - 2**16  # of samples: a WAV file holds no more
_FRAME_BYTES = 16  # of four channels of 32-bit floats
_SILENCE = 16_000  # samples of a gap that are written at once
_SET_BROADCAST_INFO = 0x10F1  # SFC_SET_BROADCAST_INFO of libsndfile's sndfile.h
# A `bext` chunk (EBU Tech 3285): texts; time reference, version, UMID, loudness; reserved bytes;
# coding history. libsndfile's SF_BROADCAST_INFO has its numbers as this machine writes them, and
# begins them, as a C compiler does, at a multiple of four bytes.
_BROADCAST_TEXTS, _BROADCAST_BYTES = 338, 602
_BROADCAST_NUMBERS = "IIH64s5h"


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "convert",
        help="any input as an AmbiX file",
        description=(
            "Write what `doa_edge run` would hear: four channels of AmbiX (W Y Z X, SN3D) in the "
            "room's axes. A device or a pipe is recorded until it ends or is interrupted; what a "
            "device lost is silence, so that times stay true."
        ),
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    add_input_arguments(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.wav",
        type=Path,
        help="to make or to replace: .wav has samples of 32-bit floats, .flac of 24 bits",
    )
    texts = {
        "--to-rate HZ": "of the file (default: a recording's own, else 16000)",
        "--seconds S": "end after this much sound (default: at the input's end)",
    }
    kinds: dict[str, Kind] = {"HZ": Limited("rate"), "S": Limited("convert seconds")}
    add_options(parser, texts, kinds)


def run(options: argparse.Namespace) -> int:
    """Write the file; returns the exit status.

    Raises:
        InputError, MissingPackageError, OSError: like the parts that it combines.
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM; what was heard so far is written.
    """
    kind = FORMATS.get(options.out.suffix.lower())
    if kind is None:
        raise InputError(f"--out must be a .wav or a .flac file. Received: {options.out}")
    if options.input not in (None, "-") and _same_file(existing_path(options.input), options.out):
        raise InputError(f"--out must be another file than the input. Received: {options.out}")
    check_writable(options.out)
    with Signals(), _open_source(options) as source:
        rate = _rate(options, source)
        limit = None if options.seconds is None else round(options.seconds * rate)
        sound = _Converted(source, limit, kind=kind, rate=rate, shown=options.out)
        try:
            with write_beside(options.out, keep_on=INTERRUPTIONS) as part:
                sound.write(part)
        except (KeyboardInterrupt, Terminated):
            say_written("doa_edge", options.out)
            raise
    say_written("doa_edge", options.out)
    return 0


def _same_file(first: Path, second: Path) -> bool:
    return first.exists() and second.exists() and os.path.samefile(first, second)


def _open_source(options: argparse.Namespace) -> Source:
    """The input, at the rate of the file to make."""
    from doa_edge.input.audio import FileSource
    from doa_edge.input.sources import open_source

    with as_input_errors():
        settings = source_settings(options)
    source = open_source(**settings, model_rate=_rate(options, None))
    if options.to_rate is None and isinstance(source, FileSource):
        source.close()  # opened again: its own rate is known now
        source = open_source(**settings, model_rate=source.sample_rate)
    return source


def _rate(options: argparse.Namespace, source: Source | None) -> int:
    """Of the file to make [hertz]."""
    from doa_core.spec import SAMPLE_RATE
    from doa_edge.input.audio import FileSource

    if options.to_rate is not None:
        return int(options.to_rate)
    return source.sample_rate if isinstance(source, FileSource) else SAMPLE_RATE


def _blocks(source: Source, limit: int | None) -> Iterator[Samples]:
    """(N, 4) blocks of the input, up to `limit` samples in all; gaps are silence."""
    left = limit
    for item in source:
        for block in _sound(item):
            if left is not None:
                block = block[:left]
                left -= len(block)
            if len(block):
                yield block
        if left == 0:
            return


def _sound(item: StreamItem) -> Iterator[Samples]:
    """The item's samples; of a gap, zeros, in blocks of a second at most."""
    import numpy as np

    from doa_edge.input.stream import CHANNELS, Gap

    if not isinstance(item, Gap):
        yield item
        return
    sys.stderr.write(f"doa_edge: {item.reason}: {item.samples} samples of silence instead\n")
    for start in range(0, item.samples, _SILENCE):
        yield np.zeros((min(_SILENCE, item.samples - start), CHANNELS), np.float32)


class _Converted:
    """A source as it is written to a file.

    Args:
        source: whose sound is written.
        limit: samples to write at most; all of them if None.
        kind: libsndfile's names of the format and of its samples.
        rate: of the file [hertz].
        shown: its name in messages.
    """

    def __init__(
        self, source: Source, limit: int | None, *, kind: tuple[str, str], rate: int, shown: Path
    ) -> None:
        self._source, self._limit = source, limit
        self._kind, self._rate, self._shown = kind, rate, shown

    def write(self, path: Path) -> None:
        """Write all of it; an interruption leaves a whole file.

        Raises:
            InputError: more sound than the format holds; what fits is in the file.
            MissingPackageError: soundfile is not installed.
        """
        import numpy as np

        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise MissingPackageError("soundfile", "edge", error) from error
        name, subtype = self._kind
        written, clips = 0, False
        options: dict[str, Any] = {"format": name, "subtype": subtype}
        # libsndfile opens the file itself: what Python's file objects raise is lost in its
        # callbacks.
        with (
            as_disk_errors(path, AssertionError, soundfile.LibsndfileError, shown=self._shown),
            soundfile.SoundFile(os.fsencode(path), "w", self._rate, 4, **options) as sound,
        ):
            for block in _blocks(self._source, self._limit):
                if name == "WAV" and (written + len(block)) * _FRAME_BYTES > _WAV_BYTES:
                    raise InputError("A WAV file holds 4 GB at most: write .flac, or use --seconds")
                if not written:  # a pipe's header is known by now
                    self._keep_clock(sound)
                sound.write(block)
                clips = clips or (name == "FLAC" and bool(np.any(np.abs(block) > 1.0)))
                written += len(block)
        if clips:
            say("doa_edge: samples beyond full scale were clipped: .wav keeps them")

    def _keep_clock(self, sound: Any) -> None:
        """Give the file what a Broadcast Wave file says of its recording, or say that it is lost.

        Args:
            sound: soundfile's, to which nothing has been written.
        """
        from doa_edge.input.containers.broadcast import at_rate

        broadcast = self._source.broadcast
        if broadcast is None:
            return
        if self._kind[0] != "WAV":
            say(
                f"doa_edge: {self._shown} does not keep the recorder's clock (bext), for which "
                "it has no place: .wav keeps it"
            )
            return
        chunk = at_rate(broadcast, self._source.sample_rate or self._rate, self._rate)
        if not _set_broadcast(sound, chunk):
            say(f"doa_edge: {self._shown} does not keep the recorder's clock (bext)")


def _set_broadcast(sound: Any, chunk: bytes) -> bool:
    """Whether libsndfile has taken a `bext` chunk, to whose coding history it adds a line.

    soundfile has no name of its own for this command.
    """
    import soundfile

    chunk = chunk.ljust(_BROADCAST_BYTES, b"\0")
    numbers = struct.unpack_from("<" + _BROADCAST_NUMBERS, chunk, _BROADCAST_TEXTS)
    packed = struct.pack("=" + _BROADCAST_NUMBERS, *numbers)
    reserved = chunk[_BROADCAST_TEXTS + len(packed) : _BROADCAST_BYTES]
    history = chunk[_BROADCAST_BYTES:].rstrip(b"\0")
    texts = chunk[:_BROADCAST_TEXTS] + bytes(-_BROADCAST_TEXTS % 4)
    info = texts + packed + reserved + struct.pack("=I", len(history)) + history
    try:
        return bool(soundfile._snd.sf_command(sound._file, _SET_BROADCAST_INFO, info, len(info)))
    except AttributeError:
        return False
