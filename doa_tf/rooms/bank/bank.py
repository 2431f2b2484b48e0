"""A bank of rooms on disk: TFRecord shards and a JSON index.

One record a room. A shard is written beside and renamed when it is whole, so a killed run leaves
whole shards only, and the same command goes on from there. How the rooms were made is in the
index: rooms made in another way are never mixed in.

Responses are kept as 16-bit floats relative to their peak, 66 dB below each sample's own value,
and become 32-bit floats where one is asked for: a bank takes hardly any memory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from doa_core.errors import InputError
from doa_tf.files import write_json
from doa_tf.rooms.bank.records import (
    BrokenRecordsError,
    Place,
    decode_example,
    encode_example,
    find_records,
    read_record,
    write_records,
)
from doa_tf.rooms.room import Room

logger = logging.getLogger(__name__)

INDEX = "index.json"
ROOMS_PER_SHARD = 50
VERSION = 2
_HALF = np.dtype("<f2")


class BankWriter:
    """A new bank, or the shards of an unfinished one that are still missing or damaged.

    Args:
        folder: the bank; made if it is not there.
        made_with: how its rooms are made, JSON values; goes into the index.
        rooms: how many, at least 1.
        rooms_per_shard: records in a file; all of them are in memory before it is written.

    Attributes:
        missing: the numbers of the rooms of each shard that is to be written.

    Raises:
        InputError: the folder holds a bank made otherwise, or something else.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        made_with: dict[str, Any],
        rooms: int,
        rooms_per_shard: int = ROOMS_PER_SHARD,
    ) -> None:
        for name, value in (("rooms", rooms), ("rooms_per_shard", rooms_per_shard)):
            if value < 1:
                raise InputError(f"`{name}` must be at least 1. Received: {name}={value}")
        self.folder = Path(folder)
        made_with = {
            "version": VERSION,
            **json.loads(json.dumps(made_with)),
            "rooms": rooms,
            "rooms_per_shard": rooms_per_shard,
        }
        self._index = _claim(self.folder, made_with)
        for left_over in self.folder.glob(".*.part"):  # by a run that was killed
            left_over.unlink(missing_ok=True)
        self.missing = []
        for path, numbers in _shards(self.folder, self._index):
            try:
                _check_shard(path, numbers)
            except BrokenRecordsError as error:
                if path.exists():
                    logger.warning("%s: it is made again", error)
                self.missing.append(numbers)

    @property
    def rooms_missing(self) -> int:
        """How many rooms are still to be written."""
        return sum(map(len, self.missing))

    def write(self, numbers: range, records: Iterable[bytes]) -> None:
        """Write one shard of `missing`: the records of its rooms, in order.

        Raises:
            OSError: the disk is full or fails; the bank stays as it was.
        """
        try:
            write_records(_shard_path(self.folder, self._index, numbers), records)
        except OSError as error:
            raise OSError(
                f"{error.strerror or error}: the bank {self.folder} keeps its whole shards; mend "
                "that and run the same command again"
            ) from error

    def finish(self) -> None:
        """Mark the bank as complete, once every shard is written."""
        write_json(self.folder / INDEX, {**self._index, "complete": True})


class RoomBank(Sequence[Room]):
    """The rooms of a bank, in order, each read from disk when it is asked for.

    May be used by several threads and sent to other processes. See `read_bank`.

    Attributes:
        folder: of the bank.
        index: its index, which says how it was made.
    """

    def __init__(self, folder: Path, index: dict[str, Any], places: list[Place]) -> None:
        self.folder = folder
        self.index = index
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Room: ...

    @overload
    def __getitem__(self, index: slice) -> list[Room]: ...

    def __getitem__(self, index: int | slice) -> Room | list[Room]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        place = self._places[index]
        record = read_record(place)
        try:
            return decode_room(record)
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(f"{place.path}, byte {place.offset}: no room ({error})") from error


class StoredResponses(Sequence[np.ndarray]):
    """Responses as 16-bit floats, each of which becomes (N, 4) float32 when it is asked for."""

    def __init__(self, scales: Sequence[float], blobs: Sequence[bytes]) -> None:
        self._scales = np.array(scales, np.float32)
        self._blobs = blobs

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredResponses, (self._scales, list(self._blobs))

    def __len__(self) -> int:
        return len(self._blobs)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return _unpack(self._scales[index], self._blobs[index]).reshape(-1, 4)


