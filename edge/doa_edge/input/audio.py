"""Recordings as AmbiX blocks: any format of libsndfile, any rate from 8 to 192 kHz.

A recording is read, resampled (soxr, high quality) and converted block by block, so that an hour
does not sit in memory. One below 16 kHz is resampled up: it works, but its upper bins are empty,
and a network has not heard that in training.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.conversion import AmbixConverter, check_channel_map, check_rate, check_samples
from doa_edge.input.stream import Samples

BLOCK_SECONDS = 0.25
_UNKNOWN_LENGTH = 2**62  # libsndfile's count for a stream that does not state it is above this
# A writer that cannot seek back leaves one of these as the size of the sound: ffmpeg 0xFFFFFFFF,
# sox and arecord something just below 0x80000000, an interrupted recorder 0.
STREAMING_SIZES = (range(0, 1), range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))


class Recording:
    """An open sound file and four of its channels. Make one with `open_recording`, close it.

    Attributes:
        path: the file.
        sample_rate: [hertz].
        frames: samples per channel; None where the file does not say.
    """

    def __init__(self, path: Path, sound: Any, columns: list[int]) -> None:
        self.path = path
        self._columns = columns
        self._all = columns == list(range(sound.channels))
        self.sample_rate = int(sound.samplerate)
        self.frames = int(sound.frames) if sound.frames < _UNKNOWN_LENGTH else None
        self._sound = sound

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._sound.close()

    def blocks(self) -> Iterator[Samples]:
        """(N, 4) float32 blocks in the file's rate and channel order, full scale 1.

        Raises:
            InputError: NaN, infinite or absurd samples, or a file that ends too early.
        """
        size = max(1, round(BLOCK_SECONDS * self.sample_rate))
        position = 0
        while len(block := self._read(size, position)):
            block = block if self._all else block[:, self._columns]
            check_samples(
                block, name=str(self.path), position=position, sample_rate=self.sample_rate
            )
            position += len(block)
            yield block
        if self.frames is not None and position < self.frames:
            raise InputError(
                f"{self.path} is cut short: its header promises {self.frames} samples per channel. "
                f"Received: {position}"
            )
        if position == 0:
            raise InputError(f"{self.path} must hold sound. Received: 0 samples")

    def _read(self, size: int, position: int) -> Samples:
        try:
            block: Samples = self._sound.read(size, dtype="float32", always_2d=True)
        except RuntimeError as error:  # soundfile's own errors derive from it
            raise InputError(
                f"{self.path} is cut short or damaged after {position / self.sample_rate:.3f} s: "
                f"{one_line(error)}"
            ) from error
        return block


def open_recording(
    path: str | os.PathLike[str], *, channel_map: Sequence[int] | None = None
) -> Recording:
    """Open a sound file and check what can be checked before reading it.

    Args:
        path: a sound file.
        channel_map: which four of its channels, counted from 1; it must have just four if None.

    Raises:
        InputError: not found, a folder, empty, no sound, cut short, another number of channels
            than four and no map, or a rate outside of 8 to 192 kHz.
        ValueError: a map that is not four different channels.
        MissingPackageError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the wheel's libsndfile does not load
        raise MissingPackageError("soundfile", "edge", error) from error
    path = Path(path)
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
        sound = soundfile.SoundFile(path)
    except (RuntimeError, TypeError) as error:  # TypeError: a name that ends in .raw
        reason = getattr(error, "error_string", error)
        raise InputError(
            f"The recording must be a sound file that libsndfile reads (WAV, FLAC, AIFF, ...). "
            f"Received: {path}, which starts with {start!r} ({one_line(reason)})"
        ) from error
    try:
        columns = check_channel_map(channel_map, available=sound.channels, name=str(path))
        check_rate(sound.samplerate, name=str(path))
        if missing:
            raise InputError(
                f"{path} is cut short: its header promises more sound than the file has. "
                f"Received: {path.stat().st_size} bytes, {missing} too few"
            )
        if sound.frames == 0:
            raise InputError(f"The recording must hold sound. Received: {path} with 0 samples")
    except ValueError:
        sound.close()
        raise
    return Recording(path, sound, columns)


def read_blocks(
    path: str | os.PathLike[str],
    *,
    audio_format: str = "ambix",
    mount: Sequence[float] | None = None,
    channel_map: Sequence[int] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> Generator[Samples, None, None]:
    """(N, 4) float32 AmbiX blocks of a recording at `sample_rate`, as they are read.

    Args:
        path: a sound file.
        audio_format: what its channels are; see `doa_core.ambisonics`.
        mount: yaw, pitch and roll [rad] of the microphone in the room; the blocks are in the
            room's axes.
        channel_map: which four of its channels, counted from 1; it must have just four if None.
        sample_rate: [hertz] of the blocks; a recording of another rate is resampled.

    Raises:
        InputError: like `open_recording` and `Recording.blocks`.
        ValueError: unknown format, or a mounting that is not three finite angles.
    """
    with open_recording(path, channel_map=channel_map) as recording:
        converter = AmbixConverter(
            from_rate=recording.sample_rate,
            to_rate=sample_rate,
            audio_format=audio_format,
            mount=mount,
        )
        yield from convert(recording.blocks(), converter)


def convert(blocks: Iterable[Samples], converter: AmbixConverter) -> Iterator[Samples]:
    """(N, 4) AmbiX blocks of a stream of (N, 4) blocks, to its end; empty where it was empty."""
    for block in blocks:
        converted = converter.push(block) if len(block) else block
        if len(converted) or not len(block):
            yield converted
    rest = converter.finish()
    if len(rest):
        yield rest


def read_recording(
    path: str | os.PathLike[str],
    *,
    audio_format: str = "ambix",
    mount: Sequence[float] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> Samples:
    """(N, 4) float32 AmbiX of a whole recording: the blocks of `read_blocks`, joined."""
    blocks = read_blocks(path, audio_format=audio_format, mount=mount, sample_rate=sample_rate)
    return np.concatenate(list(blocks))


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
            if length == 0xFFFFFFFF and long_length is not None:
                length = long_length
            elif any(length in sizes for sizes in STREAMING_SIZES):
                return 0
            return max(0, body + length - size)
        file.seek(body + length + length % 2)
    return 0
