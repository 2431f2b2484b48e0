"""A live device as a source: it is reopened when it is lost, and its stream time stays true."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.conversion import AmbixConverter, is_sound
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.live.clock import SampleClock
from doa_edge.input.live.handover import Chunk
from doa_edge.input.live.live_stream import CLOSE_S, Background, LiveStream, abandon_portaudio
from doa_edge.input.live.portaudio import (
    InputDevice,
    Opening,
    find_again,
    find_device,
    list_devices,
    negotiate,
    rescan,
)
from doa_edge.input.live.talk import without_talk
from doa_edge.input.pace import Pace
from doa_edge.input.profiles import not_ambisonic
from doa_edge.input.stream import Gap, Samples, Source, StreamItem, no_sound

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

STALL_S = 3.0  # without a sample
RETRY_S = 1.0  # between attempts to open a lost device
SETTLE_S = 0.25  # of sound that is needed to find a reopened device's time
POLL_S = 0.25


Returned = tuple[LiveStream, list[Chunk]]


class DeviceSource(Source):
    """AmbiX blocks of a live device, and gaps where its sound is missing.

    `name` is the device's own and `sample_rate` that of its stream once it is open.

    Args:
        device: number or part of the name; the only one with enough channels if None.
        input_format: what the channels are, and how the microphone is mounted.
        rate: to open it with [hertz]; the model's or else the device's own if None.
        stall_s: a device that delivers nothing for this long is reopened [seconds].
        model_rate: of the blocks [hertz].
    """

    def __init__(
        self,
        device: str | int | None = None,
        input_format: InputFormat = AMBIX,
        *,
        rate: int | None = None,
        stall_s: float = STALL_S,
        model_rate: int = SAMPLE_RATE,
    ) -> None:
        self.name = "live device" if device is None else str(device)
        self.stall_s = stall_s
        self.model_rate = model_rate
        self.pace = Pace(live=True)
        self._wanted = device
        self._rate = rate
        self._input_format = input_format
        self._clock = SampleClock()
        self._given = 0  # samples and gaps so far, at the model's rate
        self._counts = {"overruns": 0, "losses": 0, "invalid_blocks": 0, "missing_samples": 0}
        self._stream: LiveStream | None = None
        self._pending: Background[Returned | None] | None = None
        self._quiet = ExitStack()
        self._opened: Opening
        self._before: list[InputDevice] = []  # that were there when it was found
        self._converter: AmbixConverter

    def __enter__(self) -> Self:
        """Open the device.

        Raises:
            InputError: there is no such device, or it refuses the channels or the rate.
            DeviceError: it is busy.
            MissingPackageError: sounddevice is not installed.
        """
        self._before = list_devices()
        device = find_device(self._wanted, self._before)
        if what := not_ambisonic(device.name):
            logger.warning("%s is no first-order Ambisonics microphone: %s", device.name, what)
        self._use(self._open(device))
        self._quiet.enter_context(without_talk())
        return self

    def close(self) -> None:
        """Close the device; wait no longer than some seconds for a driver that hangs."""
        stream, self._stream = self._stream, None
        pending = Background(partial(_close, stream)) if stream else self._pending
        if pending and not pending.ended.wait(CLOSE_S):
            abandon_portaudio()
        elif pending and pending.result:  # it came back while we closed
            pending.result[0].close()
        self._quiet.close()

    def statistics(self) -> dict[str, float]:
        """Counts of what was lost so far, and how fast the device's clock runs."""
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

    def _use(self, stream: LiveStream) -> None:
        """Continue with a device that is open."""
        self._stream, self._opened = stream, stream.opening
        self.name = self._opened.device.name
        self.sample_rate = self._opened.rate
        self._converter = AmbixConverter(
            self._input_format, from_rate=self._opened.rate, to_rate=self.model_rate
        )

    def _open(self, device: InputDevice) -> LiveStream:
        return LiveStream(
            negotiate(device, self._input_format, rate=self._rate, model_rate=self.model_rate)
        )

    def _wait_for_device(self) -> Generator[Samples, None, Returned]:
        """Close and reopen in the background: neither may block the caller."""
        lost, self._stream = self._stream, None
        pending = self._pending = Background(partial(_close, lost))
        while True:
            begun_s = time.monotonic()
            while not pending.ended.is_set() or (
                pending.result is None and time.monotonic() - begun_s < RETRY_S
            ):
                time.sleep(POLL_S)
                yield no_sound()
            if pending.result:
                self._pending = None
                return pending.result
            pending = self._pending = Background(self._open_again)

    def _open_again(self) -> Returned | None:
        """The device that was lost, with its first chunks; None if it is not back."""
        try:
            rescan()
            devices = list_devices()
            stream = self._open(find_again(self._opened.device, devices, before=self._before))
        except (InputError, OSError) as error:  # of the device; or too many files are open
            logger.debug("%s", error)
            return None
        chunks = stream.first_chunks(duration_s=SETTLE_S, timeout_s=self.stall_s)
        if chunks:
            self._before = devices
            return stream, chunks
        stream.close()
        return None

    def _take(self, chunk: Chunk) -> Iterator[StreamItem]:
        """The converted samples of a chunk, and the gaps around it."""
        if chunk.dropped:
            dropped_s = chunk.dropped / self._opened.rate
            self._clock.skip(dropped_s)
            yield from self._gap("overrun", f"{dropped_s:.2f} s dropped: the computer is too slow")
        elif chunk.overflowed:
            # How much was lost is not reported; the clock finds what stays missing.
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
        """The samples that are still in the converter, and a gap up to the clock's time."""
        yield from self._give(self._converter.finish())
        missing = max(0, round(self._clock.position_s * self.model_rate) - self._given)
        self._given += missing
        self._counts["missing_samples"] += missing
        counted = {"overrun": "overruns", "invalid": "invalid_blocks"}.get(reason)
        if counted:
            self._counts[counted] += 1
        yield Gap(samples=missing, reason=reason, detail=detail)

    def _recover(self, reason: str) -> Iterator[StreamItem]:
        """Report that the device is away, and wait until it is back."""
        what = "is gone" if reason == "lost" else f"gave nothing for {self.stall_s:g} s"
        logger.info("%s %s: waiting for it", self.name, what)
        self._counts["losses"] += 1
        since_s = time.monotonic()
        self._clock.skip(self._clock.missing_s(now_s=since_s))
        yield from self._gap(reason, f"{self.name} {what}")
        stream, chunks = yield from self._wait_for_device()
        self._use(stream)
        begin_s, heard = math.inf, 0
        for chunk in chunks:  # the one that waited least has the best time of the first sample
            heard += len(chunk.samples)
            begin_s = min(begin_s, chunk.arrival_s - heard / self._opened.rate)
        self._clock.skip(self._clock.missing_s(now_s=begin_s))
        self._clock.resume()
        away_s = time.monotonic() - since_s
        logger.info("%s is back after %.1f s", self.name, away_s)
        yield from self._gap("recovered", f"{self.name} was away for {away_s:.1f} s")
        for chunk in chunks:
            yield from self._take(chunk)


def _close(stream: LiveStream | None) -> None:
    if stream:
        stream.close()
