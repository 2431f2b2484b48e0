"""Measured rooms in SOFA files (AES69).

A room is a SingleRoomSRIR file with FOA channels, or with the capsules of an array, which are
encoded by the responses in the array's own SOFA file.

References:
    AES69-2022, "AES standard for file exchange - Spatial acoustic data file format"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones import sofa_file, sofa_geometry, sofa_physics, sofa_responses
from doa_tf.rooms.sofa_channels import SAME_PLACE, check_direct_sound, encoded, first_order

ROOM_CONVENTIONS = (
    *("SingleRoomSRIR", "SingleRoomMIMOSRIR", "SingleRoomDRIR", "MultiSpeakerBRIR"),
    "AmbisonicsDRIR",
)
# Optional entries of a new SingleRoomSRIR file that are left out: always, and of unknown rooms.
_UNKNOWN = (
    *("ReceiverDescriptions", "ReceiverView", "ReceiverView_Type", "ReceiverView_Units"),
    *("ReceiverUp", "EmitterDescriptions", "EmitterView", "EmitterView_Type"),
    *("EmitterView_Units", "EmitterUp", "MeasurementDate", "RoomTemperature"),
    *("RoomTemperature_Units", "RoomVolume", "RoomVolume_Units"),
)
_CORNERS = ("RoomCornerA", "RoomCornerB", "RoomCorners", "RoomCorners_Type", "RoomCorners_Units")


@dataclass(frozen=True, kw_only=True)
class RoomResponses:
    """Measurements at one position in one room.

    Attributes:
        directions: (S, 3) unit vectors towards the sources, in the microphone's axes.
        distances: (S,) [metres]; nan where the file has a radius of 0.
        responses: S arrays (N, 4) of AmbiX at 16 kHz, float32.
        microphone: (3,) [metres] its position in the axes of the room; nan if unknown.
        size: (3,) [metres] of a shoebox room; nan if unknown.
        title: of the file.
    """

    directions: np.ndarray
    distances: np.ndarray
    responses: list[np.ndarray]
    microphone: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))
    size: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))
    title: str = ""


def read_room_responses(
    path: str | Path,
    *,
    channel_format: str | None = None,
    array: str | Path | None = None,
    reading: sofa_file.SofaReading | None = None,
) -> list[RoomResponses]:
    """The responses of a SOFA file: one entry for each position of the microphone.

    Args:
        path: SOFA file; its conventions are `ROOM_CONVENTIONS`.
        channel_format: of FOA receivers: a name of `doa_core.ambisonics.FORMATS` (tetrahedral also
            with a layout), or `acn-n3d`. Of `ambix` and `acn-n3d` only the first order is used.
            None means what the file says of its channels (`Data.IR:ChannelOrdering` and
            `Normalization`), else `ambix` where its receivers are spherical harmonics or four at
            the same position, and is an error otherwise.
        array: SOFA file of the array whose capsules the receivers are; they are encoded.
        reading: units and angles where the file's are wrong or missing; of `path`, not `array`.

    Raises:
        InputError: as `read_array`; receivers that are neither FOA nor the array's, or a direct
            sound that comes from elsewhere than the file says, unless its format was named.
        MissingPackageError: netCDF4 is not installed.
    """
    sofa = sofa_file.open_sofa(path, conventions=ROOM_CONVENTIONS, reading=reading)
    responses, emitters = sofa_responses.impulse_responses(sofa, silence=False)
    channels = responses.swapaxes(1, 2)  # (M, N, R)
    if array is not None:
        if channel_format is not None:
            raise InputError("`array` encodes capsules: it goes without `channel_format`")
        responses, taken = encoded(sofa, channels, array), f"the capsules of {array}"
    else:
        responses, taken = first_order(sofa, channels, channel_format)
    directions, distances = sofa_geometry.source_places(sofa, len(responses), emitters)
    asked = array is not None or channel_format is not None
    sofa_physics.check_measurements(sofa, channels.swapaxes(1, 2))
    if array is not None or taken.casefold().startswith("tetrahedral"):
        sofa_physics.check_capsules(sofa, channels.swapaxes(1, 2))
    check_direct_sound(sofa, channels, responses, directions, taken=taken, asked=asked)
    sofa_physics.check_channels(sofa, responses, directions)
    listeners = sofa_geometry.listener_positions(sofa, len(responses), emitters)
    corner, size = _room(sofa)
    # In order of appearance: positions that differ by less than a millimetre are one.
    keys = [tuple(key) for key in np.round(listeners / SAME_PLACE).astype(int)]
    rooms = []
    for key in dict.fromkeys(keys):
        members = [index for index, other in enumerate(keys) if other == key]
        rooms.append(
            RoomResponses(
                directions=directions[members],
                distances=distances[members],
                responses=[_trimmed(responses[index]) for index in members],
                microphone=listeners[members[0]] - corner,
                size=size,
                title=sofa.attributes.get("Title", ""),
            )
        )
    return rooms


def write_room_responses(
    path: str | Path,
    room: RoomResponses,
    *,
    comment: str = "",
    organization: str = "",
    author_contact: str = "",
    licence: str = "No license provided, ask the author for permission",
) -> None:
    """Write a SingleRoomSRIR file with FOA receivers: ACN order, SN3D.

    The microphone looks along x, so that directions in the file are those of the room; a corner
    of the room is the origin if size and place are known, else the microphone is.

    Args:
        path: FILE.sofa, replaced when it is whole.
        room: what to write; shorter responses are filled with zeros.
        comment: what the file's `Comment` says.
        organization: who made the data.
        author_contact: address or name for questions.
        licence: under which the data may be used.

    Raises:
        InputError: a name that does not end in .sofa, or responses of another shape.
        OSError: the file cannot be written.
        MissingPackageError: sofar is not installed.
    """
    sofa_file.check_sofa_name(path)
    count = len(room.responses)
    shapes = {np.shape(response)[1:] for response in room.responses}
    if shapes != {(4,)} or np.shape(room.directions) != (count, 3):
        raise InputError(
            "`room` must hold responses of shape (N, 4), and a direction for each. Received: "
            f"{[np.shape(response) for response in room.responses]}, {np.shape(room.directions)}"
        )
    samples = max(len(response) for response in room.responses)
    padded = [np.pad(r, ((0, samples - len(r)), (0, 0))) for r in room.responses]
    placed = bool(np.all(np.isfinite([*room.microphone, *room.size])))
    origin = np.asarray(room.microphone) if placed else np.zeros(3)
    title = room.title or "Spatial room impulse responses"
    sofa = sofa_file.new_sofa("SingleRoomSRIR", title=title)
    sofa.Data_IR = np.stack(padded).swapaxes(1, 2).astype(np.float64)
    sofa.Data_SamplingRate = float(SAMPLE_RATE)
    sofa.Data_Delay = np.zeros((1, 4))
    sofa.ReceiverPosition = np.zeros((4, 3))
    sofa.ReceiverPosition_Type = "spherical harmonics"
    sofa.ReceiverPosition_Units = "degree, degree, metre"
    sofa.ListenerPosition = np.tile(origin, (count, 1))
    offsets = np.asarray(room.directions) * np.asarray(room.distances)[:, np.newaxis]
    sofa.SourcePosition = origin + offsets
    sofa.SourceView, sofa.SourceUp = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    for name in _UNKNOWN:
        sofa.delete(name)
    sofa.GLOBAL_ReceiverDescription = "First-order Ambisonics: ACN order (W, Y, Z, X), SN3D (AmbiX)"
    sofa.GLOBAL_SourceDescription = "Directions are known, orientations are not"
    sofa.GLOBAL_DatabaseName = room.title or "doa-tf"
    if placed:
        sofa.GLOBAL_RoomType = "shoebox"
        sofa.RoomCornerA, sofa.RoomCornerB = np.zeros(3), np.asarray(room.size, np.float64)
    else:
        sofa.GLOBAL_RoomType = "dae"
        sofa.GLOBAL_RoomGeometry = "unknown"
        for name in _CORNERS:
            sofa.delete(name)
    sofa.GLOBAL_Comment = comment
    sofa.GLOBAL_Organization = organization
    sofa.GLOBAL_AuthorContact = author_contact
    sofa.GLOBAL_License = licence
    sofa_file.write_sofa(path, sofa)


def _room(sofa: sofa_file.SofaFile) -> tuple[np.ndarray, np.ndarray]:
    """Lowest corner and size of a shoebox room; the origin and nan if the file says nothing."""
    unknown = np.zeros(3), np.full(3, np.nan)
    names = ("RoomCornerA", "RoomCornerB")
    if not all(name in sofa.variables for name in names):
        return unknown
    corners = [sofa_geometry.positions(sofa, name).places for name in names]
    if any(len(corner) != 1 for corner in corners):
        return unknown
    size = np.abs(corners[1] - corners[0])[0]
    if np.any(size < 0.5):  # not a room, but a default that was left in
        return unknown
    return np.minimum(*corners)[0], size


def _trimmed(response: np.ndarray) -> np.ndarray:
    """(N, 4) float32 without the zeros that make all responses of a file as long."""
    heard = np.flatnonzero(np.any(response != 0.0, axis=-1))
    return response[: heard[-1] + 1 if len(heard) else 1].astype(np.float32)