def read_bank(folder: str | Path, *, skip_broken: bool = False) -> RoomBank:
    """All rooms of a bank, in order.

    Every shard is read once and checked; rooms are read again when they are asked for.

    Args:
        folder: the bank.
        skip_broken: leave out shards that are missing, cut short or damaged, with a warning for
            each, and take a bank that was not finished for what is there.

    Raises:
        InputError: no bank, one that was not finished, or a shard that is cut short.
        OSError: a file cannot be read.
    """
    folder = Path(folder)
    index = read_index(folder)
    if not index.get("complete") and not skip_broken:
        raise InputError(
            f"The bank {folder} was not finished: run the `doa_tf simulate` that began it again, "
            "or use the whole shards with --skip-broken"
        )
    places: list[Place] = []
    for path, numbers in _shards(folder, index):
        try:
            places += _check_shard(path, numbers)
        except BrokenRecordsError as error:
            if not skip_broken:
                raise InputError(
                    f"{error}: run the `doa_tf simulate` that made it again, or leave the shard "
                    "out with --skip-broken"
                ) from error
            logger.warning("%s: %d rooms are left out", error, len(numbers))
    if not places:
        raise InputError(f"The bank {folder} has no whole shard")
    return RoomBank(folder, index, places)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a bank of this version.

    Raises:
        InputError: there is none, or it is one of another version.
    """
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, _ = index["version"], index["rooms"]
    except OSError as error:
        raise InputError(
            f"A bank is a folder with an {INDEX}, made by `doa_tf simulate`. Received: {folder}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the index of a bank: {error}") from error
    if version != VERSION:
        raise InputError(
            f"The bank {folder} must have version {VERSION}, and is made again where it has not. "
            f"Received: version {version}"
        )
    try:
        if int(index["rooms"]) < 1 or int(index["rooms_per_shard"]) < 1:
            raise ValueError("rooms and rooms_per_shard must be at least 1")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the index of a bank: {error}") from error
    return index


def encode_room(room: Room) -> bytes:
    """The record of a room. The same room gives the same bytes."""
    srirs = [_pack(srir) for srir in room.srirs]
    diffuse = [] if room.diffuse_response is None else [_pack(room.diffuse_response)]
    draw = json.dumps(room.microphone_draw, sort_keys=True)
    return encode_example(
        {
            "number": [int(room.number)],
            "rt60": _floats(room.rt60),
            "rt60_measured": _floats(room.rt60_measured),
            "size": _floats(room.size),
            "microphone": _floats(room.microphone),
            "directions": _floats(room.directions),
            "distances": _floats(room.distances),
            "drr_db": _floats(room.drr_db),
            "scales": [scale for scale, _ in srirs],
            "srirs": [blob for _, blob in srirs],
            "microphone_kind": [room.microphone_kind.encode()],
            "microphone_draw": [draw.encode()],
            "diffuse_scale": [scale for scale, _ in diffuse],
            "diffuse_response": [blob for _, blob in diffuse],
            "noise_gains": _floats(room.noise_gains),
        }
    )


def decode_room(record: bytes) -> Room:
    """The room of a record; its `srirs` are converted one by one, when they are asked for.

    Raises:
        ValueError, KeyError, IndexError: the record holds no room.
    """
    values = decode_example(record)

    def floats(name: str) -> np.ndarray:
        return np.array(values[name], np.float64)

    directions = floats("directions").reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    diffuse = [
        _unpack(np.float32(scale), blob).reshape(-1, 4, 4)
        for scale, blob in zip(values["diffuse_scale"], values["diffuse_response"], strict=True)
    ]
    return Room(
        number=int(values["number"][0]),
        rt60=float(values["rt60"][0]),
        size=floats("size"),
        microphone=floats("microphone"),
        directions=directions,
        distances=floats("distances"),
        srirs=StoredResponses(values["scales"], values["srirs"]),
        rt60_measured=float(values["rt60_measured"][0]),
        drr_db=floats("drr_db"),
        microphone_kind=values["microphone_kind"][0].decode(),
        microphone_draw=json.loads(values["microphone_draw"][0]),
        diffuse_response=diffuse[0] if diffuse else None,
        noise_gains=floats("noise_gains"),
    )


def _claim(folder: Path, made_with: dict[str, Any]) -> dict[str, Any]:
    """The index of a new bank, or that of the one there, if it was made the same way."""
    if not (folder / INDEX).exists():
        if folder.exists() and (
            not folder.is_dir() or any(path.suffix != ".part" for path in folder.iterdir())
        ):
            raise InputError(
                f"A bank is written to a new or empty folder. Received: {folder}, which holds "
                "something else"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / INDEX, {**made_with, "complete": False})
    elif not any(folder.glob("*.tfrecord")):  # begun, and nothing was made: there is no mixing
        write_json(folder / INDEX, {**made_with, "complete": False})
    index = read_index(folder)
    others = _differences(made_with, index)
    if others:
        raise InputError(
            f"The bank {folder} was made with other values of {', '.join(others)}: use the same, "
            "or another folder"
        )
    return index


def _differences(asked: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Names of the values that are not the same, such as `settings.rt60`."""
    names = []
    for name, value in asked.items():
        other = found.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            names += [f"{name}.{inner}" for inner in _differences(value, other)]
        elif value != other:
            names.append(name)
    return names


def _shards(folder: Path, index: dict[str, Any]) -> list[tuple[Path, range]]:
    """Path and room numbers of every shard."""
    rooms, size = index["rooms"], index["rooms_per_shard"]
    ranges = [range(start, min(start + size, rooms)) for start in range(0, rooms, size)]
    return [(_shard_path(folder, index, numbers), numbers) for numbers in ranges]


def _shard_path(folder: Path, index: dict[str, Any], numbers: range) -> Path:
    size = index["rooms_per_shard"]
    shards = -(-index["rooms"] // size)
    return folder / f"rooms-{numbers.start // size:05d}-of-{shards:05d}.tfrecord"


def _check_shard(path: Path, numbers: range) -> list[Place]:
    places = find_records(path)
    if len(places) != len(numbers):
        raise BrokenRecordsError(f"{path} is cut short: {len(places)} of {len(numbers)} rooms")
    return places


def _floats(values: Any) -> list[float]:
    flat: list[float] = np.asarray(values, np.float64).ravel().tolist()
    return flat


def _pack(values: np.ndarray) -> tuple[float, bytes]:
    """The peak of an array, and the array divided by it as 16-bit floats."""
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    return scale, (values / scale).astype(_HALF).tobytes()


def _unpack(scale: np.float32, blob: bytes) -> np.ndarray:
    values = np.frombuffer(blob, _HALF).astype(np.float32)
    values *= scale
    return values
