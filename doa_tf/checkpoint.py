"""Checkpoints: checking a `.keras` archive before Keras opens it, and writing one atomically."""

from __future__ import annotations

import importlib
import inspect
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, one_line
from doa_core.files import write_beside

if TYPE_CHECKING:
    import keras

_CONFIG = "config.json"  # the entry of an archive that says what is in the model
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
    yield from _objects(_stored_config(path), compiled=compiled)


def _stored_config(path: Path) -> Any:
    """What Keras saved of a model, as JSON values."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_CONFIG))
    except (*_ZIP_ERRORS, KeyError, ValueError) as error:
        raise InputError(f"{path} is no .keras file: {one_line(error)}") from error


def _objects(values: Any, *, compiled: bool) -> Iterator[dict[str, Any]]:
    """Each object in these JSON values, itself and not a copy."""
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            waiting += [v for name, v in value.items() if compiled or name != "compile_config"]
        elif isinstance(value, list):
            waiting += value


@contextmanager
def without_unused(path: Path) -> Iterator[Path | None]:
    """A copy of a checkpoint for this Keras, without what another one wrote and does not use.

    Keras saves all arguments of a layer, those too that nobody gave. One that this version does
    not have is left out where it is None or False, and so are those that belong to it by name:
    `renorm_momentum` to `renorm`. One with a value stays, and Keras refuses it.

    Args:
        path: of a `.keras` archive that `check_checkpoint` accepts.

    Yields:
        Path of the copy, which goes at the end; None where there is nothing to leave out.
    """
    values = _stored_config(path)
    if not sum(_leave_out_unused(saved) for saved in _objects(values, compiled=True)):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.keras"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            for entry in old.infolist():
                changed = json.dumps(values).encode() if entry.filename == _CONFIG else None
                new.writestr(entry, old.read(entry) if changed is None else changed)
        yield copy


def _leave_out_unused(saved: dict[str, Any]) -> int:
    """Take from an object of Keras's own what its class does not know and nobody uses: how many."""
    config, module = saved.get("config"), str(saved.get("module"))
    if not isinstance(config, dict) or module.partition(".")[0] != "keras":
        return 0
    try:
        kind = getattr(importlib.import_module(module), saved["class_name"])
    except (ImportError, AttributeError):
        return 0  # of another version: Keras says so itself
    unknown = config.keys() - _arguments(kind)
    unused = {name for name in unknown if config[name] is None or config[name] is False}
    unused |= {name for name in unknown if any(name.startswith(f"{off}_") for off in unused)}
    for name in unused:
        del config[name]
    return len(unused)


def _arguments(kind: Any) -> set[str]:
    """Names of the arguments of a class and of those that it is made of."""
    makers = [vars(base)["__init__"] for base in inspect.getmro(kind) if "__init__" in vars(base)]
    return {name for maker in makers for name in _parameters(maker)}


def _parameters(maker: Any) -> list[str]:
    try:
        return list(inspect.signature(maker).parameters)
    except ValueError:  # of C
        return []


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
