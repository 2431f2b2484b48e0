"""Where sources, listeners and receivers of a SOFA file are: units, angles and axes.

SOFA's azimuth is counter-clockwise from x (forward), y is left, z is up, elevation is up from the
horizon, as in this package. Sources are placed in the axes of the room; the listener's position,
view (x) and up (z) turn them into the microphone's axes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_tf.microphones.sofa_file import SofaFile, warn_once

_NEAR = 1e-6  # metres that are no distance
FARTHEST = 1e5  # metres
_MOST_TURNS = 2  # of an azimuth
_DEGREE = np.pi / 180.0
# Words of SOFA's `Units`, in metres and in radians.
_LENGTHS = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
}
_ANGLES = {
    **dict.fromkeys(("degree", "degrees", "deg", "\N{DEGREE SIGN}"), _DEGREE),
    **dict.fromkeys(("radian", "radians", "rad"), 1.0),
}
_TYPES = ("cartesian", "spherical", "spherical harmonics")
_EXAMPLE = "degree, degree, metre"


@dataclass(frozen=True)
class Points:
    """Places in a file.

    Attributes:
        places: (..., 3) [metres] cartesian.
        directions: (..., 3) unit vectors that spherical coordinates name even at a radius of 0; nan
            where coordinates are cartesian.
    """

    places: np.ndarray
    directions: np.ndarray

    def rows(self, count: int, name: str, sofa: SofaFile) -> Points:
        """(count, 3): one row for all measurements is repeated.

        Raises:
            InputError: neither one row nor `count`.
        """
        if len(self.places) not in (1, count):
            raise InputError(
                f"{sofa.path} must hold one {name}, or one for each of its {count} measurements. "
                f"Received: {len(self.places)}"
            )
        shape = (count, *self.places.shape[1:])
        return Points(np.broadcast_to(self.places, shape), np.broadcast_to(self.directions, shape))


def source_places(
    sofa: SofaFile, measurements: int, emitters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the sources are for the listener.

    Args:
        sofa: of `open_sofa`.
        measurements: M, emitters counted one by one.
        emitters: E.

    Returns:
        (M, 3) unit vectors in the listener's axes, and (M,) distances [metres], nan where the file
        gives a radius of 0: a direction without a distance.

    Raises:
        InputError: positions that are missing or contradict each other, a source in the listener.
    """
    rows = measurements // emitters
    points = positions(sofa, "SourcePosition").rows(rows, "SourcePosition", sofa)
    sources, bearings = (np.repeat(x, emitters, axis=0) for x in (points.places, points.directions))
    if emitters > 1:
        turns = np.repeat(_axes(sofa, "Source", rows), emitters, axis=0)
        # Emitters are placed in the axes of their source.
        parts = _emitters(sofa, rows, emitters)
        sources = sources + np.einsum("mab,ma->mb", turns, parts.places)
        bearings = np.einsum("mab,ma->mb", turns, parts.directions)
    offsets = sources - listener_positions(sofa, measurements, emitters)
    distances = np.linalg.norm(offsets, axis=-1)
    # A radius of 0, seen from a listener in the same place: the angles still say the direction.
    bare = (distances < _NEAR) & np.isfinite(bearings).all(axis=-1)
    if np.any((distances < _NEAR) & ~bare):
        raise InputError(f"{sofa.path} has a source in the same place as the listener")
    offsets = np.where(bare[:, np.newaxis], bearings, offsets)
    axes = np.repeat(_axes(sofa, "Listener", rows), emitters, axis=0)
    offsets = np.einsum("mab,mb->ma", axes, offsets)
    directions = offsets / np.linalg.norm(offsets, axis=-1, keepdims=True)
    return directions, np.where(bare, np.nan, distances)


def listener_positions(sofa: SofaFile, measurements: int, emitters: int) -> np.ndarray:
    """(M, 3) [metres] where the microphone is, in the axes of the room."""
    rows = measurements // emitters
    points = positions(sofa, "ListenerPosition").rows(rows, "ListenerPosition", sofa)
    return np.repeat(points.places, emitters, axis=0)


