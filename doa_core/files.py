"""Write beside, then rename: a file is there whole or not at all; and say where it is."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from doa_core.errors import one_line, say
from doa_core.process.children import may_have_written

# An interrupted stream keeps what it had: its lines are complete.
INTERRUPTIONS = (KeyboardInterrupt, BrokenPipeError)
_PROBE = 1 << 16  # bytes that tell whether a file can grow
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SYNCS = 8  # files that are brought to the disk at once


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


def lacks_descriptors(error: OSError) -> bool:
    """Whether no file or socket could be opened because too many are: that passes by itself."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def _composed(name: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", name)


@contextmanager
def write_beside(
    path: str | os.PathLike[str], *, keep_on: tuple[type[BaseException], ...] = (), suffix: str = ""
) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` at the end of the block.

    After a power cut there is the whole old file or the whole new one: what was written is on the
    disk before it is renamed. What exists and is no ordinary file (/dev/null, a pipe) is written in
    place: a rename would replace it. A symbolic link keeps pointing where it did. What processes
    that were killed have left of the same file is removed first.

    Args:
        path: the file to make or to replace.
        keep_on: exceptions after which the file is renamed all the same; after any other one it
            is deleted and `path` stays as it was.
        suffix: of the path that is given, for a library that asks for one.

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
        try:
            yield target
        except OSError as error:
            _name_full(error, target, path)
            raise
        return
    remove_leftovers(target.parent, target.name)
    part = _beside(target, suffix)
    try:
        yield part
        _put_in_place(part, target)
    except keep_on:
        with suppress(FileNotFoundError):
            _put_in_place(part, target)
        raise
    except BaseException as error:
        part.unlink(missing_ok=True)
        _name_full(error, part, path)
        raise


def _name_full(error: BaseException, part: Path, path: str | os.PathLike[str]) -> None:
    """Have an error of a full disk name the path that was asked for, or it says not where."""
    unnamed = (None, os.fspath(part))
    if isinstance(error, OSError) and error.errno in _FULL and error.filename in unnamed:
        error.filename = os.fspath(path)


@contextmanager
def write_folder_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes `path` at the end of the block.

    As `write_beside`: whole or not at all, after a kill or a power cut as well. An OSError of the
    block that names the folder to fill is made to name `path`.

    Args:
        path: a folder that does not exist or is empty. Missing parents are made.

    Raises:
        OSError: it cannot be written, the disk is full, or `path` is a whole disk, which no folder
            can replace; nothing is left.
    """
    target = Path(os.path.realpath(path))
    if os.path.ismount(target):
        raise OSError(f"The output must be a folder on a disk, not all of it. Received: {path}")
    remove_leftovers(target.parent, target.name)
    part = _beside(target)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        _sync_all(part)
        part.replace(target)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            _name(error, os.fspath(part), os.fspath(path))
        raise
    _sync_folder(target.parent)


def _name(error: OSError, written: str, asked: str) -> None:
    """Have an error name the path that was asked for, where it names what is written beside it."""
    if isinstance(error.filename, str):
        error.filename = error.filename.replace(written, asked)
    error.args = tuple(
        part.replace(written, asked) if isinstance(part, str) else part for part in error.args
    )


@contextmanager
def temporary_folder(program: str) -> Iterator[Path]:
    """A folder for the files of this process, removed at the end of the block.

    What earlier processes of that program have left, killed, is removed first.

    Args:
        program: begins its name.
    """
    import tempfile

    place = Path(tempfile.gettempdir())
    for path in place.glob(f"{program}-*"):
        made_by = re.match(rf"{re.escape(program)}-(\d+)-", path.name)
        if made_by:
            _remove_if_left(path, int(made_by[1]))
    prefix = f"{program}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def own_temporary_files(program: str) -> Iterator[None]:
    """Put the temporary files of libraries into a `temporary_folder` while the block runs.

    So nothing of them stays, even where the process is killed. Where no temporary folder can be
    made, nothing is changed: a program that needs none goes on.

    Args:
        program: begins its name.
    """
    import tempfile

    global _shared
    before, shared_before = tempfile.tempdir, _shared
    with ExitStack() as stack:
        with suppress(OSError):
            _shared = _shared or Path(tempfile.gettempdir())
            tempfile.tempdir = str(stack.enter_context(temporary_folder(program)))
        try:
            yield
        finally:
            tempfile.tempdir, _shared = before, shared_before


def shared_temporary_folder() -> Path:
    """The temporary folder of the machine, for what is meant to stay.

    Raises:
        OSError: there is none.
    """
    import tempfile

    return _shared or Path(tempfile.gettempdir())


_shared: Path | None = None  # in a block of `own_temporary_files`


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what processes that are no more have left unfinished in a folder.

    What a process that runs may still write stays. Processes of this machine are meant: a folder
    that several machines share must not be written by two of them at once.

    Args:
        folder: that `write_beside` and `write_folder_beside` wrote to.
        name: of the file or folder that was to be made; any by default.
    """
    wanted = re.compile(_LEFTOVER.format(name=".+?" if name is None else re.escape(name)))
    for entry in sorted(os.listdir(folder)) if folder.is_dir() else ():
        found = wanted.fullmatch(entry)
        if found:
            _remove_if_left(folder / entry, int(found[1] or found[2]))


# `.NAME.PID.part`, once more of that, or with the suffix that a library asks for; and how 0.1 named
# them. The number is that of the process.
_LEFTOVER = r"\.+{name}\.(\d+)\.(?:part|keras|sofa)(?:\.\w+|\.\d+\.part)?|{name}\.partial-(\d+)"


def _beside(target: Path, suffix: str = "") -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.part{suffix}")


def _remove_if_left(path: Path, process: int) -> None:
    """Remove a file or folder of this user, unless its process may be at work."""
    with suppress(OSError):  # another process may have removed it
        found = path.lstat()
        if found.st_uid != os.getuid() or may_have_written(process, found.st_mtime):
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _put_in_place(part: Path, target: Path) -> None:
    """Rename, so that a power cut leaves the whole old file or the whole new one."""
    _sync(part)
    part.replace(target)
    _sync_folder(target.parent)


def _sync(file: Path) -> None:
    """Have what was written to a file on the disk.

    Raises:
        OSError: the disk is full or fails, of which some file systems tell only now.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(folder: Path) -> None:
    """`_sync` of all files below a folder, side by side, which a disk does in a third of the time.

    Raises:
        OSError: the disk is full or fails.
    """
    from concurrent.futures import ThreadPoolExecutor

    files: list[Path] = []
    folders: list[Path] = []
    for place, _, names in os.walk(folder):
        folders.append(Path(place))
        files += (path for name in names if not (path := Path(place, name)).is_symlink())
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(_sync, files))  # raises the error of any of them
        list(pool.map(_sync_folder, folders))


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        _sync(folder)


@contextmanager
def as_disk_errors(
    path: Path, *kinds: type[Exception], shown: Path | None = None
) -> Iterator[None]:
    """Raise what a library makes of a file that it cannot write as an OSError that says why.

    Args:
        path: the file.
        kinds: what the library raises.
        shown: the path that people know it by, if another.

    Raises:
        OSError: with the path, and the reason of the system rather than the library's.
    """
    try:
        yield
    except kinds as error:
        reason = str(error)
        try:
            with path.open("ab") as file:
                file.write(bytes(_PROBE))
        except OSError as system:
            reason = system.strerror or str(system)
        raise OSError(f"{shown or path} cannot be written: {one_line(reason)}") from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError, before the work, where `write_beside` could not write.

    Raises:
        OSError: no file can be made in the folder, with the reason.
    """
    target = Path(os.path.realpath(path))
    probe = _beside(target)
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
            say(f"{command}: wrote {printable(path)}")
