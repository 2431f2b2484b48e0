"""The sound of a container: all that is there, whatever its header says of the length."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from doa_edge.input.containers.broadcast import Broadcast
from doa_edge.input.containers.byte_stream import READ_BYTES, ByteStream
from doa_edge.input.containers.chunks import LONGEST_SIGN, Header, begun_chunk, find_chunk, is_chunk
from doa_edge.input.containers.packing import PcmDecoder, Warn, WordEvidence, tell_packing
from doa_edge.input.pcm import PcmFormat
from doa_edge.input.stream import Samples

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

_WRAP = 1 << 32  # what a length of 32 bits loses
_PADDING = 4096  # bytes of zeros behind the sound that are no more sound
_SCAN_BYTES = 1 << 20
_Result = TypeVar("_Result")


class Sound:
    """A recording that is read from front to back, once.

    Attributes:
        path: of the file.
        rate: [hertz].
        channels: C.
        audio_format: `ambix` or `fuma` where the file declares one; None where it does not.
        broadcast: of a Broadcast Wave file; None of any other.
        certain: whether `frames` are there; else it is what a header says.
    """

    certain = False
    path: Path
    rate: int
    channels: int
    audio_format: str | None = None
    broadcast: Broadcast | None = None

    @property
    def frames(self) -> int | None:
        """Samples per channel; None where the header does not say."""
        raise NotImplementedError

    def blocks(self) -> Iterator[Samples]:
        """(N, C) float32 blocks of all samples, full scale 1.

        Raises:
            InputError: nothing of it can be read.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

    def count(self) -> int:
        """Samples per channel; where the header does not say, they are read, once for all."""
        return sum(map(len, self.blocks())) if self.frames is None else self.frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PcmSound(Sound):
    """A file of linear PCM, whose samples are read here as those of a pipe are.

    Args:
        path: of the file.
        descriptor: of the file, at its beginning; closed with the sound.
        header: what was read of it.
        stream: of the descriptor, at the begin of the sound.
    """

    certain = True

    def __init__(self, path: Path, descriptor: int, header: Header, stream: ByteStream) -> None:
        self._pcm = _pcm_of(header)
        self.path = path
        self.rate, self.channels = self._pcm.rate, self._pcm.channels
        self.audio_format, self.broadcast = header.audio_format, header.broadcast
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._stream = stream
        self._header = header

    @property
    def frames(self) -> int:
        """Samples per channel that are there."""
        return (self._end() - self._header.start) // self._pcm.frame_bytes

    def blocks(self) -> Iterator[Samples]:
        """(N, C) float32 blocks of all samples, full scale 1."""
        header = replace(self._header, pcm=self._unpacked())
        size = os.fstat(self._descriptor).st_size
        for block in pcm_blocks(self._stream, header, name=str(self.path), size=size):
            if block is not None:
                yield block

    def close(self) -> None:
        """Close the file."""
        self._close()

    def _end(self) -> int:
        """Where the sound ends [bytes]."""
        header, size = self._header, os.fstat(self._descriptor).st_size
        end, since = header.start + header.promised, header.start
        streamed = header.streamed
        while end < size:
            following = os.pread(self._descriptor, _PADDING, end)
            if not _goes_on(following, header, streamed=streamed, behind=size - end):
                return end
            since = since if streamed else end
            end, streamed = end + _WRAP, True
        return self._before_chunk(since, size) if streamed else max(size, header.start)

    def _before_chunk(self, start: int, size: int) -> int:
        """Where a chunk begins in what no header tells the end of; the end without one [bytes]."""
        for at in range(start, size, _SCAN_BYTES):
            found = find_chunk(os.pread(self._descriptor, _SCAN_BYTES + LONGEST_SIGN, at))
            if found is not None:
                return at + found
        return max(size, start)

    def _unpacked(self) -> PcmFormat:
        """How its words are packed, by all of them; a pipe can only look at its beginning."""
        if not self._pcm.words:
            return self._pcm
        evidence = WordEvidence(self._pcm)
        end = self._header.start + self.frames * self._pcm.frame_bytes
        for at in range(self._header.start, end, _SCAN_BYTES):
            block = os.pread(self._descriptor, min(_SCAN_BYTES, end - at), at)
            evidence.add(block[: len(block) // 4 * 4])
            if evidence.loud:
                break
        if evidence.encoding != self._pcm.encoding:
            tell_packing(str(self.path), warn_once)
        return replace(self._pcm, encoding=evidence.encoding, words="")


def pcm_blocks(
    stream: ByteStream, header: Header, *, name: str, size: int | None = None
) -> Iterator[Samples | None]:
    """(N, C) float32 blocks of a stream from the begin of its sound; None while nothing comes.

    A header that promises too much or too little is corrected by what is there, with one warning:
    the sound ends with the stream, or where a chunk or padding follows what was promised.

    Args:
        stream: bytes of linear PCM.
        header: what was read before them.
        name: of the stream, for messages.
        size: of a file [bytes]; None of a pipe. Messages of a file are given once, however often it
            is read.
    """
    pcm = _pcm_of(header)
    warn = logger.warning if size is None else warn_once
    decoder = PcmDecoder(pcm, name=name, warn=warn)
    left, streamed, given = header.promised, header.streamed, 0
    while True:
        room, chunk_follows = min(len(stream), left, READ_BYTES), False
        if streamed:
            room, chunk_follows = _before_chunk(stream, room)
        count = room // pcm.frame_bytes * pcm.frame_bytes
        if count:
            left, given = left - count, given + count
            yield from decoder.push(stream.take(count))
        elif chunk_follows:
            break
        elif left < pcm.frame_bytes:
            for _ in _fill_to(stream, left + _PADDING, patient=streamed):
                yield None
            following = stream.peek(left + _PADDING)[left:]
            behind = 0 if size is None else size - stream.position - left
            if not _goes_on(following, header, streamed=streamed, behind=behind):
                break
            if not streamed or not header.promised:
                warn("%s: %s", name, _too_little(header, pcm))
            left, streamed = left + _WRAP, True
        elif stream.ended:
            _tell_end(warn, name, given=given, rest=len(stream), header=header, extended=streamed)
            break
        elif not stream.fill():
            yield None
    yield from decoder.finish()


def result_of(steps: Generator[Any, None, _Result]) -> _Result:
    """What a generator returns, whose steps are of no interest: a file never waits."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: _Result = done.value
            return result


@lru_cache(maxsize=1024)
def warn_once(message: str, *values: object) -> None:
    """A warning of a file, which is read again and again in an evaluation."""
    logger.warning(message, *values)


def _pcm_of(header: Header) -> PcmFormat:
    if header.pcm is None:
        raise ValueError("`header` must be one of linear PCM")
    return header.pcm


def _fill_to(stream: ByteStream, count: int, *, patient: bool) -> Iterator[None]:
    """Wait for that many bytes; the impatient give up where nothing comes for a while."""
    while len(stream) < count and not stream.ended:
        if stream.fill():
            continue
        if not patient:
            return
        yield None


def _before_chunk(stream: ByteStream, room: int) -> tuple[int, bool]:
    """How many of the next bytes are sound where no header tells, and whether a chunk follows."""
    following = stream.peek(room + LONGEST_SIGN)
    found = find_chunk(following)
    if found is not None and found <= room:
        return found, True
    begun = 0 if stream.ended else begun_chunk(following)
    return min(room, len(following) - begun), False


def _goes_on(following: bytes, header: Header, *, streamed: bool, behind: int) -> bool:
    """Whether the bytes behind what a header promised are more sound.

    Args:
        following: the first of them.
        header: that promised.
        streamed: whether the promise was none.
        behind: how many there are, of a file [bytes]; 0 of a pipe.
    """
    if behind >= _WRAP:  # the length was more than 32 bits can hold
        return True
    starts = (following, following[-header.promised % header.align :])
    if any(len(start) >= 8 and is_chunk(start) for start in starts):
        return False
    if streamed:
        return bool(following)
    return len(following) >= 8 and any(following)


def _too_little(header: Header, pcm: PcmFormat) -> str:
    """The line for a header that promises less sound than there is."""
    if not header.promised:
        return "its header does not say how much sound it holds: read to its end"
    return (
        f"its header promises {header.promised // pcm.frame_bytes} samples per channel, and more "
        "sound follows: read to its end"
    )


def _tell_end(
    warn: Warn, name: str, *, given: int, rest: int, header: Header, extended: bool
) -> None:
    """The line for a stream that ended before its header said, or inside a sample."""
    pcm = _pcm_of(header)
    if not extended and given:
        warn(
            "%s is cut short, or its header counts too much: it promises %d samples per channel. "
            "Received: %d, which are heard",
            *(name, header.promised // pcm.frame_bytes, given // pcm.frame_bytes),
        )
    elif rest:
        warn("%s ended inside a sample: %d bytes dropped", name, rest)
