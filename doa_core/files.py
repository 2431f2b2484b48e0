"""Write beside, then rename: a file is there whole or not at all; and say where it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# An interrupted stream keeps what it had: its lines are complete.
INTERRUPTIONS = (KeyboardInterrupt, BrokenPipeError)


def existing_path(
    path: str | os.PathLike[str], *, listed: dict[Path, dict[str, str]] | None = None
) -> Path:
    """A path as the disk has it, where its names differ in Unicode normalisation.

    A name with an accent may be stored composed (most keyboards) or decomposed (macOS): the same
    to a person, two names to Linux. A path that exists, or has no such counterpart, is returned as
    it is.

    Args:
        path: to look for.
        listed: filled with the names of folders that are read, to give again with the next path.
    """
    path = Path(path)
    if os.path.lexists(path) or path.parent == path or str(path).isascii():
        return path
    folder = existing_path(path.parent, listed=listed)
    listed = {} if listed is None else listed
    if folder not in listed:
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(folder)
        listed[folder] = {_composed(name): name for name in sorted(names)}
    return folder / listed[folder].get(_composed(path.name), path.name)


def printable(name: str | os.PathLike[str]) -> str:
    """A name for pictures, tables and UTF-8 files: bytes of it that are not UTF-8 become U+FFFD."""
    return os.fspath(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _composed(name: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", name)


@contextmanager
def write_beside(
    path: str | os.PathLike[str], *, keep_on: tuple[type[BaseException], ...] = ()
) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` at the end of the block.

    What exists and is no ordinary file (/dev/null, a pipe) is written in place: a rename would
    replace it. A symbolic link keeps pointing where it did.

    Args:
        path: the file to make or to replace.
        keep_on: exceptions after which the file is renamed all the same; after any other one it
            is deleted and `path` stays as it was.

    Raises:
        OSError: the folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"The output must be a file. Received the folder {path}")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The output's folder must exist. Received: {path} in {target.parent}"
        )
    if target.exists() and not target.is_file():
        yield target
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
    except keep_on:
        with suppress(FileNotFoundError):
            part.replace(target)
        raise
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    try:
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError, before the work, where `write_beside` could not write.

    Raises:
        OSError: no file can be made in the folder, with the reason.
    """
    target = Path(os.path.realpath(path))
    probe = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():
            return
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error


def say_written(command: str, *paths: str | os.PathLike[str] | None) -> None:
    """Say on standard error where a command left its results.

    Args:
        command: begins the lines.
        paths: of files and folders; None for one that nobody asked for.
    """
    for path in paths:
        if path is not None:
            sys.stderr.write(f"{command}: wrote {printable(path)}\n")
