"""`run --report` and what writes a report: a page, or a picture by Matplotlib."""

from __future__ import annotations

import os
from pathlib import Path

from doa_core.errors import InputError, MissingPackageError, say
from doa_core.files import printable, say_written, write_beside
from doa_edge.report.drawing.page import page
from doa_edge.report.drawing.panels import sections
from doa_edge.report.lines import Unread
from doa_edge.report.messages import read_message
from doa_edge.report.report import Report
from doa_edge.sinks.sink import Message

SUFFIXES = (".html", ".png")
TITLE = "Where voices were"


def check_report(path: Path) -> None:
    """Raise before the work what `write_report` would raise after it.

    Raises:
        InputError: a suffix that is none of a report.
        MissingPackageError: a picture without Matplotlib; a page needs none.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"A report must end in {' or '.join(SUFFIXES)}. Received: {path}")
    if suffix == ".png":
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise MissingPackageError("Matplotlib", "plot", error) from error


def write_report(
    path: str | os.PathLike[str], report: Report, *, of: str, unread: Unread | None = None
) -> None:
    """Write a report, which appears whole or not at all.

    Args:
        path: a .html or a .png file.
        report: finished, with an estimate at least.
        of: what it is of, for people.
        unread: lines that could not be used.

    Raises:
        OSError: the file cannot be written.
    """
    told = sections(report, unread)
    subtitle = f"{told[0].extent} · {of}" if len(told) == 1 else of
    if len(told) == 1 and told[0].name:
        subtitle = f"{told[0].name} · {subtitle}"
        told[0].name = ""
    subtitle = printable(subtitle)
    if Path(path).suffix.lower() == ".png":
        from doa_edge.sinks.tables.report_figure import draw_report

        draw_report(path, TITLE, subtitle, told)
        return
    with write_beside(path) as part:
        part.write_bytes(page(TITLE, subtitle, told).encode("utf-8", "replace"))


class ReportSink:
    """Counts messages in bounded memory, and writes their report when it is closed.

    Args:
        path: a .html or a .png file; see `check_report`.
        of: what is heard, for people.
    """

    name = "report"
    dropped = 0

    def __init__(self, path: Path, *, of: str) -> None:
        self._path = path
        self._of = of
        self._report = Report()

    def send(self, message: Message) -> None:
        """Count a message."""
        self._report.add(read_message(message))

    def close(self) -> None:
        """Write the report. Raises OSError: it cannot be written."""
        self._report.finish()
        if not self._report.heard_s:
            say("doa_edge: --report has nothing to tell: there was no estimate")
            return
        write_report(self._path, self._report, of=self._of)
        say_written("doa_edge", self._path)
