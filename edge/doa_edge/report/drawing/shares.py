"""The panel of shares: how many talked at once, and each zone's and each talker's time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from doa_edge.report.drawing.canvas import Box, Canvas
from doa_edge.report.drawing.scales import DISTINCT, cut
from doa_edge.report.history import History
from doa_edge.report.moments import clock_text, day_text, duration_text, elapsed_text
from doa_edge.report.span import Place

HEIGHT = 420.0
_ROW, _HEADING = 23.0, 30.0
_NAMES, _TIMES = 116.0, 216.0  # pixels left and right of the bars
_ROWS = 11  # of zones and talkers in all
_COUNTS = ("blank", "soft", "accent", "#0b4f6c", "#7b3294")
_COUNT_NAMES = ("nobody", "one", "two", "three", "four or more")


class Bar(NamedTuple):
    """A line of the panel.

    Attributes:
        name: before the bar.
        seconds: its length.
        colour: of the bar.
        told: behind it, less important than the time.
    """

    name: str
    seconds: float
    colour: str
    told: str


def draw_shares(canvas: Canvas, history: History, width: float) -> None:
    """Draw how many were heard at once, then bars of the zones and of the talkers heard longest.

    Args:
        canvas: `width` by `HEIGHT` pixels.
        history: with an estimate at least.
        width: of the panel [pixels].
    """
    y = _draw_counts(canvas, history, width)
    zones, talkers = zone_bars(history), talker_bars(history)
    room = _ROWS - min(len(talkers), 5)
    shown = zones[: max(room, 3)]
    if zones:
        more = _more(len(zones) - len(shown))
        y = _draw_bars(canvas, f"Zones{more}", shown, (y, width))
    shown_talkers = talkers[: max(_ROWS - len(shown), 3)]
    if talkers:
        more = _more(len(talkers) - len(shown_talkers) + history.other_talkers)
        _draw_bars(canvas, f"Talkers{more}", shown_talkers, (y, width))


def zone_bars(history: History) -> list[Bar]:
    """The zones, that with most voice first."""
    bars = []
    longest = sorted(history.zones.items(), key=lambda pair: (-pair[1].seconds, pair[0]))
    for number, (name, place) in enumerate(longest):
        times = "once" if place.entered == 1 else f"{place.entered} times"
        entered = f"entered {times}" if place.entered else ""
        colour = DISTINCT[number] if number < len(DISTINCT) else "soft"
        bars.append(Bar(name, place.seconds, colour, entered))
    return bars


def talker_bars(history: History) -> list[Bar]:
    """The talkers, who was heard longest first; nobody who was never more than tentative."""
    confirmed = [(key, one) for key, one in history.talkers.items() if one.confirmed]
    confirmed.sort(key=lambda pair: (-pair[1].seconds, pair[1].begin))
    return [
        Bar(f"talker {number}", one.seconds, "accent", _when(one, history))
        for (_, number), one in confirmed
    ]


def _when(place: Place, history: History) -> str:
    """From where, and from when to when."""
    where = f"{place.azimuth_deg:+.0f}°".replace("+0°", "0°").replace("-0°", "0°")
    if not history.has_clock:
        return f"{where}, {elapsed_text(place.begin)} to {elapsed_text(place.end)}"
    begin = place.begin + history.offset_at(place.begin)
    end = place.end + history.offset_at(place.end)
    if history.latest.end - history.first.begin > 86_400:
        return f"{where}, {day_text(int(begin // 86_400))} {clock_text(begin)}"
    return f"{where}, {clock_text(begin)} to {clock_text(end)}"


def _more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""


def _draw_counts(canvas: Canvas, history: History, width: float) -> float:
    """The bar of how many at once; gives where it ends."""
    canvas.text((0, 14), "How many at once", size=13, bold=True)
    x, heard_s = 0.0, max(sum(history.counts), 1e-9)
    key_x = 0.0
    for name, colour, seconds in zip(_COUNT_NAMES, _COUNTS, history.counts, strict=True):
        if not seconds:
            continue
        share = seconds / heard_s
        told = f"{name} {100 * share:.0f} %" if share >= 0.005 else f"{name} < 1 %"
        tip = f"{name}: {duration_text(seconds)}"
        canvas.rect(Box(x, 26, share * width, 20), colour, tip=tip)
        x += share * width
        canvas.rect(Box(key_x, 56, 10, 10), colour, radius=2)
        canvas.text((key_x + 15, 65), told, size=11.5, fill="muted")
        key_x += 40 + 6.6 * len(told)
    return 84.0


def _draw_bars(
    canvas: Canvas, heading: str, bars: Sequence[Bar], place: tuple[float, float]
) -> float:
    """A heading and its bars, from `y` on and as wide as the panel; gives where they end."""
    y, width = place
    canvas.text((0, y + 14), heading, size=13, bold=True)
    y += _HEADING - 4
    most = max((bar.seconds for bar in bars), default=0.0)
    room = width - _NAMES - _TIMES
    for bar in bars:
        length = room * bar.seconds / most if most else 0.0
        canvas.text((0, y + 13), cut(bar.name, 16), size=12)
        tip = f"{bar.name}: {duration_text(bar.seconds)}"
        canvas.rect(Box(_NAMES, y + 3, max(length, 1.0), 13), bar.colour, radius=2, tip=tip)
        x = _NAMES + max(length, 1.0) + 7
        text = duration_text(bar.seconds)
        canvas.text((x, y + 13), text, size=11.5, bold=True)
        canvas.text((x + 7.2 * len(text) + 6, y + 13), bar.told, size=11, fill="muted")
        y += _ROW
    return y + 12
