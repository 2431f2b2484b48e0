"""Zip archives: entries whose sizes are known before they are read.

Checkpoints, models and banks are archives. A directory may say anything: an entry larger than the
machine's memory that a thousand bytes unpack to, or a thousand names for the same bytes.
"""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from doa_core.errors import reason_of

LARGEST_TEXT = 1 << 24  # bytes of an entry with settings
LARGEST_DIRECTORY = 1 << 24  # bytes, some 200,000 entries
SMALL = 1 << 26  # bytes that may be unpacked of any archive
MOST_PACKED = 10  # times larger than its file what is unpacked of a larger one may be
# Other methods are not installed everywhere, and nothing here writes them.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # of the flags of an entry
# The records at the end of an archive, of which the sizes of the directory are read.
_END, _END64 = struct.Struct("<4s8xL6x"), struct.Struct("<4s36xQ8x20x")
_LONGEST_COMMENT = 1 << 16
_ERRORS = (  # what `zipfile` raises over a damaged archive, beside OSError
    *(zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, EOFError, LookupError),
    *(MemoryError, RuntimeError, TypeError, ValueError),
)


class DamagedZipError(ValueError):
    """An archive that cannot be read, or that would unpack to more than it may."""


@contextmanager
def open_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive in an open file, its directory read.

    Raises:
        DamagedZipError: no archive, a damaged one, or one with too large a directory.
        OSError: the disk cannot be read.
    """
    with _as_damaged():
        _check_directory(file)
        archive = zipfile.ZipFile(file)
    with archive:
        yield archive


def read_entry(archive: zipfile.ZipFile, name: str, *, largest: int = LARGEST_TEXT) -> bytes:
    """The content of an entry.

    Args:
        archive: of `open_zip`.
        name: of the entry.
        largest: that is read [bytes].

    Raises:
        DamagedZipError: no such entry, a damaged one, one that is packed in a way that is not
            installed everywhere, or one that says that it is larger.
        OSError: the disk cannot be read.
    """
    with _as_damaged():
        info = archive.getinfo(name)
        if info.file_size > largest:
            raise DamagedZipError(f"{name} in it has {info.file_size} bytes, not {largest} at most")
        _check_method(info)
        return archive.read(info)


def check_entries(archive: zipfile.ZipFile, size: int) -> None:
    """Read every entry of an archive against its checksum.

    Args:
        archive: of `open_zip`.
        size: of its file [bytes].

    Raises:
        DamagedZipError: a damaged entry, or entries that would unpack to more than `SMALL` and
            `MOST_PACKED` times as much as the file holds.
        OSError: the disk cannot be read.
    """
    with _as_damaged():
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > max(SMALL, MOST_PACKED * size):
            raise DamagedZipError(
                f"it says that it unpacks to {unpacked} bytes, from a file of {size}"
            )
        for info in archive.infolist():
            _check_method(info)
        damaged = archive.testzip()
        if damaged is not None:
            raise DamagedZipError(f"{damaged} in it can't be read")


@contextmanager
def _as_damaged() -> Iterator[None]:
    """Raise what `zipfile` raises over the content of an archive as a DamagedZipError."""
    try:
        yield
    except DamagedZipError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a place that no file has
            raise
        raise DamagedZipError(reason_of(error)) from error
    except _ERRORS as error:
        raise DamagedZipError(reason_of(error)) from error


def _check_method(info: zipfile.ZipInfo) -> None:
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise DamagedZipError(
            f"{info.filename} in it must be stored or deflated, and not encrypted"
        )


def _check_directory(file: BinaryIO) -> None:
    """Raise DamagedZipError for a directory that costs more to read than any of ours."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _LONGEST_COMMENT - _END.size - _END64.size))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or place + _END.size > len(tail):
        return  # which zipfile says in its words
    size = _END.unpack_from(tail, place)[1]
    if place >= _END64.size:
        signature, long_size = _END64.unpack_from(tail, place - _END64.size)
        size = long_size if signature == b"PK\6\6" else size
    if size > LARGEST_DIRECTORY:
        raise DamagedZipError(
            f"its directory must have {LARGEST_DIRECTORY} bytes at most. Received: {size}"
        )
