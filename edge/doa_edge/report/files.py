"""The files that a report is made of: outputs with their older parts, and folders of daily logs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from doa_core.errors import InputError, say
from doa_core.files import existing_path, printable
from doa_edge.report.moments import read_moment

SUFFIXES = (".jsonl", ".csv")  # of the files of a folder
_NUMBERED = re.compile(r"(.+)\.(\d{1,6})")
_LOOK = 1 << 16  # bytes at the beginning and the end, in which times are looked for
_TIME = re.compile(
    rb'"(?:time|minute)": ?"([\d:.,TtZz+-]{10,40})"'
    rb'(?:, ?"from_s": ?(-?[\d.]{1,8}), ?"to_s": ?([\d.]{1,8}))?'  # of a minute
)
_ISO = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.,]{5,16}(?:Z|[+-]\d\d:?\d\d)?")
_NO_FILES = "A folder must hold the .jsonl files that `doa_edge run --log` or `--out` wrote."
_OVERLAP_S = 120.0  # by which a clock may have been set back between two outputs
_OVERLAP_SHARE = 0.5  # of the shorter of them


@dataclass
class Output:
    """A file that a run wrote, with those that it became when it was full.

    Attributes:
        name: of the file.
        parts: the oldest first.
        first, last: its earliest and its latest time [seconds since 1970]; None where it has none.
        source: what tells its microphone from others where the lines do not name it.
    """

    name: str
    parts: Sequence[Path]
    first: float | None = None
    last: float | None = None
    source: str = ""


def find_outputs(paths: Iterable[Path]) -> list[Output]:
    """The outputs that files and folders are, in the order of their times.

    `FILE.1`, `FILE.2` and so on are found beside FILE, and count as parts of it where they are
    given too. Outputs of the same time are those of several microphones, told apart by the names of
    the files. Those without a time, and pipes, come first, as they were given.

    A folder without such files, beside others, is said and left out.

    Raises:
        InputError: no file in any of the folders, or a path that is not there.
        OSError: a file that cannot be read.
    """
    files: dict[Path, None] = {}
    empty = []
    for path in paths:
        found = _files_of(existing_path(path))
        files |= dict.fromkeys(found)
        if not found:
            empty.append(path)
    if empty and not files:
        raise InputError(f"{_NO_FILES} Received: {empty[0]}")
    for path in empty:
        say(f"doa_edge: {path} is left out: {_NO_FILES[0].lower()}{_NO_FILES[1:-1]}")
    outputs = []
    for base, parts in _families(files).items():
        first, last = _times(parts)
        outputs.append(Output(printable(base.name), parts, first, last))
    outputs.sort(key=lambda output: -1.0 if output.first is None else max(output.first, 0.0))
    if overlap(outputs):
        for output in outputs:
            output.source = output.name
    return outputs


def _files_of(path: Path) -> list[Path]:
    """The file itself, or those of a folder."""
    if path.is_dir():
        return [one for one in sorted(path.iterdir()) if _is_ours(one)]
    if not path.exists():
        raise InputError(
            "A report must be of files, or of folders of them, that `doa_edge run --log` or "
            f"`--out` wrote. Not found: {path}"
        )
    return [path]


def _is_ours(path: Path) -> bool:
    numbered = _NUMBERED.fullmatch(path.name)
    name = numbered[1] if numbered else path.name
    return name.endswith(SUFFIXES) and not name.startswith(".") and path.is_file()


def _families(files: Iterable[Path]) -> dict[Path, list[Path]]:
    """Parts, the oldest first, by the file that they are of."""
    families: dict[Path, dict[int, Path]] = {}
    for path in files:
        base, number = _base(path)
        families.setdefault(base, {})[number] = path
        if number == 0 and path.is_file():
            families[base] |= _older(path)
    return {
        base: [parts[n] for n in sorted(parts, reverse=True)] for base, parts in families.items()
    }


def _base(path: Path) -> tuple[Path, int]:
    """What a file was when it was the newest, and its number; itself and 0 of the newest."""
    if path.exists() and not path.is_file():  # a pipe, which is read once
        return path, 0
    real = Path(os.path.realpath(path))
    numbered = _NUMBERED.fullmatch(real.name)
    if numbered and Path(numbered[1]).suffix:
        return real.with_name(numbered[1]), int(numbered[2])
    return real, 0


def _older(path: Path) -> dict[int, Path]:
    real = Path(os.path.realpath(path))
    found = {}
    for name in os.listdir(real.parent):
        numbered = _NUMBERED.fullmatch(name)
        if numbered and numbered[1] == real.name and int(numbered[2]):
            found[int(numbered[2])] = real.with_name(name)
    return found


def _times(parts: Sequence[Path]) -> tuple[float | None, float | None]:
    """The earliest and the latest time of parts, by the first and the last lines of each."""
    times = [time for part in parts if not part.is_fifo() for time in _times_in(part)]
    return (min(times), max(times)) if times else (None, None)


def _times_in(path: Path) -> Iterator[float]:
    with path.open("rb") as file:
        beginning = file.read(_LOOK)
        size = os.fstat(file.fileno()).st_size
        end = beginning
        if size > _LOOK:
            file.seek(size - _LOOK)
            end = file.read(_LOOK)
    for found in (_times_of(beginning)[:1], _times_of(end)[-1:]):
        yield from found


def _times_of(data: bytes) -> list[float]:
    found = _TIME.findall(data)
    if not found and not data.lstrip().startswith(b"{"):
        found = [(text, b"", b"") for text in _ISO.findall(data)]  # of a table
    times = []
    for (time, begin, end), is_first in zip((*found[:1], *found[-1:]), (True, False), strict=False):
        try:
            since_s = float((begin if is_first else end) or 0.0)
            times.append(read_moment(time.decode()).utc_s + since_s)
        except (ValueError, OverflowError):
            continue
    return times


def overlap(outputs: Sequence[Output]) -> bool:
    """Whether any two of them were written at the same time.

    Args:
        outputs: in the order of their beginnings.
    """
    longest: Output | None = None  # to the latest end
    for output in outputs:
        if output.first is None or output.last is None:
            continue
        if longest is not None and longest.first is not None and longest.last is not None:
            shorter_s = min(longest.last - longest.first, output.last - output.first)
            if longest.last - output.first > min(_OVERLAP_S, _OVERLAP_SHARE * shorter_s):
                return True
        if longest is None or longest.last is None or output.last > longest.last:
            longest = output
    return False
