"""A live device as a source: opened anew when it is lost, and its stream time stays true."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from doa_core.spec import SAMPLE_RATE
from doa_edge.clock import SampleClock
from doa_edge.conversion import AmbixConverter, ambix_matrix, is_sound, no_sound
from doa_edge.errors import InputError
from doa_edge.handover import Chunk, Handover
from doa_edge.portaudio import (
    DeviceError,
    InputDevice,
    Opening,
    device_error,
    find_again,
    find_device,
    list_devices,
    load_portaudio,
    negotiate,
    quiet_descriptor,
    rescan,
)
from doa_edge.stream import Gap, Samples, StreamItem

logger = logging.getLogger(__name__)

STALL_S = 3.0  # without a sample
RETRY_S = 1.0  # between attempts to open a lost device
HELD_S = 4.0  # of sound between the audio thread and the reader
BLOCK_S = 0.016  # of sound per callback
BUFFER_S = 0.2  # of sound that the system may hold
SETTLE_S = 0.25  # of sound after which a reopened device's time is told
POLL_S = 0.25


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
        """Let go of the device, whatever state it is in."""
        with quiet_descriptor():
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)


class DeviceSource:
    """AmbiX blocks of a live device, and gaps where its sound is missing.

    Attributes:
        name: of the device.
        sample_rate: that it is open with [hertz]; None before.

    Args:
        device: number or part of the name; the only one with enough channels if None.
        rate: to open it with [hertz]; the model's or else the device's own if None.
        channel_map: which four channels, counted from 1; the first four if None.
        audio_format: what the channels are; see `doa_core.ambisonics`.
        mount: yaw, pitch and roll [rad] of the microphone in the room.
        stall_s: a device that gives nothing for as long is opened anew [seconds].
        model_rate: of the blocks [hertz].

    Raises:
        ValueError: unknown format or mounting.
    """

    live = True

    def __init__(
        self,
        device: str | int | None = None,
        *,
        rate: int | None = None,
        channel_map: Sequence[int] | None = None,
        audio_format: str = "ambix",
        mount: Sequence[float] | None = None,
        stall_s: float = STALL_S,
        model_rate: int = SAMPLE_RATE,
    ) -> None:
        ambix_matrix(audio_format, mount)
        self.name = "live device" if device is None else str(device)
        self.sample_rate: int | None = None
        self.stall_s = stall_s
        self.model_rate = model_rate
        self._wanted = device
        self._rate = rate
        self._channel_map = channel_map
        self._format = audio_format
        self._mount = mount
        self._clock = SampleClock()
        self._given = 0  # samples and gaps so far, at the model's rate
        self._counts = {"overruns": 0, "losses": 0, "invalid_blocks": 0, "missing_samples": 0}
        self._stream: LiveStream | None = None
        self._opened: Opening
        self._converter: AmbixConverter

    def __enter__(self) -> DeviceSource:
        """Open the device.

        Raises:
            InputError: there is no such device, or it refuses the channels or the rate.
            DeviceError: it is busy.
            MissingPackageError: sounddevice is not installed.
        """
        self._open(find_device(self._wanted, list_devices()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def statistics(self) -> dict[str, float]:
        """What was lost so far, and how fast the device's clock runs."""
        drift = self._clock.drift_ppm
        return {**self._counts, **({} if drift is None else {"drift_ppm": round(drift, 1)})}

    def __iter__(self) -> Iterator[StreamItem]:
        last_s = told_s = time.monotonic()
        while True:
            if self._stream is None:
                raise ValueError("A device must be opened before it is read: use `with source:`")
            chunk = self._stream.handover.get(timeout_s=POLL_S)
            now_s = time.monotonic()
            if chunk:
                last_s = told_s = now_s
                yield from self._take(chunk)
                continue
            reason = ""
            if not self._stream.active:
                reason = "lost"
            elif now_s - last_s > self.stall_s:
                reason = "stalled"
            if reason:
                yield from self._recover(reason)
                last_s = told_s = time.monotonic()
            elif now_s - told_s > 2 * POLL_S:
                told_s = now_s
                yield no_sound()

    def _open(self, device: InputDevice) -> None:
        self._opened = negotiate(
            device, channel_map=self._channel_map, rate=self._rate, model_rate=self.model_rate
        )
        self._stream = LiveStream(self._opened)
        self.name = device.name
        self.sample_rate = self._opened.rate
        self._converter = AmbixConverter(
            from_rate=self._opened.rate,
            to_rate=self.model_rate,
            audio_format=self._format,
            mount=self._mount,
        )

    def _close(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None

    def _take(self, chunk: Chunk) -> Iterator[StreamItem]:
        """What a chunk gives, and the gaps around it."""
        if chunk.dropped:
            dropped_s = chunk.dropped / self._opened.rate
            self._clock.skip(dropped_s)
            yield from self._gap("overrun", f"{dropped_s:.2f} s dropped: the computer is too slow")
        elif chunk.overflowed:
            # How much is not said. What is missing for long, the clock will find.
            yield from self._gap("overrun", "the device reports lost sound")
        usable = bool(is_sound(chunk.samples).all())
        if usable:
            yield from self._give(self._converter.push(chunk.samples))
        missing_s = self._clock.advance(
            len(chunk.samples) / self._opened.rate, arrival_s=chunk.arrival_s
        )
        if not usable:
            yield from self._gap("invalid", "samples that are not finite, or absurd")
        elif missing_s:
            yield from self._gap("overrun", f"{missing_s:.2f} s lost on the way from the device")

    def _give(self, block: Samples) -> Iterator[StreamItem]:
        if len(block):
            self._given += len(block)
            yield block

    def _gap(self, reason: str, detail: str) -> Iterator[StreamItem]:
        """The rest of what came before, and a gap up to where the clock stands."""
        yield from self._give(self._converter.finish())
        missing = max(0, round(self._clock.position_s * self.model_rate) - self._given)
        self._given += missing
        self._counts["missing_samples"] += missing
        counted = {"overrun": "overruns", "invalid": "invalid_blocks"}.get(reason)
        if counted:
            self._counts[counted] += 1
        yield Gap(samples=missing, reason=reason, detail=detail)

    def _recover(self, reason: str) -> Iterator[StreamItem]:
        """Say that the device is away, and wait until it is back."""
        what = "is gone" if reason == "lost" else f"gave nothing for {self.stall_s:g} s"
        logger.info("%s %s: waiting for it", self.name, what)
        self._counts["losses"] += 1
        self._close()
        since_s = time.monotonic()
        self._clock.skip(self._clock.missing_s(now_s=since_s))
        yield from self._gap(reason, f"{self.name} {what}")
        chunks: list[Chunk] = []
        while not chunks:
            self._close()  # again, if it came back silent
            retry_s = time.monotonic() + RETRY_S
            while time.monotonic() < retry_s:
                time.sleep(POLL_S)
                yield no_sound()
            try:
                rescan()
                self._open(find_again(self._opened.device, list_devices()))
            except (InputError, DeviceError) as error:
                logger.debug("%s", error)
                continue
            chunks = self._first_chunks()
        begin_s, heard = min(chunk.arrival_s for chunk in chunks), 0
        for chunk in chunks:  # the one that waited least knows best when the first sample was
            heard += len(chunk.samples)
            begin_s = min(begin_s, chunk.arrival_s - heard / self._opened.rate)
        self._clock.skip(self._clock.missing_s(now_s=begin_s))
        self._clock.resume()
        away_s = time.monotonic() - since_s
        logger.info("%s is back after %.1f s", self.name, away_s)
        yield from self._gap("recovered", f"{self.name} was away for {away_s:.1f} s")
        for chunk in chunks:
            yield from self._take(chunk)

    def _first_chunks(self) -> list[Chunk]:
        """What a device gives first, enough to tell its time; nothing if it stays silent."""
        chunks: list[Chunk] = []
        wanted = SETTLE_S * self._opened.rate
        deadline_s = time.monotonic() + self.stall_s
        while self._stream and sum(len(chunk.samples) for chunk in chunks) < wanted:
            chunk = self._stream.handover.get(timeout_s=POLL_S)
            if chunk:
                chunks.append(chunk)
            elif time.monotonic() > deadline_s or not self._stream.active:
                return []
        return chunks
