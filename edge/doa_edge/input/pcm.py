"""Samples of linear PCM, integers and floats: from bytes to floats of full scale 1.

Samples are scaled as libsndfile scales them, so that whoever reads gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from doa_core.errors import InputError, as_input_errors, check_choice
from doa_edge.input.stream import Samples

# Bytes of a sample. The first five are what raw PCM can be; `s24_32le` is ALSA's S24_LE, 24 bits
# in the low bytes of four.
RAW_ENCODINGS = ("s16le", "s24le", "s24_32le", "s32le", "f32le")
ENCODINGS = {
    **{"s16le": 2, "s24le": 3, "s24_32le": 4, "s32le": 4, "f32le": 4},
    **{"s16be": 2, "s24be": 3, "s24_32be": 4, "s32be": 4, "f32be": 4},
    **{"s8": 1, "u8": 1, "f64le": 8, "f64be": 8},
}
WORDS = {"s32le": "s24_32le", "s32be": "s24_32be"}  # what 32-bit words can be instead


@dataclass(frozen=True, kw_only=True)
class PcmFormat:
    """How the bytes of a stream are to be read.

    Attributes:
        rate: [hertz].
        channels: of the stream, four or more.
        encoding: one of `ENCODINGS`.
        words: where 32-bit integers may be 24 bits in the low bytes: `any` says nothing, `low`
            says 24 bits in words of four bytes as ALSA packs them, `high` as WAV prescribes. Empty
            where the encoding is certain.
    """

    rate: int
    channels: int
    encoding: str
    words: str = ""

    def __post_init__(self) -> None:
        with as_input_errors():
            check_choice("encoding", self.encoding, tuple(ENCODINGS))
        if not 1 <= self.channels <= 1024:
            raise InputError(
                f"A stream must have 1 to 1024 channels. Received: channels={self.channels}"
            )
        if self.rate < 1:
            raise InputError(f"A stream must have a rate of 1 Hz or more. Received: {self.rate} Hz")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return ENCODINGS[self.encoding] * self.channels


def decode_pcm(data: bytes, *, encoding: str, channels: int) -> Samples:
    """(N, channels) float32, full scale 1, of whole frames of interleaved PCM."""
    size, order = ENCODINGS[encoding], ">" if encoding.endswith("be") else "<"
    if encoding.startswith("f"):
        with np.errstate(over="ignore", invalid="ignore"):  # what is no sound is refused later
            samples = np.frombuffer(data, f"{order}f{size}").astype(np.float32)
    elif encoding == "u8":
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    elif size == 3:
        words = np.zeros((len(data) // 3, 4), np.uint8)
        high = slice(1, 4) if order == "<" else slice(0, 3)  # value times 256
        words[:, high] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = words.reshape(-1).view(f"{order}i4").astype(np.float32) * np.float32(2.0**-31)
    elif encoding in WORDS.values():
        # Shifted, for the highest byte may be the sign or anything.
        shifted = np.frombuffer(data, f"{order}i4").astype(np.int32) << 8
        samples = shifted.astype(np.float32) * np.float32(2.0**-31)
    else:
        samples = np.frombuffer(data, f"{order}i{size}").astype(np.float32)
        samples = samples / np.float32(2.0 ** (8 * size - 1))
    return samples.reshape(-1, channels)