def positions(sofa: SofaFile, name: str, *, units_of: str | None = None) -> Points:
    """(rows, 3), or (rows, parts, 3) of receivers and emitters that move.

    Args:
        sofa: of `open_sofa`.
        name: of the variable.
        units_of: variable whose type and units are meant; its own by default.

    Raises:
        InputError: missing, or coordinates of which the file does not say what they are.
    """
    variable = sofa.variable(name)
    values = variable.values
    if values.ndim == 3:  # (parts, coordinates, measurements)
        values = values[..., 0] if values.shape[-1] == 1 else np.moveaxis(values, -1, 0)
    values = np.atleast_2d(values)
    if values.shape[-1] != 3:
        raise InputError(
            f"{sofa.path}: {name} must be rows of three coordinates, one for all measurements or "
            f"one each. Received: {variable.values.shape}"
        )
    spherical, scales = _system(sofa, units_of or name, values)
    values = values * scales
    metres = values[..., 2:] if spherical else values
    if np.abs(metres).max() > FARTHEST:
        raise InputError(
            f"{sofa.path}: {name} must lie within {FARTHEST:g} metres. Received: "
            f"{np.abs(metres).max():g}"
        )
    return (
        _spherical(sofa, name, values)
        if spherical
        else Points(values, np.full_like(values, np.nan))
    )


def _emitters(sofa: SofaFile, rows: int, emitters: int) -> Points:
    """(rows x E, 3) places of emitters in the axes of their source."""
    if sofa.variable("EmitterPosition").attribute("Type") == "spherical harmonics":
        raise InputError(
            f"{sofa.path} holds {emitters} emitters that are coefficients of spherical harmonics, "
            "not places of sources: evaluate them in the directions of sources first"
        )
    points = positions(sofa, "EmitterPosition")
    if points.places.ndim == 3:
        points = points.rows(rows, "EmitterPosition", sofa)
    shape = points.places.shape
    if shape not in ((emitters, 3), (rows, emitters, 3)):
        raise InputError(
            f"{sofa.path} must give one EmitterPosition for each of its {emitters} emitters. "
            f"Received: {shape}"
        )
    all_rows = [np.broadcast_to(x, (rows, emitters, 3)) for x in (points.places, points.directions)]
    return Points(*(x.reshape(-1, 3) for x in all_rows))


def _system(sofa: SofaFile, name: str, values: np.ndarray) -> tuple[bool, np.ndarray]:
    """Whether coordinates are spherical, and (3,) factors to metres and radians.

    Type and Units of the file have to agree; one of them may be missing where the other is enough.
    """
    given = sofa.reading.units_of(name)
    if given is not None:
        spherical, scales = _units(sofa, name, given) or (False, np.ones(3))
        return spherical, scales
    variable = sofa.variables.get(name)
    kind = variable.attribute("Type") if variable else ""
    text = variable.attribute("Units") if variable else ""
    units = _units(sofa, name, text)
    is_position = name.endswith("Position")
    if kind not in ("", *_TYPES):
        raise _undecided(sofa, name, f"{kind!r} in {text!r}")
    if not values.any() and (units is None or not kind or units[0] != (kind != "cartesian")):
        return False, np.ones(3)  # the origin, whatever it is said in
    if units is None and kind == "cartesian":
        return False, np.ones(3)
    if units is None and not kind and not is_position:  # views and corners: metres
        return False, np.ones(3)
    if units is None or (kind and units[0] != (kind != "cartesian")):
        raise _undecided(sofa, name, f"{kind or 'no type'!r} in {text or 'no units'!r}")
    return units


def _undecided(sofa: SofaFile, name: str, received: str) -> InputError:
    return InputError(
        f"{sofa.path}: {name} must be cartesian, or spherical with angles and a length. Received: "
        f"{received}. Say which with --sofa-units '{name}=UNITS', such as metre or {_EXAMPLE}"
    )


