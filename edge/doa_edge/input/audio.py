"""Recordings as AmbiX blocks: any format of libsndfile, any rate from 8 to 192 kHz.

A recording is read, resampled (soxr, high quality) and converted block by block, so that an hour
of sound does not sit in memory. One below 16 kHz is resampled up: it works, but its upper bins are
empty, which networks have not seen in training.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.conversion import AmbixConverter, ChannelPicker
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.stream import Samples, Source

BLOCK_SECONDS = 0.25
_UNKNOWN_LENGTH = 2**62  # libsndfile's count for a stream that does not state it is above this
# A writer that cannot seek back leaves one of these as the size of the sound: ffmpeg 0xFFFFFFFF,
# sox and arecord something just below 0x80000000, an interrupted recorder 0.
_STREAMING_SIZES = (range(0, 1), range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))


class FileSource(Source):
    """A recording, refused at once if it cannot be used.

    Attributes:
        path: the file.
        frames: samples per channel; None where the file does not say.

    Args:
        path: a sound file.
        input_format: what its channels are.
        model_rate: of the blocks [hertz]; a recording of another rate is resampled.

    Raises:
        InputError: not found, a folder, empty, no sound, cut short, another number of channels
            than four and no map, or a rate outside of 8 to 192 kHz. When iterated: NaN, infinite
            or absurdly large samples, or a file that ends too early.
        MissingPackageError: soundfile is not installed; when iterated, soxr.
    """

    live = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        input_format: InputFormat = AMBIX,
        *,
        model_rate: int = SAMPLE_RATE,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self._input_format = input_format
        self._model_rate = model_rate
        self._sound, missing = _open_sound(self.path)
        frames = int(self._sound.frames)
        self.frames = frames if frames < _UNKNOWN_LENGTH else None
        try:
            self._channels = ChannelPicker(
                input_format,
                available=self._sound.channels,
                sample_rate=int(self._sound.samplerate),
                name=str(path),
            )
            if missing:
                raise InputError(
                    f"{path} is cut short: its header promises more sound than the file has. "
                    f"Received: {self.path.stat().st_size} bytes, {missing} too few"
                )
            if frames == 0:
                raise InputError(f"The recording must hold sound. Received: {path} with 0 samples")
        except InputError:
            self.close()
            raise
        self.sample_rate: int = self._channels.sample_rate

    def __iter__(self) -> Iterator[Samples]:
        converter = AmbixConverter(
            self._input_format, from_rate=self.sample_rate, to_rate=self._model_rate
        )
        return converter.convert(self._blocks())

    def close(self) -> None:
        """Close the file."""
        self._sound.close()

    def _blocks(self) -> Iterator[Samples]:
        """(N, 4) float32 blocks in the file's rate and channel order, full scale 1."""
        size = max(1, round(BLOCK_SECONDS * self.sample_rate))
        while len(block := self._read(size)):
            yield self._channels.pick(block)
        position = self._channels.position
        if self.frames is not None and position < self.frames:
            raise InputError(
                f"{self.path} is cut short: its header promises {self.frames} samples per channel. "
                f"Received: {position}"
            )
        if position == 0:
            raise InputError(f"{self.path} must hold sound. Received: 0 samples")

    def _read(self, size: int) -> Samples:
        try:
            block: Samples = self._sound.read(size, dtype="float32", always_2d=True)
        except RuntimeError as error:  # soundfile's own errors derive from it
            read_s = self._channels.position / self.sample_rate
            raise InputError(
                f"{self.path} is cut short or damaged after {read_s:.3f} s: {one_line(error)}"
            ) from error
        return block


def read_blocks(
    path: str | os.PathLike[str],
    input_format: InputFormat = AMBIX,
    *,
    sample_rate: int = SAMPLE_RATE,
) -> Generator[Samples, None, None]:
    """(N, 4) float32 AmbiX blocks of a recording at `sample_rate`, as they are read.

    Args:
        path: a sound file.
        input_format: what its channels are; the blocks are in the room's axes.
        sample_rate: [hertz] of the blocks; a recording of another rate is resampled.

    Raises:
        InputError: like `FileSource`.
    """
    with FileSource(path, input_format, model_rate=sample_rate) as source:
        yield from source


def read_recording(
    path: str | os.PathLike[str],
    input_format: InputFormat = AMBIX,
    *,
    sample_rate: int = SAMPLE_RATE,
) -> Samples:
    """(N, 4) float32 AmbiX of a whole recording: the blocks of `read_blocks`, joined."""
    return np.concatenate(list(read_blocks(path, input_format, sample_rate=sample_rate)))


def _open_sound(path: Path) -> tuple[Any, int]:
    """An open `soundfile.SoundFile`, and how many bytes the file lacks."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the wheel's libsndfile does not load
        raise MissingPackageError("soundfile", "edge", error) from error
    if path.is_dir():
        raise InputError(f"The recording must be a sound file. Received the folder {path}")
    if not path.exists():
        raise InputError(f"The recording must be a sound file. Not found: {path}")
    if not path.is_file():
        raise InputError(f"The recording must be an ordinary file. Received: {path}")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            missing = missing_bytes(file)
    except OSError as error:
        raise InputError(f"The recording cannot be read: {one_line(error)}") from error
    if not start:
        raise InputError(f"The recording must hold sound. Received: {path}, which is empty")
    try:
        return soundfile.SoundFile(os.fsencode(path)), missing
    except (RuntimeError, TypeError) as error:  # TypeError: a name that ends in .raw
        reason = getattr(error, "error_string", error)
        raise InputError(
            f"The recording must be a sound file that libsndfile reads (WAV, FLAC, AIFF, ...). "
            f"Received: {path}, which starts with {start!r} ({one_line(reason)})"
        ) from error


def sound_bytes(length: int, long_length: int | None) -> int | None:
    """Bytes that a header promises, by its 32 and 64-bit counts; None where it does not know."""
    if length == 0xFFFFFFFF and long_length:
        return long_length
    return None if any(length in sizes for sizes in _STREAMING_SIZES) else length


def missing_bytes(file: BinaryIO) -> int:
    """Bytes that the header of a WAV or AIFF file promises and the file lacks; 0 for others.

    libsndfile reads a file that was cut short as if it were a shorter one.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(12)
    kind, form = start[:4], start[8:12]
    if kind in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        order, sound_chunk = "<", b"data"
    elif kind == b"RIFX" and form == b"WAVE":
        order, sound_chunk = ">", b"data"
    elif kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        order, sound_chunk = ">", b"SSND"
    else:
        return 0
    long_length: int | None = None
    while len(head := file.read(8)) == 8:
        length: int = struct.unpack(order + "I", head[4:])[0]
        body = file.tell()
        if head[:4] == b"ds64" and len(sizes := file.read(16)) == 16:
            long_length = struct.unpack("<Q", sizes[8:])[0]
        if head[:4] == sound_chunk:
            promised = sound_bytes(length, long_length)
            return 0 if promised is None else max(0, body + promised - size)
        file.seek(body + length + length % 2)
    return 0
