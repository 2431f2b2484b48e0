"""Blocks of sound in, directions out: one estimate per window, whatever the block sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.angles import FloatArray, vector_to_angles
from doa_core.decode import GRID_HEADS, METHODS, decode
from doa_core.features import intensity_features
from doa_core.spec import ModelSpec
from doa_core.stft import StreamingStft
from doa_edge.errors import InputError

DEFAULT_EVERY = 5  # frames between estimates: 6.25 a second
DEFAULT_GATE_DBFS = -60.0
LEVEL_FLOOR_DBFS = -120.0


class DirectionModel(Protocol):
    """What the engine needs of a model; `doa_edge.model.TfliteModel` is one."""

    @property
    def spec(self) -> ModelSpec:
        """Features, head and decoding."""
        ...

    def predict(self, features: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of one (T, F, K) window, which it must not keep."""
        ...


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The direction that one window gives.

    Attributes:
        time_s: stream time of the window's end, samples over the rate [seconds].
        azimuth_deg: counter-clockwise from ahead, in (-180, 180].
        elevation_deg: up from the horizon, in [-90, 90].
        confidence: in [0, 1]; 0 where `active` is False.
        active: whether the window is louder than the gate.
        level_dbfs: root mean square of W over the window; -120 at least.
        outputs: (K,) outputs of the head, averaged over the window's frames, if asked for.
    """

    time_s: float
    azimuth_deg: float
    elevation_deg: float
    confidence: float
    active: bool
    level_dbfs: float
    outputs: FloatArray | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What `doa_edge run` prints: rounded, except for the time."""
        return {
            "time_s": self.time_s,
            "azimuth_deg": _rounded_azimuth(self.azimuth_deg),
            "elevation_deg": round(self.elevation_deg, 2) + 0.0,
            "confidence": round(self.confidence, 4),
            "active": self.active,
            "level_dbfs": round(self.level_dbfs, 2) + 0.0,
        }


class DirectionEngine:
    """AmbiX blocks of any size -> estimates.

    The transform and the features are computed once per hop; a ring of T frames goes through the
    network every `every` frames. The estimates do not depend on how the stream was cut.

    Attributes:
        samples: samples heard so far.
        seconds: time spent per stage: features, network, decode [seconds].

    Args:
        model: the network and its spec.
        every: frames between estimates.
        method: `peak` or `centroid`; the spec's choice if None.
        gate_dbfs: a window below this level is not active.
        keep_outputs: whether estimates carry the mean outputs of their window.

    Raises:
        ValueError: an option out of range.
    """

    def __init__(
        self,
        model: DirectionModel,
        *,
        every: int = DEFAULT_EVERY,
        method: str | None = None,
        gate_dbfs: float = DEFAULT_GATE_DBFS,
        keep_outputs: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f"`every` must be 1 frame or more. Received: every={every}")
        if not math.isfinite(gate_dbfs):
            raise ValueError(f"`gate` must be a finite level in dBFS. Received: gate={gate_dbfs}")
        self.model = model
        self.spec = model.spec
        self.every = every
        self.method = self.spec.decode if method is None else method
        if self.method not in METHODS:
            raise ValueError(
                f"`decode` must be one of {', '.join(METHODS)}. Received: decode={method!r}"
            )
        self.gate_dbfs = gate_dbfs
        self.keep_outputs = keep_outputs
        features = self.spec.features
        self._stft = StreamingStft(window_length=features.window_length, hop=features.hop)
        self._window = np.zeros(features.input_shape, np.float32)
        self._pressure = np.zeros(features.samples, np.float32)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self.samples = 0
        self.seconds = {"features": 0.0, "network": 0.0, "decode": 0.0}
        self._stft.reset()
        self._filled = 0  # frames in the window
        self._skip = 0  # frames between windows, where `every` is longer than one
        self._next_end = self.spec.features.samples

    def run(self, blocks: Iterable[npt.ArrayLike]) -> Iterator[Estimate]:
        """Estimates of a stream of (N, 4) blocks, as soon as each is known.

        Raises:
            InputError: the stream ends before the first window does.
        """
        for block in blocks:
            yield from self.push(block)
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
            # Never across the end of a window, nor more than the pressure's ring holds.
            count = min(self._next_end - self.samples, len(self._pressure))
            piece = samples[start : start + count]
            self._take(piece)
            start += len(piece)
            if self.samples == self._next_end:
                estimates.append(self._estimate())
                self._advance()
        return estimates

    def finish(self) -> None:
        """Raise InputError if the stream was shorter than one window."""
        features = self.spec.features
        if self.samples < features.samples:
            rate = features.sample_rate
            raise InputError(
                f"The recording must last {features.samples / rate:.3f} s or more "
                f"({features.samples} samples at {rate} Hz, one window of the network). "
                f"Received: {self.samples / rate:.3f} s ({self.samples} samples)"
            )

    def _take(self, piece: FloatArray) -> None:
        """Hear (N, 4) samples that end no later than the window does."""
        started = time.perf_counter()
        ring = self._pressure
        start = self.samples % len(ring)
        before_wrap = min(len(piece), len(ring) - start)
        ring[start : start + before_wrap] = piece[:before_wrap, 0]
        ring[: len(piece) - before_wrap] = piece[before_wrap:, 0]
        self.samples += len(piece)

        frames = self._stft.push(piece)
        skipped = min(self._skip, len(frames))
        self._skip -= skipped
        frames = frames[skipped:]
        if len(frames):
            features = self.spec.features
            self._window[self._filled : self._filled + len(frames)] = intensity_features(
                frames, channels=features.channels, energy_floor=features.energy_floor
            )
            self._filled += len(frames)
        self.seconds["features"] += time.perf_counter() - started

    def _advance(self) -> None:
        """Make room for the next window's frames."""
        frames = len(self._window)
        self._filled = max(0, frames - self.every)
        self._skip = max(0, self.every - frames)
        self._window[: self._filled] = self._window[frames - self._filled :]
        self._next_end += self.every * self.spec.features.hop

    def _estimate(self) -> Estimate:
        spec = self.spec
        started = time.perf_counter()
        outputs = self.model.predict(self._window)
        predicted = time.perf_counter()
        if not np.all(np.isfinite(outputs)):
            raise InputError(
                "The model must give finite numbers. Received: NaN or infinity in the window that "
                f"ends at {self.samples / spec.features.sample_rate:.3f} s"
            )
        direction, confidence = decode(outputs, head=spec.head, grid=spec.grid, method=self.method)
        azimuth_deg, elevation_deg = direction_deg(direction)
        power = float(np.mean(np.square(self._pressure, dtype=np.float64)))
        active = power > 10.0 ** (self.gate_dbfs / 10.0)
        estimate = Estimate(
            time_s=self.samples / spec.features.sample_rate,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            confidence=float(confidence) if active else 0.0,
            active=active,
            level_dbfs=10.0 * math.log10(max(power, 10.0 ** (LEVEL_FLOOR_DBFS / 10.0))),
            outputs=outputs.mean(axis=0, dtype=np.float64) if self.keep_outputs else None,
        )
        self.seconds["network"] += predicted - started
        self.seconds["decode"] += time.perf_counter() - predicted
        return estimate


