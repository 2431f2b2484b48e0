"""Sound from a pipe: raw PCM, or a stream of linear PCM that its header describes.

`arecord`, `ffmpeg`, `sox` and `ssh` write such streams. The bytes are read by what reads a file, so
that a file and a pipe give the same numbers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.containers.broadcast import began
from doa_edge.input.containers.byte_stream import ByteStream
from doa_edge.input.containers.chunks import Header, read_header
from doa_edge.input.containers.recording import FUMA_SUFFIX
from doa_edge.input.containers.sound import pcm_blocks
from doa_edge.input.conversion import AmbixConverter, ChannelPicker
from doa_edge.input.format import AMBIX, CONTRADICTION, InputFormat
from doa_edge.input.pace import Pace
from doa_edge.input.pcm import WORDS, PcmFormat
from doa_edge.input.stream import Samples, Source, no_sound

logger = logging.getLogger(__name__)

_ENDLESS = 1 << 62  # bytes that raw PCM may hold


class PipeSource(Source):
    """AmbiX blocks of a PCM or WAV stream, as they arrive; empty ones while nothing does.

    `sample_rate`, `declared`, `broadcast` and `began` are None until the stream's header has been
    read. The descriptor stays open: it is the caller's.

    Args:
        descriptor: an open file descriptor to read from.
        input_format: what the channels of the stream are.
        name: of the stream.
        raw: how raw bytes are to be read; a stream without it must begin with the header of a
            WAV, RF64, Wave64, AIFF, CAF or AU file.
        model_rate: of the blocks [hertz].

    Raises:
        InputError: options that do not fit; when iterated, a stream that cannot be read.
    """

    pace: Pace

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
        self.pace = Pace()
        if raw:
            self._set_format(raw)
        self._stream = ByteStream(descriptor, pace=self.pace)

    def __iter__(self) -> Iterator[Samples]:
        stream = self._stream
        header = yield from read_header(stream, name=self.name)
        start = stream.peek(8)
        if header is None and (self.raw is None or start[:4] in (b"RIFF", b"RF64")):
            if not start:
                raise InputError(f"A stream must hold sound. Received: {self.name} with 0 bytes")
            raise InputError(
                "A stream must begin with the header of a WAV, AIFF, CAF or AU file, or be "
                "described by --encoding and --rate; FLAC, MP3 and the like are read as files. "
                f"Received: {self.name} that begins with {start!r}"
            )
        if header is None:
            header = Header(pcm=self.raw, promised=_ENDLESS, streamed=True)
        else:
            header = self._described(header)
        converter = AmbixConverter(
            self.input_format.declared_as(self.declared),
            from_rate=self._channels.sample_rate,
            to_rate=self.model_rate,
        )
        yield from converter.convert(self._blocks(header))

    def _described(self, header: Header) -> Header:
        """The header, whose format agrees with the options."""
        pcm = header.pcm
        if pcm is None:
            raise InputError(
                "A WAV stream must hold 8, 16, 24 or 32-bit integers or floats of 32 or 64 bits. "
                f"Received: {self.name} with {header.encoding}"
            )
        if self.raw:
            pcm = agreed(self.raw, pcm)
        self._set_format(pcm)
        self.broadcast = header.broadcast
        self.began = began(header.broadcast, pcm.rate)
        is_amb = Path(self.name).suffix.lower() == FUMA_SUFFIX
        self.declared = header.audio_format or ("fuma" if is_amb else None)
        if self.input_format.contradicts(self.declared):
            logger.warning(CONTRADICTION, self.name, self.declared, self.input_format.format_name)
        return replace(header, pcm=pcm)

    def _set_format(self, pcm: PcmFormat) -> None:
        self._channels = ChannelPicker(
            self.input_format, available=pcm.channels, sample_rate=pcm.rate, name=self.name
        )
        self.sample_rate = pcm.rate
        self.pace.begin(pcm.rate * pcm.frame_bytes)

    def _blocks(self, header: Header) -> Iterator[Samples]:
        """(N, 4) blocks at the stream's rate; empty ones while it waits."""
        for block in pcm_blocks(self._stream, header, name=self.name):
            yield no_sound() if block is None else self._channels.pick(block)
        if self._channels.position == 0:
            raise InputError(f"A stream must hold sound. Received: {self.name} with 0 samples")


def agreed(raw: PcmFormat, found: PcmFormat) -> PcmFormat:
    """How a stream with a header is read that options describe, too.

    Raises:
        InputError: they contradict each other.
    """
    if raw.encoding in (WORDS.get(found.encoding), found.encoding):
        found = replace(found, encoding=raw.encoding, words="")
    if raw != found:
        raise InputError(
            "A stream's WAV header must agree with the options. Received: "
            f"rate={found.rate}, encoding={found.encoding}, {found.channels} channels in the "
            f"header and rate={raw.rate}, encoding={raw.encoding}, {raw.channels} channels by "
            "options"
        )
    return found
