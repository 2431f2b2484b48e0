"""Recordings as AmbiX blocks: linear PCM, any format of libsndfile, any rate from 8 to 192 kHz.

A recording is read, resampled (soxr, high quality) and converted block by block, so that an hour
of sound does not sit in memory. One below 16 kHz is resampled up: it works, but its upper bins are
empty, which networks have not seen in training.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.containers.broadcast import began
from doa_edge.input.containers.recording import open_sound
from doa_edge.input.containers.sound import warn_once
from doa_edge.input.conversion import AmbixConverter, ChannelPicker
from doa_edge.input.format import AMBIX, CONTRADICTION, InputFormat
from doa_edge.input.stream import Samples, Source


class FileSource(Source):
    """A recording, refused at once if it cannot be used.

    A header that counts too much or too little is corrected by the sound that is there, with one
    warning.

    Attributes:
        path: the file.
        frames: samples per channel; None where the file does not say.
        broadcast: when it was recorded, of a Broadcast Wave file; None of any other.

    Args:
        path: a sound file.
        input_format: what its channels are. Where a file declares another format than the one that
            is asked for, a warning says so.
        model_rate: of the blocks [hertz]; a recording of another rate is resampled.

    Raises:
        InputError: not found, a folder, empty, no sound, another number of channels than four and
            no map, or a rate outside of 8 to 192 kHz. When iterated: NaN, infinite or absurdly
            large samples, or nothing that can be decoded.
        MissingPackageError: soundfile is needed and not installed; when iterated, soxr.
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
        self._model_rate = model_rate
        self._sound = open_sound(self.path)
        self.frames, self.broadcast = self._sound.frames, self._sound.broadcast
        self.declared = self._sound.audio_format
        if input_format.contradicts(self.declared):
            warn_once(CONTRADICTION, str(path), self.declared, input_format.format_name)
        self._input_format = input_format.declared_as(self.declared)
        try:
            self._channels = ChannelPicker(
                input_format,
                available=self._sound.channels,
                sample_rate=self._sound.rate,
                name=str(path),
            )
            if self.frames == 0:
                raise InputError(f"The recording must hold sound. Received: {path} with 0 samples")
        except InputError:
            self.close()
            raise
        self.sample_rate: int = self._channels.sample_rate
        self.began = began(self.broadcast, self.sample_rate)

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
        for block in self._sound.blocks():
            yield self._channels.pick(block)
        if self._channels.position == 0:
            raise InputError(f"{self.path} must hold sound. Received: 0 samples")


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
