"""The one reader of chunks: what a WAV, RF64, BW64, Wave64, AIFF, CAF or AU header says.

A header is read as its bytes come, from a file and from a pipe alike. What it says of the length is
a promise that recorders often break; `doa_edge.input.containers.sound` finds where the sound ends.

References:
    Multimedia Programming Interface and Data Specifications 1.0 (RIFF), IBM and Microsoft, 1991.
    EBU Tech 3285 (Broadcast Wave), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).
    R. Dobson, "The AMB Ambisonic file format": the GUIDs of Ambisonic B-format.
    Apple: Audio Interchange File Format AIFF-C; Core Audio Format Specification.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator
from dataclasses import dataclass, replace

from doa_core.errors import InputError
from doa_edge.input.containers.broadcast import Broadcast, broadcast_of
from doa_edge.input.containers.byte_stream import ByteStream
from doa_edge.input.pcm import ENCODINGS, WORDS, PcmFormat
from doa_edge.input.stream import Samples

_CHUNK_NAME = re.compile(rb"[A-Za-z0-9 ._-]{4}")
_MOST_CHUNKS = 1000  # before the sound
_LONGEST_HELD = 1 << 16  # bytes of a chunk that are looked at
_LONGEST_BEHIND = 1 << 26  # bytes of a chunk behind the sound
# What a chunk begins with, by its name: with its length between them no sound has these by chance.
_CONTENT = {
    b"LIST": (b"INFO", b"adtl"),
    b"iXML": (b"<",),
    b"axml": (b"<",),
    b"_PMX": (b"<",),
    b"id3 ": (b"ID3",),
    b"ID3 ": (b"ID3",),
}
LONGEST_SIGN = 12  # bytes of such a beginning
_STREAMED = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
_ENDLESS = 1 << 62
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_AMBISONIC_B = bytes.fromhex("8644c8c1ca000000")  # the last bytes of its GUIDs
_WAVE64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_WAVE64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_CAF_LAYOUTS = {107: "fuma", 190: "ambix"}  # kAudioChannelLayoutTag >> 16
_AU = {2: "s8", 3: "s16be", 4: "s24be", 5: "s32be", 6: "f32be", 7: "f64be"}
_AIFC_FLOATS = {b"fl32": "f32be", b"FL32": "f32be", b"fl64": "f64be", b"FL64": "f64be"}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a header says.

    Attributes:
        pcm: how its samples are to be read; None where they are not linear PCM.
        encoding: of the samples, for messages.
        start: where the sound begins [bytes].
        promised: bytes of sound.
        align: what the length of a chunk is filled up to [bytes].
        streamed: whether `promised` is what a writer leaves who cannot know it.
        audio_format: `ambix` or `fuma` where the header declares one; None where it does not.
        broadcast: of a Broadcast Wave file; None without.
    """

    pcm: PcmFormat | None = None
    encoding: str = ""
    start: int = 0
    promised: int = 0
    align: int = 1
    streamed: bool = False
    audio_format: str | None = None
    broadcast: Broadcast | None = None


@dataclass(frozen=True)
class _Layout:
    """How the chunks of a container are written."""

    name: str
    start: int = 12  # bytes before the first chunk
    sound: bytes = b"data"
    order: str = "<"
    head: str = "4sI"  # of struct: the name of a chunk, and its length
    align: int = 2


_RIFF = _Layout("WAV")
_RIFX = _Layout("WAV", order=">")
_W64 = _Layout("WAV", start=40, head="16sQ", align=8)  # lengths count the head
_AIFF = _Layout("AIFF", sound=b"SSND", order=">")
_CAF = _Layout("CAF", start=8, order=">", head="4sq", align=1)


def read_header(stream: ByteStream, *, name: str) -> Generator[Samples, None, Header | None]:
    """Read a header up to its sound; yields empty blocks while it waits for bytes.

    Returns:
        What it says; None, with nothing taken, where the stream has another beginning.

    Raises:
        InputError: a header that ends early, has no format, or is not made of chunks.
    """
    yield from stream.wait_for(12)
    start = stream.peek(12)
    if start[:4] == b".snd":
        yield from stream.wait_for(24)
        return (yield from _read_au(stream, name))
    if _WAVE64.startswith(start) and start:
        yield from stream.wait_for(_W64.start)
        start = stream.peek(_W64.start)
    layout = _layout_of(start)
    if layout is None:
        return None
    stream.take(layout.start)
    return (yield from _read_chunks(stream, layout, name))


