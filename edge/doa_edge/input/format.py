"""What the channels of an input are, and how its microphone stands in the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
            lower case, kept in lower; see `doa_core.ambisonics`. None: what a file or stream
            declares, AmbiX where it does not.
        channel_map: which four channels to use, counted from 1, in the order of the format. None:
            the only four of a file or pipe, the first four of a device.
        mount: yaw, pitch and roll [rad] of the microphone in the room; None for upright and
            facing forward.
        as_given: whether the channels stay as the input gives them, for an inspection.

    Raises:
        ValueError: an unknown format, a map that is not four different channels, or a mounting
            that is not three finite angles.
    """

    audio_format: str | None = None
    channel_map: Sequence[int] | None = None
    mount: Sequence[float] | None = None
    as_given: bool = False

    def __post_init__(self) -> None:
        if self.audio_format is not None:
            object.__setattr__(self, "audio_format", self.audio_format.lower())
        format_to_ambix_matrix(self.format_name)
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
    def format_name(self) -> str:
        """The format, `ambix` where nothing says another."""
        return self.audio_format or "ambix"

    def declared_as(self, declared: str | None) -> InputFormat:
        """This format for an input that declares one: what was asked for stays."""
        if declared is None or self.audio_format is not None:
            return self
        return replace(self, audio_format=declared)

    def contradicts(self, declared: str | None) -> bool:
        """Whether an input declares another format than the one that was asked for."""
        asked = self.audio_format
        return None not in (asked, declared) and asked != declared

    @property
    def to_ambix(self) -> FloatArray:
        """(4, 4) matrix from the four channels to AmbiX in the room's axes."""
        if self.as_given:
            return np.eye(CHANNELS)
        matrix = format_to_ambix_matrix(self.format_name)
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
            which = "--channels says which, such as --channels 1,2,3,4"
            raise InputError(
                f"The input must hold {CHANNELS} channels (first-order Ambisonics or a "
                f"tetrahedral microphone). Received: {name} with {count}",
                options={"channels": which} if available > CHANNELS else None,
            )
        if max(self.channel_map) > available:
            raise InputError(
                f"`channels` must be among the input's channels. Received: channels="
                f"{_listed(self.channel_map)} for {name} with {count}"
            )
        return [number - 1 for number in self.channel_map]


# Four channels of what the input declares, else of AmbiX; microphone upright, facing forward.
AMBIX = InputFormat()
CONTRADICTION = "%s declares that its channels are %s; they are read as %s, as asked for"


def _listed(channels: Sequence[int]) -> str:
    return ",".join(map(str, channels))
