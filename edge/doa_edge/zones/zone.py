"""An area of directions with a name, such as a desk, or the television that is to be ignored."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from doa_core.errors import visible
from doa_edge.limits import LIMITS, Limits

MOST_ZONES = 32  # of a run; as many again may be ignored
LONGEST_NAME = 32  # characters
AROUND = (-180.0, 180.0)  # degrees: every azimuth
FROM_BELOW = (-90.0, 90.0)  # degrees: every elevation
FORMS = "[FROM, TO] or {azimuth = [FROM, TO], elevation = [LOW, HIGH]}, in degrees"
_AZIMUTHS = LIMITS["zones"]
_ELEVATIONS = Limits(*FROM_BELOW, "degrees")


@dataclass(frozen=True, kw_only=True)
class Zone:
    """All directions between two azimuths, and between two elevations. Its borders belong to it.

    Attributes:
        name: 1 to 32 letters, digits, `_` and `-`: it becomes part of topics and addresses.
        azimuth_deg: counter-clockwise from the first to the second, each in [-360, 360]. (-30, 30)
            is ahead, (150, -150) behind, (-180, 180) all around.
        elevation_deg: from the lower to the higher, in [-90, 90].

    Raises:
        ValueError: another name, azimuths that are empty or go beyond a whole turn, elevations that
            are empty, anything that is not finite.
    """

    name: str
    azimuth_deg: tuple[float, float] = AROUND
    elevation_deg: tuple[float, float] = FROM_BELOW

    def __post_init__(self) -> None:
        check_name(self.name)
        first, last = _pair(self.name, "azimuths", self.azimuth_deg, _AZIMUTHS)
        if not 0.0 < self.width_deg <= 360.0 or last - first > 360.0:
            raise ValueError(
                f"the azimuths of zone {self.name} must span more than 0 and at most 360 degrees, "
                f"counter-clockwise from the first to the second. Received: {first:g}, {last:g}"
            )
        low, high = _pair(self.name, "elevations", self.elevation_deg, _ELEVATIONS)
        if low >= high:
            raise ValueError(
                f"the elevations of zone {self.name} must be the lower one and then the higher. "
                f"Received: {low:g}, {high:g}"
            )

    @property
    def width_deg(self) -> float:
        """From the first azimuth to the second, counter-clockwise [degrees]."""
        first, last = self.azimuth_deg
        return last - first if last >= first else (last - first) % 360.0

    def holds(self, azimuth_deg: float, elevation_deg: float, *, margin_deg: float = 0.0) -> bool:
        """Whether a direction is in the zone, or no farther out than a margin [degrees]."""
        low, high = self.elevation_deg
        if not low - margin_deg <= elevation_deg <= high + margin_deg:
            return False
        beyond = (azimuth_deg - self.azimuth_deg[0] + margin_deg) % 360.0
        width = self.width_deg + 2.0 * margin_deg
        return width >= 360.0 or beyond <= width

    def to_dict(self) -> dict[str, Any]:
        """Its name and its borders, ready for JSON."""
        return {
            "name": self.name,
            "azimuth_deg": list(self.azimuth_deg),
            "elevation_deg": list(self.elevation_deg),
        }


def are_in(zones: Iterable[Zone], azimuth_deg: float, elevation_deg: float) -> bool:
    """Whether a direction is in one of some zones."""
    return any(zone.holds(azimuth_deg, elevation_deg) for zone in zones)


def points_into(zones: Iterable[Zone], direction: Iterable[float]) -> bool:
    """Whether a (3,) vector points into a zone; in plain floats, as numpy is slow for three."""
    x, y, z = direction
    azimuth_deg = math.degrees(math.atan2(y, x))
    return are_in(zones, azimuth_deg, math.degrees(math.atan2(z, math.hypot(x, y))))


def check_name(name: object) -> None:
    """Raise ValueError for a name that a topic, an address or a picture could not bear."""
    known = isinstance(name, str) and len(name) <= LONGEST_NAME
    if not known or not str(name).replace("_", "a").replace("-", "a").isalnum():
        shown = visible(str(name))
        shown = shown if len(shown) <= 2 * LONGEST_NAME else f"{shown[: 2 * LONGEST_NAME]}..."
        raise ValueError(
            f"the name of a zone must have 1 to {LONGEST_NAME} letters, digits, _ and - and "
            f"nothing else. Received: '{shown}'"
        )


def check_together(zones: Iterable[Zone]) -> None:
    """Raise ValueError for zones that are too many, or whose names differ in no more than case."""
    names: dict[str, str] = {}
    for zone in zones:
        if (folded := zone.name.casefold()) in names:
            raise ValueError(
                "the names of zones must differ, in more than upper and lower case. "
                f"Received: {names[folded]} and {zone.name}"
            )
        names[folded] = zone.name
    if len(names) > MOST_ZONES:
        raise ValueError(f"there must be {MOST_ZONES} zones at most. Received: {len(names)}")


def zone_of(name: str, value: object) -> Zone:
    """The zone that an entry of a configuration describes.

    Args:
        name: its key.
        value: two azimuths, or a table with `azimuth`, `elevation` or both; what is missing is not
            limited.

    Raises:
        ValueError: another form, or as `Zone`.
    """
    name = unicodedata.normalize("NFC", name)  # an umlaut is one letter, however it was typed
    check_name(name)
    borders = value if isinstance(value, Mapping) else {"azimuth": value}
    pairs: list[Any] = [borders.get("azimuth", AROUND), borders.get("elevation", FROM_BELOW)]
    known = borders and not set(borders) - {"azimuth", "elevation"}
    if not known or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise ValueError(f"zone {name} must be {FORMS}. Received: {value!r}")
    return Zone(name=name, azimuth_deg=tuple(pairs[0]), elevation_deg=tuple(pairs[1]))


def _pair(name: str, what: str, values: tuple[float, float], limits: Limits) -> tuple[float, float]:
    """The values, if they are two within their limits."""
    if len(values) != 2 or not all(map(limits.holds, values)):
        raise ValueError(
            f"the {what} of zone {name} must be two numbers between {limits.lowest:g} and "
            f"{limits.highest:g} {limits.unit}. Received: {', '.join(map(_short, values))}"
        )
    return values


def _short(value: object) -> str:
    text = visible(str(value))
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."