def is_chunk(start: bytes) -> bool:
    """Whether bytes behind the sound, eight or more, begin a chunk instead of more sound."""
    if start[:3] == b"TAG" or start[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX", b"FORM"):
        return True  # an ID3 tag, or one file after another
    if start[:16] == _WAVE64 or start[4:16] in (_WAVE64[4:], _WAVE64_WAVE[4:]):
        return True
    if not _CHUNK_NAME.fullmatch(start[:4]):
        return False
    return any(struct.unpack(o + "I", start[4:8])[0] <= _LONGEST_BEHIND for o in "<>")


def find_chunk(data: bytes) -> int | None:
    """Where the first chunk begins among bytes that should be sound, by its name and content.

    Where a header does not tell how long the sound is, nothing else tells where it ends.
    """
    places = [
        place
        for name, contents in _CONTENT.items()
        if (place := data.find(name)) >= 0 and data[place + 8 :].startswith(contents)
    ]
    return min(places, default=None)


def begun_chunk(data: bytes) -> int:
    """How many of the last bytes could be the begin of what `find_chunk` finds."""
    for count in range(min(len(data), LONGEST_SIGN - 1), 0, -1):
        start = data[-count:][:4]
        if any(name.startswith(start) for name in _CONTENT):
            return count
    return 0


def _layout_of(start: bytes) -> _Layout | None:
    kind, form = start[:4], start[8:12]
    if form == b"WAVE" and kind in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF
    if form == b"WAVE" and kind == b"RIFX":
        return _RIFX
    if start[:16] == _WAVE64 and start[24:] == _WAVE64_WAVE:
        return _W64
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _AIFF
    return _CAF if start[:8] == b"caff\0\1\0\0" else None


def _read_chunks(
    stream: ByteStream, layout: _Layout, name: str
) -> Generator[Samples, None, Header]:
    found, long_length, count = Header(), None, 0
    while True:
        kind, length = yield from _read_head(stream, layout, name)
        if kind == layout.sound:
            break
        if (count := count + 1) > _MOST_CHUNKS:
            raise InputError(
                f"A {layout.name} header must have {_MOST_CHUNKS} chunks at most before its sound. "
                f"Received: {name} with more, up to byte {stream.position}"
            )
        yield from stream.wait_for(min(length, _LONGEST_HELD))
        body = stream.peek(min(length, _LONGEST_HELD))
        if (yield from stream.skip(length)) < length:
            raise _cut(name, layout)
        yield from _skip_padding(stream, layout, length)
        if kind == b"ds64" and len(body) >= 16:
            long_length = struct.unpack("<Q", body[8:16])[0]
        else:
            found = _kept(found, kind, body, layout=layout, name=name)
    if not found.encoding and layout is not _AIFF:
        raise InputError(f"The {name} has no format in its {layout.name} header")
    if length < 0:  # as CAF says it
        length = _ENDLESS
    streamed = _is_streamed(length)
    if streamed and long_length:
        streamed, length = False, long_length
    skip = {_AIFF: 8, _CAF: 4}.get(layout, 0)  # of the chunk, before the sound
    yield from stream.wait_for(skip)
    stream.take(skip)
    found = replace(found, promised=max(0, length - skip), streamed=streamed)
    return replace(found, start=stream.position, align=layout.align)


def _read_head(
    stream: ByteStream, layout: _Layout, name: str
) -> Generator[Samples, None, tuple[bytes, int]]:
    """Name and length of the next chunk."""
    size = struct.calcsize(layout.order + layout.head)
    yield from stream.wait_for(size)
    position, head = stream.position, stream.take(size)
    if len(head) < size:
        raise _cut(name, layout)
    kind, length = struct.unpack(layout.order + layout.head, head)
    if not _CHUNK_NAME.fullmatch(kind[:4]):
        raise InputError(
            f"A {layout.name} header must be made of chunks. Received: {name} with {kind[:4]!r} "
            f"at byte {position}, where the name of a chunk should be"
        )
    return kind[:4], max(0, length - size) if layout is _W64 else length


def _skip_padding(
    stream: ByteStream, layout: _Layout, length: int
) -> Generator[Samples, None, None]:
    """What fills a chunk up to whole words; some writers of WAV forget it."""
    padding = -length % layout.align
    if padding and layout.align == 2:
        yield from stream.wait_for(5)
        following = stream.peek(5)
        if _CHUNK_NAME.fullmatch(following[:4]) and following[1:] not in (layout.sound, b"fmt "):
            return
    yield from stream.skip(padding)


def _kept(found: Header, kind: bytes, body: bytes, *, layout: _Layout, name: str) -> Header:
    """A header with what one more chunk says."""
    try:
        if kind == b"fmt ":
            return _with_wave_format(found, body, order=layout.order)
        if kind == b"COMM" and layout is _AIFF:
            return _with_aiff_format(found, body)
        if kind == b"desc" and layout is _CAF:
            return _with_caf_format(found, body)
        if kind == b"chan" and layout is _CAF:
            tag = struct.unpack_from(">I", body)[0]
            return replace(found, audio_format=_CAF_LAYOUTS.get(tag >> 16))
    except struct.error as error:
        raise InputError(
            f"The {name} has a damaged {layout.name} header: {len(body)} bytes of {kind!r}"
        ) from error
    return replace(found, broadcast=broadcast_of(body)) if kind == b"bext" else found


def _with_wave_format(found: Header, body: bytes, *, order: str) -> Header:
    tag, channels, rate, _, align, bits = struct.unpack_from(order + "HHIIHH", body)
    valid, audio_format = bits, None
    if extended := tag == _EXTENSIBLE and len(body) >= 28:
        valid = struct.unpack_from(order + "H", body, 18)[0] or bits
        tag = struct.unpack_from(order + "I", body, 24)[0]
        audio_format = "fuma" if _is_ambisonic_b(body[28:40], order) else None
    width = (bits + 7) // 8
    if width == 3 and align == 4 * channels:  # the one size of a block that says more than bits
        width = 4
    found = replace(found, encoding=f"format {tag}, {bits} bits", audio_format=audio_format)
    kind = {_PCM: "s", _FLOAT: "f"}.get(tag, "")
    encoding = "u8" if (kind, width) == ("s", 1) else f"{kind}{8 * width}{'bl'[order == '<']}e"
    if encoding not in ENCODINGS:
        return found
    words = "" if encoding not in WORDS else "any"
    if words and 24 in (bits, valid):
        words = "any" if extended else "low"
    pcm = PcmFormat(rate=rate, channels=channels, encoding=encoding, words=words)
    return replace(found, pcm=pcm)


def _with_aiff_format(found: Header, body: bytes) -> Header:
    channels, _, bits, exponent, mantissa = struct.unpack_from(">hIhHQ", body)
    power = exponent - 16_383  # of an 80-bit float
    rate = round(mantissa / 2 ** (63 - power)) if 0 <= power < 32 else 0
    kind, width = body[18:22] or b"NONE", (bits + 7) // 8
    encoding = _AIFC_FLOATS.get(kind, "")
    if kind in (b"NONE", b"twos", b"in24", b"in32"):
        encoding = "s8" if width == 1 else f"s{8 * width}be"
    elif kind == b"sowt" and width > 1:
        encoding = f"s{8 * width}le"
    return _with_pcm(found, f"{kind!r}, {bits} bits", encoding, rate, channels)


def _with_caf_format(found: Header, body: bytes) -> Header:
    rate, kind, flags, packet, frames, channels, bits = struct.unpack_from(">d4sIIIII", body)
    width = packet // channels if channels and frames == 1 else 0
    encoding = f"{'sf'[flags & 1]}{8 * width}{'bl'[flags >> 1 & 1]}e" if kind == b"lpcm" else ""
    encoding = "s8" if (kind, width, flags & 1) == (b"lpcm", 1, 0) else encoding
    encoding = encoding if 8 * width == bits else ""
    whole = round(rate) if 0 < rate < 2**31 else 0
    return _with_pcm(found, f"{kind!r}, {bits} bits", encoding, whole, channels)


def _read_au(stream: ByteStream, name: str) -> Generator[Samples, None, Header]:
    head = stream.take(24)
    if len(head) < 24:
        raise InputError(f"The {name} is cut short inside its AU header")
    start, length, kind, rate, channels = struct.unpack(">5I", head[4:])
    yield from stream.skip(max(0, start - 24))
    streamed = _is_streamed(length)
    found = Header(start=stream.position, promised=length, streamed=streamed)
    return _with_pcm(found, f"AU encoding {kind}", _AU.get(kind, ""), rate, channels)


def _is_streamed(length: int) -> bool:
    """Whether a length is what a writer leaves who cannot know it."""
    return length == 0 or length >= _ENDLESS or any(length in lengths for lengths in _STREAMED)


def _with_pcm(found: Header, text: str, encoding: str, rate: int, channels: int) -> Header:
    pcm = None
    if encoding in ENCODINGS:
        pcm = PcmFormat(rate=rate, channels=channels, encoding=encoding)
    return replace(found, encoding=text, pcm=pcm)


def _is_ambisonic_b(rest: bytes, order: str) -> bool:
    """Whether the last twelve bytes of a sub-format's GUID are those of Ambisonic B-format."""
    groups = struct.unpack(order + "HH", rest[:4])
    return groups == (0x0721, 0x11D3) and rest[4:] == _AMBISONIC_B


def _cut(name: str, layout: _Layout) -> InputError:
    return InputError(f"The {name} is cut short inside its {layout.name} header")
