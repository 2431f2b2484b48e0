"""Opening a recording, whatever it is."""

from __future__ import annotations

import os
from pathlib import Path

from doa_core.errors import InputError, one_line
from doa_edge.input.containers.byte_stream import ByteStream
from doa_edge.input.containers.chunks import Header, read_header
from doa_edge.input.containers.compressed import CompressedSound
from doa_edge.input.containers.sound import PcmSound, Sound, result_of

FUMA_SUFFIX = ".amb"  # of files of Ambisonic B-format, whatever their header says


def open_sound(path: str | os.PathLike[str]) -> Sound:
    """A recording, ready to be read from front to back.

    Raises:
        InputError: not found, a folder, empty, or nothing that can be read.
        MissingPackageError: soundfile is needed and not installed.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"The recording must be a sound file. Received the folder {path}")
    if not path.exists():
        raise InputError(f"The recording must be a sound file. Not found: {path}")
    if not path.is_file():
        raise InputError(f"The recording must be an ordinary file. Received: {path}")
    if not path.stat().st_size:
        raise InputError(f"The recording must hold sound. Received: {path}, which is empty")
    sound = _open_file(path)
    if sound.audio_format is None and path.suffix.lower() == FUMA_SUFFIX:
        sound.audio_format = "fuma"
    return sound


def _open_file(path: Path) -> Sound:
    """Linear PCM is read here, as a pipe is; the rest by libsndfile."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"The recording cannot be read: {one_line(error)}") from error
    header: Header | None = None
    try:
        stream = ByteStream(descriptor)
        header = result_of(read_header(stream, name=str(path)))
        if header is not None and header.pcm is not None:
            return PcmSound(path, descriptor, header, stream)
    except OSError as error:
        raise InputError(f"The recording cannot be read: {one_line(error)}") from error
    finally:
        if header is None or header.pcm is None:
            os.close(descriptor)
    sound = CompressedSound(path)
    sound.audio_format = header.audio_format if header else None
    return sound
