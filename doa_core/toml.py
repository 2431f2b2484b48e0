"""TOML files, on Python 3.10 as well."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.files import existing_path

LARGEST_FILE = 1 << 20  # bytes; a device node would never end


def parse_toml(text: str) -> Mapping[str, object]:
    """The values of a TOML document.

    Raises:
        ValueError: no TOML.
        MissingPackageError: Python 3.10 without tomli.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise MissingPackageError("tomli", "edge", error) from error
    return tomllib.loads(text)


def read_toml(path: Path) -> Mapping[str, object]:
    """The values of a TOML file.

    Raises:
        InputError: no such file, one that is too large, or no TOML.
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
    except ValueError as error:
        raise InputError(f"{path} must be a TOML file: {one_line(error)}") from error
