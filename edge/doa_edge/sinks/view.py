"""Estimates for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doa_core.errors import MissingPackageError
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel

STRIP = 73  # cells of the compass strip: one per 5 degrees, from 180 (left) to -180
BAR = 30  # cells of a bar


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
        self._live = Live(console=console, refresh_per_second=12)

    def __enter__(self) -> TerminalView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, estimate: Estimate) -> None:
        """Show an estimate."""
        self._live.update(render(estimate, self.title))


def render(estimate: Estimate, title: str) -> Panel:
    """A box with the compass strip, the angles, confidence, level and time."""
    from rich.panel import Panel
    from rich.text import Text

    accent = "bold green" if estimate.active else "dim"
    column = round((180.0 - estimate.azimuth_deg) / 360.0 * (STRIP - 1))
    strip = list("─" * STRIP)
    for tick in range(0, STRIP, (STRIP - 1) // 4):
        strip[tick] = "┼"
    text = Text(no_wrap=True)
    text.append("back              left             front             right             back\n")
    text.append("".join(strip[:column]), "dim")
    text.append("●", accent)
    text.append("".join(strip[column + 1 :]) + "\n", "dim")
    text.append("180°               90°               0°               -90°             -180°\n")
    text.append(f"\nazimuth    {estimate.azimuth_deg:+7.1f}°", accent)
    text.append(f"      elevation {estimate.elevation_deg:+6.1f}°\n", accent)
    text.append(f"confidence {_bar(estimate.confidence)} {estimate.confidence:.2f}\n")
    loudness = 1.0 - max(estimate.level_dbfs, LEVEL_FLOOR_DBFS) / LEVEL_FLOOR_DBFS
    text.append(f"level      {_bar(loudness)} {estimate.level_dbfs:.1f} dBFS\n")
    text.append(f"time       {estimate.time_s:.3f} s", "dim")
    text.append("" if estimate.active else "   not active", "dim")
    return Panel(text, title=Text(title), expand=False)


def _bar(share: float) -> str:
    full = round(min(max(share, 0.0), 1.0) * BAR)
    return "█" * full + "░" * (BAR - full)
