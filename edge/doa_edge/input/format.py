"""What the channels of an input are, and how its microphone stands in the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from doa_core.ambisonics import format_to_ambix_matrix, rotation_to_ambix_matrix
from doa_core.angles import FloatArray, rotation_matrix
from doa_core.errors import InputError
from doa_edge.input.stream import CHANNELS


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """Format, channels and mounting of a first-order Ambisonics input.

    Attributes:
        audio_format: `ambix`, `fuma`, `n3d`, `tetrahedral` or `tetrahedral:LAYOUT`, in upper or
            lower case, kept in lower; see `doa_core.ambisonics`.
        channel_map: which four channels to use, counted from 1, in the order of the format. None:
            the only four of a file or pipe, the first four of a device.
        mount: yaw, pitch and roll [rad] of the microphone in the room; None for upright and
            facing forward.

    Raises:
        ValueError: an unknown format, a map that is not four different channels, or a mounting
            that is not three finite angles.
    """

    audio_format: str = "ambix"
    channel_map: Sequence[int] | None = None
    mount: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio_format", self.audio_format.lower())
        format_to_ambix_matrix(self.audio_format)
        channels, mount = self.channel_map, self.mount
        if channels is not None:
            object.__setattr__(self, "channel_map", tuple(channels))
            if len(set(channels)) != CHANNELS or len(channels) != CHANNELS or min(channels) < 1:
                raise ValueError(
                    f"`channels` must be {CHANNELS} different numbers from 1 on. "
                    f"Received: channels={_listed(channels)}"
                )
        if mount is not None:
            object.__setattr__(self, "mount", tuple(mount))
            if len(mount) != 3 or not np.all(np.isfinite(mount)):
                raise ValueError(
                    "`mount` must be yaw, pitch and roll, three finite angles in radians. "
                    f"Received: mount={tuple(mount)}"
                )

    @property
    def to_ambix(self) -> FloatArray:
        """(4, 4) matrix from the four channels to AmbiX in the room's axes."""
        matrix = format_to_ambix_matrix(self.audio_format)
        if self.mount is None:
            return matrix
        return rotation_to_ambix_matrix(rotation_matrix(*self.mount)) @ matrix

    def columns(self, available: int, *, name: str) -> list[int]:
        """Indices of the four channels in an input.

        Args:
            available: number of channels of the input.
            name: of the input, for the message.

        Raises:
            InputError: too few channels, or more than four and no map.
        """
        count = f"{available} {'channel' if available == 1 else 'channels'}"
        if self.channel_map is None:
            if available == CHANNELS:
                return list(range(CHANNELS))
            more = "; --channels says which, such as --channels 1,2,3,4"
            more = more if available > CHANNELS else ""
            raise InputError(
                f"The input must hold {CHANNELS} channels (first-order Ambisonics or a "
                f"tetrahedral microphone{more}). Received: {name} with {count}"
            )
        if max(self.channel_map) > available:
            raise InputError(
                f"`channels` must be among the input's channels. Received: channels="
                f"{_listed(self.channel_map)} for {name} with {count}"
            )
        return [number - 1 for number in self.channel_map]


AMBIX = InputFormat()  # four channels of AmbiX, microphone upright and facing forward


def _listed(channels: Sequence[int]) -> str:
    return ",".join(map(str, channels))
