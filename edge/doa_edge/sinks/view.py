"""Estimates for a person at a terminal."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from doa_core.errors import MissingPackageError, visible
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate, Talker
from doa_edge.sinks.slots import DARK_COLOURS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

STRIP = 73  # cells of the compass strip: one per 5 degrees, from 180 (left) to -180
BAR = 30  # cells of a bar
TALKER_BAR = 24  # of a talker's, whose line has more beside it


class TerminalView:
    """The latest estimate, drawn in place.

    Args:
        title: name of the input.
        console: to draw on; a new one on standard output if None.

    Raises:
        MissingPackageError: rich is not installed.
    """

    def __init__(self, title: str, *, console: Console | None = None) -> None:
        try:
            from rich.live import Live
        except ImportError as error:
            raise MissingPackageError("rich", "edge", error) from error
        self.title = title
        self._slots = 0  # of which somebody has been in the last one
        self._latest: tuple[Estimate, datetime.datetime | None] | None = None
        # It draws in a thread of its own, which a terminal that is stopped (Ctrl-S) holds up.
        self._live = Live(console=console, refresh_per_second=12, get_renderable=self._render)

    def __enter__(self) -> TerminalView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, estimate: Estimate, *, clock: datetime.datetime | None = None) -> None:
        """Show an estimate, when it is time to draw: this waits for nobody.

        Args:
            estimate: what to show.
            clock: the time of day that it is of, where that is known.
        """
        self._slots = max([self._slots, *(talker.slot for talker in estimate.talkers or ())])
        self._latest = estimate, clock

    def _render(self) -> Panel | str:
        if self._latest is None:
            return ""
        estimate, clock = self._latest
        return render(estimate, self.title, slots=self._slots, clock=clock)


def render(
    estimate: Estimate, title: str, *, slots: int = 0, clock: datetime.datetime | None = None
) -> Panel:
    """A box with the compass strip, the directions, level and time.

    One voice has its angles and confidence. Of several each has a line, in the colour of the slot
    whose number marks their place on the strip.

    Args:
        estimate: what to show.
        title: name of the input.
        slots: lines of talkers at least, so that the box keeps its height.
        clock: the time of day, where it is known.
    """
    from rich.panel import Panel
    from rich.text import Text

    text = Text(no_wrap=True)
    text.append("back              left             front             right             back\n")
    _append_strip(text, estimate)
    text.append("180°               90°               0°               -90°             -180°\n\n")
    if estimate.talkers is None:
        accent = "bold green" if estimate.active else "dim"
        text.append(f"azimuth    {estimate.azimuth_deg:+7.1f}°", accent)
        text.append(f"      elevation {estimate.elevation_deg:+6.1f}°\n", accent)
        text.append(f"confidence {_bar(estimate.confidence)} {estimate.confidence:.2f}\n")
    else:
        _append_talkers(text, estimate.talkers, slots)
    loudness = 1.0 - max(estimate.level_dbfs, LEVEL_FLOOR_DBFS) / LEVEL_FLOOR_DBFS
    text.append(f"level      {_bar(loudness)} {estimate.level_dbfs:.1f} dBFS\n")
    text.append(f"time       {estimate.time_s:.3f} s", "dim")
    text.append("" if clock is None else f"   {clock:%H:%M:%S}", "dim")
    text.append("" if estimate.active else "   not active", "dim")
    return Panel(text, title=Text(visible(title)), expand=False)


def _append_strip(text: Text, estimate: Estimate) -> None:
    """The compass, with a mark for one voice, or for each of several."""
    cells: list[tuple[str, str]] = [("─", "dim")] * STRIP
    cells[:: (STRIP - 1) // 4] = [("┼", "dim")] * 5
    if estimate.talkers is None:
        style = "bold green" if estimate.active else "dim"
        cells[_column(estimate.azimuth_deg)] = ("●", style)
    for talker in reversed(estimate.talkers or ()):  # the most confident on top
        cells[_column(talker.azimuth_deg)] = (str(talker.slot), f"reverse {_style(talker)}")
    for character, style in cells:
        text.append(character, style)
    text.append("\n")


def _append_talkers(text: Text, talkers: tuple[Talker, ...], slots: int) -> None:
    """A line for each slot, empty where nobody is in it."""
    by_slot = {talker.slot: talker for talker in talkers}
    for slot in range(1, max([slots, *by_slot]) + 1):
        if (talker := by_slot.get(slot)) is None:
            text.append(f" {slot}\n", "dim")
            continue
        style = _style(talker)
        text.append(f" {slot} ", f"reverse {style}")
        text.append(f" talker {talker.id:<5}", style)
        text.append(f"{talker.azimuth_deg:+7.1f}° {talker.elevation_deg:+6.1f}°  ", style)
        text.append(f"{_bar(talker.confidence, TALKER_BAR)} {talker.confidence:.2f}")
        text.append("  tentative\n" if talker.tentative else "\n", "dim")


def _style(talker: Talker) -> str:
    weight = "dim" if talker.tentative else "bold"
    return f"{weight} {DARK_COLOURS[talker.slot - 1]}"


def _column(azimuth_deg: float) -> int:
    """The cell of the strip at an azimuth."""
    return round((180.0 - azimuth_deg) / 360.0 * (STRIP - 1))


def _bar(share: float, cells: int = BAR) -> str:
    full = round(min(max(share, 0.0), 1.0) * cells)
    return "█" * full + "░" * (cells - full)
