"""`doa_edge report`: what the lines of runs, or daily logs, tell of an evening or a month."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, say
from doa_core.files import check_writable, say_written
from doa_edge.options.command import time_zone


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "report",
        help="a page or a picture of where voices were, and when",
        description=(
            "Draw what `doa_edge run --out` or `--log` wrote: directions, over time and in all, "
            "zones and talkers, hours of days, and what is missing. No sound is needed or kept."
        ),
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE|DIR",
        type=Path,
        help="JSON lines or CSV of --out, with the FILE.1, FILE.2, ... beside them; a daily log; "
        "or a folder of these",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.html|.png",
        type=Path,
        help="to make or to replace: a page that needs nothing else, or a picture (needs "
        "Matplotlib)",
    )
    parser.add_argument(
        "--zone",
        metavar="ZONE",
        type=time_zone,
        help="the time zone whose hours are told, a name such as Europe/Berlin or an offset such "
        "as +02:00 (default: as the lines have it)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the report; returns the exit status.

    Raises:
        InputError: lines of another program, no estimate, or an unknown kind of report.
        MissingPackageError: a picture without Matplotlib.
        OSError: a file cannot be read or written.
    """
    from doa_edge.report.files import find_outputs
    from doa_edge.report.lines import read_report
    from doa_edge.sinks.tables.report import check_report, write_report

    check_report(options.out)
    outputs = find_outputs(options.files)
    out = os.path.realpath(options.out)
    for output in outputs:
        if any(os.path.realpath(part) == out for part in output.parts):
            raise InputError(f"--out must be another file than the lines. Received: {options.out}")
    check_writable(options.out)
    report, unread = read_report(outputs, options.zone)
    names = [output.name for output in outputs]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    write_report(options.out, report, of=shown, unread=unread)
    for what, count in (("damaged", unread.damaged), ("cut short", unread.cut)):
        if count:
            say(f"doa_edge: lines that are left out, {what}: {count}")
    say_written("doa_edge", options.out)
    return 0
