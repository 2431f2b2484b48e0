"""The lines of a file: messages of a run as JSON or CSV, and minutes of a daily log."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, BinaryIO

from doa_core.errors import InputError, one_line
from doa_core.files import printable
from doa_edge.report.files import Output, overlap
from doa_edge.report.messages import read_message
from doa_edge.report.report import Report
from doa_edge.report.span import Span, read_span

LONGEST_LINE = 1 << 20  # bytes
_PATIENCE = 2000  # lines of another kind, after which a file is one of another program
_SHOWN = 60  # characters of a line that is none
_ESTIMATE = ("time_s", "azimuth_deg")  # columns that a table of a run has
_NUMBERS = ("time_s", "azimuth_deg")
_TRUTHS = ("active", "tentative")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass
class Unread:
    """Lines that could not be used.

    Attributes:
        damaged: lines that are no message, or hold what is no number.
        cut: last lines of a file without their end.
    """

    damaged: int = 0
    cut: int = 0


def read_report(outputs: Sequence[Output], zone: tzinfo | None = None) -> tuple[Report, Unread]:
    """What outputs hold, counted.

    Args:
        outputs: as `find_outputs` gives them.
        zone: whose local time is told; that of the lines if None.

    Raises:
        InputError: a file of another program, or no estimate in any of them.
        OSError: a file cannot be read.
    """
    report, unread = Report(zone), Unread()
    same_time = overlap(outputs)
    for output in outputs:
        report.next_output(same_time=same_time)
        _read_output(output, report, unread, zone)
    report.finish()
    if not report.heard_s:
        names = ", ".join(output.name for output in outputs)
        raise InputError(
            "A report must be of lines that `doa_edge run --out` or `--log` wrote, with one "
            f"estimate at least. Received: none in {one_line(names)}"
        )
    return report, unread


def _read_output(output: Output, report: Report, unread: Unread, zone: tzinfo | None) -> None:
    """Count the lines of an output, part by part."""
    for path in output.parts:
        found, others, example = 0, 0, ""
        with path.open("rb") as file:
            for text, item in _items(file, zone):
                if _counted(report, item, output.source):
                    found += 1
                    continue
                example = example or text
                if not text.endswith("\n"):
                    unread.cut += 1
                    continue
                others += 1
                if not found and others >= _PATIENCE:
                    break
        if example and not found:
            raise InputError(
                f"{printable(path)} must hold lines that `doa_edge run --out` or `--log` wrote; "
                f"none is one. Received: {one_line(example, length=_SHOWN)!r}"
            )
        unread.damaged += others


def _counted(report: Report, item: Mapping[str, Any] | Span | None, source: str) -> bool:
    """Count what a line is; whether it is anything."""
    if item is None:
        return False
    if isinstance(item, Span):
        report.add_span(item, source)
        return True
    try:
        report.add(read_message(item), source)
    except (ValueError, OverflowError):
        return False
    return True


def _items(
    file: BinaryIO, zone: tzinfo | None
) -> Iterator[tuple[str, Mapping[str, Any] | Span | None]]:
    """Lines, each with the message or the minute that it is, or None."""
    lines = _texts(file)
    first = next(lines, None)
    if first is None:
        return
    columns = _cells(first) or []
    if set(_ESTIMATE) <= set(columns):
        yield from _rows(lines, columns)
        return
    yield first, _json_item(first, zone)
    for line in lines:
        yield line, _json_item(line, zone)


def _texts(file: BinaryIO) -> Iterator[str]:
    """Lines with their ends; what is too long is one without a meaning. Empty ones are skipped."""
    bom = "\ufeff"
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) == LONGEST_LINE:
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            line = line[:_SHOWN] + b"...\n"
        text = line.decode("utf-8", "replace").removeprefix(bom)
        if text.strip():
            yield text


def _json_item(text: str, zone: tzinfo | None) -> Mapping[str, Any] | Span | None:
    try:
        values = json.loads(text)
        if isinstance(values, dict):
            return read_span(values, zone) if "minute" in values else values
    except (ValueError, OverflowError, RecursionError):
        pass
    return None


def _cells(text: str) -> list[str] | None:
    try:
        return next(csv.reader([text], strict=True), None)
    except csv.Error:
        return None


def _rows(
    lines: Iterable[str], columns: list[str]
) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Rows of a table as messages: those of several talkers of one estimate are one."""
    waiting: dict[str, Any] | None = None
    latest = ""
    for text in lines:
        cells = _cells(text) if text.endswith("\n") else None
        if cells == columns:
            continue
        row = _row(dict(zip(columns, cells, strict=False))) if cells else None
        if row is not None and waiting is not None and _same_estimate(waiting, row):
            waiting["talkers"] += row["talkers"]
            continue
        if waiting is not None:
            yield latest, waiting
            waiting = None
        if row is not None and row.get("talkers"):
            waiting, latest = row, text
        else:
            yield text, row
    if waiting is not None:
        yield latest, waiting


def _same_estimate(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    keys = ("time_s", "time", "file", "name")
    same = all(first.get(key) == second.get(key) for key in keys)
    return same and bool(second.get("talkers"))


def _row(cells: Mapping[str, str]) -> dict[str, Any] | None:
    """The message of a row; None where a cell is not what it must be."""
    values: dict[str, Any] = {key: text for key, text in cells.items() if text}
    try:
        for key in _NUMBERS:
            if key in values:
                values[key] = float(values[key])
        for key in _TRUTHS:
            if key in values:
                values[key] = _TRUTH[values[key].lower()]
        if "event" in values:
            return {**values, **_details(values.pop("details", "{}"))}
        values["zones"] = [zone for zone in values.get("zones", "").split(";") if zone]
        if "id" in values:
            values["talkers"] = [{**values, "id": int(values["id"])}]
        elif "azimuth_deg" not in values or not values.get("active", False):
            values["talkers"] = []
    except (ValueError, KeyError):
        return None
    return values


def _details(text: str) -> dict[str, Any]:
    """What an event has beside its name: an object of JSON."""
    details = json.loads(text)
    if not isinstance(details, dict):
        raise ValueError("details must be an object")
    return details
