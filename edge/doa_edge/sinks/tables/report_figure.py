"""A report as a picture, by Matplotlib: the panels of the page, drawn as one figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from doa_core.errors import visible
from doa_edge.report.drawing.canvas import CLEAR, COLOURS, Box, Raster
from doa_edge.report.drawing.page import PRIVACY
from doa_edge.report.drawing.panels import GAP, PADDING, WIDTH, Panel, Section
from doa_edge.sinks.plot import save_picture

_DPI = 120.0  # pixels of panels in an inch: more of the picture would take more memory
_POINTS = 72.0 / _DPI  # of a pixel
_MARGIN = 24.0
_TITLE = 30.0  # of a panel [pixels]
_NAME = 44.0  # of a microphone


class FigureCanvas:
    """A canvas that draws into axes of Matplotlib, whose units are pixels, y downwards.

    Args:
        axes: of the whole figure.
        x, y: where the upper left corner of the canvas is.
    """

    def __init__(self, axes: Any, x: float, y: float) -> None:
        self._axes = axes
        self._x, self._y = x, y

    def rect(self, box: Box, fill: str, *, radius: float = 0.0, tip: str = "") -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`; a picture has no tips."""
        from matplotlib.patches import FancyBboxPatch, Rectangle

        if fill == CLEAR:
            return
        corner = (self._x + box.x, self._y + box.y)
        style: dict[str, Any] = {"facecolor": _colour(fill), "linewidth": 0.0}
        patch: Rectangle | FancyBboxPatch
        if radius and min(box.width, box.height) > 2 * radius:
            rounded = f"round,pad=0,rounding_size={radius}"
            patch = FancyBboxPatch(corner, box.width, box.height, boxstyle=rounded, **style)
        else:
            patch = Rectangle(corner, box.width, box.height, **style)
        self._axes.add_patch(patch)

    def shape(
        self, points: Sequence[tuple[float, float]], fill: str, *, line: str = "", tip: str = ""
    ) -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`."""
        from matplotlib.patches import Polygon

        around = {"edgecolor": _colour(line), "linewidth": _POINTS} if line else {"linewidth": 0.0}
        self._axes.add_patch(Polygon(self._at(points), facecolor=_colour(fill), **around))

    def line(self, points: Sequence[tuple[float, float]], stroke: str, width: float = 1.0) -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`."""
        xs, ys = zip(*self._at(points), strict=True)
        self._axes.plot(xs, ys, color=_colour(stroke), linewidth=width * _POINTS)

    def circle(self, x: float, y: float, radius: float, stroke: str) -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`."""
        from matplotlib.patches import Circle

        middle = (self._x + x, self._y + y)
        around = {"edgecolor": _colour(stroke), "linewidth": _POINTS}
        self._axes.add_patch(Circle(middle, radius, fill=False, **around))

    def text(
        self,
        at: tuple[float, float],
        text: str,
        *,
        size: float = 12.0,
        fill: str = "ink",
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`."""
        self._axes.text(
            *(self._x + at[0], self._y + at[1], visible(text)),
            fontsize=0.93 * size * _POINTS,  # its letters are wider than a browser's
            color=_colour(fill),
            ha={"start": "left", "middle": "center", "end": "right"}[anchor],
            va="baseline",
            fontweight="bold" if bold else "normal",
        )

    def image(self, box: Box, raster: Raster) -> None:
        """See `doa_edge.report.drawing.canvas.Canvas`."""
        import numpy as np

        palette = np.array(raster.palette, np.uint8)
        pixels = palette[[list(row) for row in raster.rows]]
        left, top = self._x + box.x, self._y + box.y
        extent = (left, left + box.width, top + box.height, top)
        limits = self._axes.get_xlim(), self._axes.get_ylim()
        self._axes.imshow(pixels, extent=extent, aspect="auto", interpolation="nearest", zorder=1.5)
        self._axes.set(xlim=limits[0], ylim=limits[1])

    def _at(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self._x + x, self._y + y) for x, y in points]


def draw_report(
    path: str | os.PathLike[str], title: str, subtitle: str, told: Sequence[Section]
) -> None:
    """Write the picture, which appears whole or not at all.

    Args:
        path: a .png file.
        title: heading.
        subtitle: below it.
        told: of each microphone.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = WIDTH + 2 * _MARGIN
    height = _MARGIN + 64 + sum(_height(section) for section in told) + 24
    figure = Figure(figsize=(width / _DPI, height / _DPI), facecolor=_colour("page"))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, width), ylim=(height, 0.0), autoscale_on=False)
    axes.axis("off")
    canvas = FigureCanvas(axes, _MARGIN, _MARGIN)
    canvas.text((0, 22), title, size=26, bold=True)
    canvas.text((0, 46), subtitle, size=13, fill="muted")
    y = _MARGIN + 64
    for section in told:
        y = _draw_section(axes, section, y)
    FigureCanvas(axes, _MARGIN, y).text((0, 4), PRIVACY, size=12, fill="muted")
    save_picture(figure, path)


def _draw_section(axes: Any, section: Section, y: float) -> float:
    """Draw the panels of a microphone from `y` on; gives where they end."""
    if section.name:
        canvas = FigureCanvas(axes, _MARGIN, y)
        canvas.text((0, 20), section.name, size=20, bold=True)
        canvas.text((0, 38), section.extent, size=12.5, fill="muted")
        y += _NAME + 6
    for row in section.rows:
        x, height = _MARGIN, max(_height_of(panel) for panel in row)
        for panel in row:
            ground = FigureCanvas(axes, x, y)
            ground.rect(Box(0, 0, panel.width + 2 * PADDING, height), "line", radius=14)
            inner = Box(1, 1, panel.width + 2 * PADDING - 2, height - 2)
            ground.rect(inner, "card", radius=13)
            top = y + PADDING
            if panel.title:
                ground.text((PADDING, PADDING + 13), panel.title, size=15, bold=True)
                top += _TITLE
            panel.draw(FigureCanvas(axes, x + PADDING, top))
            x += panel.width + 2 * PADDING + GAP
        y += height + GAP
    return y


def _height(section: Section) -> float:
    rows = sum(max(_height_of(panel) for panel in row) + GAP for row in section.rows)
    return rows + (_NAME + 6 if section.name else 0.0)


def _height_of(panel: Panel) -> float:
    return panel.height + 2 * PADDING + (_TITLE if panel.title else 0.0)


def _colour(colour: str) -> str:
    return colour if colour.startswith("#") else COLOURS[colour][0]
