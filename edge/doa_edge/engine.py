"""Blocks of sound in, directions out: one estimate a window, whatever the block sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.angles import FloatArray
from doa_core.errors import InputError
from doa_core.highpass import DEFAULT_HIGHPASS_HZ, HighPass
from doa_core.spec import AUDIO
from doa_core.stft import samples_of_frames
from doa_edge.direction_model import DirectionModel, StreamModel
from doa_edge.engine_settings import EngineSettings as EngineSettings  # the engine's own
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate
from doa_edge.input.stream import Gap
from doa_edge.listening import TalkerListener, with_voices
from doa_edge.tracking import voices
from doa_edge.tracking.one_voice import OneVoice
from doa_edge.tracking.voices import VoiceFollower


class DirectionEngine:
    """AmbiX blocks of any size -> estimates.

    Samples are collected up to the end of the next window; then the transform and the features of
    the frames that are new are computed, once, and T frames go through the network. The arrays are
    the same however the stream was cut into blocks, and so are the estimates.

    With a model of several voices every estimate has `talkers`, and who speaks is followed from one
    estimate to the next, over gaps of the stream, too; with `talkers=1` it has none.

    Attributes:
        talkers: the most voices at once.
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
        self.talkers = settings.voices_of(self.spec)
        usual = voices.default_average(features.frames) if self.talkers > 1 else features.frames
        self._average = settings.average or usual
        self._stream = model.stream() if isinstance(model, StreamModel) else None
        self._step = settings.every * features.hop  # samples between estimates
        # An estimate is due when this is full; its last samples are the window.
        self._sound = np.zeros((max(features.samples, self._step), 4), np.float32)
        self._window = np.zeros(self.spec.window_shape, np.float32)
        # The same after the high-pass: W alone, for levels, where the model hears it as it came.
        cutoff_hz = self.spec.highpass_hz
        self._highpass = HighPass(cutoff_hz or DEFAULT_HIGHPASS_HZ, features.sample_rate)
        self._highpassed = np.zeros((len(self._sound), 4 if cutoff_hz else 1), np.float32)
        self._heard = self._highpassed if cutoff_hz else self._sound
        self._voices: VoiceFollower | None = None
        self.reset()

    def reset(self, *, ids_go_on: bool = False) -> None:
        """Start a new stream; the ids of its talkers may go on from those of the one before."""
        last_id = self._voices.last_id if ids_go_on and self._voices else 0
        self.samples = 0
        self.missed = 0
        self.seconds = {"features": 0.0, "network": 0.0, "decode": 0.0}
        self._estimates = 0
        self._longest = 0  # samples without a gap
        self._detector = self.settings.detector(self.spec)
        self._voices = self.settings.follower(self.spec, last_id)
        smoother = None if self._voices else self.settings.smoother()
        self._one = OneVoice(
            self.spec, method=self.method, smoother=smoother, ignore=self.settings.ignore
        )
        self._start_window()

    @property
    def left_out(self) -> int:
        """How often so far a voice was left out as `talkers` others were reported."""
        return self._voices.left_out if self._voices else 0

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
        times = {"lag_s": lag_s, "lead_s": self.settings.lead_s}
        return TalkerListener(sample_rate=features.sample_rate, **times)

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
        self._highpassed[: self._filled] = self._highpassed[self._step :]
        self._fresh = False
        self._estimates += 1

    def _estimate(self) -> Estimate:
        """The estimate of the window that is complete."""
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
                f"ends at {self.samples / self.spec.features.sample_rate:.3f} s"
            )
        outputs = self._latest(outputs, new_frames)
        estimate = self._decoded(outputs)
        self.seconds["features"] += computed - started
        self.seconds["network"] += predicted - computed
        self.seconds["decode"] += time.perf_counter() - predicted
        return estimate

    def _decoded(self, outputs: FloatArray) -> Estimate:
        """The estimate that (A, K) outputs of the latest frames give."""
        new_samples = self.spec.features.samples if self._fresh else self._step
        power = self._power(new_samples)
        time_s = self.samples / self.spec.features.sample_rate
        features = self._features(len(outputs))
        of_s, talkers = None, None
        if self._voices:
            heard = self._detector.is_active(power, 1.0)
            of_s, talkers = self._voices.update(
                outputs, time_s=time_s, heard=heard, features=features
            )
        if talkers:
            first = talkers[0]
            azimuth_deg, elevation_deg = first.azimuth_deg, first.elevation_deg
            confidence, active = first.confidence, True
        else:
            azimuth_deg, elevation_deg, confidence, active = self._one.update(
                outputs, self._detector, power=power, time_s=time_s, features=features
            )
        return Estimate(
            time_s=time_s,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            confidence=confidence,
            active=active and talkers != (),
            level_dbfs=10.0 * math.log10(max(power, 10.0 ** (LEVEL_FLOOR_DBFS / 10.0))),
            of_s=of_s,
            talkers=talkers,
            outputs=outputs.mean(axis=0, dtype=np.float64) if self.settings.keep_outputs else None,
            audio=self._sound[-new_samples:].copy() if self._keep_audio else None,
        )

    def _features(self, frames: int) -> npt.NDArray[np.float32] | None:
        """(A, F, C) features of the latest frames, at most a window's; None if nobody asks."""
        features = self.spec.features
        frames = min(frames, features.frames)
        if self.spec.refine == "none":
            return None
        if self.spec.input != AUDIO:
            return self._window[features.frames - frames :]
        length = samples_of_frames(frames, window_length=features.window_length, hop=features.hop)
        return features.compute(self._heard[len(self._heard) - length :])

    def _power(self, new_samples: int) -> float:
        """Mean power of the high-passed W over the window; the noise floor is updated, too."""
        features = self.spec.features
        squares = np.square(self._highpassed[:, 0], dtype=np.float64)
        hops = squares[len(squares) - new_samples // features.hop * features.hop :]
        self._detector.floor.update(hops.reshape(-1, features.hop).mean(axis=1))
        return float(np.mean(squares[len(squares) - features.samples :]))

    def _update_window(self) -> int:
        """Compute the features that are new; returns the number of new frames."""
        features = self.spec.features
        frames = features.frames
        new = frames if self._fresh else min(self.settings.every, frames)
        if self._fresh:
            self._highpass.reset()
        # Always as many samples at once, however the stream was cut.
        first = len(self._sound) - (features.samples if self._fresh else self._step)
        channels = self._highpassed.shape[1]
        self._highpassed[first:] = self._highpass.process(self._sound[first:, :channels])
        if self.spec.input == AUDIO:  # the file has the features inside
            self._window[:] = self._heard[len(self._heard) - features.samples :]
            return new
        self._window[: frames - new] = self._window[new:]
        count = samples_of_frames(new, window_length=features.window_length, hop=features.hop)
        latest = self._heard[len(self._heard) - count :]
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
