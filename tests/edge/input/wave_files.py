"""WAV files, byte by byte, whose headers say what a test wants them to say."""

import struct

import numpy as np

AMBISONIC_B = struct.pack("<HH", 0x0721, 0x11D3) + bytes.fromhex("8644c8c1ca000000")
ORDINARY = struct.pack("<HH", 0, 0x10) + bytes.fromhex("800000aa00389b71")


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wave_format(tag=1, *, align=8, bits=16, rate=16_000):
    return struct.pack("<HHIIHH", tag, 4, rate, rate * align % 2**32, align, bits)


def extensible(guid, *, tag=1, align=8, bits=16, valid=None):
    more = struct.pack("<HHI", 22, valid or bits, 0) + struct.pack("<I", tag) + guid
    return wave_format(0xFFFE, align=align, bits=bits) + more


def wave(sound, *, size=None, form=None, riff=b"RIFF", before=b"", behind=b""):
    """A WAV file whose header says what the arguments say."""
    form = wave_format() if form is None else form
    size = len(sound) if size is None else size
    body = b"WAVE" + before + chunk(b"fmt ", form) + b"data" + struct.pack("<I", size) + sound
    return riff + struct.pack("<I", 0xFFFFFFFF if riff != b"RIFF" else len(body)) + body + behind


def pcm16(samples):
    return np.round(samples * 32_768).astype("<i2").tobytes()