def _units(sofa: SofaFile, name: str, text: str) -> tuple[bool, np.ndarray] | None:
    """Whether units are those of spherical coordinates, and their factors; None for no units."""
    words = [word for word in re.split(r"[,;\s]+", text.casefold()) if word]
    if not words:
        return None
    unknown = [word for word in words if word not in _LENGTHS and word not in _ANGLES]
    angles = [word in _ANGLES for word in words]
    if not unknown and len(words) in (1, 3) and not any(angles):
        lengths = [_LENGTHS[word] for word in words]
        return False, np.array(3 * lengths if len(words) == 1 else lengths)
    # `degree` alone stands for both angles; a length that is left out is in metres.
    if not unknown and angles in ([True], [True, True], [True, True, False]):
        length = _LENGTHS[words[2]] if len(words) == 3 else 1.0
        return True, np.array([_ANGLES[words[0]], _ANGLES[words[min(1, len(words) - 1)]], length])
    raise _undecided(sofa, name, repr(text))


def _spherical(sofa: SofaFile, name: str, values: np.ndarray) -> Points:
    """Places from azimuth, elevation or colatitude [radians] and radius [metres]."""
    azimuth, angle, radius = np.moveaxis(values, -1, 0)
    if radius.min() < 0.0:
        raise InputError(
            f"{sofa.path}: {name} must have radii of at least 0. Received: {radius.min():g}"
        )
    low, high = np.degrees([angle.min(), angle.max()])
    angles = sofa.reading.angles
    if angles is None and low > -1e-6 and low < 90.0 < high - 1e-6 and high < 180.0 + 1e-6:
        warn_once(
            f"{sofa.path}: {name} has angles from {low:g} to {high:g} degrees, which are taken as "
            "colatitudes (0 up, 180 down)"
        )
        angles = "colatitude"
    least, most = (0.0, 180.0) if angles == "colatitude" else (-90.0, 90.0)
    if low < least - 1e-6 or high > most + 1e-6:
        plural = "colatitudes" if angles == "colatitude" else "elevations"
        other = "elevation" if angles == "colatitude" else "colatitude"
        raise InputError(
            f"{sofa.path}: {name} must have {plural} between {least:g} and {most:g} degrees. "
            f"Received: {low:g} to {high:g}. Are they others? --sofa-angles {other}, or "
            f"--sofa-units '{name}=UNITS'"
        )
    if np.abs(azimuth).max() > _MOST_TURNS * 2.0 * np.pi:
        raise InputError(
            f"{sofa.path}: {name} must have azimuths within {_MOST_TURNS} turns. Received: "
            f"{np.degrees(np.abs(azimuth).max()):g} degrees. "
            f"Are they in other units? --sofa-units '{name}=UNITS'"
        )
    elevation = np.pi / 2.0 - angle if angles == "colatitude" else angle
    elevation = np.clip(elevation, -np.pi / 2.0, np.pi / 2.0)
    directions = np.asarray(angles_to_vector(azimuth, elevation))
    return Points(directions * radius[..., np.newaxis], directions)


def _axes(sofa: SofaFile, who: str, rows: int) -> np.ndarray:
    """(M, 3, 3) rows x, y, z of the axes of the listener or source, in those of the room."""
    view = np.array([[1.0, 0.0, 0.0]])
    up = np.array([[0.0, 0.0, 1.0]])
    names = f"{who}View", f"{who}Up"
    if names[0] in sofa.variables:
        view = positions(sofa, names[0]).rows(rows, names[0], sofa).places
    if names[1] in sofa.variables:
        # The up vector has the type and the units of the view (AES69).
        up = positions(sofa, names[1], units_of=names[0]).rows(rows, names[1], sofa).places
    x, z = np.broadcast_to(view, (rows, 3)), np.broadcast_to(up, (rows, 3))
    y = np.cross(z, x)
    lengths = [np.linalg.norm(axis, axis=-1, keepdims=True) for axis in (x, y)]
    if min(length.min() for length in lengths) < 1e-6:
        raise InputError(f"{sofa.path} must hold a {who}View and a {who}Up that span a plane")
    x, y = x / lengths[0], y / lengths[1]
    # An up vector that is not perpendicular to the view is made so.
    return np.stack([x, y, np.cross(x, y)], axis=1)
