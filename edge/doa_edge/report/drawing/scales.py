"""Colours of what is measured, and round numbers for axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Colour = tuple[int, int, int, int]

# Distinct for colour-blind readers (M. Okabe, K. Ito, 2008).
DISTINCT = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STEPS = 64  # of a scale
_FEW = 50  # values for each that a scale may leave out
NOT_HEARD = 0  # the place of a palette that is transparent; then from nothing to the most
_GLOW = (
    *("#120d31", "#2f1160", "#5c1b7c", "#8c2981", "#bb3978"),
    *("#e3526a", "#f8765c", "#feaa74", "#fddc9e", "#fcfdbf"),
)
_TEAL = (15, 138, 127)
_TIME_STEPS_S = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


def glow() -> list[Colour]:
    """A palette from dark to light, of `STEPS` steps behind the transparent one."""
    anchors = [tuple(bytes.fromhex(text[1:])) for text in _GLOW]
    palette: list[Colour] = [(0, 0, 0, 0)]
    for step in range(STEPS):
        place = step / (STEPS - 1) * (len(anchors) - 1)
        low = min(int(place), len(anchors) - 2)
        share = place - low
        red, green, blue = (
            round(before + share * (after - before))
            for before, after in zip(anchors[low], anchors[low + 1], strict=True)
        )
        palette.append((red, green, blue, 255))
    return palette


def teal() -> list[Colour]:
    """A palette of one colour from pale to full, of `STEPS` steps behind the transparent one."""
    shades = (round(22 + 233 * step / (STEPS - 1)) for step in range(STEPS))
    return [(0, 0, 0, 0), *((*_TEAL, shade) for shade in shades)]


def shade(share: float) -> int:
    """The place in a palette of a share of the most, in [0, 1]; what is little is seen, too."""
    return 1 + round(math.sqrt(min(max(share, 0.0), 1.0)) * (STEPS - 1))


class Most(NamedTuple):
    """The end of a scale.

    Attributes:
        value: that has the last colour.
        exceeded: whether there are values beyond it, of the same colour.
    """

    value: float
    exceeded: bool

    def told(self, text: str) -> str:
        """The scale in words: from 0 to the value, which is told as `text`."""
        return f"0 to {text} and more" if self.exceeded else f"0 to {text}"


def most_but_few(values: Sequence[float]) -> Most:
    """What one in fifty of the positive values is beyond; the greatest of up to fifty.

    Args:
        values: of a scale; where none is positive, it ends at 1.
    """
    ordered = sorted(value for value in values if value > 0.0)
    if not ordered:
        return Most(1.0, exceeded=False)
    value = ordered[-1 - (len(ordered) - 1) // _FEW]
    return Most(value, exceeded=value < ordered[-1])


def time_step(span_s: float, most: int) -> float:
    """A round time, of which a span has no more than `most` [seconds]."""
    for step_s in _TIME_STEPS_S:
        if span_s / step_s <= most:
            return float(step_s)
    days = 1
    while span_s / (86_400 * days) > most:
        days *= 2
    return 86_400.0 * days


def apart(places: Sequence[float], gap: float, *, top: float, bottom: float) -> list[float]:
    """Places of names moved down, and up again at the bottom, until none is on another.

    Args:
        places: in their order [pixels].
        gap: between two [pixels].
        top, bottom: of all; where there is no room for them the first ones lie above the top.
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap if moved else top))
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], bottom)
        bottom = moved[number] - gap
    return moved


def cut(text: str, most: int) -> str:
    """A text of no more characters than that."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
