"""Checkpoints: checking a `.keras` archive before Keras opens it, and writing one atomically."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except PermissionError as error:
        raise InputError(f"The model cannot be read: {one_line(error)}") from error
    except _ZIP_ERRORS as error:
        reason = one_line(error)
        raise InputError(f"{path} is no .keras file, or was cut short: {reason}") from error
    if damaged is not None:
        raise InputError(f"{path} is damaged: {damaged} in it can't be read")


def why_not_loaded(path: Path, error: Exception, *, version: str) -> str:
    """Why Keras does not load a checkpoint, in a line.

    Keras wraps the error of a layer in those of all that holds it, each with their configuration:
    the innermost is the reason.

    Args:
        path: of a `.keras` archive that `check_checkpoint` accepts.
        error: that Keras raised.
        version: of this Keras.
    """
    outermost, *inner = str(error).strip().split("Exception encountered:")
    lines = (inner[-1] if inner else outermost).strip().splitlines() or [type(error).__name__]
    saved = _keras_version(path)
    other = f" (saved by Keras {saved}, this is Keras {version})" if saved != version else ""
    return f"{path} can't be loaded as a Keras model{other}: {one_line(lines[0])}"


def _keras_version(path: Path) -> str:
    """The version of Keras that wrote a checkpoint, as far as it says so."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (*_ZIP_ERRORS, KeyError, TypeError, ValueError):
        return "of an unknown version"


def stored_objects(path: Path, *, compiled: bool = False) -> Iterator[dict[str, Any]]:
    """What Keras saved of each object in a checkpoint: `class_name`, `registered_name`, `config`.

    Args:
        path: of a `.keras` archive that `check_checkpoint` accepts.
        compiled: whether optimiser, loss and metrics are among them.

    Raises:
        InputError: the archive says nothing of what is in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            values = json.loads(archive.read("config.json"))
    except (*_ZIP_ERRORS, KeyError, ValueError) as error:
        raise InputError(f"{path} is no .keras file: {one_line(error)}") from error
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            waiting += [v for name, v in value.items() if compiled or name != "compile_config"]
        elif isinstance(value, list):
            waiting += value


def save_model(path: Path, model: keras.Model, entries: Mapping[str, bytes] | None = None) -> None:
    """Write a model beside the path, with further entries in its archive, then rename.

    Args:
        path: FILE.keras.
        model: to save.
        entries: contents by name, such as the state of a training.

    Raises:
        OSError: the file can't be written; an existing one stays.
    """
    with write_beside(path, suffix=".keras") as beside:  # Keras wants the suffix
        model.save(beside)
        if entries:
            with zipfile.ZipFile(beside, "a") as archive:
                for name, content in entries.items():
                    archive.writestr(name, content)
