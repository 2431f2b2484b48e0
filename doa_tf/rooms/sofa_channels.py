"""What the receivers of a room's SOFA file are, and AmbiX made of them.

`Data.IR:ChannelOrdering` and `Data.IR:Normalization` (of the convention AmbisonicsDRIR, written in
others too) say it; without them the type and places of the receivers do. What the user says comes
first. The direct sound is held against the positions of the sources. Where the two contradict each
other, a file that would agree if it were read otherwise is refused, unless the user said how to
read it; anything else is warned of.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from doa_core.ambisonics import DEFAULT_LAYOUT, FORMATS, TETRAHEDRAL_LAYOUTS, to_ambix
from doa_core.errors import InputError
from doa_tf.microphones import sofa_geometry, sofa_responses
from doa_tf.microphones.measured_array import MeasuredArrayMicrophone
from doa_tf.microphones.sofa_file import SofaFile, SofaReading, warn_once
from doa_tf.rooms.direct_sound import DirectSound, direct_sound

# Gains of the dipoles. Ambisonic SOFA files have ACN order; many are N3D instead of SN3D.
ACN_FORMATS = {"ambix": 1.0, "acn-n3d": 1.0 / np.sqrt(3.0)}
SAME_PLACE = 1e-3  # metres
_ORDERS = {"acn": [0, 1, 2, 3], "fuma": [0, 2, 3, 1]}  # W, Y, Z, X in the file's channels
# Gains of W and of the dipoles that make SN3D.
_NORMALIZATIONS = {
    **dict.fromkeys(("sn3d", "schmidt"), (1.0, 1.0)),
    **dict.fromkeys(("n3d", "o3d", "orthonormal"), (1.0, 1.0 / np.sqrt(3.0))),
    **dict.fromkeys(("fuma", "maxn"), (np.sqrt(2.0), 1.0)),
}
_ORDER_NAMES = {"ambix": "acn", "wyzx": "acn", "wxyz": "fuma", "furse-malham": "fuma"}
# Median angles from the labels to the direct sound; 200 simulated rooms have up to 16 degrees.
_SUSPECT = np.radians(20.0)  # look for a reading that agrees
_CONTRADICTS = np.radians(45.0)  # say it even if none does
_AGREES = np.radians(25.0)
_MUCH_BETTER = 0.4  # times the angle of what was read
_UNITS = ("radian, radian, metre", "degree, degree, metre")
_READINGS = {
    "--sofa-angles colatitude": SofaReading(angles="colatitude"),
    **{
        f"--sofa-units 'SourcePosition={units}'{option}": SofaReading(
            units=(f"SourcePosition={units}",), angles=angles
        )
        for angles, option in (
            ("elevation", ""),
            ("colatitude", " --sofa-angles colatitude"),
        )
        for units in _UNITS
    },
}
_WRONG = (
    "No other channel format or unit agrees: its positions or its axes may be others than it says"
)
_N3D_LEVELS = (1.6, 1.9)  # of dipoles over W that say N3D: the square root of 3


def first_order(
    sofa: SofaFile, responses: np.ndarray, channel_format: str | None
) -> tuple[np.ndarray, str]:
    """AmbiX of receivers that are Ambisonic channels or a tetrahedron.

    Args:
        sofa: whose receivers they are.
        responses: (M, N, R).
        channel_format: what the user says, or None.

    Returns:
        (M, N, 4), and the format that was taken, for messages.

    Raises:
        InputError: no format, or one that the receivers cannot have.
    """
    declared = _declared(sofa)
    if channel_format is None and declared is not None:
        _check_channels(sofa, responses)
        order, normalization = declared
        gains = np.array(_NORMALIZATIONS[normalization])[[0, 1, 1, 1]]
        return responses[..., _ORDERS[order]] * gains, f"{order} order, {normalization}"
    if channel_format is None:
        channel_format = _format_of(sofa, responses.shape[-1])
    elif declared is not None and not _is_declared(channel_format, declared):
        warn_once(
            f"{sofa.path} says that its channels have {declared[0]} order and {declared[1]}; they "
            f"are read as {channel_format}, as was asked for"
        )
    return _named(sofa, responses, channel_format), channel_format


def encoded(sofa: SofaFile, responses: np.ndarray, array: str | Path) -> np.ndarray:
    """(M, N + taps, 4) AmbiX from (M, N, Q) capsules of the array in another file."""
    from scipy.signal import fftconvolve

    encoder = MeasuredArrayMicrophone(file=str(array)).encoder()
    if encoder.shape[-1] != responses.shape[-1]:
        raise InputError(
            f"{sofa.path} must hold the {encoder.shape[-1]} capsules of {array}. "
            f"Received: {responses.shape[-1]} receivers"
        )
    size = 2 * (len(encoder) - 1)
    taps = np.roll(np.fft.irfft(encoder, size, axis=0), size // 2, axis=0)  # centred
    ambix = np.empty((len(responses), responses.shape[1] + size // 2 - 1, 4))
    for row, response in zip(ambix, responses, strict=True):
        for channel in range(4):
            full = fftconvolve(response, taps[:, channel], axes=0).sum(axis=-1)
            row[:, channel] = full[size // 2 :]
    return ambix


def check_direct_sound(
    sofa: SofaFile,
    channels: np.ndarray,
    ambix: np.ndarray,
    directions: np.ndarray,
    *,
    taken: str,
    asked: bool,
) -> None:
    """Hold the direct sound of all responses of a file against the directions of their sources.

    Args:
        sofa: the file.
        channels: (M, N, R) its responses, emitters counted one by one.
        ambix: (M, N, 4) what was made of them.
        directions: (M, 3) unit vectors.
        taken: what the channels were taken for.
        asked: the user said so: a contradiction is a warning.

    Raises:
        InputError: a contradiction that another format, other units or other angles resolve.
    """
    found = direct_sound(list(ambix), directions)
    suspect = found.judged > 0 and found.error > _SUSPECT
    options: list[str] = []
    if suspect:
        options = _agreeing_formats(channels, directions, found.error)
        options += _agreeing_readings(sofa, ambix, found.error)
    agrees = f"It agrees with {' or '.join(options)}"
    message = (
        f"{sofa.path}: the direct sound comes {np.degrees(found.error):.0f} degrees (median) "
        f"from where its sources should be, with its channels taken as {taken}"
    )
    if options and not asked:
        raise InputError(
            f"{message}. {agrees}; to keep what the file says, name its --channel-format"
        )
    if options or (suspect and found.error > _CONTRADICTS):
        warn_once(f"{message}. {agrees if options else _WRONG}")
    elif found.judged and _N3D_LEVELS[0] < found.dipoles < _N3D_LEVELS[1]:
        warn_once(
            f"{sofa.path}: the dipoles of the direct sound are {found.dipoles:.2f} times as loud "
            f"as W, as in N3D; the channels are taken as {taken} (--channel-format acn-n3d?)"
        )


def _agreeing_readings(sofa: SofaFile, ambix: np.ndarray, error: float) -> list[str]:
    """Options with which the sources would be where the direct sound comes from."""
    options = []
    emitters = sofa_responses.emitter_count(sofa)
    for name, reading in _READINGS.items():
        try:
            told = replace(sofa, reading=reading)
            directions, _ = sofa_geometry.source_places(told, len(ambix), emitters)
        except InputError:  # these positions cannot be read so
            continue
        if _agrees(direct_sound(list(ambix), directions), error):
            options.append(name)
    return options


def _agreeing_formats(channels: np.ndarray, directions: np.ndarray, error: float) -> list[str]:
    """The channel format with which four receivers agree best with their labels, if any does."""
    if channels.shape[-1] != 4:
        return []
    layouts = [f"tetrahedral:{name}" for name in TETRAHEDRAL_LAYOUTS if name != DEFAULT_LAYOUT]
    answers = []
    for name in (*FORMATS, *layouts):
        found = direct_sound(list(to_ambix(channels, name)), directions)
        if _agrees(found, error) and found.dipoles > 0.0:
            # Formats that differ in normalization alone agree equally well.
            angle = round(np.degrees(found.error) / 5.0)
            answers.append((angle, abs(np.log(found.dipoles)), name))
    return [f"--channel-format {min(answers)[2]}"] if answers else []


def _agrees(found: DirectSound, error: float) -> bool:
    return found.judged > 0 and found.error < min(_AGREES, _MUCH_BETTER * error)


def _declared(sofa: SofaFile) -> tuple[str, str] | None:
    """Channel order and normalization that the file says, each one of our names; None for none."""
    variable = sofa.variable("Data.IR")
    order, normalization = (
        variable.attribute(name) or sofa.attribute(name)
        for name in ("ChannelOrdering", "Normalization")
    )
    order = _ORDER_NAMES.get(order, order)
    if not order and not normalization:
        return None
    # Furse-Malham means both; nothing else about one of the two says the other.
    order = order or ("fuma" if normalization == "fuma" else "acn")
    normalization = normalization or ("fuma" if order == "fuma" else "sn3d")
    if order not in _ORDERS or normalization not in _NORMALIZATIONS:
        raise InputError(
            f"{sofa.path} must have a ChannelOrdering of {', '.join(_ORDERS)} and a Normalization "
            f"of {', '.join(_NORMALIZATIONS)}. Received: {order}, {normalization}"
        )
    return order, normalization


def _is_declared(channel_format: str, declared: tuple[str, str]) -> bool:
    names = {
        "ambix": ("acn", "sn3d"),
        "acn-n3d": ("acn", "n3d"),
        "fuma": ("fuma", "fuma"),
        "n3d": ("fuma", "n3d"),
    }
    order, normalization = names.get(channel_format, ("", "sn3d"))
    same_gains = _NORMALIZATIONS[normalization] == _NORMALIZATIONS[declared[1]]
    return order == declared[0] and same_gains


def _format_of(sofa: SofaFile, count: int) -> str:
    """`ambix` where places and type of the file's receivers, so many, say Ambisonic channels."""
    receivers = sofa_geometry.positions(sofa, "ReceiverPosition").places
    kind = sofa.variable("ReceiverPosition").attribute("Type")
    together = np.ptp(receivers.reshape(-1, 3), axis=0).max() < SAME_PLACE
    if sofa.attribute("ListenerShortName") == "mic" and kind != "spherical harmonics":
        raise InputError(
            f"{sofa.path} says that its listener is `mic`, the capsules of a microphone, whose "
            "places it does not tell: name their --channel-format, such as tetrahedral, or the "
            "--array that they are"
        )
    if kind == "spherical harmonics" or (together and count == 4):
        return "ambix"
    raise InputError(
        f"{sofa.path} holds {count} receivers that are no four in one place: name the SOFA file of "
        "the array that they are (--array), or their --channel-format, such as ambix, if they are "
        "first-order Ambisonics"
    )


def _check_channels(sofa: SofaFile, responses: np.ndarray) -> None:
    if responses.shape[-1] < 4:
        raise InputError(
            f"{sofa.path} must hold at least 4 channels. Received: {responses.shape[-1]}"
        )


def _named(sofa: SofaFile, responses: np.ndarray, channel_format: str) -> np.ndarray:
    """(M, N, 4) AmbiX from (M, N, R) channels of a named format."""
    channels = responses.shape[-1]
    if channel_format in ACN_FORMATS:
        _check_channels(sofa, responses)
        return responses[..., :4] * np.array([1.0, *3 * [ACN_FORMATS[channel_format]]])
    if channels != 4:
        raise InputError(
            f"{sofa.path} must hold 4 channels of {channel_format}. Received: {channels}"
        )
    try:
        return np.asarray(to_ambix(responses, channel_format))
    except ValueError as error:
        raise InputError(f"{error}; acn-n3d is allowed here as well") from error
