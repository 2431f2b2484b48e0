"""The panel of directions: for how long a voice was heard from each, seen from above."""

from __future__ import annotations

import math

from doa_edge.report.drawing.canvas import Canvas
from doa_edge.report.drawing.scales import DISTINCT, cut
from doa_edge.report.history import History
from doa_edge.report.moments import duration_text
from doa_edge.report.span import SECTOR_DEG, SECTORS, sector_azimuth

HEIGHT = 430.0
_RADIUS = 150.0
_MOST_ZONES = 6
_POINTS = 4  # along the outer end of a petal


def draw_rose(canvas: Canvas, history: History, width: float) -> None:
    """Draw a petal for each sector of azimuth, its area the time that a voice came from there.

    Ahead is up, left is left.

    Args:
        canvas: `width` by `HEIGHT` pixels.
        history: with an estimate at least.
        width: of the panel [pixels].
    """
    x, y = width / 2.0, HEIGHT / 2.0 + 2.0
    most = max(history.sectors)
    for share in (0.25, 1.0):
        canvas.circle(x, y, _RADIUS * math.sqrt(share), "line")
    for angle in range(0, 360, 45):
        canvas.line([(x, y), _point(x, y, _RADIUS, angle)], "line")
    for sector in range(SECTORS):
        seconds = history.sectors[sector]
        if most > 0.0 and seconds > 0.0:
            _draw_petal(canvas, (x, y), sector, seconds, most)
    places = (
        ("ahead", 0, 0, -32),
        ("left", 90, -36, 4),
        ("back", 180, 0, 42),
        ("right", -90, 36, 4),
    )
    for name, azimuth_deg, dx, dy in places:
        at = _point(x, y, _RADIUS, azimuth_deg)
        canvas.text((at[0] + dx, at[1] + dy), name, size=12.5, anchor="middle", bold=True)
    _draw_zones(canvas, history, x, y)
    for share in (0.25, 1.0) if most > 0.0 else ():
        at = _point(x, y, _RADIUS * math.sqrt(share), -157.5)
        text = duration_text(most * share)
        canvas.text((at[0] + 4, at[1] + 4), text, size=10.5, fill="muted")


def _draw_petal(
    canvas: Canvas, middle: tuple[float, float], sector: int, seconds: float, most: float
) -> None:
    azimuth_deg = sector_azimuth(sector)
    radius = _RADIUS * math.sqrt(seconds / most)
    first = azimuth_deg - SECTOR_DEG / 2.0
    outer = [
        _point(*middle, radius, first + SECTOR_DEG * step / (_POINTS - 1))
        for step in range(_POINTS)
    ]
    tip = f"{azimuth_deg}°: {duration_text(seconds)}"
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
        canvas.text((at[0], at[1] + 4), cut(name, 12), size=11.5, anchor=anchor)


def _point(x: float, y: float, radius: float, azimuth_deg: float) -> tuple[float, float]:
    azimuth = math.radians(azimuth_deg)
    return x - radius * math.sin(azimuth), y - radius * math.cos(azimuth)
