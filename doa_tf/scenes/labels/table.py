"""Rows of `labels.csv`: what each says, and the scenes that they describe together."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TextIO

from doa_core.errors import InputError
from doa_core.files import existing_path
from doa_core.reading.csv_table import table_lines
from doa_tf.scenes.labels.scene import LABEL_COLUMNS, TALKER_COLUMN, Scene, SceneTalker, Stretch

LABELS_FILE = "labels.csv"
REQUIRED_COLUMNS = ("file", *LABEL_COLUMNS)
TIME_COLUMNS = ("start_s", "end_s")
_LIMITS = {"azimuth_deg": 180.0, "elevation_deg": 90.0}
_ROUNDING = 0.01  # seconds: a time of two decimals may lie by so much behind the file's end


class Row(NamedTuple):
    """A row of labels: where it stands, for messages, and its cells by column."""

    where: str
    cells: Mapping[str, str]

    @property
    def talker(self) -> str:
        """Who talks."""
        return self.cells.get(TALKER_COLUMN, "")

    @property
    def nobody(self) -> bool:
        """Whether it says that nobody talks: without a talker, and without both angles."""
        names = (TALKER_COLUMN, *LABEL_COLUMNS)
        return TALKER_COLUMN in self.cells and not any(self.cells[name] for name in names)


def read_rows(file: TextIO, labels: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The names of the columns and the rows of an open labels.csv.

    Args:
        file: of the table.
        labels: its path, for messages.

    Raises:
        InputError: a required column is missing, one is named twice, or a row has not as many
            cells as there are columns.
        csv.Error: no table, or lines and cells that are too long.
    """
    reader = csv.reader(table_lines(file), strict=True)
    names = tuple(name.strip() for name in next(reader, []))
    _check_columns(names, labels)
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{labels}, line {reader.line_num}"
        if len(cells) != len(names):
            raise InputError(
                f"{where}: a row must have {len(names)} cells, as the first line has. "
                f"Received: {len(cells)}"
            )
        stripped = (cell.strip() for cell in cells)
        rows.append(Row(where, dict(zip(names, stripped, strict=True))))
    return names, rows


def _check_columns(names: Sequence[str], labels: Path) -> None:
    required = ", ".join(REQUIRED_COLUMNS)
    if not any(names):
        raise InputError(f"{labels} is empty: its first line must name the columns {required}")
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing and len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise InputError(
            f"{labels} must have commas between its columns, and points in its numbers. "
            f"Received: {names[0]}"
        )
    if missing:
        raise InputError(
            f"{labels} lacks the column {', '.join(missing)}; required are {required}. "
            f"Received: {', '.join(names)}"
        )
    if len(set(names)) < len(names):
        raise InputError(f"{labels} names a column twice. Received: {', '.join(names)}")
    times = [name for name in TIME_COLUMNS if name in names]
    if len(times) == 1:
        (absent,) = set(TIME_COLUMNS) - set(times)
        raise InputError(f"{labels} has the column {times[0]} without {absent}")
    if times and TALKER_COLUMN not in names:
        raise InputError(
            f"{labels} has the columns {', '.join(TIME_COLUMNS)}: they need the column "
            f"{TALKER_COLUMN}, which says who talks from start to end"
        )


def scenes_of_rows(rows: Sequence[Row], folder: Path) -> Iterator[Scene]:
    """A scene for each file that rows name, in the order in which they first name it.

    Raises:
        InputError: as `doa_tf.scenes.read_scenes`.
    """
    by_file: dict[Path, list[Row]] = {}
    listed: dict[Path, dict[str, str]] = {}
    for row in rows:
        relative = PurePosixPath(row.cells["file"])
        if not relative.parts or relative.is_absolute() or ".." in relative.parts:
            raise InputError(
                f"{row.where}: `file` must be a path inside of the folder. "
                f"Received: {row.cells['file']!r}"
            )
        path = existing_path(folder / relative, listed=listed)
        earlier = by_file.setdefault(path, [])
        if earlier and TALKER_COLUMN not in row.cells:
            raise InputError(
                f"{row.where}: {row.cells['file']} is named a second time, first in "
                f"{_line(earlier[0])}; rows for several talkers need the column {TALKER_COLUMN}"
            )
        if not path.is_file():
            raise InputError(f"{row.where}: there is no recording {folder / relative}")
        earlier.append(row)
    for path, of_file in by_file.items():
        yield scene_of_file(of_file, path)


def scene_of_file(rows: Sequence[Row], path: Path, *, seconds: float | None = None) -> Scene:
    """The scene that the rows of one file describe.

    Args:
        rows: at least one.
        path: of the recording.
        seconds: its length; read from the file, where the rows give times, if None.

    Raises:
        InputError: as `doa_tf.scenes.read_scenes`.
    """
    first = rows[0].cells
    columns = {
        name: text if all(row.cells[name] == text for row in rows) else ""
        for name, text in first.items()
        if name not in REQUIRED_COLUMNS
    }
    talkers = _talkers(rows)
    scene = Scene(file=first["file"], path=path, columns=columns, talkers=talkers)
    if scene.timed:
        _check_within(rows, recording_seconds(path) if seconds is None else seconds)
    return scene


