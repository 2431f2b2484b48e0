"""Shards of a bank: zip archives without compression, from which one room is read at a time.

Every room has two members, which `numpy.load` and the standard library read:

    room-00042.json     what it is
    room-00042.npy      its responses, (N, 4) 16-bit floats, one after the other

The archive's directory says where they lie, and its CRC-32 whether they are whole.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from doa_core.errors import InputError, one_line
from doa_core.files import write_beside
from doa_core.reading.zip_archive import open_zip

Record = tuple[bytes, bytes]  # the members of a room: JSON and .npy
_SUFFIXES = (".json", ".npy")
# What stands before a member: signature, other things, lengths of name and extra field, these two.
_HEADER = struct.Struct("<4s22xHH")
_DAMAGED = (struct.error, LookupError, OverflowError, ValueError)
LARGEST_ROOM = 1 << 24  # bytes of its JSON


class BrokenShardError(InputError):
    """A shard that is missing, cut short or damaged."""


class Member(NamedTuple):
    """Where a member's content is in its archive [bytes], and its CRC-32."""

    offset: int
    length: int
    crc: int


class Place(NamedTuple):
    """Where a room is: the file of its shard, and its members there."""

    path: Path
    members: tuple[Member, Member]

    def read(self) -> Record:
        """The members of the room.

        Raises:
            BrokenShardError: they are damaged, or the shard was cut short since it was looked at.
            OSError: the file cannot be read.
        """
        # Opened each time, tens of microseconds: nothing to share between threads and processes,
        # and a bank of any number of shards needs no more than one open file.
        with self.path.open("rb") as file:
            json_member, npy_member = self.members
            return _read(file, self.path, json_member), _read(file, self.path, npy_member)


def write_shard(path: Path, numbers: Iterable[int], records: Iterable[Record]) -> None:
    """Write rooms beside `path`, then rename. The same rooms give the same bytes.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` stays as it was.
    """
    with write_beside(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for number, record in zip(numbers, records, strict=True):
            for name, content in zip(_names(number), record, strict=True):
                archive.writestr(zipfile.ZipInfo(name), content)  # which has a fixed date


def find_rooms(path: Path, numbers: Iterable[int]) -> list[Place]:
    """The places of rooms in a shard, all of which are checked.

    Raises:
        BrokenShardError: the shard is missing, cut short or damaged, or lacks a room.
        OSError: it cannot be read.
    """
    with _shard(path) as (file, archive):
        places = []
        _check_lengths(archive, os.fstat(file.fileno()).st_size)
        for number in numbers:
            json_member, npy_member = map(archive.getinfo, _names(number))
            if json_member.file_size > LARGEST_ROOM:
                raise ValueError(f"{json_member.filename} has {json_member.file_size} bytes")
            members = (_find(file, path, json_member), _find(file, path, npy_member))
            places.append(Place(path, members))
        return places


def _check_lengths(archive: zipfile.ZipFile, size: int) -> None:
    """Raise ValueError for members that lie on top of one another: all of them are read."""
    held = sum(info.file_size for info in archive.infolist())
    if held > size:
        raise ValueError(f"its members have {held} bytes, and it has {size}")


@contextmanager
def _shard(path: Path) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """A shard, opened; what is wrong with it becomes a BrokenShardError."""
    try:
        with path.open("rb") as file, open_zip(file) as archive:
            yield file, archive
    except FileNotFoundError as error:
        raise BrokenShardError(f"{path} is missing") from error
    except BrokenShardError:
        raise
    except _DAMAGED as error:
        raise BrokenShardError(f"{path} is cut short or damaged: {one_line(error)}") from error


def checksums(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(length, CRC-32) of both members of rooms in a shard, as its directory has them: unchecked.

    Raises:
        BrokenShardError: the shard is missing, has no directory, or lacks a room.
        OSError: it cannot be read.
    """
    with _shard(path) as (_, archive):
        for number in numbers:
            for info in map(archive.getinfo, _names(number)):
                yield info.file_size, info.CRC


def _names(number: int) -> tuple[str, str]:
    json_name, npy_name = (f"room-{number:05d}{suffix}" for suffix in _SUFFIXES)
    return json_name, npy_name


def _find(file: BinaryIO, path: Path, info: zipfile.ZipInfo) -> Member:
    start = max(0, info.header_offset)
    file.seek(start)
    signature, name, extra = _HEADER.unpack(file.read(_HEADER.size))
    member = Member(start + _HEADER.size + name + extra, info.file_size, info.CRC)
    if signature != b"PK\3\4":
        raise ValueError(f"no member at byte {start}")
    _read(file, path, member)
    return member


def _read(file: BinaryIO, path: Path, member: Member) -> bytes:
    file.seek(member.offset)
    there = member.offset + member.length <= os.fstat(file.fileno()).st_size
    content = file.read(member.length) if there else b""
    if not there or zlib.crc32(content) != member.crc:
        raise BrokenShardError(f"{path} is cut short or damaged at byte {member.offset} or after")
    return content
