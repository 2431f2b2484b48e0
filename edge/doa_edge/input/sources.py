"""Where sound comes from: a file, a pipe or a live device, chosen by what is asked for.

A source is a context manager that is iterated over: AmbiX blocks at the model's rate in the room's
axes, and `Gap`s. A live one gives an empty block at least once a second while it has nothing to
give, so that whoever iterates can do other things in between.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import open_recording, read_blocks
from doa_edge.input.conversion import CHANNELS, ambix_matrix
from doa_edge.input.pcm import PcmFormat, PipeSource
from doa_edge.input.stream import StreamItem


class Source(Protocol):
    """What the parts of the runner need of a source.

    Attributes:
        name: to show.
        live: whether it goes on as time does; a file does not.
        sample_rate: of the input [hertz]; None where that is not known yet.
    """

    name: str
    live: bool
    sample_rate: int | None

    def __enter__(self) -> Source:
        """Begin: a device is opened here."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: a device is closed here."""
        ...

    def __iter__(self) -> Iterator[StreamItem]:
        """Blocks and gaps, once."""
        ...

    def statistics(self) -> dict[str, float]:
        """What was lost so far, by name; nothing for a file or a pipe."""
        ...


class FileSource:
    """A recording as a source; refused at once if it cannot be used.

    Raises:
        InputError: like `open_recording`; when iterated, like `Recording.blocks`.
        ValueError: unknown format, mounting or map.
    """

    live = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        channel_map: Sequence[int] | None = None,
        audio_format: str = "ambix",
        mount: Sequence[float] | None = None,
        model_rate: int = SAMPLE_RATE,
    ) -> None:
        ambix_matrix(audio_format, mount)
        self.path = Path(path)
        self.name = self.path.name
        with open_recording(path, channel_map=channel_map) as recording:
            self.sample_rate: int | None = recording.sample_rate
        self._blocks = read_blocks(
            path,
            audio_format=audio_format,
            mount=mount,
            channel_map=channel_map,
            sample_rate=model_rate,
        )

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocks.close()

    def __iter__(self) -> Iterator[StreamItem]:
        return self._blocks

    def statistics(self) -> dict[str, float]:
        """Nothing is lost in a file."""
        return {}


def open_source(
    *,
    input: str | os.PathLike[str] | None = None,
    device: str | int | None = None,
    rate: int | None = None,
    encoding: str | None = None,
    raw_channels: int | None = None,
    channel_map: Sequence[int] | None = None,
    audio_format: str = "ambix",
    mount: Sequence[float] | None = None,
    stall_s: float | None = None,
    model_rate: int = SAMPLE_RATE,
) -> Source:
    """The source that the arguments ask for, refused at once where they cannot be met.

    Args:
        input: a sound file, a named pipe, or "-" for standard input; a device if None.
        device: number or part of the name of a live device; the system's default if None.
        rate: of raw PCM, or to open a device with [hertz].
        encoding: of raw PCM; a pipe without it must begin with a WAV header.
        raw_channels: of raw PCM, four if None.
        channel_map: which four channels, counted from 1; the input must have just four if None,
            and of a device with more the first four are taken.
        audio_format: what the channels are; see `doa_core.ambisonics`.
        mount: yaw, pitch and roll [rad] of the microphone in the room.
        stall_s: a device that gives nothing for as long is opened anew [seconds].
        model_rate: of the blocks [hertz].

    Raises:
        InputError: arguments that do not go together, or a file that cannot be used.
        ValueError: unknown format, mounting or map.
    """
    if input is None:
        from doa_edge.input.live.capture import STALL_S, DeviceSource

        _refuse_raw(encoding, raw_channels, "a device")
        return DeviceSource(
            device,
            rate=rate,
            channel_map=channel_map,
            audio_format=audio_format,
            mount=mount,
            stall_s=STALL_S if stall_s is None else stall_s,
            model_rate=model_rate,
        )
    if device is not None:
        raise InputError(
            f"`input` and `device` exclude each other. Received: input={os.fspath(input)!r}, "
            f"device={device!r}"
        )
    path = Path(input)
    if os.fspath(input) != "-" and not path.is_fifo():
        _refuse_raw(encoding, raw_channels, f"the file {path}")
        if rate is not None:
            raise InputError(
                f"`rate` is for raw PCM and devices. Received: rate={rate} with the file {path}"
            )
        return FileSource(
            path,
            channel_map=channel_map,
            audio_format=audio_format,
            mount=mount,
            model_rate=model_rate,
        )
    raw = None
    if encoding is not None and rate is not None:
        raw = PcmFormat(rate=rate, channels=raw_channels or CHANNELS, encoding=encoding)
    elif encoding is not None or rate is not None or raw_channels is not None:
        raise InputError(
            "Raw PCM needs both `encoding` and `rate`. Received: "
            f"encoding={encoding!r}, rate={rate!r}"
        )
    # Opened for writing, too, a named pipe would never end.
    is_stdin = os.fspath(input) == "-"
    return PipeSource(
        sys.stdin.fileno() if is_stdin else os.open(path, os.O_RDONLY),
        name="standard input" if is_stdin else str(path),
        raw=raw,
        channel_map=channel_map,
        audio_format=audio_format,
        mount=mount,
        model_rate=model_rate,
    )


def _refuse_raw(encoding: str | None, raw_channels: int | None, what: str) -> None:
    if encoding is not None or raw_channels is not None:
        raise InputError(
            f"`encoding` and `raw_channels` describe raw PCM. Received: encoding={encoding!r}, "
            f"raw_channels={raw_channels!r} with {what}"
        )
