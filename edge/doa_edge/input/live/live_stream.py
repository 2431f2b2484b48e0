"""An open device, and what may take forever with one: opening, closing."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from doa_edge.input.live.handover import Chunk, Handover
from doa_edge.input.live.portaudio import Opening, device_error, load_portaudio, quiet_descriptor

HELD_S = 4.0  # of sound between the audio thread and the reader
BLOCK_S = 0.032  # of sound per callback: a hop, so that none waits for the next
BUFFER_S = 0.2  # of sound that the system may hold
WAIT_S = 0.1
CLOSE_S = 2.0  # for a driver to let go

Result = TypeVar("Result")


class LiveStream:
    """An open device, whose callback copies and leaves.

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
        """Whether the device is still there, as far as PortAudio knows."""
        try:
            return bool(self._stream.active)
        except self._errors:
            return False

    def close(self) -> None:
        """Let go of the device, however long its driver takes."""
        with quiet_descriptor():
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def first_chunks(self, *, duration_s: float, timeout_s: float) -> list[Chunk]:
        """What a device gives first; nothing if it stays silent.

        Args:
            duration_s: how much is wanted [seconds].
            timeout_s: without any sound [seconds].
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
    """A call that nobody has to wait for: a driver whose device hangs may never return from it.

    Attributes:
        result: what the call gave; None as long as it runs, and if it failed.
    """

    def __init__(self, call: Callable[[], Result]) -> None:
        self.result: Result | None = None
        self._done = threading.Event()

        def work() -> None:
            try:
                self.result = call()
            finally:
                self._done.set()

        # A daemon: the interpreter ends without it.
        threading.Thread(target=work, name="doa_edge device", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether the call has ended."""
        return self._done.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the call [seconds]; whether it has ended."""
        return self._done.wait(timeout_s)


def abandon_portaudio() -> None:
    """At the end of the program do not stop PortAudio, which would wait for a driver that hangs."""
    atexit.unregister(load_portaudio()._exit_handler)
