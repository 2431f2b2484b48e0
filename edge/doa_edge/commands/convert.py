"""`doa_edge convert`: any input of `doa_edge run` as an AmbiX file in the room's axes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, MissingPackageError, Terminated, as_input_errors
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
        try:
            with write_beside(options.out, keep_on=INTERRUPTIONS) as part:
                _write(part, _blocks(source, limit), kind=kind, rate=rate, shown=options.out)
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


def _write(
    path: Path, blocks: Iterator[Samples], *, kind: tuple[str, str], rate: int, shown: Path
) -> None:
    """Write the blocks; an interruption leaves a whole file.

    Raises:
        InputError: more sound than the format holds; what fits is in the file.
        MissingPackageError: soundfile is not installed.
    """
    import numpy as np

    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingPackageError("soundfile", "edge", error) from error
    name, subtype = kind
    written, clips = 0, False
    options: dict[str, Any] = {"format": name, "subtype": subtype}
    # libsndfile opens the file itself: what Python's file objects raise is lost in its callbacks.
    with (
        as_disk_errors(path, AssertionError, soundfile.LibsndfileError, shown=shown),
        soundfile.SoundFile(os.fsencode(path), "w", rate, 4, **options) as sound,
    ):
        for block in blocks:
            if name == "WAV" and (written + len(block)) * _FRAME_BYTES > _WAV_BYTES:
                raise InputError("A WAV file holds 4 GB at most: write .flac, or use --seconds")
            sound.write(block)
            clips = clips or (name == "FLAC" and bool(np.any(np.abs(block) > 1.0)))
            written += len(block)
    if clips:
        sys.stderr.write("doa_edge: samples beyond full scale were clipped: .wav keeps them\n")
