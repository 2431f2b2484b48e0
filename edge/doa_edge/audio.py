"""Recordings as AmbiX blocks: any format of libsndfile, any rate from 8 to 192 kHz.

A recording is read, resampled (soxr, high quality) and converted block by block, so that an hour
does not sit in memory. One below 16 kHz is resampled up: it works, but its upper bins are empty,
and a network has not heard that in training.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import format_to_ambix_matrix, rotation_to_ambix_matrix
from doa_core.angles import rotation_matrix
from doa_core.spec import SAMPLE_RATE
from doa_edge.errors import InputError, MissingPackageError, one_line

Samples = npt.NDArray[np.float32]

CHANNELS = 4
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # hertz
BLOCK_SECONDS = 0.25
LARGEST_SAMPLE = 1e9  # full scale is 1; the square of a transform must stay finite
_UNKNOWN_LENGTH = 2**62  # libsndfile's count for a stream that does not state it is above this
# A writer that cannot seek back leaves one of these as the size of the sound: ffmpeg 0xFFFFFFFF,
# sox and arecord something just below 0x80000000, an interrupted recorder 0.
_STREAMING_SIZES = (range(0, 1), range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))


class Recording:
    """An open four-channel sound file. Make one with `open_recording`, close it after use.

    Attributes:
        path: the file.
        sample_rate: [hertz].
        frames: samples per channel; None where the file does not say.
    """

    def __init__(self, path: Path, sound: Any) -> None:
        self.path = path
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
            _check_samples(block, self.path, position, self.sample_rate)
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


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open a four-channel sound file and check what can be checked before reading it.

    Raises:
        InputError: not found, a folder, empty, no sound, cut short, another number of channels
            than four, or a rate outside of 8 to 192 kHz.
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
        if sound.channels != CHANNELS:
            raise InputError(
                f"The recording must hold {CHANNELS} channels (first-order Ambisonics or a "
                f"tetrahedral microphone). Received: {path} with {sound.channels} "
                f"{'channel' if sound.channels == 1 else 'channels'}"
            )
        if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
            raise InputError(
                f"The recording must have a rate from {LOWEST_RATE} to {HIGHEST_RATE} Hz. "
                f"Received: {path} with {sound.samplerate} Hz"
            )
        if missing:
            raise InputError(
                f"{path} is cut short: its header promises more sound than the file has. "
                f"Received: {path.stat().st_size} bytes, {missing} too few"
            )
        if sound.frames == 0:
            raise InputError(f"The recording must hold sound. Received: {path} with 0 samples")
    except InputError:
        sound.close()
        raise
    return Recording(path, sound)


def read_blocks(
    path: str | os.PathLike[str],
    *,
    audio_format: str = "ambix",
    mount: Sequence[float] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> Iterator[Samples]:
    """(N, 4) float32 AmbiX blocks of a recording at `sample_rate`, as they are read.

    Args:
        path: a sound file with four channels.
        audio_format: what its channels are; see `doa_core.ambisonics`.
        mount: yaw, pitch and roll [rad] of the microphone in the room; the blocks are in the
            room's axes.
        sample_rate: [hertz] of the blocks; a recording of another rate is resampled.

    Raises:
        InputError: like `open_recording` and `Recording.blocks`.
        ValueError: unknown format, or a mounting that is not three finite angles.
    """
    matrix = ambix_matrix(audio_format, mount).T.astype(np.float32)
    is_ambix = np.array_equal(matrix, np.eye(CHANNELS))
    with open_recording(path) as recording:
        for block in _resample(recording.blocks(), recording.sample_rate, sample_rate):
            yield block if is_ambix else block @ matrix


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


def ambix_matrix(
    audio_format: str = "ambix", mount: Sequence[float] | None = None
) -> npt.NDArray[np.floating[Any]]:
    """(4, 4) matrix from a microphone's channels to AmbiX in the room's axes.

    Raises:
        ValueError: unknown format, or a mounting that is not three finite angles.
    """
    matrix = format_to_ambix_matrix(audio_format)
    if mount is None:
        return matrix
    if len(mount) != 3 or not np.all(np.isfinite(mount)):
        raise ValueError(
            "`mount` must be yaw, pitch and roll, three finite angles in radians. "
            f"Received: mount={tuple(mount)}"
        )
    return rotation_to_ambix_matrix(rotation_matrix(*mount)) @ matrix


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
            elif any(length in sizes for sizes in _STREAMING_SIZES):
                return 0
            return max(0, body + length - size)
        file.seek(body + length + length % 2)
    return 0


def _check_samples(block: Samples, path: Path, position: int, sample_rate: int) -> None:
    usable = np.abs(block) <= LARGEST_SAMPLE  # False for NaN, too
    if usable.all():
        return
    sample, channel = np.argwhere(~usable)[0]
    raise InputError(
        "The samples must be finite, with full scale at 1. "
        f"Received: {block[sample, channel]:g} in channel {channel + 1} of {path} "
        f"at {(position + sample) / sample_rate:.4f} s"
    )


def _resample(blocks: Iterator[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    """The blocks at another rate; the resampler's delay is taken off."""
    if from_rate == to_rate:
        yield from blocks
        return
    try:
        import soxr
    except ImportError as error:
        raise MissingPackageError("soxr", "edge", error) from error
    stream = soxr.ResampleStream(from_rate, to_rate, CHANNELS, dtype="float32", quality="HQ")
    for block in blocks:
        resampled: Samples = stream.resample_chunk(block)
        if len(resampled):
            yield resampled
    yield stream.resample_chunk(np.zeros((0, CHANNELS), np.float32), last=True)
