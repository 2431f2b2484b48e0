"""The mounting of a microphone, from where talkers stood and where they were heard.

One place gives the yaw of a microphone that stands level, or hangs. Two give all three angles: the
rotation that brings what was heard closest to what is known (Wahba's problem, solved by a singular
value decomposition: Markley 1988; Kabsch 1976, doi:10.1107/S0567739476001873). Three that lie in no
plane with the microphone tell a mirrored room as well, which exchanged or inverted channels make
and no mounting does: the rotation leaves much unexplained there, a reflection little.

A rotation may be an exchange of channels all the same: W X Y Z read as W Y Z X turns the axes, X
to Z. It looks like a microphone that lies exactly on its side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from doa_core.angles import (
    FloatArray,
    great_circle_distance,
    rotation_angles,
    rotation_matrix,
    vector_to_angles,
)
from doa_core.errors import InputError
from doa_edge.input.exchanges import EXCHANGES, swaps_that_mirror

NEAREST_DEG = 30.0  # places that tell a rotation
STEEPEST_DEG = 60.0  # of one place: above it the azimuth says little
WARNED_DEG = 10.0  # left unexplained
REFUSED_DEG = 20.0
LYING_DEG = 8.0  # from a microphone that lies on its side
_SPACIOUS = 0.3  # least singular value of places that lie in no plane
_MIRRORED_DEG = 5.0  # by which a reflection must explain more
_POSTURE_DEG = 5.0  # by which standing or hanging must explain more than the other


@dataclass(frozen=True, kw_only=True)
class Mounting:
    """How a microphone is mounted.

    Attributes:
        mount: yaw, pitch, roll [rad], as `doa_core.angles.rotation_matrix` takes them.
        residuals_deg: what the mounting leaves unexplained at each place [degrees].
        mirror_checked: whether the places could tell a mirrored room.
        warnings: sentences for people.
    """

    mount: tuple[float, float, float]
    residuals_deg: tuple[float, ...]
    mirror_checked: bool
    warnings: tuple[str, ...]

    @property
    def residual_deg(self) -> float:
        """Root mean square of what is left unexplained [degrees]."""
        return _mean_deg(np.array(self.residuals_deg))


def check_places(places: FloatArray) -> None:
    """Raise InputError unless a mounting can be told from talkers at these places.

    Args:
        places: (P, 3) unit vectors in the room's axes, P at least 1.
    """
    if len(places) == 1:
        elevation_deg = math.degrees(float(vector_to_angles(places[0])[1]))
        if abs(elevation_deg) > STEEPEST_DEG:
            raise InputError(
                f"One place must have an elevation between -{STEEPEST_DEG:g} and "
                f"{STEEPEST_DEG:g} degrees: from above, no yaw can be told. "
                f"Received: {elevation_deg:g}"
            )
    check_apart(places, "they are")


def check_apart(places: FloatArray, known: str) -> None:
    """Raise InputError where places are nearer than 30 degrees, or two are opposite each other.

    Args:
        places: (P, 3) unit vectors.
        known: how their distance is known, as a sentence goes on: `they were heard`.
    """
    for first, second in combinations(range(len(places)), 2):
        apart_deg = _between_deg(places[first], places[second])
        told = f"Received: {known} {apart_deg:.0f} degrees apart"
        names = f"Places {first + 1} and {second + 1} must be"
        if apart_deg < NEAREST_DEG:
            raise InputError(f"{names} at least {NEAREST_DEG:g} degrees apart. {told}")
        if len(places) == 2 and apart_deg > 180.0 - NEAREST_DEG:
            raise InputError(
                f"{names} at most {180.0 - NEAREST_DEG:g} degrees apart: opposite each other, they "
                f"do not tell how the microphone is turned about the line between them. {told}"
            )


def level_mounting(
    heard: FloatArray, place: FloatArray, *, hangs: bool = False, elevation_told: bool = False
) -> Mounting:
    """The mounting of a microphone that stands level, or hangs, from one place.

    Args:
        heard: (3,) unit vector to the talker in the microphone's axes.
        place: (3,) where the talker is, in the room's axes.
        hangs: whether the microphone hangs upside down.
        elevation_told: whether the elevation of the place is known, and not the usual one.

    Raises:
        InputError: the talker was heard from above or below, or the place is.
    """
    check_places(place[np.newaxis])
    roll = math.pi if hangs else 0.0
    azimuth, elevation = vector_to_angles(rotation_matrix(roll=roll) @ heard)
    how = _posture(hangs)
    if abs(math.degrees(float(elevation))) > STEEPEST_DEG:
        raise InputError(
            f"One place gives the yaw of a microphone that {how}: it must hear the talker within "
            f"{STEEPEST_DEG:g} degrees of the horizon. For any other, measure two places. "
            f"Received: a talker at {math.degrees(float(elevation)):.0f} degrees of elevation"
        )
    yaw = _wrapped(float(vector_to_angles(place)[0]) - float(azimuth))
    left_deg = _between_deg(rotation_matrix(yaw, roll=roll) @ heard, place)
    warnings: tuple[str, ...] = ()
    if left_deg > WARNED_DEG:
        # Upside down the talker is heard as high as they were heard low, and the other way around.
        other_deg = abs(math.degrees(float(vector_to_angles(place)[1]) + float(elevation)))
        advice = _advice(left_deg, other_deg, hangs=hangs, elevation_told=elevation_told)
        warnings = (
            f"{left_deg:.0f} degrees are left unexplained, as the talker was heard higher or lower "
            f"than they are if the microphone {how}: {advice}",
        )
    return Mounting(
        mount=(yaw, 0.0, roll), residuals_deg=(left_deg,), mirror_checked=False, warnings=warnings
    )


def _posture(hangs: bool) -> str:
    return "hangs" if hangs else "stands level"


def _advice(left_deg: float, other_deg: float, *, hangs: bool, elevation_told: bool) -> str:
    """What to do about what one place leaves unexplained.

    Args:
        left_deg: unexplained [degrees].
        other_deg: unexplained if the microphone hangs instead of standing, or the other way around.
        hangs: whether it is taken to hang.
        elevation_told: whether the elevation of the place is known.
    """
    if other_deg < left_deg - _POSTURE_DEG:
        option = "leave out --hangs" if hangs else "add --hangs"
        how = _posture(not hangs)
        return f"{other_deg:.0f} are left if it {how} ({option}); else measure two places"
    if elevation_told:
        return "measure two places, or check the elevation of --place"
    return "measure two places, or say the elevation of the mouth (--place)"


def mounting(heard: FloatArray, places: FloatArray) -> Mounting:
    """The mounting of a microphone from two places or more.

    Args:
        heard: (P, 3) unit vectors to the talkers in the microphone's axes.
        places: (P, 3) where they are, in the room's axes.

    Raises:
        InputError: places that are too near, or heard so; a mirrored room; or directions that
            neither a rotation nor a reflection explains.
    """
    check_places(places)
    check_apart(heard, "they were heard")
    rotation, reflection = _closest(heard, places)
    left_deg = _left_deg(rotation, heard, places)
    spacious = bool(np.linalg.svd(places, compute_uv=False)[-1] >= _SPACIOUS)
    mirror_checked = len(places) > 2 and spacious
    if mirror_checked:
        _refuse_mirrored(reflection, _mean_deg(left_deg), heard, places)
    if _mean_deg(left_deg) > REFUSED_DEG:
        raise InputError(
            "The places must be those where the talkers stood, one recording each in their order, "
            "and the channels those of --format: no mounting explains what was heard. "
            f"Received: {_mean_deg(left_deg):.0f} degrees left unexplained"
        )
    warnings = [*_unexplained(left_deg), *_lying(rotation)]
    if len(places) > 2 and not mirror_checked:
        warnings.append(
            "exchanged or mirrored channels cannot be told: the places lie in one plane with the "
            "microphone; one of them must be above"
        )
    return Mounting(
        mount=rotation_angles(rotation),
        residuals_deg=tuple(left_deg.tolist()),
        mirror_checked=mirror_checked,
        warnings=tuple(warnings),
    )


def _closest(heard: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3, 3) rotation and reflection that bring what was heard closest to the places."""
    left, _, right = np.linalg.svd(places.T @ heard)
    handed = np.sign(np.linalg.det(left @ right))
    rotation: FloatArray = left @ np.diag([1.0, 1.0, handed]) @ right
    reflection: FloatArray = left @ np.diag([1.0, 1.0, -handed]) @ right
    return rotation, reflection


