"""Files that cost more than they hold: each is answered without reading what is not there."""

import os
import struct

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.input.audio import read_recording
from doa_edge.input.containers.recording import open_sound

from .wave_files import chunk, pcm16, wave, wave_format

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture
def sound(plane_wave):
    """(N, 4) samples that 16 bits hold exactly."""
    return (np.round(plane_wave(40.0, 20.0) * 32_768) / 32_768).astype(np.float32)


def sparse(path, *parts, size=1 << 32):
    """A file that begins so, and is filled up with zeros that take no room on the disk."""
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
        file.truncate(size)
    return path


def test_a_header_of_many_tiny_chunks_is_given_up(sound, tmp_path):
    path = tmp_path / "tiny.wav"
    path.write_bytes(wave(pcm16(sound), before=chunk(b"junk", b"") * 900))
    np.testing.assert_array_equal(read_recording(path), sound)
    path.write_bytes(wave(pcm16(sound), before=chunk(b"junk", b"") * 1001))
    with pytest.raises(InputError, match="1000 chunks at most before its sound") as caught:
        open_sound(path)
    assert "\n" not in str(caught.value)


def test_a_chunk_of_a_file_is_jumped_over(tmp_path, monkeypatch):
    read, length = [], (1 << 32) - 1024
    monkeypatch.setattr(os, "read", lambda *a, real=os.read: read.append(1) or real(*a))
    head = b"RIFF" + struct.pack("<I", length) + b"WAVE" + chunk(b"fmt ", wave_format())
    zeros = sparse(tmp_path / "list.wav", head, b"LIST" + struct.pack("<I", length - 64))
    with pytest.raises(InputError, match="must be made of chunks"):
        open_sound(zeros)
    assert len(read) < 10
    with pytest.raises(InputError, match="at byte 36, where the name of a chunk"):
        open_sound(sparse(tmp_path / "zeros.wav", head))


def test_a_long_chunk_of_a_file_that_is_cut_short(tmp_path):
    data = b"RIFF" + struct.pack("<I", 1 << 20) + b"WAVE" + b"LIST" + struct.pack("<I", 1 << 20)
    path = tmp_path / "cut.wav"
    path.write_bytes(data + bytes(200_000))
    with pytest.raises(InputError, match="cut short inside its WAV header"):
        open_sound(path)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_compressed_sound_ends_where_zeros_fill_the_file_up(sound, tmp_path, kind, monkeypatch):
    from doa_edge.input.containers import compressed

    path = tmp_path / f"whole.{kind.lower()}"
    soundfile.write(path, sound, 16_000, format=kind)
    expected = read_recording(path)
    ends, real = [], compressed._Beginning
    monkeypatch.setattr(
        compressed, "_Beginning", lambda path, end: ends.append(end) or real(path, end)
    )
    filled = sparse(tmp_path / f"filled.{kind.lower()}", path.read_bytes(), size=100 << 20)
    np.testing.assert_array_equal(read_recording(filled), expected)
    assert path.stat().st_size <= ends[0] < path.stat().st_size + (1 << 17)
    few = sparse(tmp_path / f"few.{kind.lower()}", path.read_bytes(), size=1 << 20)
    np.testing.assert_array_equal(read_recording(few), expected)
    assert len(ends) == 1
