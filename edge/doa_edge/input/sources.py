"""The source of sound that options ask for: a file, a pipe or a live device."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import FileSource
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.pcm import PcmFormat
from doa_edge.input.pipe import PipeSource
from doa_edge.input.stream import CHANNELS, Source


def open_source(
    *,
    input: str | os.PathLike[str] | None = None,
    device: str | int | None = None,
    input_format: InputFormat = AMBIX,
    rate: int | None = None,
    encoding: str | None = None,
    raw_channels: int | None = None,
    stall_s: float | None = None,
    model_rate: int = SAMPLE_RATE,
) -> Source:
    """The source that the arguments ask for; arguments that cannot be met are refused at once.

    Args:
        input: a sound file, a named pipe, or "-" for standard input; a device if None.
        device: number or part of the name of a live device; the system's default if None.
        input_format: what the channels are, and how the microphone is mounted.
        rate: of raw PCM, or to open a device with [hertz].
        encoding: of raw PCM; a pipe without it must begin with a WAV header.
        raw_channels: of raw PCM, four if None.
        stall_s: a device that delivers nothing for this long is reopened [seconds].
        model_rate: of the blocks [hertz].

    Raises:
        InputError: arguments that do not go together, or a file that cannot be used.
    """
    if input is None:
        from doa_edge.input.live.capture import STALL_S, DeviceSource

        _refuse_raw(encoding, raw_channels, "a device")
        return DeviceSource(
            device,
            input_format,
            rate=rate,
            stall_s=STALL_S if stall_s is None else stall_s,
            model_rate=model_rate,
        )
    if device is not None:
        raise InputError(
            f"`input` and `device` exclude each other. Received: input={os.fspath(input)!r}, "
            f"device={device!r}"
        )
    path = Path(input)
    is_stdin = os.fspath(input) == "-"
    if not is_stdin and not path.is_fifo():
        _refuse_raw(encoding, raw_channels, f"the file {path}")
        if rate is not None:
            raise InputError(
                f"`rate` is for raw PCM and devices. Received: rate={rate} with the file {path}"
            )
        return FileSource(path, input_format, model_rate=model_rate)
    raw = None
    if encoding is not None and rate is not None:
        raw = PcmFormat(rate=rate, channels=raw_channels or CHANNELS, encoding=encoding)
    elif encoding is not None or rate is not None or raw_channels is not None:
        raise InputError(
            "Raw PCM needs both `encoding` and `rate`. Received: "
            f"encoding={encoding!r}, rate={rate!r}"
        )
    # A named pipe that is opened for writing as well would never end.
    return PipeSource(
        sys.stdin.fileno() if is_stdin else os.open(path, os.O_RDONLY),
        input_format,
        name="standard input" if is_stdin else str(path),
        raw=raw,
        model_rate=model_rate,
    )


def _refuse_raw(encoding: str | None, raw_channels: int | None, what: str) -> None:
    if encoding is not None or raw_channels is not None:
        raise InputError(
            f"`encoding` and `raw_channels` describe raw PCM. Received: encoding={encoding!r}, "
            f"raw_channels={raw_channels!r} with {what}"
        )
