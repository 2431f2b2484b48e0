"""Checkpoints: checking a `.keras` archive before Keras opens it, and writing one atomically."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import math
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_damage, one_line
from doa_core.files import write_beside
from doa_core.reading.json_text import parse_json
from doa_core.reading.zip_archive import DamagedZipError, check_entries, open_zip, read_entry

if TYPE_CHECKING:
    import keras

LARGEST_WEIGHTS = 1 << 31  # bytes
_CONFIG = "config.json"  # the entry that says what is in the model
_WEIGHTS = "model.weights.h5"
_MOST_OBJECTS = 100_000  # groups and arrays of weights
_SMALL = 1 << 20  # bytes that arrays may have beyond what their file holds
LARGEST_SIZE = 1 << 24  # of any axis of what a layer takes or gives
_GIVEN = ("units", "filters", "output_dim")  # in a layer's configuration: channels of its output
_SIZES = (*_GIVEN, "input_dim", "num_heads", "key_dim", "value_dim", "depth_multiplier")


def check_checkpoint(path: Path) -> None:
    """Raise InputError unless a path is a `.keras` archive, whole and undamaged.

    Its layers need no more weights than it holds: Keras draws and allots them all before it reads
    the first one.
    """
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
    held = 0 if weights is None else _check_weights(path, weights)
    _check_sizes(path, held)


def _sound_weights(path: Path, archive: zipfile.ZipFile) -> bytes | None:
    """The weights of a checkpoint, every entry of which is whole; None where it has none."""
    try:
        check_entries(archive, path.stat().st_size)
        if _WEIGHTS not in archive.namelist():
            return None
        return read_entry(archive, _WEIGHTS, largest=LARGEST_WEIGHTS)
    except DamagedZipError as error:
        raise InputError(f"{path} is damaged: {one_line(error)}") from error


def _check_weights(path: Path, weights: bytes) -> int:
    """Raise InputError for weights that HDF5 cannot read, or that are not all in the file.

    An array of a few bytes may say that it has more elements than fit into memory, or that they
    lie in another file.

    Returns:
        How many elements all arrays have.
    """
    import h5py

    count = claimed = held = 0

    def look(name: str, thing: Any) -> None:
        nonlocal count, claimed, held
        count += 1
        if count > _MOST_OBJECTS:
            raise InputError(f"{path} must have {_MOST_OBJECTS} arrays of weights at most")
        if isinstance(thing, h5py.Group):
            links = (thing.get(inner, getlink=True) for inner in thing)
            elsewhere = not all(isinstance(link, h5py.HardLink) for link in links)
        else:
            elsewhere = bool(thing.external or thing.is_virtual)
            claimed += thing.nbytes
            held += thing.size or 0
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
    return held


def _check_sizes(path: Path, held: int) -> None:
    """Raise InputError for layers whose sizes need more weights than a checkpoint holds.

    Args:
        path: of the checkpoint, for messages.
        held: elements of its weights.
    """
    layers: dict[str, dict[str, Any]] = {}
    for saved in stored_objects(path):
        of_keras = str(saved.get("module")).partition(".")[0] == "keras"
        if of_keras and isinstance(saved.get("config"), dict):
            once = saved.get("shared_object_id")  # Keras makes such an object once
            layers[f"{len(layers)}" if once is None else f"shared {once}"] = saved
    given = [size for saved in layers.values() for size in _sizes(saved["config"], _GIVEN)]
    needed = 0
    for saved in layers.values():
        config, built_for = saved["config"], list(_shapes(saved.get("build_config")))
        name = f"{saved['class_name']} {config.get('name', '')}".strip()
        size = max([*_sizes(config, _SIZES), *(axis for shape in built_for for axis in shape), 0])
        if size > LARGEST_SIZE:
            raise InputError(
                f"{path} must have layers of sizes up to {LARGEST_SIZE}. Received: {name} of {size}"
            )
        # Keras makes the weights for this shape; where there is none, for what another layer gives.
        channels = min((shape[-1] for shape in built_for), default=max(given, default=1))
        needed += _fewest_weights(config, channels)
        if needed > held:
            raise InputError(
                f"{path} is damaged: its layers need at least {needed} weights, {name} among them, "
                f"and it has {held}"
            )


def _fewest_weights(config: Mapping[str, Any], channels: int) -> int:
    """How many weights a layer of Keras has at least, of those that grow with two sizes.

    Args:
        config: of the layer.
        channels: of its input.
    """
    sizes = {name: max(_sizes(config, [name]), default=0) for name in (*_SIZES, "groups")}
    if config.get("data_format") == "channels_first":
        channels = 1
    if "recurrent_initializer" in config:
        channels += sizes["units"]
    places = 1 if sizes["depth_multiplier"] else math.prod(_sizes(config, ["kernel_size"]))
    dense = sizes["units"] * channels
    convolution = sizes["filters"] * places * max(1, channels // max(1, sizes["groups"]))
    table, heads = sizes["input_dim"] * sizes["output_dim"], sizes["num_heads"] * sizes["key_dim"]
    return dense + convolution + table + heads


def _sizes(config: Mapping[str, Any], names: Iterable[str]) -> list[int]:
    """The positive integers of a configuration under some names, alone or in lists."""
    values = (config.get(name) for name in names)
    numbers = (n for value in values for n in (value if isinstance(value, list) else [value]))
    return [number for number in numbers if type(number) is int and number > 0]


def _shapes(values: Any) -> Iterator[list[int]]:
    """The shapes in what a layer was built for, without their axes of any length."""
    if isinstance(values, dict):
        values = list(values.values())
    if not isinstance(values, list):
        return
    shape = [axis for axis in values if type(axis) is int and axis > 0]
    if shape:
        yield shape
    for inner in values:
        yield from _shapes(inner)


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
    yield from _objects(_stored_config(path), compiled=compiled)


def _stored_config(path: Path) -> Any:
    """What Keras saved of a model, as JSON values."""
    try:
        with path.open("rb") as file, open_zip(file) as archive:
            return parse_json(read_entry(archive, _CONFIG), finite=False)
    except (OSError, ValueError) as error:
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
    if not isinstance(kind, type):
        return 0
    unknown = config.keys() - _arguments(kind)
    off = {name for name in unknown if config[name] is None or config[name] is False}
    unused = {name for name in unknown if not off.isdisjoint(_owners(name))}
    for name in unused:
        del config[name]
    return len(unused)


def _owners(name: str) -> list[str]:
    """An argument, and those that it may belong to: `renorm` and `renorm_momentum`."""
    return [name[:end] for end, letter in enumerate(name) if letter == "_"] + [name]


def _arguments(kind: type) -> set[str]:
    """Names of the arguments of a class and of those that it is made of."""
    makers = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
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
    with write_beside(path, suffix=".keras") as beside:  # Keras wants the suffix
        model.save(beside)
        if entries:
            with zipfile.ZipFile(beside, "a") as archive:
                for name, content in entries.items():
                    archive.writestr(name, content)
