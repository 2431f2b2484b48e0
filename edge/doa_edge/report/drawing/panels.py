"""Which panels a report has, and where: the same on a page and in a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from doa_edge.report.columns import MOST_COLUMNS
from doa_edge.report.drawing import day_hours, rose, shares, summary, time_map
from doa_edge.report.drawing.canvas import Canvas
from doa_edge.report.history import History
from doa_edge.report.lines import Unread
from doa_edge.report.report import Report

WIDTH, GAP = 1072.0, 24.0  # of what spans the page, and between two panels [pixels]
HALF = 428.0  # of the rose; what is beside it has the rest
PADDING = 20.0  # inside of a panel


@dataclass
class Panel:
    """A picture with a heading.

    Attributes:
        title: above it; may be empty.
        width, height: of what is drawn [pixels].
        draw: draws it.
    """

    title: str
    width: float
    height: float
    draw: Callable[[Canvas], None]


@dataclass
class Section:
    """What is told of one microphone.

    Attributes:
        name: of it; "" where there is one.
        extent: from when to when.
        rows: of panels, from above.
    """

    name: str
    extent: str
    rows: list[list[Panel]]


def sections(report: Report, unread: Unread | None = None) -> list[Section]:
    """The panels of every microphone that heard anything.

    Args:
        report: finished.
        unread: lines of its files that could not be used; told with the first.
    """
    heard = {name: one for name, one in report.histories.items() if one.heard_s > 0.0}
    told = []
    for name, history in heard.items():
        history.columns.shrink(max(MOST_COLUMNS // len(heard), 240))
        told.append(Section(name, summary.extent(history), _rows(history, unread)))
        unread = None
    return told


def _rows(history: History, unread: Unread | None) -> list[list[Panel]]:
    inner = WIDTH - 2 * PADDING
    left, right = HALF - 2 * PADDING, WIDTH - HALF - GAP - 2 * PADDING
    rows = [
        [
            Panel(
                *("", inner, summary.TOTALS_HEIGHT),
                lambda canvas: summary.draw_totals(canvas, history, inner),
            )
        ],
        [
            Panel(
                *("Where voices were, over time", inner, time_map.HEIGHT),
                lambda canvas: time_map.draw_time_map(canvas, history, inner),
            )
        ],
        [
            Panel(
                *("Where voices were, seen from above", left, rose.HEIGHT),
                lambda canvas: rose.draw_rose(canvas, history, left),
            ),
            Panel(
                *("Who, and for how long", right, shares.HEIGHT),
                lambda canvas: shares.draw_shares(canvas, history, right),
            ),
        ],
    ]
    if history.has_clock:
        rows.append(
            [
                Panel(
                    *("Hours and days", inner, day_hours.height_of(history.days)),
                    lambda canvas: day_hours.draw_day_hours(canvas, history.days, inner),
                )
            ]
        )
    height = summary.missing_height(history, unread)
    rows.append(
        [
            Panel(
                *("What is missing", inner, height),
                lambda canvas: summary.draw_missing(canvas, history, unread, inner),
            )
        ]
    )
    return rows