def _refuse_mirrored(
    reflection: FloatArray, rotated_deg: float, heard: FloatArray, places: FloatArray
) -> None:
    mirrored_deg = _mean_deg(_left_deg(reflection, heard, places))
    if mirrored_deg > rotated_deg - _MIRRORED_DEG:
        return
    swaps = swaps_that_mirror(reflection)
    fits = f"; it would fit if {', or '.join(swaps)}" if swaps else ""
    raise InputError(
        "Channels are exchanged or inverted, as the room is mirrored, which no mounting does: "
        f"check --format, --channels and the wiring{fits}. Received: {rotated_deg:.0f} degrees "
        f"left unexplained by a rotation, {mirrored_deg:.0f} by a reflection"
    )


def _unexplained(left_deg: FloatArray) -> Sequence[str]:
    if _mean_deg(left_deg) <= WARNED_DEG:
        return ()
    return (
        f"{_mean_deg(left_deg):.0f} degrees are left unexplained: was the mouth at the "
        "microphone's height, or where --place says?",
    )


def _lying(rotation: FloatArray) -> Sequence[str]:
    """A warning of a microphone that lies on its side, as exchanged axes look."""
    for exchange in sorted(EXCHANGES, key=lambda one: one.changes):
        up = exchange.matrix[2]  # in the axes that are read
        if not exchange.mirrors and not up[2] and _between_deg(rotation[2], up) < LYING_DEG:
            break
    else:
        return ()
    return (
        "the microphone lies on its side, or its axes are exchanged, as of W X Y Z read as W Y Z X "
        f"({exchange}): if it does not lie, check --format and --channels",
    )


def _left_deg(matrix: FloatArray, heard: FloatArray, places: FloatArray) -> FloatArray:
    """(P,) angles that are left."""
    return np.degrees(great_circle_distance(heard @ matrix.T, places))


def _mean_deg(left_deg: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(left_deg))))


def _between_deg(a: FloatArray, b: FloatArray) -> float:
    return float(np.degrees(great_circle_distance(a, b)))


def _wrapped(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    wrapped = math.remainder(angle, 2.0 * math.pi)
    return math.pi if wrapped <= -math.pi else wrapped
