"""Recordings that libsndfile decodes: FLAC, Ogg, Opus, MP3 and whatever else it knows."""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_edge.input.containers.sound import Sound, warn_once
from doa_edge.input.stream import Samples

_UNKNOWN = 2**62  # libsndfile's count for a stream that does not state it is above this
_BLOCK_S = 0.25  # seconds
_LOOKED_AT = 1 << 16  # bytes at once, from the end of a file
_FILLED_UP = 1 << 22  # bytes of zeros at the end of a file that are no compressed sound
_LONGEST_PAGE = 1 << 16  # bytes of a page of Ogg


class CompressedSound(Sound):
    """A file of any format of libsndfile.

    Where decoding fails on the way, the sound before is what there is; one warning says so.

    Args:
        path: of the file.

    Raises:
        InputError: libsndfile cannot read it.
        MissingPackageError: soundfile is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sound = _open(path)
        self._feeder: _Feeder | None = None
        self._damage: RuntimeError | None = None
        if self._sound.format == "MP3":
            # From a file libsndfile takes an MP3's first frame for its length where none is
            # written, and stops there; from a pipe it reads to the end. The samples are the same.
            self._sound.close()
            self._feeder = _Feeder(path)
            self._sound = _open(path, self._feeder.reading)
        self.rate, self.channels = int(self._sound.samplerate), int(self._sound.channels)
        frames = int(self._sound.frames)
        self._frames = frames if frames < _UNKNOWN else None

    @property
    def frames(self) -> int | None:
        """Samples per channel, as the header says; None where it does not."""
        return self._frames

    def blocks(self) -> Iterator[Samples]:
        """(N, C) float32 blocks of all samples, full scale 1."""
        size, position = max(1, round(_BLOCK_S * self.rate)), 0
        while len(block := self._read(size)):
            position += len(block)
            yield block
        if self._damage is not None:
            where = f"after {position / self.rate:.3f} s: {one_line(self._damage)}"
            if not position:
                raise InputError(f"{self.path} is cut short or damaged {where}") from self._damage
            warn_once("%s is cut short or damaged %s. It is heard up to there", self.path, where)
            return
        if self._frames is not None and 0 < position < self._frames:
            warn_once(
                "%s is cut short, or its header counts too much: it promises %d samples per "
                "channel. Received: %d, which are heard",
                *(self.path, self._frames, position),
            )
        elif self._sound.format == "OGG" and not _has_last_page(self.path):
            warn_once(
                "%s is cut short: its last page is missing. Received: %d samples per channel, "
                "which are heard",
                *(self.path, position),
            )

    def _read(self, size: int) -> Samples:
        """(N, C) of the next samples, as many as can be decoded."""
        block: Samples = np.full((size, self.channels), np.nan, np.float32)
        if self._damage is not None:
            return block[:0]
        try:
            read: Samples = self._sound.read(out=block)
        except RuntimeError as error:  # soundfile's own errors derive from it
            self._damage = error
            return block[: int(np.argmax(np.isnan(block[:, 0])))]
        return read

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        if self._feeder:
            self._feeder.close()


class _Feeder:
    """Writes a file into a pipe, in a thread of its own.

    Attributes:
        reading: descriptor of the pipe to read from.
    """

    def __init__(self, path: Path) -> None:
        self.reading, writing = os.pipe()
        self._close = weakref.finalize(self, os.close, self.reading)
        self._thread = threading.Thread(target=_feed, args=(path, writing), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._close()  # which the thread notices
        self._thread.join()


def _feed(path: Path, descriptor: int) -> None:
    try:
        with path.open("rb") as file, os.fdopen(descriptor, "wb", buffering=0) as pipe:
            while data := file.read(1 << 16):
                while data:
                    data = data[pipe.write(data) :]
    except OSError:  # nobody reads any more; or the disk fails, and the sound ends here
        return


def _has_last_page(path: Path) -> bool:
    """Whether an Ogg file ends with a page that says that it is the last (RFC 3533)."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_PAGE))
        end = file.read()
    page = end[max(0, end.rfind(b"OggS")) :]
    return len(page) > 5 and page[:4] == b"OggS" and bool(page[5] & 4)


def _before_zeros(path: Path) -> int | None:
    """Where, nearly, the zeros begin that fill a file up [bytes]; None without many of them.

    libsndfile looks for sound in them, byte by byte.
    """
    with path.open("rb", buffering=0) as file:
        end = size = file.seek(0, os.SEEK_END)
        block, zeros = bytearray(_LOOKED_AT), bytes(_LOOKED_AT)
        while end >= _LOOKED_AT:
            file.seek(end - _LOOKED_AT)
            if file.readinto(block) != _LOOKED_AT or block != zeros:
                break
            end -= _LOOKED_AT
    return end if size - end > _FILLED_UP else None


class _Beginning(io.RawIOBase):
    """The first `size` bytes of a file, as a file."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb")
        self._size = size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the begin, from here, or from the end of these bytes."""
        origin = {os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._size}.get(whence, 0)
        return self._file.seek(max(0, origin + offset))

    def tell(self) -> int:
        """The place [bytes]."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns with how many bytes."""
        data = self._file.read(max(0, min(len(buffer), self._size - self._file.tell())))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _open(path: Path, descriptor: int | None = None) -> Any:
    """An open `soundfile.SoundFile` that is read from front to back."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the wheel's libsndfile does not load
        raise MissingPackageError("soundfile", "edge", error) from error

    class FrontToBack(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            # soundfile seeks to where it is after every block, which fails at the end of a FLAC
            # file of unknown length.
            return False

    try:
        if descriptor is None:
            end = _before_zeros(path)
            return FrontToBack(os.fsencode(path) if end is None else _Beginning(path, end))
        return FrontToBack(descriptor, closefd=False)
    except (RuntimeError, TypeError) as error:  # TypeError: a name that ends in .raw
        reason = getattr(error, "error_string", error)
        with path.open("rb") as file:
            start = file.read(8)
        raise InputError(
            f"The recording must be a sound file that libsndfile reads (WAV, FLAC, AIFF, ...). "
            f"Received: {path}, which starts with {start!r} ({one_line(reason)})"
        ) from error
