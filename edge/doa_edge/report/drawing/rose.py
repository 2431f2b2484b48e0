"""The panel of directions: for how long a voice was heard from each, seen from above."""

from __future__ import annotations

import math
from collections.abc import Sequence

from doa_edge.report.drawing.canvas import Canvas
from doa_edge.report.drawing.scales import DISTINCT, cut
from doa_edge.report.history import History
from doa_edge.report.moments import duration_text
from doa_edge.report.span import SECTOR_DEG, SECTORS, sector_azimuth

HEIGHT = 400.0
_RADIUS = 134.0
_MOST_ZONES = 6
_NEAR_DEG = 7.0  # to the left or the right: the name of a zone would stand on theirs
_JOINED = 2  # sectors of a petal
_POINTS = 5  # along the outer end of a petal


def draw_rose(canvas: Canvas, history: History, width: float) -> None:
    """Draw a petal for every ten degrees, its area the time that a voice came from there.

    Ahead is up, left is left.

    Args:
        canvas: `width` by `HEIGHT` pixels.
        history: with an estimate at least.
        width: of the panel [pixels].
    """
    x, y = width / 2.0, HEIGHT / 2.0 - 4.0
    petals = petals_of(history.sectors)
    most = max(petals)
    for share in (0.25, 1.0):
        canvas.circle(x, y, _RADIUS * math.sqrt(share), "line")
    for angle in range(0, 360, 45):
        canvas.line([(x, y), _point(x, y, _RADIUS, angle)], "line")
    for number, seconds in enumerate(petals):
        if seconds > 0.0:
            _draw_petal(canvas, (x, y), number, seconds / most, duration_text(seconds))
    places = (
        ("ahead", 0, 0, -32),
        ("left", 90, -16, 4),
        ("back", 180, 0, 42),
        ("right", -90, 16, 4),
    )
    for name, azimuth_deg, dx, dy in places:
        at = _point(x, y, _RADIUS, azimuth_deg)
        anchor = "end" if dx < 0 else "start" if dx else "middle"
        canvas.text((at[0] + dx, at[1] + dy), name, size=12.5, anchor=anchor, bold=True)
    _draw_zones(canvas, history, x, y)
    for share in (0.25, 1.0) if most > 0.0 else ():
        at = _point(x, y, _RADIUS * math.sqrt(share), -157.5)
        text = duration_text(most * share)
        canvas.text((at[0] + 4, at[1] + 4), text, size=10.5, fill="muted")


def petals_of(sectors: Sequence[float]) -> list[float]:
    """Seconds of ten degrees around 0°, 10° and so on; half of what lies between two is of each.

    Args:
        sectors: 72 sums of seconds, of five degrees each.
    """
    return [
        sectors[n] + (sectors[n - 1] + sectors[(n + 1) % SECTORS]) / 2.0
        for n in range(0, SECTORS, _JOINED)
    ]


def _draw_petal(
    canvas: Canvas, middle: tuple[float, float], number: int, share: float, time: str
) -> None:
    azimuth_deg = sector_azimuth(_JOINED * number)
    radius = _RADIUS * math.sqrt(share)
    wide = _JOINED * SECTOR_DEG
    first = azimuth_deg - wide / 2.0
    outer = [
        _point(*middle, radius, first + wide * step / (_POINTS - 1)) for step in range(_POINTS)
    ]
    tip = f"around {azimuth_deg}°: {time}"
    canvas.shape([middle, *outer], "accent", line="card", tip=tip)


def _draw_zones(canvas: Canvas, history: History, x: float, y: float) -> None:
    """A mark and the name outside, where each zone was heard from."""
    longest = sorted(history.zones.items(), key=lambda pair: -pair[1].seconds)[:_MOST_ZONES]
    for number, (name, place) in enumerate(longest):
        if not place.seconds:
            continue
        azimuth_deg = place.azimuth_deg
        arc = [_point(x, y, _RADIUS + 8, azimuth_deg + step) for step in range(-9, 10, 3)]
        canvas.line(arc, DISTINCT[number], 4.0)
        at = _point(x, y, _RADIUS + 19, azimuth_deg)
        side = math.sin(math.radians(azimuth_deg))
        anchor = "middle" if abs(side) < 0.35 else "end" if side > 0 else "start"
        beside = azimuth_deg - math.copysign(90.0, azimuth_deg)  # of `left` or `right`
        down = 4.0
        if abs(beside) < _NEAR_DEG:  # above their name, or below it
            down += 15.0 if abs(azimuth_deg) >= 90.0 else -15.0
        canvas.text((at[0], at[1] + down), cut(name, 12), size=11.5, anchor=anchor)


def _point(x: float, y: float, radius: float, azimuth_deg: float) -> tuple[float, float]:
    azimuth = math.radians(azimuth_deg)
    return x - radius * math.sin(azimuth), y - radius * math.cos(azimuth)
