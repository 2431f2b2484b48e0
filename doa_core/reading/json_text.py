"""JSON: the settings inside models, banks, runs and caches."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, one_line
from doa_core.reading.values import DEEPEST, LONGEST_INTEGER, check_values

LARGEST_FILE = 1 << 24  # bytes


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The values of a JSON document in UTF-8.

    Args:
        text: a byte-order mark at its beginning is skipped.
        finite: whether infinity and NaN, which Python writes though they are no JSON, are refused.

    Raises:
        ValueError: no JSON, a name twice in one object, or what `check_values` refuses.
    """
    text = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        values = json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError(f"it must not be nested more deeply than {DEEPEST} times") from error
    check_values(values, finite=finite)
    return values


def read_json(
    path: str | os.PathLike[str],
    *,
    what: str = "a JSON file",
    largest: int = LARGEST_FILE,
    finite: bool = True,
) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: of the file.
        what: it must be, for messages.
        largest: that is read [bytes].
        finite: as of `parse_json`.

    Raises:
        InputError: too large, no JSON, or no object.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise InputError(f"{path} is not {what}, which has {largest} bytes at most")
    try:
        values = parse_json(data, finite=finite)
    except ValueError as error:
        raise InputError(f"{path} is not {what}: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path} is not {what}: it must be an object. Received: {type(values).__name__}"
        )
    return values


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError("its integers must fit into 64 bits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it must name each value once. Received: {twice!r} twice")
    return values
