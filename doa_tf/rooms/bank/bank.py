"""A bank of rooms on disk: shards that `numpy.load` opens, and a JSON index.

A shard is written beside and renamed when it is whole, so a killed run leaves whole shards only,
and the same command goes on from there. The index says how the rooms were made: rooms made in
another way are never mixed in.

Responses are stored as 16-bit floats relative to their peak, which costs 66 dB below each sample's
own value, and become 32-bit floats when they are indexed: an open bank takes hardly any memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError, one_line
from doa_core.files import existing_path, remove_leftovers
from doa_tf.files import differences, write_json
from doa_tf.rooms.bank.records import (
    BrokenShardError,
    Place,
    Record,
    checksums,
    find_rooms,
    write_shard,
)
from doa_tf.rooms.room import Room

logger = logging.getLogger(__name__)

INDEX = "index.json"
ROOMS_PER_SHARD = 50
VERSION = 3
_HALF = np.dtype("<f2")
_NPY_LENGTH = slice(8, 10)  # bytes of an .npy file with the length of its header, which follows
_NPY_START = b"{'descr': '<f2', 'fortran_order': False, 'shape': ("
_NUMBERS = (  # of a room; stored as 32-bit floats
    *("rt60", "rt60_measured", "size", "microphone"),
    *("directions", "distances", "drr_db", "noise_gains"),
)


class BankWriter:
    """A new bank, or the shards of an unfinished one that are still missing or damaged.

    Args:
        folder: the bank; made if it is not there.
        made_with: how its rooms are made, JSON values; goes into the index.
        rooms: how many, at least 1.
        rooms_per_shard: rooms in a file; all of them are in memory before it is written.

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
        self._made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self._index = _claim(self.folder, made_with)
        remove_leftovers(self.folder)
        self.missing: list[range] = []
        for path, numbers in shards(self.folder, self._index):
            try:
                find_rooms(path, numbers)
            except BrokenShardError as error:
                if path.exists():
                    logger.warning("%s: it is made again", error)
                self.missing.append(numbers)
        if not self.missing:
            logger.info("the bank %s is complete: nothing is left to do", self.folder)

    def __enter__(self) -> BankWriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._withdraw()

    def _withdraw(self) -> None:
        """Leave no folder behind that holds nothing but the index of a bank that failed."""
        if {path.name for path in self.folder.iterdir()} <= {INDEX}:
            (self.folder / INDEX).unlink(missing_ok=True)
            with suppress(OSError):  # one that is no longer empty stays
                for path in self._made:
                    path.rmdir()

    @property
    def rooms_missing(self) -> int:
        """How many rooms are still to be written."""
        return sum(map(len, self.missing))

    def write(self, numbers: range, records: Iterable[Record]) -> None:
        """Write one shard of `missing`: its rooms from `encode_room`, in order.

        Raises:
            OSError: the disk is full or fails; the bank stays as it was.
        """
        try:
            write_shard(_shard_path(self.folder, self._index, numbers), numbers, records)
        except OSError as error:
            raise OSError(
                f"{error.strerror or error}: the bank {self.folder} keeps its whole shards; mend "
                "that and run the same command again"
            ) from error

    def finish(self) -> None:
        """Mark the bank as complete, once every shard is written."""
        write_json(self.folder / INDEX, {**self._index, "complete": True})


class RoomBank(Sequence[Room]):
    """The rooms of a bank, in order, each read from disk when it is indexed.

    May be used by several threads and sent to other processes. See `read_bank`.

    Attributes:
        folder: of the bank.
        made_with: its index: version, seed, settings.
    """

    def __init__(self, folder: Path, made_with: dict[str, Any], places: list[Place]) -> None:
        self.folder = folder
        self.made_with = made_with
        self._places = places

    @property
    def digest(self) -> str:
        """SHA-256 of the checksums of its rooms: equal for banks of the same rooms, wherever."""
        members = [member for place in self._places for member in place.members]
        return _digest((member.length, member.crc) for member in members)

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
        record = place.read()
        try:
            return decode_room(record)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            where = f"{place.path}, byte {place.members[0].offset}"
            raise InputError(f"{where}: no room ({one_line(error)})") from error


