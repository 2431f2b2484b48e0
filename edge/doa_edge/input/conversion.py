"""From the channels of an input to AmbiX at the model's rate, in the room's axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError, MissingPackageError
from doa_edge.input.containers.sound import warn_once
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.stream import CHANNELS, Samples, no_sound

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # hertz
LARGEST_SAMPLE = 1e9  # full scale is 1; the square of a transform must stay finite
INTEGER_LIKE = 100.0  # 40 dB above full scale: no recording is so loud, integers as floats are
_SCALE = (
    f"%s holds samples above {INTEGER_LIKE:g}, where full scale is 1: they look like integers kept "
    "as floats. Levels, the gate and sound that is kept are wrong; divide the samples by 32768"
)


class ChannelPicker:
    """The four channels of an input, checked block by block.

    Samples far above full scale are told once, as they are integers kept as floats: directions are
    right, but levels are not, and a gate does not close.

    Attributes:
        position: samples per channel so far.

    Args:
        input_format: which channels.
        available: number of channels of the input.
        sample_rate: of the input [hertz].
        name: of the input, for messages.

    Raises:
        InputError: too few channels, more than four and no map, or a rate outside of 8 to 192 kHz.
    """

    def __init__(
        self, input_format: InputFormat, *, available: int, sample_rate: int, name: str
    ) -> None:
        self._columns = input_format.columns(available, name=name)
        self._all = self._columns == list(range(available))
        self.sample_rate = check_rate(sample_rate, name=name)
        self._name = name
        self.position = 0
        self._told_scale = False

    def pick(self, block: Samples) -> Samples:
        """(N, 4) of the next (N, C) samples.

        Raises:
            InputError: a sample that is NaN, infinite or absurdly large, with its place.
        """
        block = block if self._all else block[:, self._columns]
        usable = is_sound(block)
        if not usable.all():
            sample, channel = np.argwhere(~usable)[0]
            raise InputError(
                "The samples must be finite, with full scale at 1. Received: "
                f"{block[sample, channel]:g} in channel {channel + 1} of {self._name} "
                f"at {(self.position + sample) / self.sample_rate:.4f} s"
            )
        if not self._told_scale and len(block) and np.abs(block).max() > INTEGER_LIKE:
            self._told_scale = True
            warn_once(_SCALE, self._name)
        self.position += len(block)
        return block


class AmbixConverter:
    """Blocks of four channels at one rate -> AmbiX blocks at another (soxr, high quality).

    The resampler's delay is compensated: the first sample out belongs to the first sample in. The
    output does not depend on how the stream was cut into blocks.

    Args:
        input_format: what the channels are, and how the microphone is mounted.
        from_rate: of the input [hertz].
        to_rate: of the output [hertz].

    Raises:
        MissingPackageError: the rates differ and soxr is not installed.
    """

    def __init__(self, input_format: InputFormat = AMBIX, *, from_rate: int, to_rate: int) -> None:
        matrix = input_format.to_ambix.T.astype(np.float32)
        self._matrix = None if np.array_equal(matrix, np.eye(CHANNELS)) else matrix
        self._stream: Any = None
        if from_rate != to_rate:
            try:
                import soxr
            except ImportError as error:
                raise MissingPackageError("soxr", "edge", error) from error
            self._stream = soxr.ResampleStream(
                from_rate, to_rate, CHANNELS, dtype="float32", quality="HQ"
            )

    def convert(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """(M, 4) AmbiX blocks of a whole stream of (N, 4) blocks; empty where those are empty."""
        for block in blocks:
            converted = self.push(block) if len(block) else block
            if len(converted) or not len(block):
                yield converted
        rest = self.finish()
        if len(rest):
            yield rest

    def push(self, block: Samples) -> Samples:
        """(M, 4) AmbiX that an (N, 4) block completes; M may be 0."""
        return self._mix(self._stream.resample_chunk(block) if self._stream else block)

    def finish(self) -> Samples:
        """(M, 4) AmbiX still inside the resampler, which then begins a new stream."""
        rest = no_sound()
        if self._stream:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream.clear()
        return self._mix(rest)

    def _mix(self, block: Samples) -> Samples:
        return block if self._matrix is None else block @ self._matrix


def check_rate(rate: int, *, name: str) -> int:
    """The rate [hertz], if it can be resampled.

    Raises:
        InputError: outside of 8 to 192 kHz.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError(
            f"The input must have a rate from {LOWEST_RATE} to {HIGHEST_RATE} Hz. "
            f"Received: {name} with {rate} Hz"
        )
    return rate


def is_sound(block: Samples) -> npt.NDArray[np.bool_]:
    """(N, 4) whether each sample is a finite number of a sensible size."""
    return np.abs(block) <= LARGEST_SAMPLE  # False for NaN, too
