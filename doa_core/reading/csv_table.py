"""CSV tables: labels, histories and results."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from doa_core.errors import InputError, one_line

LONGEST_LINE = 1 << 20  # characters


def table_lines(file: TextIO) -> Iterator[str]:
    """The lines of an open file, for `csv.reader`, which bounds the length of its cells.

    Raises:
        csv.Error: a line that is too long, or that holds NUL.
        UnicodeDecodeError: the file has another encoding than it was opened with.
    """
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        if "\0" in line:
            raise csv.Error("a line holds NUL")
        yield line


def read_table(
    path: str | os.PathLike[str], *, whole: bool = True
) -> tuple[list[str], list[dict[str, str]]]:
    """The names of the columns of a table and its rows, each with a text for every column.

    Args:
        path: of the table.
        whole: whether rows must have as many cells as there are columns; those that have not, such
            as the last of a table that is being written, are left out otherwise.

    Raises:
        InputError: no table in UTF-8, a column named twice, or a row with other cells.
        OSError: the file cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(table_lines(file), strict=True)
            names = next(reader, [])
            rows = [cells for cells in reader if cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} must be a table, CSV in UTF-8: {one_line(error)}") from error
    if len(set(names)) < len(names):
        raise InputError(f"{path} must name each of its columns once. Received: {len(names)}")
    if not whole:
        rows = [cells for cells in rows if len(cells) == len(names)]
    if any(len(cells) != len(names) for cells in rows):
        raise InputError(f"{path} must have {len(names)} cells in each row, as in its first line")
    return names, [dict(zip(names, cells, strict=True)) for cells in rows]