class StoredResponses(Sequence[np.ndarray]):
    """Responses as 16-bit floats, each of which becomes (N, 4) float32 when it is indexed.

    Args:
        stored: (N, 4) 16-bit floats of all responses, one after the other.
        samples: of each response.
        scales: what each is multiplied by.
    """

    def __init__(self, stored: np.ndarray, samples: Sequence[int], scales: Sequence[float]) -> None:
        self._stored = stored
        self._ends = np.cumsum(samples)
        self._scales = np.asarray(scales, np.float32)
        if len(self._scales) != len(self._ends):
            raise ValueError("not as many scales as responses")

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        start = self._ends[number - 1] if number else 0
        response = self._stored[start : self._ends[number]].astype(np.float32)
        response *= self._scales[number]
        return response


def read_bank(folder: str | Path, *, skip_broken: bool = False) -> RoomBank:
    """All rooms of a bank, in order.

    Every shard is read once and checked; rooms are read again when they are indexed.

    Args:
        folder: the bank.
        skip_broken: leave out shards that are missing, cut short or damaged, with a warning for
            each, and accept an unfinished bank.

    Raises:
        InputError: not a bank, an unfinished one, or a shard that is missing or damaged.
        OSError: a file cannot be read.
    """
    folder = existing_path(folder)
    index = read_index(folder)
    if not index.get("complete") and not skip_broken:
        raise InputError(
            f"The bank {folder} was not finished: run the `doa_tf simulate` that began it again, "
            "or use the whole shards with --skip-broken of `doa_tf train`, `render` and `bank`"
        )
    places: list[Place] = []
    for path, numbers in shards(folder, index):
        try:
            places += find_rooms(path, numbers)
        except BrokenShardError as error:
            if not skip_broken:
                raise InputError(
                    f"{error}: run the `doa_tf simulate` that made it again, or leave the shard "
                    "out with --skip-broken of `doa_tf train`, `render` and `bank`"
                ) from error
            logger.warning("%s: %d rooms are left out", error, len(numbers))
    if not places:
        raise InputError(f"The bank {folder} has no whole shard")
    return RoomBank(folder, index, places)


def bank_digest(folder: str | Path, *, skip_broken: bool = False) -> str:
    """`RoomBank.digest` of a bank; without `skip_broken` its rooms need not be read for that.

    Raises:
        InputError: as `read_bank`; a room that is damaged is found by that only.
        OSError: a file cannot be read.
    """
    folder = existing_path(folder)
    index = read_index(folder)
    if index.get("complete") and not skip_broken:
        found = (
            pair for path, numbers in shards(folder, index) for pair in checksums(path, numbers)
        )
        with suppress(BrokenShardError):
            return _digest(found)
    return read_bank(folder, skip_broken=skip_broken).digest  # or what is wrong with it


def _digest(pairs: Iterable[tuple[int, int]]) -> str:
    digest = hashlib.sha256()
    for length, crc in pairs:
        digest.update(struct.pack("<QI", length, crc))
    return digest.hexdigest()


def read_index(folder: Path, *, version: int = VERSION) -> dict[str, Any]:
    """The index of a bank of a version, by default of this one.

    Raises:
        InputError: there is none, or it has another version.
    """
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = index["version"]
        if found == version and min(int(index["rooms"]), int(index["rooms_per_shard"])) < 1:
            raise ValueError("rooms and rooms_per_shard must be at least 1")
    except OSError as error:
        raise InputError(
            f"A bank is a folder with an {INDEX}, made by `doa_tf simulate`. Received: {folder} "
            f"({error.strerror or error})"
        ) from error
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not the index of a bank: it lacks entries") from error
    except ValueError as error:
        raise InputError(f"{path} is not the index of a bank: {error}") from error
    if found != version:
        advice = {
            1: ", which has to be made again",
            2: f", which `doa_tf bank convert {folder} --out NEW` converts",
        }.get(found, "")
        raise InputError(
            f"The bank {folder} must have version {version}. Received: version {found}{advice}"
        )
    return index


