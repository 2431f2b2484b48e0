"""The sound of each talker as WAV files, that can be played whatever ends the run.

A run writes to a folder of its own, `run-0001`, `run-0002` and so on, and there a file for each
talker, named by the talker's id and the stream time of the file's first sample:
`talker-0003_from_12.48s.wav`, mono, 16-bit PCM at the model's rate and the level of the channel W.
Pauses are silence, so that a place in the file is a moment of the stream.

A file is open only while a stretch is added to it, and its header is right after each. Speech is
private: only the owner can read the files.
"""

from __future__ import annotations

import datetime
import os
import re
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doa_core.errors import say
from doa_core.files import lacks_descriptors
from doa_edge import limits
from doa_edge.estimate import VoiceSound
from doa_edge.sinks.sink import Reasons

MOST_WAITING = 256  # stretches, while too many files are open: some 40 seconds
LONGEST_PAUSE_S = 30.0  # after a longer one the talker has a new file
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")  # RIFF, the format, and where the samples begin
_FULL_SCALE = 32768.0
_SAMPLE_BYTES = 2


@dataclass
class _File:
    """A file that goes on: where it begins in the stream, and its length [samples]."""

    path: Path
    start: int
    length: int = 0

    @property
    def end(self) -> int:
        """Stream time of its end [samples]."""
        return self.start + self.length


