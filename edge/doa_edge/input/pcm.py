"""Sound from a pipe: raw PCM, or a WAV stream, which its header describes.

`arecord`, `ffmpeg`, `sox` and `ssh` write such streams. Samples are scaled as libsndfile scales
those of a file, so that a file and a pipe give the same numbers.
"""

from __future__ import annotations

import logging
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from doa_core.errors import InputError, as_input_errors, check_choice
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import sound_bytes
from doa_edge.input.conversion import AmbixConverter, ChannelPicker
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.stream import Samples, Source, no_sound

logger = logging.getLogger(__name__)

ENCODINGS = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4}  # bytes of a sample
WAIT_S = 0.5  # seconds without data after which an empty block is yielded
_READ_BYTES = 1 << 16
_LONGEST_CHUNK = 1 << 24  # bytes of a header's chunk before the sound
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WAV_ENCODINGS = {(_PCM, 2): "s16le", (_PCM, 3): "s24le", (_PCM, 4): "s32le", (_FLOAT, 4): "f32le"}


@dataclass(frozen=True, kw_only=True)
class PcmFormat:
    """How the bytes of a stream are to be read.

    Attributes:
        rate: [hertz].
        channels: of the stream, four or more.
        encoding: one of `ENCODINGS`.
        data_bytes: bytes of sound that the header promises; None where it does not say.
    """

    rate: int
    channels: int
    encoding: str
    data_bytes: int | None = None

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
    """(N, channels) float32, full scale 1, of whole frames of interleaved little-endian PCM."""
    if encoding == "f32le":
        samples = np.frombuffer(data, "<f4").astype(np.float32)
    elif encoding == "s24le":
        words = np.zeros((len(data) // 3, 4), np.uint8)
        words[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)  # value times 256
        samples = words.reshape(-1).view("<i4").astype(np.float32) * np.float32(2.0**-31)
    else:
        size = ENCODINGS[encoding]
        full_scale = np.float32(2.0 ** (8 * size - 1))
        samples = np.frombuffer(data, f"<i{size}").astype(np.float32) / full_scale
    return samples.reshape(-1, channels)


class PipeSource(Source):
    """AmbiX blocks of a PCM or WAV stream, as they arrive; empty ones while nothing does.

    `sample_rate` is None until the stream's header has been read. The descriptor stays open: it is
    the caller's.

    Args:
        descriptor: an open file descriptor to read from.
        input_format: what the channels of the stream are.
        name: of the stream.
        raw: how raw bytes are to be read; a stream without it must begin with a WAV header.
        model_rate: of the blocks [hertz].

    Raises:
        InputError: options that do not fit; when iterated, a stream that cannot be read.
    """

    def __init__(
        self,
        descriptor: int,
        input_format: InputFormat = AMBIX,
        *,
        name: str = "standard input",
        raw: PcmFormat | None = None,
        model_rate: int = SAMPLE_RATE,
    ) -> None:
        if os.isatty(descriptor):
            raise InputError(
                f"The {name} must be a stream of sound, such as that of `arecord -t wav`. "
                "Received: a terminal"
            )
        self.name = name
        self.raw = raw
        self.input_format = input_format
        self.model_rate = model_rate
        if raw:
            self._set_format(raw)
        self._bytes = _Bytes(descriptor)

    def __iter__(self) -> Iterator[Samples]:
        yield from self._wait_for(12)
        if self._bytes.peek(4) in (b"RIFF", b"RF64"):
            yield from self._read_header()
        elif self.raw is None:
            start = self._bytes.peek(8)
            if not start:
                raise InputError(f"A stream must hold sound. Received: {self.name} with 0 bytes")
            raise InputError(
                "A stream must begin with a WAV header, or be described by --encoding and --rate. "
                f"Received: {self.name} that begins with {start!r}"
            )
        converter = AmbixConverter(
            self.input_format, from_rate=self._format.rate, to_rate=self.model_rate
        )
        yield from converter.convert(self._blocks())

    def _set_format(self, pcm: PcmFormat) -> None:
        self._channels = ChannelPicker(
            self.input_format, available=pcm.channels, sample_rate=pcm.rate, name=self.name
        )
        self.sample_rate = pcm.rate
        self._format = pcm

    def _blocks(self) -> Iterator[Samples]:
        """(N, 4) blocks at the stream's rate; empty ones while it waits."""
        pcm, channels = self._format, self._channels
        left = pcm.data_bytes
        while True:
            limit = _READ_BYTES if left is None else min(left, _READ_BYTES)
            size = min(len(self._bytes), limit) // pcm.frame_bytes * pcm.frame_bytes
            if size:
                data = self._bytes.take(size)
                left = None if left is None else left - size
                yield channels.pick(decode_pcm(data, encoding=pcm.encoding, channels=pcm.channels))
            elif left is not None and left < pcm.frame_bytes:
                break
            elif self._bytes.ended:
                if left is not None:
                    raise InputError(
                        f"The {self.name} is cut short: its header promises "
                        f"{channels.position + left // pcm.frame_bytes} samples per channel. "
                        f"Received: {channels.position}"
                    )
                if len(self._bytes):
                    logger.warning(
                        "%s ended inside a sample: %d bytes dropped", self.name, len(self._bytes)
                    )
                break
            elif not self._bytes.fill(WAIT_S):
                yield no_sound()
        if channels.position == 0:
            raise InputError(f"A stream must hold sound. Received: {self.name} with 0 samples")

    def _read_header(self) -> Iterator[Samples]:
        """Read a WAV header up to its sound, yielding empty blocks while it waits."""
        start = self._bytes.take(12)
        if start[8:12] != b"WAVE":
            raise InputError(
                f"A stream must begin with a WAV header. Received: {self.name} that begins with "
                f"{start!r}"
            )
        found: PcmFormat | None = None
        long_length: int | None = None
        while True:
            yield from self._wait_for(8)
            head = self._bytes.take(8)
            if len(head) < 8:
                raise InputError(f"The {self.name} is cut short inside its WAV header")
            kind, length = head[:4], int(struct.unpack("<I", head[4:])[0])
            if kind == b"data":
                break
            if length > _LONGEST_CHUNK:
                raise InputError(
                    f"A WAV header must be short. Received: {self.name} with {length} bytes of "
                    f"{kind!r} before its sound"
                )
            yield from self._wait_for(length + length % 2)
            body = self._bytes.take(length + length % 2)
            if len(body) < length:
                raise InputError(f"The {self.name} is cut short inside its WAV header")
            if kind == b"fmt ":
                found = _wav_format(body, name=self.name)
            elif kind == b"ds64" and len(body) >= 16:
                long_length = struct.unpack("<Q", body[8:16])[0]
        if found is None:
            raise InputError(f"The {self.name} has no format in its WAV header")
        if self.raw and self.raw != found:
            raise InputError(
                "A stream's WAV header must agree with the options. Received: "
                f"rate={found.rate}, encoding={found.encoding}, {found.channels} channels in the "
                f"header and rate={self.raw.rate}, encoding={self.raw.encoding}, "
                f"{self.raw.channels} channels by options"
            )
        self._set_format(replace(found, data_bytes=sound_bytes(length, long_length)))

    def _wait_for(self, count: int) -> Iterator[Samples]:
        """Empty blocks until that many bytes are there, or the stream has ended."""
        while len(self._bytes) < count and not self._bytes.ended:
            if not self._bytes.fill(WAIT_S):
                yield no_sound()


class _Bytes:
    """A buffer of bytes that were read from a descriptor and not taken yet."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()
        self.ended = False

    def __len__(self) -> int:
        return len(self._held)

    def fill(self, timeout: float) -> bool:
        """Wait for more, `timeout` [seconds] at most; False if nothing came."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        if not ready:
            return False
        data = os.read(self._descriptor, _READ_BYTES)
        self.ended = not data
        self._held += data
        return True

    def peek(self, count: int) -> bytes:
        return bytes(self._held[:count])

    def take(self, count: int) -> bytes:
        data = bytes(self._held[:count])
        del self._held[:count]
        return data


def _wav_format(body: bytes, *, name: str) -> PcmFormat:
    """The format chunk of a WAV header."""
    if len(body) < 16:
        raise InputError(f"The {name} has a damaged WAV header: {len(body)} bytes of format")
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    width = align // channels if channels else 0
    encoding = _WAV_ENCODINGS.get((tag, width))
    if encoding is None:
        raise InputError(
            "A WAV stream must hold 16, 24 or 32-bit integers or 32-bit floats. "
            f"Received: {name} with format {tag}, {bits} bits"
        )
    return PcmFormat(rate=rate, channels=channels, encoding=encoding)
