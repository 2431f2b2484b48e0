"""Checkpoints: checking a `.keras` archive before Keras opens it, and writing one atomically."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, one_line
from doa_core.files import write_beside

if TYPE_CHECKING:
    import keras

# The last one is an encrypted entry, or an unknown compression (NotImplementedError).
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError)


def check_checkpoint(path: Path) -> None:
    """Raise InputError unless a path is a `.keras` archive, whole and undamaged."""
    if path.suffix.lower() != ".keras":
        raise InputError(f"The model must be a .keras file. Received: {path}")
    if not path.is_file():
        raise InputError(f"The model must be a .keras file. Not found: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except _ZIP_ERRORS as error:
        reason = one_line(error)
        raise InputError(f"{path} is no .keras file, or was cut short: {reason}") from error
    if damaged is not None:
        raise InputError(f"{path} is damaged: {damaged} in it can't be read")


def save_model(path: Path, model: keras.Model, entries: Mapping[str, bytes] | None = None) -> None:
    """Write a model beside the path, with further entries in its archive, then rename.

    Args:
        path: FILE.keras.
        model: to save.
        entries: contents by name, such as the state of a training.

    Raises:
        OSError: the file can't be written; an existing one stays.
    """
    with write_beside(path) as beside:
        written = Path(beside).with_suffix(".keras")  # Keras wants the suffix
        model.save(written)
        if entries:
            with zipfile.ZipFile(written, "a") as archive:
                for name, content in entries.items():
                    archive.writestr(name, content)
        written.replace(beside)
