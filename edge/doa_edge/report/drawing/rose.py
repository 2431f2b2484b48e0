"""The panel of directions: for how long a voice was heard from each, seen from above."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from doa_edge.report.drawing.canvas import Canvas
from doa_edge.report.drawing.scales import DISTINCT, apart, cut
from doa_edge.report.history import History
from doa_edge.report.moments import duration_text
from doa_edge.report.span import SECTOR_DEG, SECTORS, Place, sector_azimuth

HEIGHT = 420.0
_RADIUS = 118.0
_MIDDLE = 192.0  # down to the middle
_MOST_ZONES = 6
_POINTS = 5  # along the outer end of a petal
_ARC, _ARCS = 8.0, 4.5  # from the circle to the first arc of a zone, and on to the next [pixels]
_LEAST = 0.1  # of a zone's longest sector: what is less is no part of its arc
_ROW = 14.0  # from one name to the next [pixels]
_AHEAD, _BACK = 32.0, 42.0  # from the arcs to the baselines of these words [pixels]
_SIDE = (-12.0, 18.0)  # above and below `left` and `right` [pixels]


class _Zone(NamedTuple):
    """A zone, as it is drawn."""

    name: str
    colour: str
    place: Place
    level: int  # how far outside


def draw_rose(canvas: Canvas, history: History, width: float) -> None:
    """Draw a petal for every sector of five degrees, its area the time that a voice came from it.

    Ahead is up, left is left.

    Args:
        canvas: `width` by `HEIGHT` pixels.
        history: with an estimate at least.
        width: of the panel [pixels].
    """
    middle = width / 2.0, _MIDDLE
    most = max(history.sectors)
    for share in (0.25, 1.0):
        canvas.circle(*middle, _RADIUS * math.sqrt(share), "line")
    for angle in range(0, 360, 45):
        canvas.line([middle, _point(*middle, _RADIUS, angle)], "line")
    for sector, seconds in enumerate(history.sectors):
        if seconds > 0.0:
            _draw_petal(canvas, middle, sector, seconds / most, duration_text(seconds))
    zones = _zones_of(history)
    outside = _ARCS * max((zone.level for zone in zones), default=0)
    places = (
        ("ahead", 0, 0, -_AHEAD),
        ("left", 90, -20, 4),
        ("back", 180, 0, _BACK),
        ("right", -90, 20, 4),
    )
    for name, azimuth_deg, dx, dy in places:
        at = _point(*middle, _RADIUS + outside, azimuth_deg)
        anchor = "end" if dx < 0 else "start" if dx else "middle"
        canvas.text((at[0] + dx, at[1] + dy), name, size=12.5, anchor=anchor, bold=True)
    _draw_zones(canvas, zones, middle, _RADIUS + _ARC + outside)
    if most > 0.0:
        rings = f"outer circle {duration_text(most)}, inner {duration_text(most / 4.0)} from"
        told = f"{rings} {SECTOR_DEG} degrees"
        canvas.text((middle[0], HEIGHT - 4), told, size=10.5, fill="muted", anchor="middle")


def _draw_petal(
    canvas: Canvas, middle: tuple[float, float], sector: int, share: float, time: str
) -> None:
    azimuth_deg = sector_azimuth(sector)
    outer = _arc(middle, _RADIUS * math.sqrt(share), azimuth_deg, azimuth_deg)
    tip = f"around {azimuth_deg}°: {time}"
    canvas.shape([middle, *outer], "accent", line="card", tip=tip)


def _zones_of(history: History) -> list[_Zone]:
    """The zones heard longest; those that were heard from the same sectors lie in other arcs."""
    longest = sorted(history.zones.items(), key=lambda pair: -pair[1].seconds)[:_MOST_ZONES]
    taken: list[set[int]] = []
    zones = []
    for number, (name, place) in enumerate(longest):
        if not place.sectors:
            continue
        sectors = _main_sectors(place)
        around = {(sector + by) % SECTORS for sector in sectors for by in (-1, 0, 1)}
        free = (level for level, others in enumerate(taken) if not others & around)
        level = next(free, len(taken))
        if level == len(taken):
            taken.append(set())
        taken[level] |= sectors
        zones.append(_Zone(name, DISTINCT[number], place, level))
    return zones


def _main_sectors(place: Place) -> set[int]:
    """The sectors that a zone was heard from, without those of a few moments."""
    least = _LEAST * max(place.sectors.values())
    return {sector for sector, seconds in place.sectors.items() if seconds >= least}


def stretches(sectors: Collection[int]) -> list[tuple[int, int]]:
    """Sectors side by side: the first of each stretch, and how many there are in it."""
    if len(set(sectors)) == SECTORS:
        return [(0, SECTORS)]
    found = []
    for first in sorted(sectors):
        if (first - 1) % SECTORS in sectors:
            continue
        count = 1
        while (first + count) % SECTORS in sectors:
            count += 1
        found.append((first, count))
    return found


def _draw_zones(
    canvas: Canvas, zones: Sequence[_Zone], middle: tuple[float, float], outside: float
) -> None:
    """Arcs along what each zone was heard from, and its name where it was heard longest."""
    for zone in zones:
        radius = _RADIUS + _ARC + _ARCS * zone.level
        for first, count in stretches(_main_sectors(zone.place)):
            last_deg = SECTOR_DEG * (first + count - 1)
            canvas.line(_arc(middle, radius, SECTOR_DEG * first, last_deg), zone.colour, 3.0)
    for is_left in (True, False):
        side = [zone for zone in zones if (zone.place.peak_deg >= 0.0) is is_left]
        side.sort(key=lambda zone: _point(*middle, outside, zone.place.peak_deg)[1])
        points = [_point(*middle, outside, zone.place.peak_deg) for zone in side]
        rows = _rows([y for _, y in points], outside)
        for zone, (x, y), at in zip(side, points, rows, strict=True):
            along = math.sqrt(max(outside**2 - (at - middle[1]) ** 2, 0.0))
            beside = max(abs(x - middle[0]), along)  # a name that is moved stays outside
            away = -1.0 if is_left else 1.0
            edge = middle[0] + away * beside
            canvas.line([(x, y), (edge + 6 * away, at - 4)], zone.colour, 1.5)
            anchor = "end" if is_left else "start"
            at_name = (edge + 9 * away, at)
            canvas.text(at_name, cut(zone.name, 10), size=11.5, anchor=anchor)


def _rows(places: Sequence[float], outside: float) -> list[float]:
    """Baselines of names on one side, apart from one another and from the words around.

    Args:
        places: where they would be, from above [pixels].
        outside: radius that they are at [pixels].
    """
    above = [y + 4 for y in places if y < _MIDDLE]
    below = [y + 4 for y in places if y >= _MIDDLE]
    reach = outside - _ARC
    top, bottom = _MIDDLE - reach - _AHEAD + _ROW, _MIDDLE + reach + _BACK - _ROW
    return [
        *apart(above, _ROW, top=top, bottom=_MIDDLE + _SIDE[0]),
        *apart(below, _ROW, top=_MIDDLE + _SIDE[1], bottom=bottom),
    ]


def _arc(
    middle: tuple[float, float], radius: float, first_deg: float, last_deg: float
) -> list[tuple[float, float]]:
    """Points along sectors, from the edge of the first to that of the last."""
    begin_deg = first_deg - SECTOR_DEG / 2.0
    wide_deg = last_deg - first_deg + SECTOR_DEG
    steps = max(_POINTS - 1, round(wide_deg / 3.0))
    angles = (begin_deg + wide_deg * step / steps for step in range(steps + 1))
    return [_point(*middle, radius, angle) for angle in angles]


def _point(x: float, y: float, radius: float, azimuth_deg: float) -> tuple[float, float]:
    azimuth = math.radians(azimuth_deg)
    return x - radius * math.sin(azimuth), y - radius * math.cos(azimuth)
