"""Blocks of sound in, directions out: one estimate a window, whatever the block sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.angles import FloatArray
from doa_core.decode import METHODS
from doa_core.errors import InputError, check_choice
from doa_core.highpass import HighPass
from doa_core.spec import AUDIO, ModelSpec
from doa_core.stft import samples_of_frames
from doa_edge.activity import (
    DEFAULT_GATE_DBFS,
    DEFAULT_MARGIN_DB,
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_PROBABILITY,
    ActivityDetector,
)
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate, direction_deg
from doa_edge.input.stream import Gap
from doa_edge.listening import TalkerListener, with_voices
from doa_edge.smoother import DirectionSmoother

DEFAULT_EVERY = 5  # frames between estimates: 6.25 a second
LONGEST = 2000  # frames, 64 s: of `every` and of `average`, both of which are kept in memory


class DirectionModel(Protocol):
    """What the engine needs of a model; `doa_edge.tflite.network.TfliteModel` is one."""

    @property
    def spec(self) -> ModelSpec:
        """Features, head and decoding."""
        ...

    def predict(self, features: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of one window of the spec's shape; must not keep the array."""
        ...


class WindowNetwork(Protocol):
    """A network that keeps intermediate results from one window of a stream to the next."""

    def predict(self, window: npt.NDArray[np.float32], moved: int, /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of a window, `moved` frames after the last one; T for a fresh start."""
        ...


@runtime_checkable
class StreamModel(Protocol):
    """A model that may have such a network; `doa_edge.tflite.network.TfliteModel` is one."""

    def stream(self) -> WindowNetwork | None:
        """The network for the windows of one stream."""
        ...


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How often and how an engine estimates, and when a window counts as active.

    Attributes:
        every: frames between estimates.
        average: latest frames whose outputs are averaged before decoding; the window's T if None.
            Fewer follow a voice sooner, more are steadier. Beyond T, outputs that earlier windows
            gave for earlier frames count as well, as far back as there are any; each frame counts
            once, with the outputs of the latest window that held it.
        method: `peak` or `centroid`; the spec's choice if None.
        gate_dbfs: a window below this level is not active, and its confidence is 0.
        margin_db: how far above the tracked noise floor an active window is; 0 for no tracking.
        min_confidence: least confidence of an active window; if None 0.4 where the spec
            calibrates it, a probability, else 0.07.
        smooth_s: time constant of a smoother on the sphere; 0 for none. See `doa_edge.smoother`.
        keep_outputs: whether estimates carry the mean outputs of their frames.
        keep_audio: whether estimates carry the sound that is new.
        keep_voices: whether those of `DirectionEngine.run` carry the sound of each talker, too.

    Raises:
        ValueError: a value out of range.
    """

    every: int = DEFAULT_EVERY
    average: int | None = None
    method: str | None = None
    gate_dbfs: float = DEFAULT_GATE_DBFS
    margin_db: float = DEFAULT_MARGIN_DB
    min_confidence: float | None = None
    smooth_s: float = 0.0
    keep_outputs: bool = False
    keep_audio: bool = False
    keep_voices: bool = False

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("average", self.average)):
            if value is not None and not 1 <= value <= LONGEST:
                raise ValueError(
                    f"`{name}` must be 1 to {LONGEST} frames. Received: {name}={value}"
                )
        if self.method is not None:
            check_choice("decode", self.method, METHODS)
        self.detector(ModelSpec())  # both check their own values
        self.smoother()

    def detector(self, spec: ModelSpec) -> ActivityDetector:
        """What decides which windows of a model are active."""
        min_confidence = self.min_confidence
        if min_confidence is None:
            is_probability = bool(spec.calibration)
            min_confidence = DEFAULT_MIN_PROBABILITY if is_probability else DEFAULT_MIN_CONFIDENCE
        return ActivityDetector(
            hop_s=spec.features.hop / spec.features.sample_rate,
            gate_dbfs=self.gate_dbfs,
            margin_db=self.margin_db,
            min_confidence=min_confidence,
        )

    def smoother(self) -> DirectionSmoother | None:
        """What smooths directions; None if nothing does."""
        return DirectionSmoother(self.smooth_s) if self.smooth_s else None


