"""Blocks of sound in, directions out: one estimate per window, whatever the block sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.angles import FloatArray
from doa_core.decode import METHODS, decode
from doa_core.errors import InputError
from doa_core.features import intensity_features
from doa_core.highpass import HighPass
from doa_core.spec import AUDIO, ModelSpec
from doa_core.stft import samples_of_frames, stft
from doa_edge.activity import (
    DEFAULT_GATE_DBFS,
    DEFAULT_MARGIN_DB,
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_PROBABILITY,
    ActivityDetector,
)
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate, direction_deg
from doa_edge.input.stream import Gap
from doa_edge.smoother import DirectionSmoother

__all__ = ["DEFAULT_EVERY", "DEFAULT_GATE_DBFS", "DirectionEngine", "DirectionModel", "Estimate"]

DEFAULT_EVERY = 5  # frames between estimates: 6.25 a second
LONGEST = 2000  # frames, 64 s: of `every` and of `average`, both of which are kept in memory


class DirectionModel(Protocol):
    """What the engine needs of a model; `doa_edge.tflite.network.TfliteModel` is one."""

    @property
    def spec(self) -> ModelSpec:
        """Features, head and decoding."""
        ...

    def predict(self, features: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of one window of the spec's shape, which it must not keep."""
        ...


class WindowNetwork(Protocol):
    """A network that keeps what two windows of one stream have in common."""

    def predict(self, window: npt.NDArray[np.float32], moved: int, /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of a window that moved by so many frames; T is a fresh start."""
        ...


@runtime_checkable
class StreamModel(Protocol):
    """A model that may have such a network; `doa_edge.tflite.network.TfliteModel` is one."""

    def stream(self) -> WindowNetwork | None:
        """The network for the windows of one stream."""
        ...


class DirectionEngine:
    """AmbiX blocks of any size -> estimates.

    Samples are gathered up to the end of the next window; then the transform and the features of
    the frames that are new are computed, once, and T frames go through the network. Always the
    same arrays, however the stream was cut: the estimates do not depend on it.

    Attributes:
        samples: stream time: samples heard so far, and those that gaps left out.
        missed: those of gaps alone.
        seconds: time spent per stage: features, network, decode [seconds].

    Args:
        model: the network and its spec.
        every: frames between estimates.
        average: latest frames whose outputs are averaged before decoding; the window's T if None.
            Fewer follow a voice sooner, more are steadier. Beyond T, outputs that earlier windows
            gave for earlier frames count as well, as far back as there are any; each frame counts
            once, with what the latest window that held it gave.
        method: `peak` or `centroid`; the spec's choice if None.
        gate_dbfs: a window below this level is not active, and its confidence 0.
        margin_db: how far above the tracked noise floor an active window is; 0 for no tracking.
        min_confidence: least confidence of an active window; if None 0.4 where the spec
            calibrates it, a probability, else 0.07.
        smooth_s: time constant of a smoother on the sphere; 0 for none. See `doa_edge.smoother`.
        keep_outputs: whether estimates carry the mean outputs of their frames.
        keep_audio: whether estimates carry the sound that is new.

    Raises:
        ValueError: an option out of range.
    """

    def __init__(
        self,
        model: DirectionModel,
        *,
        every: int = DEFAULT_EVERY,
        average: int | None = None,
        method: str | None = None,
        gate_dbfs: float = DEFAULT_GATE_DBFS,
        margin_db: float = DEFAULT_MARGIN_DB,
        min_confidence: float | None = None,
        smooth_s: float = 0.0,
        keep_outputs: bool = False,
        keep_audio: bool = False,
    ) -> None:
        features = model.spec.features
        average = features.frames if average is None else average
        for name, value in (("every", every), ("average", average)):
            if not 1 <= value <= LONGEST:
                raise ValueError(
                    f"`{name}` must be 1 to {LONGEST} frames. Received: {name}={value}"
                )
        self.model = model
        self.spec = model.spec
        self.every = every
        self.average = average
        self.method = self.spec.decode if method is None else method
        if self.method not in METHODS:
            raise ValueError(
                f"`decode` must be one of {', '.join(METHODS)}. Received: decode={method!r}"
            )
        if min_confidence is None:
            is_probability = bool(self.spec.calibration)
            min_confidence = DEFAULT_MIN_PROBABILITY if is_probability else DEFAULT_MIN_CONFIDENCE
        self._new_detector = partial(
            ActivityDetector,
            hop_s=features.hop / features.sample_rate,
            gate_dbfs=gate_dbfs,
            margin_db=margin_db,
            min_confidence=min_confidence,
        )
        self._smoother = DirectionSmoother(smooth_s) if smooth_s else None
        self.keep_outputs = keep_outputs
        self.keep_audio = keep_audio
        self._stream = model.stream() if isinstance(model, StreamModel) else None
        self._step = every * features.hop  # samples between estimates
        # An estimate is due when this is full; its last samples are the window.
        self._sound = np.zeros((max(features.samples, self._step), 4), np.float32)
        self._window = np.zeros(self.spec.window_shape, np.float32)
        # What the network hears of the sound: the same array, or freed of what lies below.
        self._heard, self._highpass = self._sound, None
        if self.spec.highpass_hz:
            self._heard = np.zeros_like(self._sound)
            self._highpass = HighPass(self.spec.highpass_hz, features.sample_rate)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self.samples = 0
        self.missed = 0
        self.seconds = {"features": 0.0, "network": 0.0, "decode": 0.0}
        self._estimates = 0
        self._longest = 0  # samples in a row
        self._detector = self._new_detector()
        if self._smoother:
            self._smoother.reset()
        self._start_window()

    def run(self, items: Iterable[npt.ArrayLike | Gap]) -> Iterator[Estimate]:
        """Estimates of a stream of (N, 4) blocks and gaps, as soon as each is known.

        Raises:
            InputError: the stream ends before the first window does.
        """
        for item in items:
            if isinstance(item, Gap):
                self.skip(item)
            else:
                yield from self.push(item)
        self.finish()

    def push(self, block: npt.ArrayLike) -> list[Estimate]:
        """Estimates of the windows that a block completes, in order.

        Args:
            block: (N, 4) float AmbiX at the spec's rate, N >= 0.

        Raises:
            ValueError: a block that has another shape.
            InputError: the network gives numbers that are not finite.
        """
        samples = as_four_channels(np.asarray(block, dtype=np.float32), name="block")
        if samples.ndim != 2:
            raise ValueError(f"`block` must be (samples, 4). Received: block.shape={samples.shape}")
        estimates = []
        start = 0
        while start < len(samples):
            piece = samples[start : start + len(self._sound) - self._filled]
            self._sound[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            self.samples += len(piece)
            start += len(piece)
            if self._filled == len(self._sound):
                estimates.append(self._estimate())
                self._advance()
        return estimates

    def skip(self, gap: Gap) -> None:
        """Let the time of a gap pass; the window starts anew behind it."""
        self._note_length()
        self.samples += gap.samples
        self.missed += gap.samples
        self._detector.floor.interrupt()
        self._start_window()

    def finish(self) -> None:
        """Raise InputError if the stream never held one whole window."""
        self._note_length()
        if self._estimates == 0:
            features = self.spec.features
            rate = features.sample_rate
            raise InputError(
                f"The recording must last {features.samples / rate:.3f} s or more "
                f"({features.samples} samples at {rate} Hz, one window of the network). "
                f"Received: {self._longest / rate:.3f} s ({self._longest} samples)"
            )

    def _start_window(self) -> None:
        """Nothing that was heard so far counts any more."""
        self._fresh = True
        self._filled = len(self._sound) - self.spec.features.samples
        self._rows: FloatArray = np.zeros((0, self.spec.outputs), np.float32)

    def _note_length(self) -> None:
        if self._fresh:
            heard = self._filled - (len(self._sound) - self.spec.features.samples)
            self._longest = max(self._longest, heard)

    def _advance(self) -> None:
        """Make room for the samples up to the end of the next window."""
        self._filled = len(self._sound) - self._step
        self._sound[: self._filled] = self._sound[self._step :]
        if self._highpass:
            self._heard[: self._filled] = self._heard[self._step :]
        self._fresh = False
        self._estimates += 1

    def _estimate(self) -> Estimate:
        """The estimate of the window that is complete."""
        spec, sound = self.spec, self._sound
        started = time.perf_counter()
        new_frames = self._hear()
        heard = time.perf_counter()
        outputs = (
            self.model.predict(self._window)
            if self._stream is None
            else self._stream.predict(self._window, new_frames)
        )
        predicted = time.perf_counter()
        if not np.all(np.isfinite(outputs)):
            raise InputError(
                "The model must give finite numbers. Received: NaN or infinity in the window that "
                f"ends at {self.samples / spec.features.sample_rate:.3f} s"
            )
        outputs = self._latest(outputs, new_frames)
        direction, certainty = decode(
            outputs,
            head=spec.head,
            grid=spec.grid,
            method=self.method,
            calibration=spec.calibration,
        )
        new_samples = spec.features.samples if self._fresh else self._step
        power = self._power(new_samples)
        confidence = float(certainty) if self._detector.is_above_gate(power) else 0.0
        active = self._detector.is_active(power, confidence)
        time_s = self.samples / spec.features.sample_rate
        if self._smoother:
            direction = self._smoother.update(
                direction, confidence=confidence, active=active, time_s=time_s
            )
        azimuth_deg, elevation_deg = direction_deg(direction)
        estimate = Estimate(
            time_s=time_s,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            confidence=confidence,
            active=active,
            level_dbfs=10.0 * math.log10(max(power, 10.0 ** (LEVEL_FLOOR_DBFS / 10.0))),
            outputs=outputs.mean(axis=0, dtype=np.float64) if self.keep_outputs else None,
            audio=sound[len(sound) - new_samples :].copy() if self.keep_audio else None,
        )
        self.seconds["features"] += heard - started
        self.seconds["network"] += predicted - heard
        self.seconds["decode"] += time.perf_counter() - predicted
        return estimate

    def _power(self, new_samples: int) -> float:
        """Mean power of W over the window; the noise floor hears the hops that are new."""
        features = self.spec.features
        squares = np.square(self._sound[:, 0], dtype=np.float64)
        hops = squares[len(squares) - new_samples // features.hop * features.hop :]
        self._detector.floor.hear(hops.reshape(-1, features.hop).mean(axis=1))
        return float(np.mean(squares[len(squares) - features.samples :]))

    def _hear(self) -> int:
        """Bring the window of features up to date; the number of frames that are new."""
        features = self.spec.features
        frames = features.frames
        new = frames if self._fresh else min(self.every, frames)
        if self._highpass:  # always as many samples at once, however the stream was cut
            if self._fresh:
                self._highpass.reset()
            first = len(self._sound) - (features.samples if self._fresh else self._step)
            self._heard[first:] = self._highpass.process(self._sound[first:])
        if self.spec.input == AUDIO:  # the file has the features inside
            self._window[:] = self._heard[len(self._heard) - features.samples :]
            return new
        self._window[: frames - new] = self._window[new:]
        count = samples_of_frames(new, window_length=features.window_length, hop=features.hop)
        transform = stft(
            self._heard[len(self._heard) - count :],
            window_length=features.window_length,
            hop=features.hop,
        )
        self._window[frames - new :] = intensity_features(
            transform, channels=features.channels, energy_floor=features.energy_floor
        )
        return new

    def _latest(self, outputs: FloatArray, new_frames: int) -> FloatArray:
        """(A, K) outputs of the latest frames, A up to `average`."""
        frames = len(outputs)
        if self.average <= frames:
            return outputs[frames - self.average :]
        # What the window of before said of the frames that this one holds no more.
        kept = self._rows[: max(0, len(self._rows) - (frames - new_frames))]
        self._rows = np.concatenate([kept, outputs])[-self.average :]
        return self._rows
