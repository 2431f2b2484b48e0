"""An open device, and calls that may never return: opening and closing one."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from doa_edge.input.live.handover import Chunk, Handover
from doa_edge.input.live.portaudio import Opening, device_error, load_portaudio, quiet_descriptor

HELD_S = 4.0  # of sound between the audio thread and the reader
BLOCK_S = 0.032  # of sound per callback: a hop, so that no sound waits for the next one
BUFFER_S = 0.2  # of sound that the system may buffer
WAIT_S = 0.1
CLOSE_S = 2.0  # for a driver to close a device

Result = TypeVar("Result")


class LiveStream:
    """An open device, whose callback copies its samples and returns.

    Raises:
        DeviceError: it does not open.
    """

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.handover = Handover(capacity=round(HELD_S * opening.rate))
        sounddevice = load_portaudio()
        self._errors: tuple[type[Exception], ...] = (sounddevice.PortAudioError, ValueError)
        columns = opening.columns

        def take(block: Any, _frames: int, _times: Any, status: Any) -> None:
            self.handover.put(
                block[:, columns],  # a copy
                arrival_s=time.monotonic(),
                overflowed=bool(status.input_overflow),
            )

        try:
            with quiet_descriptor():
                self._stream = sounddevice.InputStream(
                    device=opening.device.index,
                    channels=opening.channels,
                    samplerate=opening.rate,
                    dtype="float32",
                    blocksize=round(BLOCK_S * opening.rate),
                    latency=BUFFER_S,
                    callback=take,
                )
                self._stream.start()
        except self._errors as error:
            raise device_error(opening.device, error) from error

    @property
    def active(self) -> bool:
        """Whether the device is still there, according to PortAudio."""
        try:
            return bool(self._stream.active)
        except self._errors:
            return False

    def close(self) -> None:
        """Close the device, however long its driver takes."""
        with quiet_descriptor():
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def first_chunks(self, *, duration_s: float, timeout_s: float) -> list[Chunk]:
        """The first chunks of a device; none if it delivers nothing.

        Args:
            duration_s: how much sound is wanted [seconds].
            timeout_s: how long to wait for it [seconds].
        """
        chunks: list[Chunk] = []
        wanted = duration_s * self.opening.rate
        deadline_s = time.monotonic() + timeout_s
        while sum(len(chunk.samples) for chunk in chunks) < wanted:
            chunk = self.handover.get(timeout_s=WAIT_S)
            if chunk:
                chunks.append(chunk)
            elif time.monotonic() > deadline_s or not self.active:
                return []
        return chunks


class Background(Generic[Result]):
    """A call in a thread of its own: the driver of a device that hangs may never return.

    Attributes:
        result: of the call; None as long as it runs, and if it failed.
        ended: is set when the call has ended.
    """

    def __init__(self, call: Callable[[], Result]) -> None:
        self.result: Result | None = None
        self.ended = threading.Event()

        def work() -> None:
            try:
                self.result = call()
            finally:
                self.ended.set()

        # A daemon: the interpreter does not wait for it.
        threading.Thread(target=work, name="doa_edge device", daemon=True).start()


def abandon_portaudio() -> None:
    """Do not stop PortAudio at the end of the program: it would wait for a driver that hangs."""
    atexit.unregister(load_portaudio()._exit_handler)
