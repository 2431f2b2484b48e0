"""What a panel is drawn on: a page takes it as SVG, a picture by Matplotlib."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import NamedTuple, Protocol

from doa_core.errors import visible

# By name, on a light ground and on a dark one. Any other colour is written as `#rrggbb`.
COLOURS = {
    "page": ("#f3f5f8", "#0d131b"),
    "card": ("#ffffff", "#161e29"),
    "ink": ("#15202e", "#e8edf3"),
    "muted": ("#5b6979", "#94a3b4"),
    "line": ("#dbe1e8", "#2a3543"),
    "blank": ("#e6eaef", "#222c39"),
    "accent": ("#0f766e", "#2fb5a8"),
    "soft": ("#8cc5bf", "#1d6f68"),
}

CLEAR = "#00000000"  # not seen, and yet a pointer finds it


class Raster(NamedTuple):
    """A picture of few colours.

    Attributes:
        rows: top to bottom, a byte a pixel: its place in the palette. At least one pixel.
        palette: red, green, blue and opacity, each 0 to 255.
    """

    rows: Sequence[bytes]
    palette: Sequence[tuple[int, int, int, int]]

    def png(self) -> bytes:
        """The picture as a PNG file."""
        lines = b"".join(b"\0" + row for row in self.rows)
        colours = b"".join(bytes(colour[:3]) for colour in self.palette)
        header = struct.pack(">IIBBBBB", len(self.rows[0]), len(self.rows), 8, 3, 0, 0, 0)
        parts = (
            (b"IHDR", header),
            (b"PLTE", colours),
            (b"tRNS", bytes(colour[3] for colour in self.palette)),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def shown(text: str) -> str:
    """A text as a page has it; control characters in names are told as a program has them."""
    return escape(visible(text))


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


class Box(NamedTuple):
    """A rectangle [pixels]: of its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float


class Canvas(Protocol):
    """Draws in pixels, from the upper left corner. A `tip` is shown where a pointer rests."""

    def rect(self, box: Box, fill: str, *, radius: float = 0.0, tip: str = "") -> None:
        """Fill a rectangle."""
        ...

    def shape(
        self, points: Sequence[tuple[float, float]], fill: str, *, line: str = "", tip: str = ""
    ) -> None:
        """Fill a polygon, with a line around it where its colour is given."""
        ...

    def line(self, points: Sequence[tuple[float, float]], stroke: str, width: float = 1.0) -> None:
        """Draw a line through points."""
        ...

    def circle(self, x: float, y: float, radius: float, stroke: str) -> None:
        """Draw a circle."""
        ...

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
        """Write a line of text on the baseline at a point: its `start`, `middle` or `end`."""
        ...

    def image(self, box: Box, raster: Raster) -> None:
        """Draw a picture, its pixels as rectangles."""
        ...


class SvgCanvas:
    """A canvas that gives an SVG element.

    Colours with a name are variables of the page's style, so that it may be dark.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self._parts = [
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{shown(label)}">'
        ]

    def svg(self) -> str:
        """The element."""
        return "".join([*self._parts, "</svg>"])

    def rect(self, box: Box, fill: str, *, radius: float = 0.0, tip: str = "") -> None:
        """See `Canvas`."""
        size = f'width="{_n(max(box.width, 0.0))}" height="{_n(max(box.height, 0.0))}"'
        corner = f' rx="{_n(radius)}"' if radius else ""
        place = f'x="{_n(box.x)}" y="{_n(box.y)}"'
        self._add(f"<rect {place} {size}{corner} {_fill(fill)}", "rect", tip)

    def shape(
        self, points: Sequence[tuple[float, float]], fill: str, *, line: str = "", tip: str = ""
    ) -> None:
        """See `Canvas`."""
        around = f" {_stroke(line)}" if line else ""
        self._add(f'<polygon points="{_points(points)}" {_fill(fill)}{around}', "polygon", tip)

    def line(self, points: Sequence[tuple[float, float]], stroke: str, width: float = 1.0) -> None:
        """See `Canvas`."""
        style = f'{_stroke(stroke)} stroke-width="{_n(width)}" fill="none"'
        self._parts.append(f'<polyline points="{_points(points)}" {style}/>')

    def circle(self, x: float, y: float, radius: float, stroke: str) -> None:
        """See `Canvas`."""
        place = f'cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"'
        self._parts.append(f'<circle {place} {_stroke(stroke)} fill="none"/>')

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
        """See `Canvas`."""
        weight = ' font-weight="600"' if bold else ""
        place = f'x="{_n(at[0])}" y="{_n(at[1])}" text-anchor="{anchor}" font-size="{_n(size)}"'
        self._parts.append(f"<text {place}{weight} {_fill(fill)}>{shown(text)}</text>")

    def image(self, box: Box, raster: Raster) -> None:
        """See `Canvas`."""
        data = base64.b64encode(raster.png()).decode("ascii")
        size = f'width="{_n(box.width)}" height="{_n(box.height)}" preserveAspectRatio="none"'
        place = f'x="{_n(box.x)}" y="{_n(box.y)}"'
        self._parts.append(f'<image {place} {size} href="data:image/png;base64,{data}"/>')

    def _add(self, opened: str, name: str, tip: str) -> None:
        end = f"><title>{shown(tip)}</title></{name}>" if tip else "/>"
        self._parts.append(opened + end)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _fill(colour: str) -> str:
    return f'fill="{_colour(colour)}"'


def _stroke(colour: str) -> str:
    return f'stroke="{_colour(colour)}"'


def _colour(colour: str) -> str:
    return colour if colour.startswith("#") else f"var(--{colour})"
