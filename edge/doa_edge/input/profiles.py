"""Microphones whose channels are documented. Others are described by options.

The system knows a tetrahedral microphone behind an interface by the interface's name, so a profile
has to be asked for. Arrays that are no first-order Ambisonics microphones, although they have four
channels and more, can be recognised by name.
"""

from __future__ import annotations

import re
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

_PLANE = "microphones in one plane, no Ambisonics"
_LINE = "four microphones in a line, no Ambisonics"
_ENCODE = "encode them to AmbiX first and pipe that in"

# Part of a device's name, without blanks, dashes and cases, and what the device is.
NOT_AMBISONIC = {
    "respeaker": f"ReSpeaker: {_PLANE}",
    "seeed": f"a ReSpeaker of Seeed: {_PLANE}",
    "ac10xcodec": f"a ReSpeaker HAT: {_PLANE}",
    "ac108": f"a ReSpeaker HAT: {_PLANE}",
    "micarray": f"a microphone array such as miniDSP's UMA-8: {_PLANE}",
    "uma8": f"miniDSP UMA-8: {_PLANE}",
    "uma16": f"miniDSP UMA-16: {_PLANE}",
    "matrixio": f"MATRIX Creator or Voice: {_PLANE}",
    "matrixcreator": f"MATRIX Creator: {_PLANE}",
    "matrixvoice": f"MATRIX Voice: {_PLANE}",
    "usbcamerab4.09.24.1": f"PlayStation 3 Eye: {_LINE}",
    "playstationeye": f"PlayStation 3 Eye: {_LINE}",
    "ps3eye": f"PlayStation 3 Eye: {_LINE}",
    "azurekinect": f"Azure Kinect: {_PLANE}",
    "kinect": f"Kinect: {_LINE}",
    "xboxnui": f"Kinect: {_LINE}",
    "zylia": f"19 capsules on a sphere: {_ENCODE}",
    "spatialmic": f"eight capsules, second order: {_ENCODE}",
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
    name = re.sub(r"[\s_-]", "", device_name.lower())
    return next((what for part, what in NOT_AMBISONIC.items() if part in name), None)
