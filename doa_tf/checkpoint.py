"""Looking into a `.keras` file before Keras does: it names what is wrong with a broken one."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from doa_edge.errors import InputError, one_line

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted entry
)


def check_checkpoint(path: Path) -> None:
    """Raise InputError unless a path is a zip archive of which every part can be read.

    Raises:
        InputError: not a `.keras` file, not there, cut short or damaged.
    """
    if path.suffix.lower() != ".keras":
        raise InputError(f"The model must be a .keras file. Received: {path}")
    if not path.is_file():
        raise InputError(f"The model must be a .keras file. Not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except _ZIP_ERRORS as error:
        raise InputError(
            f"{path} is no .keras file, or was cut short: {one_line(error)}"
        ) from error
    if damaged is not None:
        raise InputError(f"{path} is damaged: {damaged} in it can't be read")
