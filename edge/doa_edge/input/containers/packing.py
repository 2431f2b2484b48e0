"""32-bit words that may be 24 bits in the low bytes of four, which no header tells.

`arecord -f S24_LE` packs samples so, and its header calls them 24 or 32 bits; WAV prescribes the
high bytes. Read in the wrong way the sound is 48 dB too quiet, and nobody ever speaks. What tells
the two apart is the sound. 24 bits in the low bytes never need more; their lowest byte is in use,
which that of a converter's 32-bit words is not. Only 16 bits in the low bytes of four and quiet
sound of a converter look alike: there the level decides. The direction is right either way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from doa_edge.input.pcm import WORDS, PcmFormat, decode_pcm
from doa_edge.input.stream import Samples

logger = logging.getLogger(__name__)

Warn = Callable[..., None]  # of a message with places for the values behind it

PROBE_S = 0.25  # seconds of the blocks that a stream is looked at in
_HELD_S = 1.0  # of sound that a stream of words holds back until it is decided
_HELD_BYTES = 1 << 22  # at most
_HALF = 1 << 23  # numbers of 24 bits lie below it
_LOUD = 0.1 * _HALF  # -20 dB of full scale: what quiet 32-bit sound does not reach


class WordEvidence:
    """What was seen so far of a stream of 32-bit words."""

    def __init__(self, pcm: PcmFormat) -> None:
        self._pcm = pcm
        self._lowest = self._highest = 0
        self._heard = self._fine = 0  # words that are not zero, and those that use the lowest byte

    def add(self, data: bytes) -> None:
        """Look at whole words."""
        words: npt.NDArray[np.int32] = np.frombuffer(
            data, ">i4" if self._pcm.encoding.endswith("be") else "<i4"
        )
        if words.any():
            self._lowest = min(self._lowest, int(words.min()))
            self._highest = max(self._highest, int(words.max()))
            self._heard += int(np.count_nonzero(words))
            self._fine += int(np.count_nonzero(words & 0xFF))

    @property
    def silent(self) -> bool:
        """Whether all were zeros, which show nothing."""
        return not self._heard

    @property
    def loud(self) -> bool:
        """Whether any needs more than 24 bits, with the highest byte as sign or as zero."""
        signed = self._lowest >= -_HALF and self._highest < _HALF
        unsigned = self._lowest == 0 and self._highest < 2 * _HALF
        return not (signed or unsigned)

    @property
    def encoding(self) -> str:
        """The encoding that fits what was seen."""
        words, packed = self._pcm.encoding, WORDS[self._pcm.encoding]
        if self.loud or self.silent:
            return words
        if self._pcm.words == "low" or self._fine > self._heard / 2:
            return packed
        high = max(self._highest, -self._lowest)
        return packed if self._pcm.words == "any" and high >= _LOUD else words


class PcmDecoder:
    """Decodes a stream of linear PCM, and finds out how its 32-bit words are packed.

    Words that could be packed in two ways are held back for a second of sound. Where a stream that
    was taken for 24 bits needs more later, it is read as 32 bits from there on.

    Args:
        pcm: of the stream.
        name: of the stream, for messages.
        warn: takes a message and its values.
    """

    def __init__(self, pcm: PcmFormat, *, name: str, warn: Warn = logger.warning) -> None:
        self._pcm = pcm
        self._name = name
        self._warn = warn
        self._decided = not pcm.words
        self._evidence = WordEvidence(pcm)
        frames = max(1, min(round(PROBE_S * pcm.rate), _HELD_BYTES // pcm.frame_bytes))
        self._probe_bytes = frames * pcm.frame_bytes
        self._held_bytes = min(round(_HELD_S * pcm.rate) * pcm.frame_bytes, _HELD_BYTES)
        self._pending = bytearray()  # not looked at
        self._held = bytearray()  # sound that is not decided

    def push(self, data: bytes) -> Iterator[Samples]:
        """(N, channels) float32 blocks that whole frames of bytes complete."""
        self._pending += data
        while not self._decided and len(self._pending) >= self._probe_bytes:
            block = bytes(self._pending[: self._probe_bytes])
            del self._pending[: self._probe_bytes]
            yield from self._look(block)
        if self._decided and self._pending:
            yield self._checked(self._take(self._pending))

    def finish(self) -> Iterator[Samples]:
        """The rest of the stream."""
        if self._pending:
            yield from self._look(self._take(self._pending))
        if self._held:
            yield self._decide()

    def _look(self, block: bytes) -> Iterator[Samples]:
        self._evidence.add(block)
        if self._evidence.silent:
            yield self._decode(block)
            return
        self._held += block
        full = len(self._held) >= self._held_bytes or self._pcm.words != "any"
        if full or self._evidence.loud:
            yield self._decide()

    def _decide(self) -> Samples:
        """All that was held back."""
        self._decided = True
        encoding = self._evidence.encoding
        if encoding != self._pcm.encoding:
            tell_packing(self._name, self._warn)
            self._pcm = replace(self._pcm, encoding=encoding)
        return self._decode(self._take(self._held))

    def _checked(self, data: bytes) -> Samples:
        if self._pcm.words and self._pcm.encoding in WORDS.values():
            self._evidence.add(data)
            if self._evidence.loud:
                self._warn(
                    "%s: its samples need more than 24 bits: read as 32 bits from here on, 48 dB "
                    "quieter than before",
                    self._name,
                )
                self._pcm = replace(self._pcm, encoding=self._evidence.encoding, words="")
        return self._decode(data)

    def _decode(self, data: bytes) -> Samples:
        return decode_pcm(data, encoding=self._pcm.encoding, channels=self._pcm.channels)

    @staticmethod
    def _take(held: bytearray) -> bytes:
        data = bytes(held)
        held.clear()
        return data


def tell_packing(name: str, warn: Warn) -> None:
    """The line for words whose 24 bits are in their low bytes."""
    warn(
        "%s: its samples are 24 bits in the low bytes of 32, as arecord -f S24_LE packs them: "
        "read so",
        name,
    )
