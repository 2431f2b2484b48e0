"""Microphones whose channels are documented. Others are described by options.

The system knows a tetrahedral microphone behind an interface by the interface's name, so a profile
has to be asked for. Arrays that are no first-order Ambisonics microphones, although they have four
channels and more, can be recognised by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from doa_core.errors import InputError


@dataclass(frozen=True)
class Profile:
    """A microphone whose capsules' order is documented.

    Attributes:
        name: for `--profile`.
        title: maker and model.
        audio_format: of its channels; see `doa_core.ambisonics`.
        needs: what the wiring must be for its channels to be in this order.
        source: where the order is documented.
    """

    name: str
    title: str
    audio_format: str
    needs: str
    source: str


_IN_ORDER = "an interface with four inputs of equal gain, capsules 1 to 4 on inputs 1 to 4"
_SURVEY = "A. Farina, A-format to B-format conversion, pcfarina.eng.unipr.it"
_ORDERS = "ambisonics.ch, A-format channel ordering"
_LAYOUT = "tetrahedral:flu-frd-bld-bru"

PROFILES = (
    Profile("ambeo-vr", "Sennheiser AMBEO VR Mic", _LAYOUT, _IN_ORDER, _SURVEY),
    Profile("sps200", "SoundField SPS200", _LAYOUT, _IN_ORDER, _SURVEY),
    Profile("tetramic", "Core Sound TetraMic", _LAYOUT, _IN_ORDER, _ORDERS),
)

# Part of a device's name, in lower case, and what the device is.
NOT_AMBISONIC = {
    "respeaker": "four microphones in one plane (channels 2 to 5 of 6), no Ambisonics",
    "zylia": "19 capsules on a sphere: encode them to AmbiX first and pipe that in",
    "spatial mic": "eight capsules, second order: encode them to AmbiX first and pipe that in",
}


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


def not_ambisonic(device_name: str) -> str | None:
    """What a device is, if its name shows that it is no first-order Ambisonics microphone."""
    name = device_name.lower()
    return next((what for part, what in NOT_AMBISONIC.items() if part in name), None)
