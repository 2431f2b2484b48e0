"""Folders of mono recordings, speech or noise, as one block of 16-bit samples.

Decoding a FLAC file costs more than mixing a scene, so every file is decoded once. A folder of up
to `IN_MEMORY` bytes (nine hours) is held in memory; a larger one is written to a file in the
user's cache folder, memory-mapped, and used again by the next run: 100 hours of LibriSpeech take
11.5 GB of disk and no memory that the system cannot reclaim.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np

from doa_core.errors import InputError, as_damage
from doa_core.files import existing_path, shared_temporary_folder, write_beside
from doa_core.reading.json_text import read_json
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.containers.recording import open_sound
from doa_edge.input.containers.sound import Sound
from doa_tf.files import Progress

logger = logging.getLogger(__name__)

# What libsndfile reads; and other sound, which is named when it is left out.
SUFFIXES = (
    *(".flac", ".wav", ".ogg", ".mp3", ".opus", ".oga", ".aif", ".aiff", ".aifc", ".caf", ".au"),
    *(".w64", ".rf64", ".bwf", ".wave", ".sph", ".mp2"),
)
OTHER_SUFFIXES = (
    *(".m4a", ".aac", ".m4b", ".mp4", ".wma", ".webm", ".mka", ".mkv", ".mov", ".amr", ".3gp"),
    *(".ape", ".wv", ".tta", ".ac3", ".spx", ".shn", ".dsf", ".ra"),
)
SHORTEST = 4_000  # samples: less than 0.25 s is a click or a cut, not an utterance
IN_MEMORY = 2**30  # bytes
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 1_000_000  # hertz
_FULL_SCALE = 32_767.0
_AHEAD = 64  # files that are decoded before they are taken
_VERSION = 2  # of the cached files
_LARGEST_INDEX = 1 << 28  # bytes of their index: some million recordings


class Recordings(Sequence[np.ndarray]):
    """Mono recordings at 16 kHz; `recordings[k]` is (N,) float32 with a peak of 1.

    The level of a recording does not matter, since scenes draw their own; normalised to its peak
    it loses least in 16 bits.

    Args:
        samples: (N,) int16, one recording after the other.
        starts: (K + 1,) where each begins, and the end of the last.
        power: (K,) mean power of each, its peak being 1.
        speakers: (K,) who speaks in each; by default somebody else in each.
    """

    def __init__(
        self,
        samples: np.ndarray,
        starts: np.ndarray,
        power: np.ndarray,
        speakers: Sequence[str] = (),
    ) -> None:
        self.samples = samples
        self.starts = starts
        self.power = power
        self.speakers = np.asarray(speakers if len(speakers) else np.arange(len(power)))

    @classmethod
    def from_signals(cls, signals: Iterable[np.ndarray]) -> Recordings:
        """Recordings of (N,) float signals that are not silent."""
        parts = [_to_16_bits(np.asarray(signal, np.float32)) for signal in signals]
        return cls(*_joined(parts))

    def __len__(self) -> int:
        return len(self.power)

    @overload
    def __getitem__(self, number: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, number: slice) -> list[np.ndarray]: ...
    def __getitem__(self, number: int | slice) -> np.ndarray | list[np.ndarray]:
        """One recording, or a list of them."""
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        return self.part(number, 0, self.length(number))

    def length(self, number: int) -> int:
        """[samples]"""
        return int(self.starts[number + 1] - self.starts[number])

    def part(self, number: int, start: int, stop: int) -> np.ndarray:
        """(stop - start,) float32 of a recording, padded with silence."""
        length = self.length(number)
        first, last = max(start, 0), min(stop, length)
        out = np.zeros(stop - start, np.float32)
        if first < last:
            begin = self.starts[number]
            stored = self.samples[begin + first : begin + last]
            np.divide(stored, np.float32(_FULL_SCALE), out=out[first - start : last - start])
        return out

    def looped_part(self, number: int, start: int, samples: int) -> np.ndarray:
        """(samples,) float32 of a recording from `start` on, repeated where it is too short."""
        length = self.length(number)
        if start + samples <= length:
            return self.part(number, start, start + samples)
        return np.resize(np.roll(self[number], -start), samples)


def read_recordings(
    folder: str | Path,
    *,
    shortest: int = SHORTEST,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Recordings:
    """All recordings below a folder, in the order of their paths, at 16 kHz.

    Files of other rates are resampled (soxr), several channels are averaged. Silent and too short
    ones are left out; how many is logged. Unreadable files are an error: a training set that
    shrinks without notice is worse than a run that stops. Files that were cut short are used as far
    as they go, and sound of other kinds (.m4a, ...) is left out; a warning says so.

    Args:
        folder: searched with all of its sub-folders for what libsndfile reads: FLAC, WAV,
            Ogg, Opus, MP3, AIFF and more.
        shortest: [samples] shorter recordings are left out.
        cache: folder for the samples of large folders; `doa_tf` in the user's cache folder by
            default, or where that cannot be written a folder of the user's among the temporary
            files. A folder that has changed is decoded again.
        progress: called with files done and files in all.

    Raises:
        InputError: no folder, no usable recording, or one that can't be read.
        OSError: the disk has no room for the samples.
    """
    folder = existing_path(folder)
    if not folder.is_dir():
        raise InputError(
            f"A folder of recordings is needed. Received: {folder}, which is "
            f"{'a file' if folder.exists() else 'not there'}"
        )
    paths = sound_files(folder)
    if not paths:
        raise InputError(f"{folder} must hold recordings ({', '.join(SUFFIXES)}). Received: none")
    size = sum(_expected_bytes(path) for path in paths)
    if size <= IN_MEMORY:
        read = list(_usable(folder, paths, shortest, progress))
        speakers = [speaker_of(path, folder) for path, _ in read]
        return Recordings(*_joined([signal for _, signal in read]), speakers)
    path = _cached(_cache_folders(cache), f"recordings-{_digest(paths, shortest)}.pcm")
    index = path.with_suffix(".json")
    if not index.exists():
        logger.info("%s: writing some %.1f GB of samples to %s", folder, size / 1e9, path)
        lengths, power, speakers = [], [], []
        with write_beside(path) as beside, beside.open("wb") as file:
            for source, signal in _usable(folder, paths, shortest, progress):
                file.write(signal.tobytes())
                speakers.append(speaker_of(source, folder))
                lengths.append(len(signal))
                power.append(_power(signal))
        with write_beside(index) as beside:
            facts = {"lengths": lengths, "power": power, "speakers": speakers}
            beside.write_text(json.dumps(facts), encoding="utf-8")
    return _stored(path, index)


def _stored(path: Path, index: Path) -> Recordings:
    """The recordings of a cache.

    Raises:
        InputError: it is damaged.
    """
    advice = "delete it, and the samples are read anew"
    with as_damage(f"The cache {index} is damaged: {advice}"):
        values = read_json(index, what=f"that of a cache, {advice}", largest=_LARGEST_INDEX)
        lengths, power, speakers = (values[name] for name in ("lengths", "power", "speakers"))
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        samples = np.memmap(path, np.int16, mode="r")
        if len(samples) != starts[-1] or not len(lengths) == len(power) == len(speakers):
            raise ValueError(
                f"it must be of {len(samples)} samples. Received: {starts[-1]} of {len(lengths)} "
                f"recordings, {len(power)} powers, {len(speakers)} speakers"
            )
        return Recordings(samples, starts, np.array(power, np.float64), speakers)


def sound_files(folder: Path) -> list[Path]:
    """The recordings below a folder, sorted; logs which sound of other kinds is left out.

    Apple's `._` files, which lie beside others and describe them, are no recordings.
    """
    files = [p for p in folder.rglob("*") if not p.name.startswith("._")]
    others = sorted(p for p in files if p.suffix.lower() in OTHER_SUFFIXES and p.is_file())
    if others:
        logger.warning(
            "%d files in %s are sound that can't be read (%s): left out (the first is %s). Convert "
            "them to be used, such as by: ffmpeg -i %s %s",
            *(len(others), folder, ", ".join(sorted({p.suffix.lower() for p in others}))),
            *(others[0], others[0].name, others[0].with_suffix(".flac").name),
        )
    return sorted(p for p in files if p.suffix.lower() in SUFFIXES and p.is_file())


def speaker_of(path: Path, folder: Path) -> str:
    """Who speaks in a recording below a folder.

    The first sub-folder on the way to it; without one the start of its name, up to `-` or `_`.
    """
    folders = path.relative_to(folder).parts[:-1]
    return folders[0] if folders else re.split(r"[-_]", path.stem)[0]


def _usable(
    folder: Path, paths: Sequence[Path], shortest: int, progress: Progress | None
) -> Iterator[tuple[Path, np.ndarray]]:
    """Each usable file and its (N,) int16; logs at the end what was left out or mixed down."""
    short: list[Path] = []
    mixed_down = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _AHEAD):
            batch = paths[start : start + _AHEAD]
            decoded = zip(batch, pool.map(_decode, batch), strict=True)
            for number, (path, (signal, channels)) in enumerate(decoded, start + 1):
                mixed_down += channels > 1
                if len(signal) >= shortest and np.any(signal):
                    yield path, _to_16_bits(signal)
                else:
                    short.append(path)
                if progress:
                    progress(number, len(paths))
    if len(short) == len(paths):
        raise InputError(
            f"{folder} must hold recordings of at least {shortest / SAMPLE_RATE:g} s that are not "
            f"silent. Received: {len(paths)} files, none usable"
        )
    if short:
        logger.warning(
            "%d of %d recordings in %s are silent or shorter than %g s: left out (the first is %s)",
            *(len(short), len(paths), folder, shortest / SAMPLE_RATE, short[0]),
        )
    if mixed_down:
        logger.warning("%d recordings in %s: several channels, averaged", mixed_down, folder)


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """(N,) float32 at 16 kHz, and how many channels the file has."""
    import soxr

    with _opened(path) as sound:
        rate = sound.rate
        if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            raise InputError(
                f"a rate from {_LOWEST_RATE} to {_HIGHEST_RATE} Hz is needed. Received: {rate} Hz"
            )
        channels = np.concatenate([np.zeros((0, sound.channels), np.float32), *sound.blocks()])
    if not np.all(np.isfinite(channels)):
        raise InputError(f"{path} holds samples that are no finite numbers")
    signal = channels.mean(axis=1)
    if rate != SAMPLE_RATE and len(signal):
        length = math.ceil(len(signal) * SAMPLE_RATE / rate)
        signal = soxr.resample(signal, rate, SAMPLE_RATE, "HQ")[:length]
        signal = np.pad(signal, (0, length - len(signal)))
    return signal, channels.shape[1]


def _expected_bytes(path: Path) -> int:
    with _opened(path) as sound:
        return int(2 * sound.count() * SAMPLE_RATE / sound.rate)


@contextmanager
def _opened(path: Path) -> Iterator[Sound]:
    try:
        with open_sound(path) as sound:
            yield sound
    except InputError as error:
        raise InputError(f"{path} can't be read as audio: {error}") from error


def _to_16_bits(signal: np.ndarray) -> np.ndarray:
    return np.round(signal * (_FULL_SCALE / np.abs(signal).max())).astype(np.int16)


def _power(signal: np.ndarray) -> float:
    return float(np.mean((signal / np.float32(_FULL_SCALE)) ** 2))


def _joined(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)])
    return np.concatenate(parts), starts, np.array([_power(part) for part in parts])


def _cache_folders(folder: str | Path | None) -> list[Path]:
    """Where samples may be stored, the best first."""
    if folder is not None:
        return [Path(folder)]
    shared = shared_temporary_folder()
    temporary = shared / f"doa_tf-{os.getuid()}"
    if temporary.exists() and temporary.lstat().st_uid != os.getuid():
        # Somebody else has a folder of our name.
        temporary = Path(tempfile.mkdtemp(prefix="doa_tf-", dir=shared))
    try:
        users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "doa_tf"
    except RuntimeError:  # a user without a home, as in a container
        return [temporary]
    return [users, temporary]


def _cached(folders: Sequence[Path], name: str) -> Path:
    """The path of stored samples: where they are, or else in the first folder that takes them.

    Raises:
        OSError: no folder can be written.
    """
    for folder in folders:
        if (folder / name).with_suffix(".json").exists():
            return folder / name
    for folder in folders:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror
        else:
            if os.access(folder, os.W_OK | os.X_OK):
                return folder / name
            reason = "it cannot be written"
        logger.warning("The cache folder %s cannot be used: %s", folder, reason)
    raise PermissionError(
        "Large folders of recordings need a place for their samples: set XDG_CACHE_HOME to a "
        f"folder that can be written. Received: {', '.join(map(str, folders))}"
    )


def _digest(paths: Sequence[Path], shortest: int) -> str:
    """Digest of all that the samples depend on, without reading the files."""
    made_with: list[Any] = [_VERSION, shortest]
    for path in paths:
        state = path.stat()
        made_with.append((str(path.resolve()), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(made_with).encode()).hexdigest()[:16]