class OutputAverage:
    """Outputs of the active windows of a stream, for one direction of it all and for a picture.

    A grid head's are added up. A regression head's few numbers are kept apart: how well they
    agree is their confidence.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.windows = 0
        self.active_windows = 0
        self._rows: list[FloatArray] = []

    def add(self, estimate: Estimate) -> None:
        """Take an estimate of an engine that keeps outputs."""
        if estimate.outputs is None:
            raise ValueError("`estimate` must carry outputs: DirectionEngine(keep_outputs=True)")
        self.windows += 1
        if not estimate.active:
            return
        self.active_windows += 1
        if self.spec.head in GRID_HEADS and self._rows:
            self._rows[0] = self._rows[0] + estimate.outputs
        else:
            self._rows.append(estimate.outputs)

    @property
    def outputs(self) -> FloatArray:
        """(M, K) outputs whose mean is that of all active windows; M is 0 if there was none."""
        if not self._rows:
            return np.zeros((0, self.spec.outputs))
        rows = np.stack(self._rows)
        return rows / self.active_windows if self.spec.head in GRID_HEADS else rows

    @property
    def active_share(self) -> float:
        """Share of the windows that were active, in [0, 1]."""
        return self.active_windows / self.windows if self.windows else 0.0

    def direction(self, *, method: str) -> tuple[float, float, float]:
        """Azimuth and elevation [degrees] and confidence; zeros if no window was active."""
        if not self.active_windows:
            return 0.0, 0.0, 0.0
        spec = self.spec
        direction, confidence = decode(self.outputs, head=spec.head, grid=spec.grid, method=method)
        return (*direction_deg(direction), float(confidence))


def direction_deg(direction: npt.ArrayLike) -> tuple[float, float]:
    """Azimuth in (-180, 180] and elevation of a (3,) vector [degrees]."""
    azimuth, elevation = vector_to_angles(direction)
    return math.degrees(float(azimuth)), math.degrees(float(elevation))


def summary_dict(average: OutputAverage, *, method: str, duration_s: float) -> dict[str, Any]:
    """What `doa_edge run --summary` prints: one direction of a whole recording."""
    azimuth_deg, elevation_deg, confidence = average.direction(method=method)
    return {
        "azimuth_deg": _rounded_azimuth(azimuth_deg),
        "elevation_deg": round(elevation_deg, 2) + 0.0,
        "confidence": round(confidence, 4),
        "active_share": round(average.active_share, 4),
        "duration_s": duration_s,
    }


def _rounded_azimuth(azimuth_deg: float) -> float:
    """Two decimals, still in (-180, 180] and without a negative zero."""
    rounded = round(azimuth_deg, 2) + 0.0
    return 180.0 if rounded <= -180.0 else rounded
