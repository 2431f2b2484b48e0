"""From the four channels of an input to AmbiX at the model's rate, in the room's axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import format_to_ambix_matrix, rotation_to_ambix_matrix
from doa_core.angles import rotation_matrix
from doa_core.errors import InputError, MissingPackageError
from doa_edge.input.stream import Samples

CHANNELS = 4
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # hertz
LARGEST_SAMPLE = 1e9  # full scale is 1; the square of a transform must stay finite


class AmbixConverter:
    """Blocks of four channels at one rate -> AmbiX blocks at another (soxr, high quality).

    The resampler's delay is taken off: the first sample out belongs to the first sample in. What
    comes out does not depend on how the stream was cut into blocks.

    Args:
        from_rate: of the input [hertz].
        to_rate: of what comes out [hertz].
        audio_format: what the channels are; see `doa_core.ambisonics`.
        mount: yaw, pitch and roll [rad] of the microphone in the room.

    Raises:
        ValueError: unknown format, or a mounting that is not three finite angles.
        MissingPackageError: the rates differ and soxr is not installed.
    """

    def __init__(
        self,
        *,
        from_rate: int,
        to_rate: int,
        audio_format: str = "ambix",
        mount: Sequence[float] | None = None,
    ) -> None:
        matrix = ambix_matrix(audio_format, mount).T.astype(np.float32)
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


def check_channel_map(channel_map: Sequence[int] | None, *, available: int, name: str) -> list[int]:
    """Columns of the four channels in an input of `available` channels.

    Args:
        channel_map: numbers of four channels, counted from 1, in the order of the format. Without
            one the input must have just four.
        available: channels of the input.
        name: the input, for the message.

    Raises:
        InputError: too few channels, or more than four and no map.
        ValueError: a map that is not four different channels.
    """
    count = f"{available} {'channel' if available == 1 else 'channels'}"
    if channel_map is None:
        if available == CHANNELS:
            return list(range(CHANNELS))
        more = "; --channels says which, such as --channels 1,2,3,4" if available > CHANNELS else ""
        raise InputError(
            f"The input must hold {CHANNELS} channels (first-order Ambisonics or a tetrahedral "
            f"microphone{more}). Received: {name} with {count}"
        )
    if len(set(channel_map)) != CHANNELS or len(channel_map) != CHANNELS or min(channel_map) < 1:
        raise ValueError(
            f"`channels` must be {CHANNELS} different numbers from 1 on. "
            f"Received: channels={','.join(map(str, channel_map))}"
        )
    if max(channel_map) > available:
        raise InputError(
            f"`channels` must be among the input's channels. Received: channels="
            f"{','.join(map(str, channel_map))} for {name} with {count}"
        )
    return [number - 1 for number in channel_map]


def check_rate(rate: int, *, name: str) -> int:
    """The rate [hertz], if it is one that is resampled.

    Raises:
        InputError: outside of 8 to 192 kHz.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError(
            f"The input must have a rate from {LOWEST_RATE} to {HIGHEST_RATE} Hz. "
            f"Received: {name} with {rate} Hz"
        )
    return rate


def check_samples(block: Samples, *, name: str, position: int, sample_rate: int) -> None:
    """Raise InputError for NaN, infinite or absurd values, with their place.

    Args:
        block: (N, 4).
        name: the input, for the message.
        position: of the block's first sample in the input [samples].
        sample_rate: [hertz].
    """
    usable = is_sound(block)
    if usable.all():
        return
    sample, channel = np.argwhere(~usable)[0]
    raise InputError(
        "The samples must be finite, with full scale at 1. "
        f"Received: {block[sample, channel]:g} in channel {channel + 1} of {name} "
        f"at {(position + sample) / sample_rate:.4f} s"
    )


def is_sound(block: Samples) -> npt.NDArray[np.bool_]:
    """(N, 4) whether each sample is a finite number of a sensible size."""
    usable: npt.NDArray[np.bool_] = np.abs(block) <= LARGEST_SAMPLE  # False for NaN, too
    return usable


def no_sound() -> Samples:
    """(0, 4): alive, and nothing to give."""
    return np.zeros((0, CHANNELS), np.float32)
