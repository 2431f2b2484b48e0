"""A bank of rooms on disk: shards that `numpy.load` opens, and a JSON index.

A shard is written beside and renamed when it is whole, so a killed run leaves whole shards only,
and the same command goes on from there. The index says how the rooms were made: rooms made in
another way are never mixed in.

Rooms become arrays when they are indexed: an open bank takes hardly any memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, overload

from doa_core.errors import InputError, as_damage
from doa_core.files import existing_path, remove_leftovers
from doa_core.reading.json_text import read_json
from doa_edge.limits import LIMITS
from doa_tf.files import differences, write_json
from doa_tf.rooms.bank.records import (
    BrokenShardError,
    Place,
    Record,
    checksums,
    find_rooms,
    write_shard,
)
from doa_tf.rooms.bank.room_record import decode_room
from doa_tf.rooms.room import Room

logger = logging.getLogger(__name__)

INDEX = "index.json"
ROOMS_PER_SHARD = 50
VERSION = 3
MOST_ROOMS = 1_000_000


class BankWriter:
    """A new bank, or the shards of an unfinished one that are still missing or damaged.

    Args:
        folder: the bank; made if it is not there.
        made_with: how its rooms are made, JSON values; goes into the index.
        rooms: how many, 1 to `MOST_ROOMS`.
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
        _check_count("rooms", rooms)
        _check_count("rooms_per_shard", rooms_per_shard)
        self.folder = Path(folder)
        made_with = {
            "version": VERSION,
            **json.loads(json.dumps(made_with)),
            "rooms": rooms,
            "rooms_per_shard": rooms_per_shard,
        }
        self._made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        try:
            self._index = _claim(self.folder, made_with)
        except OSError:
            self._withdraw()
            raise
        remove_leftovers(self.folder)
        self.missing: list[range] = []
        self._whole = 0  # shards
        for path, numbers in shards(self.folder, self._index):
            try:
                find_rooms(path, numbers)
                self._whole += 1
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
        if self.folder.is_dir() and {path.name for path in self.folder.iterdir()} <= {INDEX}:
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
        with self._saying_what_is_kept():
            write_shard(_shard_path(self.folder, self._index, numbers), numbers, records)
        self._whole += 1

    def finish(self) -> None:
        """Mark the bank as complete, once every shard is written.

        Raises:
            OSError: the disk is full or fails; the bank stays as it was, unfinished.
        """
        with self._saying_what_is_kept():
            write_json(self.folder / INDEX, {**self._index, "complete": True})

    @contextmanager
    def _saying_what_is_kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = "keeps its whole shards" if self._whole else "holds no room yet"
            raise OSError(
                f"{error.strerror or error}: the bank {self.folder} {kept}; mend that and run the "
                "same command again"
            ) from error


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

    def __add__(self, more: Sequence[Room]) -> RoomBank:
        """The rooms of this bank and of another; `folder` and `made_with` are this one's."""
        if not isinstance(more, RoomBank):
            return NotImplemented
        return RoomBank(self.folder, self.made_with, self._places + more._places)

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
        with as_damage(f"{place.path}, byte {place.members[0].offset}: no room"):
            return decode_room(record)


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
        index = read_json(path, what="the index of a bank")
    except OSError as error:
        raise InputError(
            f"A bank is a folder with an {INDEX}, made by `doa_tf simulate`. Received: {folder} "
            f"({error.strerror or error})"
        ) from error
    found = index.get("version")
    if type(found) is not int:
        raise InputError(f"{path} is not the index of a bank: it has no version")
    if found != version:
        advice = {
            1: ", which has to be made again",
            2: f", which `doa_tf bank convert {folder} --out NEW` converts",
        }.get(found, "")
        raise InputError(
            f"The bank {folder} must have version {version}. Received: version {found}{advice}"
        )
    try:
        for name in ("rooms", "rooms_per_shard"):
            _check_count(name, index.get(name))
        _check_made_with(index)
    except ValueError as error:
        raise InputError(f"{path} is not the index of a bank: {error}") from error
    return index


def _check_made_with(index: dict[str, Any]) -> None:
    """Raise ValueError for an index that does not say what its rooms were made of.

    These are a seed, with settings, of rooms that were simulated, or the files of measured ones.
    """
    if "seed" not in index and not _is_filled(index.get("sofa"), list):
        raise ValueError("it must have the seed of its rooms, or a list of SOFA files")
    if "seed" in index and not LIMITS["seed"].holds(index["seed"]):
        raise ValueError(f"`seed` {LIMITS['seed'].refusal(index['seed'])}")
    if "settings" in index and not _is_filled(index["settings"], dict):
        raise ValueError(
            f"`settings` must be an object with values. Received: {index['settings']!r}"
        )


def _is_filled(value: object, kind: type[list[Any] | dict[str, Any]]) -> bool:
    return isinstance(value, kind) and len(value) > 0


def _check_count(name: str, value: object) -> None:
    """Raise InputError for a number of rooms that no bank has."""
    if type(value) is not int or not 1 <= value <= MOST_ROOMS:
        raise InputError(
            f"`{name}` must be an integer, at least 1 and at most {MOST_ROOMS}. Received: "
            f"{name}={value!r}"
        )


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


def shards(folder: Path, index: dict[str, Any]) -> Iterator[tuple[Path, range]]:
    """Path and room numbers of every shard."""
    rooms, size = index["rooms"], index["rooms_per_shard"]
    for start in range(0, rooms, size):
        numbers = range(start, min(start + size, rooms))
        yield _shard_path(folder, index, numbers), numbers


def _shard_path(folder: Path, index: dict[str, Any], numbers: range) -> Path:
    size = index["rooms_per_shard"]
    shards = -(-index["rooms"] // size)
    return folder / f"rooms-{numbers.start // size:05d}-of-{shards:05d}.npz"
