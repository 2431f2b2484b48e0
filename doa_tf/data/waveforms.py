"""Recordings that are read and resampled once, however many windows of them are asked for."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from doa_core.errors import InputError
from doa_edge.input.containers.recording import open_sound
from doa_tf.scenes.labels.scene import Scene

IN_MEMORY = 2**28  # bytes
_SAMPLE_BYTES = 16  # of four channels of 32-bit floats


class WaveformStore:
    """AmbiX of recordings at one rate, any part at once. A recording has one format.

    The first 256 MiB are held in memory; what comes after lies in a temporary file without a name,
    which goes with the store. Parts may be taken by several threads.

    Args:
        sample_rate: of the waveforms [hertz].
    """

    def __init__(self, *, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._recordings: dict[Path, _Recording] = {}
        self._free = IN_MEMORY
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()  # of what is above
        self._file_lock = threading.Lock()

    def length(self, scene: Scene) -> int:
        """Samples of a recording at the rate of the store.

        Of linear PCM they are counted by the file's size. Other formats are read now: their headers
        may say anything.

        Raises:
            InputError: it can't be read.
        """
        try:
            with open_sound(scene.path) as sound:
                if sound.certain:
                    return int(sound.count() * self._sample_rate / sound.rate)
            return len(self._samples(scene))
        except InputError as error:
            raise InputError(f"{scene.path} can't be read: {error}") from error

    def part(self, scene: Scene, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) float32 AmbiX of a recording, or fewer where it ends.

        Raises:
            InputError: it is not a recording with four channels of finite samples.
            OSError: the disk has no room for what does not fit into memory.
        """
        found = self._samples(scene)
        return found[start:stop] if isinstance(found, np.ndarray) else found.part(start, stop)

    def _samples(self, scene: Scene) -> np.ndarray | _Stored:
        with self._lock:
            recording = self._recordings.setdefault(scene.path, _Recording())
        with recording.lock:  # others are read meanwhile
            if recording.samples is None:
                recording.samples = self._read(scene)
            return recording.samples

    def _read(self, scene: Scene) -> np.ndarray | _Stored:
        """Read a recording block by block, into memory as long as there is room."""
        blocks = scene.blocks(sample_rate=self._sample_rate)
        held: list[np.ndarray] = []
        for block in blocks:
            held.append(block)
            if not self._reserve(block.nbytes):
                stored = self._write(chain(held, blocks))
                self._reserve(-sum(each.nbytes for each in held[:-1]))
                return stored
        return np.concatenate(held)

    def _reserve(self, size: int) -> bool:
        """Whether there is room for that many bytes, which are then taken."""
        with self._lock:
            fits = size <= self._free
            self._free -= size if fits else 0
            return fits

    def _write(self, blocks: Iterable[np.ndarray]) -> _Stored:
        """Append a recording to the file."""
        with self._file_lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the store)
                weakref.finalize(self, self._file.close)
            begin, samples = self._file.seek(0, os.SEEK_END), 0
            for block in blocks:
                self._file.write(block.tobytes())
                samples += len(block)
            self._file.flush()
            return _Stored(self._file, begin, samples)


@dataclass
class _Recording:
    """A recording of a store; without samples as long as nobody needs them."""

    samples: np.ndarray | _Stored | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class _Stored:
    """A recording in a file: where it begins [bytes] and how many samples it has."""

    file: IO[bytes]
    begin: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def part(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) float32, or fewer where the recording ends."""
        stop = min(stop, self.samples)
        size = max(0, stop - start) * _SAMPLE_BYTES
        data = os.pread(self.file.fileno(), size, self.begin + start * _SAMPLE_BYTES)
        return np.frombuffer(data, np.float32).reshape(-1, 4).copy()