class TalkerFiles:
    """The sound of each talker of a run, in files.

    Attributes:
        folder: of this run, new.
        files: how many were made.
        clipped: samples beyond full scale, which were written as full scale.
        missed: stretches that could not be written, as too many files were open for too long.

    Args:
        parent: where the folder is made; made itself if only it is missing.
        sample_rate: of the sound [hertz].
        size: most bytes of a file; a talker who talks on has a new one.
        count: most files; who comes later is not written.
        clock: tells the time of day of stream time [seconds]; None where it is not known. Names
            have it as well.

    Raises:
        ValueError: a size or a count out of range.
        OSError: the folder cannot be made.
    """

    def __init__(
        self,
        parent: str | os.PathLike[str],
        *,
        sample_rate: int,
        size: int,
        count: int,
        clock: Callable[[float], datetime.datetime | None] | None = None,
    ) -> None:
        limits.check("listen-size", size, named="size")
        limits.check("listen-count", count, named="count")
        self.folder = _new_folder(Path(parent))
        self.files = 0
        self.clipped = 0
        self.missed = 0
        self._reasons = Reasons("listen")
        self._waiting: deque[VoiceSound] = deque()
        self._rate = sample_rate
        self._most_samples = (size - _HEADER.size) // _SAMPLE_BYTES
        self._count = count
        self._clock = clock
        self._full = False
        self._open: dict[int, _File] = {}  # by the talker's id

    def write(self, voice: VoiceSound) -> None:
        """Add a stretch to the talker's file; while too many files are open it waits.

        Raises:
            OSError: the disk is full, for instance; all files stay as they were.
        """
        self._waiting.append(voice)
        self._write_waiting()
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.missed += 1

    def close(self) -> None:
        """Write what waits, and say what was clipped; the folder goes if nobody was heard.

        Raises:
            OSError: the disk is full, for instance.
        """
        try:
            self._write_waiting()
        finally:
            self.missed += len(self._waiting)
            self._waiting.clear()
            self._end()

    def _end(self) -> None:
        if self.clipped:
            say(f"doa_edge: --listen clipped {self.clipped} samples")
        with suppress(OSError):  # it holds a file
            self.folder.rmdir()

    def _write_waiting(self) -> None:
        """Write what waits, piece by piece, until a file cannot be opened."""
        while self._waiting:
            voice = self._waiting[0]
            self._let_go(voice.start)
            file = self._file_for(voice.id, voice.start) if len(voice.samples) else None
            if file is None:
                self._waiting.popleft()
                continue
            pause = voice.start - file.end
            piece = voice.samples[: self._most_samples - file.length - pause]
            try:
                self._append(file, piece, pause=pause)
            except OSError as error:
                if not lacks_descriptors(error):
                    self._waiting.clear()  # the listening ends
                    raise
                self._reasons.tell("cannot open its files and tries again", error)
                return
            rest, start = voice.samples[len(piece) :], voice.start + len(piece)
            self._waiting[0] = replace(voice, samples=rest, start=start)

    def _let_go(self, start: int) -> None:
        """Forget the files of talkers whose pause has become too long."""
        oldest = start - round(LONGEST_PAUSE_S * self._rate)
        self._open = {id: file for id, file in self._open.items() if file.end >= oldest}

    def _file_for(self, id: int, start: int) -> _File | None:
        """The file that a stretch goes to, with room for a sample; None if there are too many."""
        file = self._open.get(id)
        if file is not None and file.end <= start < file.start + self._most_samples:
            return file
        if self.files >= self._count:
            if not self._full:
                say(
                    f"doa_edge: --listen has written {self._count} files (--listen-count); who "
                    "talks from now on is not written"
                )
            self._full = True
            return None
        self._open[id] = file = _File(self.folder / self._name_of(id, start), start)
        self.files += 1
        return file

    def _name_of(self, id: int, start: int) -> str:
        """The name of a file: a colon in it would be refused by other systems."""
        start_s = start / self._rate
        moment = self._clock(start_s) if self._clock else None
        at = "" if moment is None else f"_at_{moment:%Y-%m-%dT%H-%M-%S%z}"
        return f"talker-{id:04d}_from_{start_s:.2f}s{at}.wav"

    def _append(self, file: _File, samples: npt.NDArray[np.floating], *, pause: int) -> None:
        """Add silence and samples, then tell the header; all or nothing."""
        scaled = np.rint(samples * _FULL_SCALE)
        data = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1.0).astype("<i2").tobytes()
        length = file.length + pause + len(samples)
        place = _HEADER.size + (file.length + pause) * _SAMPLE_BYTES  # a hole reads as silence
        flags = os.O_WRONLY | os.O_CLOEXEC | (0 if file.length else os.O_CREAT | os.O_EXCL)
        try:
            descriptor = os.open(file.path, flags, 0o600)
            try:
                _write_all(descriptor, data, place)
                _write_all(descriptor, _header(length, self._rate), 0)
            except OSError:
                if file.length:
                    os.ftruncate(descriptor, _HEADER.size + file.length * _SAMPLE_BYTES)
                else:
                    file.path.unlink(missing_ok=True)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            if lacks_descriptors(error):
                raise
            raise OSError(
                f"--listen cannot write {file.path}: {error.strerror or error}; what it has "
                "written so far can be played"
            ) from error
        file.length = length
        self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))


def _new_folder(parent: Path) -> Path:
    """A new folder `run-NNNN`, whose number is above all that are there."""
    if parent.exists() and not parent.is_dir():
        raise OSError(f"--listen must name a folder. Received: {parent}")
    if not parent.resolve().parent.is_dir():
        raise OSError(f"--listen must name a folder in one that exists. Received: {parent}")
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        names = (re.fullmatch(r"run-(\d+)", path.name) for path in parent.iterdir())
        number = 1 + max((int(name[1]) for name in names if name), default=0)
        while True:
            folder = parent / f"run-{number:04d}"
            with suppress(FileExistsError):  # another run was faster
                folder.mkdir(mode=0o700)
                return folder
            number += 1
    except OSError as error:
        raise OSError(f"--listen cannot write to {parent}: {error.strerror or error}") from error


def _header(samples: int, sample_rate: int) -> bytes:
    """The 44 bytes before the samples of a mono file of 16-bit PCM."""
    size = samples * _SAMPLE_BYTES
    rates = (sample_rate, sample_rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES)
    return _HEADER.pack(
        *(b"RIFF", _HEADER.size - 8 + size, b"WAVE"), *(b"fmt ", 16, 1, 1, *rates), b"data", size
    )


def _write_all(descriptor: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, place)
        data, place = data[written:], place + written
