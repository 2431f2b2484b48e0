"""Microphones whose channels are documented. Others are described by options.

Each entry says what a device's USB (or an interface's) channels are, and where that is documented.
"""

from __future__ import annotations

from dataclasses import dataclass

from doa_edge.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is known of a microphone.

    Attributes:
        name: for `--profile`.
        title: maker and model.
        audio_format: of its channels; see `doa_core.ambisonics`.
        matches: parts of the name that the system gives the device, in lower case; none for a
            microphone behind an interface, whose name says nothing of the microphone.
        rate: to open it with [hertz]; None for any.
        setting: what has to be set on the device.
    """

    name: str
    title: str
    audio_format: str
    matches: tuple[str, ...] = ()
    rate: int | None = None
    setting: str = ""


PROFILES: tuple[Profile, ...] = ()


def find_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        InputError: there is none.
    """
    for profile in PROFILES:
        if profile.name == name.lower():
            return profile
    raise InputError(
        f"`profile` must be one of {', '.join(profile.name for profile in PROFILES)}. "
        f"Received: profile={name!r}"
    )


def recognise(device_name: str) -> Profile | None:
    """The profile whose device has such a name, if any."""
    name = device_name.lower()
    for profile in PROFILES:
        if any(part in name for part in profile.matches):
            return profile
    return None
