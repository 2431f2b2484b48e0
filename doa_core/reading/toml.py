"""TOML files, on Python 3.10 as well."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.files import existing_path
from doa_core.reading.values import check_values

LARGEST_FILE = 1 << 18  # bytes; a device node would never end
DEEPEST = 16  # brackets inside one another, and names with dots between them
LONGEST_WORD = 1000  # characters of a name, number or date
LONGEST_NAME = 200  # characters of a key; what looks for a similar one is slow for long ones
# Texts, comments, words, and whatever else: each alternative goes on to the end where nothing
# closes it, so that every character is looked at once.
_TOKENS = re.compile(
    r'"{3}(?:\\.|[^\\])*?(?:"{3}|\Z)|'
    r"'{3}.*?(?:'{3}|\Z)|"
    r'"(?:\\.|[^"\\\n])*"?|'
    r"'[^'\n]*'?|"
    r"#[^\n]*|"
    r"(?P<word>[A-Za-z0-9_+-]+)|"
    r"(?P<sign>[^ \t])",
    re.DOTALL,
)


def parse_toml(text: str) -> Mapping[str, Any]:
    """The values of a TOML document, finite or not.

    Raises:
        ValueError: no TOML, or more than a program's options need: nested more than `DEEPEST`
            times, integers beyond 64 bits, names that are long or cannot be printed, NUL.
        MissingPackageError: Python 3.10 without tomli.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise MissingPackageError("tomli", "edge", error) from error
    _check_depth(text)
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"it must not be nested more deeply than {DEEPEST} times") from error
    check_values(values, finite=False)
    _check_names(values)
    return values


def read_toml(path: Path) -> Mapping[str, Any]:
    """The values of a TOML file.

    Raises:
        InputError: no such file, one that is too large, or as `parse_toml`.
        MissingPackageError: Python 3.10 without tomli.
    """
    path = existing_path(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise InputError(f"{path} must be a TOML file of {LARGEST_FILE} bytes at most")
        return parse_toml(data.decode("utf-8-sig"))  # some editors write a byte-order mark
    except OSError as error:
        raise InputError(f"The configuration cannot be read: {one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} must be a TOML file in UTF-8: save it so ({one_line(error)})"
        ) from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} must be a TOML file: {one_line(error)}") from error


def _check_depth(text: str) -> None:
    """Raise ValueError for what takes Python's parser its stack, or far more time than reading.

    It calls itself for every bracket, and copies all the names before each dot of a key.
    """
    depth = dots = 0
    for token in _TOKENS.finditer(text):
        word, sign = token["word"], token["sign"]
        if word is not None and len(word) > LONGEST_WORD:
            raise ValueError(f"its names and numbers must have {LONGEST_WORD} characters at most")
        if sign == ".":
            dots += 1
        elif sign is not None:
            dots = 0
            depth += (sign in "[{") - (sign in "]}")
        if max(depth, dots) > DEEPEST:
            raise ValueError(f"it must not be nested more deeply than {DEEPEST} times")


def _check_names(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(
                f"its keys must have {LONGEST_NAME} printable characters at most. "
                f"Received: {name[:LONGEST_NAME]!r}"
            )
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                _check_names(inner)
