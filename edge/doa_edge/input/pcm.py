"""Samples of linear PCM, integers and floats: from bytes to floats of full scale 1.

Samples are scaled as libsndfile scales them, so that whoever reads gives the same numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from doa_core.errors import InputError, as_input_errors, check_choice
from doa_edge.input.stream import Samples

logger = logging.getLogger(__name__)

Warn = Callable[..., None]  # of a message with places for the values behind it

# Bytes of a sample. The first five are what raw PCM can be; `s24_32le` is ALSA's S24_LE, 24 bits
# in the low bytes of four.
RAW_ENCODINGS = ("s16le", "s24le", "s24_32le", "s32le", "f32le")
ENCODINGS = {
    **{"s16le": 2, "s24le": 3, "s24_32le": 4, "s32le": 4, "f32le": 4},
    **{"s16be": 2, "s24be": 3, "s24_32be": 4, "s32be": 4, "f32be": 4},
    **{"s8": 1, "u8": 1, "f64le": 8, "f64be": 8},
}
WORDS = {"s32le": "s24_32le", "s32be": "s24_32be"}  # what 32-bit words can be instead
_PROBE_S = 0.25  # seconds of the blocks in which words are looked at
_HELD_S = 1.0  # of sound that looks like 24 bits before it is taken for that
_HELD_BYTES = 1 << 22  # at most
_LIMIT_24 = 1 << 23  # a number of 24 bits lies below it


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

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return ENCODINGS[self.encoding] * self.channels


def decode_pcm(data: bytes, *, encoding: str, channels: int) -> Samples:
    """(N, channels) float32, full scale 1, of whole frames of interleaved PCM."""
    size, order = ENCODINGS[encoding], ">" if encoding.endswith("be") else "<"
    if encoding.startswith("f"):
        samples = np.frombuffer(data, f"{order}f{size}").astype(np.float32)
    elif encoding == "u8":
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    elif size == 3:
        words = np.zeros((len(data) // 3, 4), np.uint8)
        high = slice(1, 4) if order == "<" else slice(0, 3)  # value times 256
        words[:, high] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = words.reshape(-1).view(f"{order}i4").astype(np.float32) * np.float32(2.0**-31)
    else:
        bits = 24 if encoding.startswith("s24") else 8 * size
        samples = np.frombuffer(data, f"{order}i{size}").astype(np.float32)
        samples = samples / np.float32(2.0 ** (bits - 1))
    return samples.reshape(-1, channels)


class PcmDecoder:
    """Decodes a stream whose 32-bit words may turn out to be 24 bits in the low bytes of four.

    `arecord -f S24_LE` writes such words, and its header calls them 24 or 32 bits. The sound tells:
    words that need no more than 24 bits and whose lowest byte is no zero are not 32-bit samples of
    a converter. Quiet sound of 32 bits that was calculated can look the same; so it has to look
    like that for a second, and where a louder sample comes later, it is read as 32 bits from there
    on. Directions are right either way. The result depends on the bytes alone, not on how they were
    cut into pieces.

    Args:
        pcm: of the stream.
        name: of the stream, for messages.
        warn: takes a message and its values.
    """

    def __init__(self, pcm: PcmFormat, *, name: str, warn: Warn = logger.warning) -> None:
        self._pcm = pcm
        self._name = name
        self._warn = warn
        self._decided = False
        frames = max(1, round(_PROBE_S * pcm.rate))
        self._probe_bytes = min(frames, max(1, _HELD_BYTES // pcm.frame_bytes)) * pcm.frame_bytes
        self._held_bytes = min(round(_HELD_S * pcm.rate) * pcm.frame_bytes, _HELD_BYTES)
        self._pending = bytearray()  # not looked at
        self._held = bytearray()  # looks like 24 bits

    def push(self, data: bytes) -> Iterator[Samples]:
        """(N, channels) blocks that whole frames of bytes complete."""
        if not self._pcm.words:
            yield self._decode(data)
            return
        self._pending += data
        while len(self._pending) >= self._probe_bytes:
            block = bytes(self._pending[: self._probe_bytes])
            del self._pending[: self._probe_bytes]
            yield from self._look(block)

    def finish(self) -> Iterator[Samples]:
        """The rest of the stream."""
        if self._pending:
            yield from self._look(bytes(self._pending))
            self._pending.clear()
        yield from self._release("low" if self._held else "high")

    def _look(self, block: bytes) -> Iterator[Samples]:
        seen = evidence_of_words(block, self._pcm)
        if self._decided:
            if self._pcm.encoding.startswith("s24") and seen == "loud":
                self._warn(
                    "%s: its samples need more than 24 bits: read as 32 bits from here on, which "
                    "makes them 48 dB quieter than before",
                    self._name,
                )
                self._pcm = replace(self._pcm, encoding=_words_of(self._pcm.encoding))
            yield self._decode(block)
        elif seen == "silent" and not self._held:
            yield self._decode(block)
        else:
            self._held += block
            if seen in ("loud", "high"):
                yield from self._release("high")
            elif self._pcm.words != "any" or len(self._held) >= self._held_bytes:
                yield from self._release("low")

    def _release(self, where: str) -> Iterator[Samples]:
        if not self._held:
            return
        self._decided = True
        if where == "low":
            self._warn(
                "%s: its 32-bit words hold 24 bits in their low bytes, as arecord -f S24_LE writes "
                "them: read as such",
                self._name,
            )
            self._pcm = replace(self._pcm, encoding=WORDS[self._pcm.encoding])
        held = bytes(self._held)
        self._held.clear()
        yield self._decode(held)

    def _decode(self, data: bytes) -> Samples:
        return decode_pcm(data, encoding=self._pcm.encoding, channels=self._pcm.channels)


def _words_of(encoding: str) -> str:
    return next(words for words, packed in WORDS.items() if packed == encoding)


def evidence_of_words(block: bytes, pcm: PcmFormat) -> str:
    """What words of four bytes show.

    Returns:
        `loud`: they need more than 24 bits. `low` or `high`: in which bytes their 24 bits lie.
        `silent`: zeros show nothing.
    """
    words = np.frombuffer(block, f"{'>' if pcm.encoding.endswith('be') else '<'}i4")
    heard = words[words != 0]
    if not len(heard):
        return "silent"
    if heard.max() >= _LIMIT_24 or heard.min() < -_LIMIT_24:
        return "loud"
    if pcm.words == "low" or np.mean(heard & 0xFF != 0) > 0.5:
        return "low"
    return "high"