def encode_room(room: Room) -> Record:
    """A room as it is stored. The same room gives the same bytes."""
    responses = [*room.srirs]
    if room.diffuse_response is not None:  # the last one, 4 L of 4 samples
        responses.append(room.diffuse_response.reshape(-1, 4))
    scales = [float(np.abs(response).max(initial=0.0)) or 1.0 for response in responses]
    pairs = zip(responses, scales, strict=True)
    halves = [(response / scale).astype(_HALF, order="C") for response, scale in pairs]
    values = {
        "number": int(room.number),
        "microphone_kind": room.microphone_kind,
        "microphone_draw": room.microphone_draw,
        "samples": [len(response) for response in responses],
        "scales": _digits(scales),
        **{name: _digits(getattr(room, name)) for name in _NUMBERS},
    }
    file = io.BytesIO()
    np.lib.format.write_array(file, np.concatenate(halves), version=(1, 0), allow_pickle=False)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return text.encode(), file.getvalue()


def decode_room(record: Record) -> Room:
    """The room of a record; each of its `srirs` is converted when it is indexed.

    Raises:
        ValueError, KeyError, TypeError, IndexError: the record holds no room.
    """
    text, content = record
    values = json.loads(text)
    # As `numpy.load` does it, but faster: every scene reads a room.
    if not content.startswith(_NPY_START, _NPY_LENGTH.stop):
        raise ValueError("not an .npy file of 16-bit floats")
    header = int.from_bytes(content[_NPY_LENGTH], "little")
    stored = np.frombuffer(content, _HALF, offset=_NPY_LENGTH.stop + header).reshape(-1, 4)
    arrays: dict[str, Any] = {name: np.array(values[name], np.float32) for name in _NUMBERS}
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    arrays["directions"] /= np.linalg.norm(arrays["directions"], axis=-1, keepdims=True)
    arrays |= {name: float(arrays[name]) for name in ("rt60", "rt60_measured")}
    sources = len(arrays["directions"])
    samples, scales = values["samples"], values["scales"]
    diffuse = StoredResponses(stored, samples, scales)[sources:]
    return Room(
        number=values["number"],
        srirs=StoredResponses(stored, samples[:sources], scales[:sources]),
        microphone_kind=values["microphone_kind"],
        microphone_draw=values["microphone_draw"],
        diffuse_response=diffuse[0].reshape(-1, 4, 4) if diffuse else None,
        **arrays,
    )


def _digits(values: npt.ArrayLike) -> Any:
    """JSON values with as few digits as tell 32-bit floats apart."""
    return np.asarray(values, np.float32).astype(str).astype(np.float64).tolist()


def _claim(folder: Path, made_with: dict[str, Any]) -> dict[str, Any]:
    """The index of a new bank, or that of the one there, if it was made the same way."""
    empty = not folder.exists() or (
        folder.is_dir()
        and all(path.name == INDEX or path.suffix == ".part" for path in folder.iterdir())
    )
    if empty:  # or begun, and nothing was made: nothing can get mixed
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / INDEX, {**made_with, "complete": False})
    elif not (folder / INDEX).exists():
        raise InputError(
            f"A bank is written to a new or empty folder. Received: {folder}, which holds "
            "something else"
        )
    index = read_index(folder)
    others = differences(made_with, {name: index.get(name) for name in made_with})
    if others:
        raise InputError(
            f"The bank {folder} was made with other values of {', '.join(others)}: use the same, "
            "or another folder"
        )
    return index


def shards(folder: Path, index: dict[str, Any]) -> list[tuple[Path, range]]:
    """Path and room numbers of every shard."""
    rooms, size = index["rooms"], index["rooms_per_shard"]
    ranges = [range(start, min(start + size, rooms)) for start in range(0, rooms, size)]
    return [(_shard_path(folder, index, numbers), numbers) for numbers in ranges]


def _shard_path(folder: Path, index: dict[str, Any], numbers: range) -> Path:
    size = index["rooms_per_shard"]
    shards = -(-index["rooms"] // size)
    return folder / f"rooms-{numbers.start // size:05d}-of-{shards:05d}.npz"
