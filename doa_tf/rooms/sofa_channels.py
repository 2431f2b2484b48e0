"""What the receivers of a room's SOFA file are, and AmbiX made of them.

`Data.IR:ChannelOrdering` and `Data.IR:Normalization` (of the convention AmbisonicsDRIR, written in
others too) say it; without them the type and places of the receivers do. What the user says comes
first. The direct sound is held against the positions of the sources. Where the two contradict each
other, a file that would agree if it were read otherwise is refused, unless the user said how to
read it; anything else is warned of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from doa_core.ambisonics import DEFAULT_LAYOUT, FORMATS, TETRAHEDRAL_LAYOUTS, to_ambix
from doa_core.errors import InputError
from doa_tf.microphones import sofa_geometry
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
_CONTRADICTS = np.radians(45.0)  # median angle from the labels to the direct sound
_AGREES = np.radians(25.0)  # of a format that is named instead
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
_N3D_LEVELS = (1.5, 2.0)  # of dipoles over W that say N3D: the square root of 3


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
        channel_format = _format_of(sofa)
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
    ambix: Sequence[np.ndarray],
    directions: np.ndarray,
    *,
    emitters: int,
    taken: str,
    asked: bool,
) -> None:
    """Hold the direct sound of all responses of a file against the directions of their sources.

    Args:
        sofa: for messages.
        ambix: M arrays (N, 4).
        directions: (M, 3) unit vectors.
        emitters: E, of each measurement.
        taken: what the channels were taken for.
        asked: the user said so: a contradiction is a warning.

    Raises:
        InputError: a contradiction that another format, other units or other angles resolve.
    """
    found = direct_sound(ambix, directions)
    if found.judged and found.error > _CONTRADICTS:
        message = (
            f"{sofa.path}: the direct sound comes {np.degrees(found.error):.0f} degrees (median) "
            f"from where its sources are said to be, with its channels taken as {taken}"
        )
        options = _agreeing(sofa, ambix, directions, emitters)
        if options and not asked:
            raise InputError(
                f"{message}. It agrees with {' or '.join(options)}; to keep what the file says, "
                "name its --channel-format"
            )
        warn_once(f"{message}. {'It agrees with ' + ' or '.join(options) if options else _WRONG}")
    elif found.judged and _N3D_LEVELS[0] < found.dipoles < _N3D_LEVELS[1]:
        warn_once(
            f"{sofa.path}: the dipoles of the direct sound are {found.dipoles:.2f} times as loud "
            f"as W, as in N3D; the channels are taken as {taken} (--channel-format acn-n3d?)"
        )


def _agreeing(
    sofa: SofaFile, ambix: Sequence[np.ndarray], directions: np.ndarray, emitters: int
) -> list[str]:
    """Options with which the direct sound would come from where the sources are said to be."""
    options = []
    for name, reading in _READINGS.items():
        try:
            told = replace(sofa, reading=reading)
            others, _ = sofa_geometry.source_places(told, len(ambix), emitters)
        except InputError:
            continue
        if _agrees(direct_sound(ambix, others)):
            options.append(name)
    channel_format = _agreeing_format(sofa, directions)
    return [*([f"--channel-format {channel_format}"] if channel_format else []), *options]


def _agreeing_format(sofa: SofaFile, directions: np.ndarray) -> str | None:
    """The channel format with which four receivers agree best with their labels, if any."""
    responses = sofa.variable("Data.IR").values
    if responses.ndim != 3 or responses.shape[1] != 4 or len(responses) != len(directions):
        return None
    layouts = [f"tetrahedral:{name}" for name in TETRAHEDRAL_LAYOUTS if name != DEFAULT_LAYOUT]
    answers = []
    for name in (*FORMATS, *layouts):
        found = direct_sound(list(_named(sofa, responses.swapaxes(1, 2), name)), directions)
        if _agrees(found) and found.dipoles > 0.0:
            answers.append((abs(np.log(found.dipoles)), name))
    return min(answers)[1] if answers else None


def _agrees(found: DirectSound) -> bool:
    return found.judged > 0 and found.error < _AGREES


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


def _format_of(sofa: SofaFile) -> str:
    """`ambix` where the places and the type of its receivers say Ambisonic channels."""
    receivers = sofa_geometry.positions(sofa, "ReceiverPosition").places
    kind = sofa.variable("ReceiverPosition").attribute("Type")
    together = np.ptp(receivers.reshape(-1, 3), axis=0).max() < SAME_PLACE
    count = sofa.variable("Data.IR").values.shape[1]
    if sofa.attribute("ListenerShortName") == "mic" and kind != "spherical harmonics":
        raise InputError(
            f"{sofa.path} says that its listener is `mic`, the capsules of a microphone, whose "
            "places it does not tell: name their --channel-format, such as tetrahedral, or the "
            "--array that they are"
        )
    if kind == "spherical harmonics" or (together and count == 4):
        return "ambix"
    raise InputError(
        f"{sofa.path} holds {count} receivers in different places: name the SOFA file "
        "of the array that they are, or their channel format if they are first-order Ambisonics"
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