def _talkers(rows: Sequence[Row]) -> tuple[SceneTalker, ...]:
    """Everybody of the rows of one file; nobody where the only row says so."""
    if any(row.nobody for row in rows):
        _check_nobody(rows)
        return ()
    stretches: dict[str, list[tuple[Stretch, Row]]] = {}
    timed = [bool(_given_times(row)) for row in rows]
    for row, has_times in zip(rows, timed, strict=True):
        if has_times != timed[0]:
            with_times, without = (rows[timed.index(True)], rows[timed.index(False)])
            raise InputError(
                f"{row.where}: all rows of {row.cells['file']} need times, or none. "
                f"Received: some in {_line(with_times)}, none in {_line(without)}"
            )
        if TALKER_COLUMN in row.cells and not row.talker:
            raise InputError(
                f"{row.where}: `{TALKER_COLUMN}` must name who talks; where nobody does, it and "
                "both angles are empty, in the file's only row"
            )
        stretches.setdefault(row.talker, []).append((_stretch(row), row))
    return tuple(
        SceneTalker(name=name, stretches=_in_order(of_talker))
        for name, of_talker in stretches.items()
    )


def _check_nobody(rows: Sequence[Row]) -> None:
    (row, *_) = (row for row in rows if row.nobody)
    if len(rows) > 1:
        other = next(each for each in rows if each is not row)
        raise InputError(
            f"{row.where}: a row without talker and angles says that nobody talks in "
            f"{row.cells['file']}, and must be its only one. Received: another in {_line(other)}"
        )
    if _given_times(row):
        raise InputError(
            f"{row.where}: nobody talks in all of {row.cells['file']}: its row must leave "
            f"{' and '.join(TIME_COLUMNS)} empty"
        )


def _in_order(stretches: Sequence[tuple[Stretch, Row]]) -> tuple[Stretch, ...]:
    """The stretches of one talker by time, which may not overlap."""
    ordered = sorted(stretches, key=lambda pair: pair[0].start_s)
    for (before, first), (after, second) in pairwise(ordered):
        if after.start_s >= before.end_s:
            continue
        who = f"talker {second.talker!r} of {second.cells['file']}"
        if before.whole:
            raise InputError(
                f"{second.where}: {who} is named a second time, first in {_line(first)}; several "
                f"rows of one talker need {' and '.join(TIME_COLUMNS)}"
            )
        raise InputError(
            f"{second.where}: rows of {who} must not overlap. Received: {before.start_s:g} to "
            f"{before.end_s:g} s in {_line(first)}, and {after.start_s:g} to {after.end_s:g} s"
        )
    return tuple(stretch for stretch, _ in ordered)


def _given_times(row: Row) -> list[str]:
    return [name for name in TIME_COLUMNS if row.cells.get(name)]


def _stretch(row: Row) -> Stretch:
    angles = {name: _angle(row, name) for name in LABEL_COLUMNS}
    given = _given_times(row)
    if not given:
        return Stretch(**angles)
    if len(given) == 1:
        (absent,) = set(TIME_COLUMNS) - set(given)
        raise InputError(
            f"{row.where}: `start_s` and `end_s` go together. Received: {given[0]}="
            f"{row.cells[given[0]]} without {absent}"
        )
    start, end = (_number(row.cells[name]) for name in TIME_COLUMNS)
    if not 0.0 <= start < end < math.inf:
        raise InputError(
            f"{row.where}: `start_s` and `end_s` must be seconds with 0 <= start_s < end_s. "
            f"Received: start_s={row.cells['start_s']}, end_s={row.cells['end_s']}"
        )
    return Stretch(start_s=start, end_s=end, **angles)


def _check_within(rows: Sequence[Row], seconds: float) -> None:
    for row in rows:
        if float(row.cells["end_s"]) > seconds + _ROUNDING:
            raise InputError(
                f"{row.where}: times must lie within {row.cells['file']}, which lasts "
                f"{seconds:.3f} s. Received: end_s={row.cells['end_s']}"
            )


def recording_seconds(path: Path) -> float:
    """How long a recording lasts [seconds].

    Raises:
        InputError: it can't be read.
    """
    from doa_edge.input.containers.recording import open_sound

    try:
        with open_sound(path) as sound:
            return sound.count() / sound.rate
    except InputError as error:
        raise InputError(f"{path} can't be read: {error}") from error


def _angle(row: Row, column: str) -> float:
    angle, limit = _number(row.cells[column]), _LIMITS[column]
    if not -limit <= angle <= limit:
        raise InputError(
            f"{row.where}: `{column}` must be a number between {-limit:g} and {limit:g} degrees. "
            f"Received: {row.cells[column]!r}"
        )
    return angle


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _line(row: Row) -> str:
    """The place of a row within its file, for a message that has named the file."""
    return row.where.rpartition(", ")[2]
