"""Checkpoints: checking a `.keras` archive before Keras opens it, and writing one atomically."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_damage, one_line
from doa_core.files import write_beside
from doa_core.reading.json_text import parse_json
from doa_core.reading.zip_archive import DamagedZipError, check_entries, open_zip, read_entry

if TYPE_CHECKING:
    import keras

LARGEST_WEIGHTS = 1 << 31  # bytes
_WEIGHTS = "model.weights.h5"
_MOST_OBJECTS = 100_000  # groups and arrays of weights
_SMALL = 1 << 20  # bytes that arrays may have beyond what their file holds


def check_checkpoint(path: Path) -> None:
    """Raise InputError unless a path is a `.keras` archive, whole and undamaged."""
    if path.suffix.lower() != ".keras":
        raise InputError(f"The model must be a .keras file. Received: {path}")
    if not path.is_file():
        raise InputError(f"The model must be a .keras file. Not found: {path}")
    try:
        with path.open("rb") as file, open_zip(file) as archive:
            weights = _sound_weights(path, archive)
    except DamagedZipError as error:
        reason = one_line(error)
        raise InputError(f"{path} is no .keras file, or was cut short: {reason}") from error
    except OSError as error:
        raise InputError(f"The model cannot be read: {one_line(error)}") from error
    if weights is not None:
        _check_weights(path, weights)


def _sound_weights(path: Path, archive: zipfile.ZipFile) -> bytes | None:
    """The weights of a checkpoint, every entry of which is whole; None where it has none."""
    try:
        check_entries(archive, path.stat().st_size)
        if _WEIGHTS not in archive.namelist():
            return None
        return read_entry(archive, _WEIGHTS, largest=LARGEST_WEIGHTS)
    except DamagedZipError as error:
        raise InputError(f"{path} is damaged: {one_line(error)}") from error


def _check_weights(path: Path, weights: bytes) -> None:
    """Raise InputError for weights that HDF5 cannot read, or that are not all in the file.

    An array of a few bytes may say that it has more elements than fit into memory, or that they
    lie in another file.
    """
    import h5py

    count = claimed = 0

    def look(name: str, thing: Any) -> None:
        nonlocal count, claimed
        count += 1
        if count > _MOST_OBJECTS:
            raise InputError(f"{path} must have {_MOST_OBJECTS} arrays of weights at most")
        if isinstance(thing, h5py.Group):
            links = (thing.get(inner, getlink=True) for inner in thing)
            elsewhere = not all(isinstance(link, h5py.HardLink) for link in links)
        else:
            elsewhere = bool(thing.external or thing.is_virtual)
            claimed += thing.nbytes
        if elsewhere:
            raise InputError(f"{path} must hold its weights itself. Received: {name} elsewhere")
        if claimed > len(weights) + _SMALL:
            raise InputError(
                f"{path} is damaged: it says that its weights have {claimed} bytes or more, and "
                f"has {len(weights)} of them"
            )

    damage = as_damage(f"{path} is damaged: its weights cannot be read")
    with damage, h5py.File(io.BytesIO(weights), "r") as file:
        look("/", file)
        file.visititems(look)


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
        with path.open("rb") as file, open_zip(file) as archive:
            return str(parse_json(read_entry(archive, "metadata.json"))["keras_version"])
    except (OSError, KeyError, TypeError, ValueError):
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
        with path.open("rb") as file, open_zip(file) as archive:
            values = parse_json(read_entry(archive, "config.json"), finite=False)
    except (OSError, ValueError) as error:
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
