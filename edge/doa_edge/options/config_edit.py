"""One key of a configuration file anew: its comments, its order and its other keys stay.

tomlkit keeps a document as it was written. What comes of it is read once more before the file is
replaced, whole or not at all: it has to hold what it held, and the new value.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, MissingPackageError, as_damage
from doa_core.files import check_writable, existing_path, write_beside
from doa_core.reading.toml import parse_toml, read_toml

_BYTE_ORDER_MARK = "\ufeff"  # some editors write it


def check_editable(path: Path, key: str) -> Path:
    """The path of a configuration in which a key can be set, or that can be made.

    Raises:
        InputError, MissingPackageError: as `write_numbers`.
        OSError: it, or its folder, may not be written.
    """
    path = existing_path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} cannot be written: it is no ordinary file")
    _checked(path, key, [0.0])
    if path.exists() and not os.access(path, os.W_OK):
        raise OSError(f"{path} cannot be written: it is read-only for this user")
    check_writable(path)
    return path


def write_numbers(path: Path, key: str, numbers: Sequence[float]) -> None:
    """Set a key of a configuration to a list of numbers; the file is made if there is none.

    Args:
        path: of a TOML file.
        key: at the top of the file. If it is there, it stays in its place.
        numbers: its value.

    Raises:
        InputError: no TOML file, or one in which the key cannot be set.
        MissingPackageError: tomlkit is not installed.
        OSError: it cannot be written, or the disk is full; the file is as it was.
    """
    edited = _checked(path, key, list(numbers))
    with write_beside(path) as part:
        part.write_bytes(edited.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, part)
            with suppress(OSError):  # as root alone
                owner = path.stat()
                os.chown(part, owner.st_uid, owner.st_gid)


def _checked(path: Path, key: str, numbers: list[float]) -> str:
    """The text of the file with the key set, which holds what it held, and no more."""
    before = dict(read_toml(path)) if path.exists() else {}
    text = path.read_bytes().decode("utf-8") if path.exists() else ""
    with as_damage(f"{path} must be written by hand, as `{key}` cannot be set in it"):
        edited = _edited(text, key, numbers)
        kept = dict(parse_toml(edited.removeprefix(_BYTE_ORDER_MARK)))
    if kept != {**before, key: numbers}:
        raise InputError(
            f"{path} must be written by hand: `{key}` cannot be set in it without a change of what "
            f"else it holds. Add {key} = {numbers}"
        )
    return edited


def _edited(text: str, key: str, numbers: list[float]) -> str:
    """The text with the key set: in its place, or behind the last key before the first table.

    Where there is no such key it goes behind the comments at the head of the file.
    """
    tomlkit = _tomlkit()
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    text = text.removeprefix(mark)
    document = tomlkit.parse(text)
    if key not in document:
        ending = "\r\n" if "\r\n" in text else "\n"
        at, has_keys = _end_of_keys(document)
        if not has_keys:
            at = _end_of_head(text[:at], whole=at == len(text))
        before, behind = text[:at], text[at:]
        before += ending if before and not before.endswith("\n") else ""
        apart = ending if not has_keys and behind.startswith(("#", "[")) else ""
        return f"{mark}{before}{key} = {numbers}{ending}{apart}{behind}"
    old = document[key]
    if isinstance(old, list) and len(old) == len(numbers):
        for index, number in enumerate(numbers):
            old[index] = number  # comments between them stay
    else:
        document[key] = numbers
    return f"{mark}{tomlkit.dumps(document)}"


def _end_of_keys(document: Any) -> tuple[int, bool]:
    """Where the last key ends that lies in no table, and whether there is one.

    Comments behind it may be the next table's. Without such a key it is where the first table
    begins, or the file ends.
    """
    tomlkit = _tomlkit()
    tables = (tomlkit.items.Table, tomlkit.items.AoT)
    first = last = 0
    for key, item in document.body:
        if isinstance(item, tables):
            break
        first += 1
        last = first if key is not None else last
    head = tomlkit.document()
    head.body.extend(document.body[: last or first])
    return len(head.as_string()), last > 0


def _end_of_head(text: str, *, whole: bool) -> int:
    """Where the comments at the head of a file end: those right above a table are the table's.

    Args:
        text: before the first table.
        whole: whether there is no table.
    """
    lines = text.splitlines(keepends=True)
    while lines and not whole and lines[-1].strip():
        lines.pop()
    return sum(map(len, lines))


def _tomlkit() -> Any:
    try:
        import tomlkit
    except ImportError as error:
        raise MissingPackageError("tomlkit", "edge", error) from error
    return tomlkit