class DirectionEngine:
    """AmbiX blocks of any size -> estimates.

    Samples are collected up to the end of the next window; then the transform and the features of
    the frames that are new are computed, once, and T frames go through the network. The arrays are
    the same however the stream was cut into blocks, and so are the estimates.

    Attributes:
        samples: stream time: samples received so far, and those that gaps left out.
        missed: those of gaps alone.
        seconds: time spent per stage: features, network, decode [seconds].

    Args:
        model: the network and its spec.
        settings: how to estimate; `EngineSettings()` if None.
    """

    def __init__(self, model: DirectionModel, settings: EngineSettings | None = None) -> None:
        self.model = model
        self.spec = model.spec
        self.settings = settings = settings or EngineSettings()
        features = self.spec.features
        self.method = settings.method or self.spec.decode
        self._keep_audio = settings.keep_audio or settings.keep_voices
        self._average = settings.average or features.frames
        self._stream = model.stream() if isinstance(model, StreamModel) else None
        self._step = settings.every * features.hop  # samples between estimates
        # An estimate is due when this is full; its last samples are the window.
        self._sound = np.zeros((max(features.samples, self._step), 4), np.float32)
        self._window = np.zeros(self.spec.window_shape, np.float32)
        # The same sound after the high-pass; the same array where the model asks for none.
        self._highpassed, self._highpass = self._sound, None
        if self.spec.highpass_hz:
            self._highpassed = np.zeros_like(self._sound)
            self._highpass = HighPass(self.spec.highpass_hz, features.sample_rate)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self.samples = 0
        self.missed = 0
        self.seconds = {"features": 0.0, "network": 0.0, "decode": 0.0}
        self._estimates = 0
        self._longest = 0  # samples without a gap
        self._detector = self.settings.detector(self.spec)
        self._smoother = self.settings.smoother()
        self._start_window()

    def run(self, items: Iterable[npt.ArrayLike | Gap]) -> Iterator[Estimate]:
        """Estimates of a stream of (N, 4) blocks and gaps, each as soon as it is known.

        Those that carry voices come one later, as the last has all that is left.

        Raises:
            InputError: the stream ends before its first window is complete.
        """
        estimates = self._estimates_of(items)
        return with_voices(estimates, self.listener()) if self.settings.keep_voices else estimates

    def listener(self) -> TalkerListener:
        """What listens to each talker of a stream of this engine's estimates."""
        features = self.spec.features
        lag_s = self._average * features.hop / features.sample_rate / 2.0
        return TalkerListener(sample_rate=features.sample_rate, lag_s=lag_s)

    def _estimates_of(self, items: Iterable[npt.ArrayLike | Gap]) -> Iterator[Estimate]:
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
            InputError: outputs of the network that are not finite.
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
        """Advance stream time by a gap; a new window starts behind it."""
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
        """Forget the samples and outputs so far: the next window begins with what comes."""
        self._fresh = True
        self._filled = len(self._sound) - self.spec.features.samples
        self._rows: FloatArray = np.zeros((0, self.spec.outputs), np.float32)

    def _note_length(self) -> None:
        if self._fresh:
            length = self._filled - (len(self._sound) - self.spec.features.samples)
            self._longest = max(self._longest, length)

    def _advance(self) -> None:
        """Make room for the samples up to the end of the next window."""
        self._filled = len(self._sound) - self._step
        self._sound[: self._filled] = self._sound[self._step :]
        if self._highpass:
            self._highpassed[: self._filled] = self._highpassed[self._step :]
        self._fresh = False
        self._estimates += 1

    def _estimate(self) -> Estimate:
        """The estimate of the window that is complete."""
        spec, sound = self.spec, self._sound
        started = time.perf_counter()
        new_frames = self._update_window()
        computed = time.perf_counter()
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
        direction, certainty = spec.directions(outputs, method=self.method)
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
            outputs=outputs.mean(axis=0, dtype=np.float64) if self.settings.keep_outputs else None,
            audio=sound[len(sound) - new_samples :].copy() if self._keep_audio else None,
        )
        self.seconds["features"] += computed - started
        self.seconds["network"] += predicted - computed
        self.seconds["decode"] += time.perf_counter() - predicted
        return estimate

    def _power(self, new_samples: int) -> float:
        """Mean power of W over the window; the noise floor is updated with the new hops."""
        features = self.spec.features
        squares = np.square(self._sound[:, 0], dtype=np.float64)
        hops = squares[len(squares) - new_samples // features.hop * features.hop :]
        self._detector.floor.update(hops.reshape(-1, features.hop).mean(axis=1))
        return float(np.mean(squares[len(squares) - features.samples :]))

    def _update_window(self) -> int:
        """Compute the features that are new; returns the number of new frames."""
        features = self.spec.features
        frames = features.frames
        new = frames if self._fresh else min(self.settings.every, frames)
        if self._highpass:  # always as many samples at once, however the stream was cut
            if self._fresh:
                self._highpass.reset()
            first = len(self._sound) - (features.samples if self._fresh else self._step)
            self._highpassed[first:] = self._highpass.process(self._sound[first:])
        if self.spec.input == AUDIO:  # the file has the features inside
            self._window[:] = self._highpassed[len(self._highpassed) - features.samples :]
            return new
        self._window[: frames - new] = self._window[new:]
        count = samples_of_frames(new, window_length=features.window_length, hop=features.hop)
        latest = self._highpassed[len(self._highpassed) - count :]
        self._window[frames - new :] = features.compute(latest)
        return new

    def _latest(self, outputs: FloatArray, new_frames: int) -> FloatArray:
        """(A, K) outputs of the latest frames, A up to `average`."""
        frames = len(outputs)
        if self._average <= frames:
            return outputs[frames - self._average :]
        # Outputs of earlier windows, for frames that this one no longer holds.
        kept = self._rows[: max(0, len(self._rows) - (frames - new_frames))]
        self._rows = np.concatenate([kept, outputs])[-self._average :]
        return self._rows
