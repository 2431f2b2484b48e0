"""Blocks of sound in, directions out: one estimate a window, whatever the block sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.angles import FloatArray
from doa_core.decode import METHODS
from doa_core.errors import InputError, check_choice
from doa_core.highpass import DEFAULT_HIGHPASS_HZ, HighPass
from doa_core.spec import AUDIO, ModelSpec, check_voices
from doa_core.stft import samples_of_frames
from doa_edge.activity import (
    DEFAULT_GATE_DBFS,
    DEFAULT_MARGIN_DB,
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_PROBABILITY,
    ActivityDetector,
)
from doa_edge.direction_model import DirectionModel, StreamModel
from doa_edge.estimate import LEVEL_FLOOR_DBFS, Estimate
from doa_edge.input.stream import Gap
from doa_edge.listening import TalkerListener, with_voices
from doa_edge.smoother import DirectionSmoother
from doa_edge.tracking import voices
from doa_edge.tracking.one_voice import OneVoice
from doa_edge.tracking.voices import VoiceFollower
from doa_edge.zones.zone import Zone

DEFAULT_EVERY = 5  # frames between estimates: 6.25 a second
LONGEST = 2000  # frames, 64 s: of `every` and of `average`, both of which are kept in memory
LONGEST_LEAD_S = 1.0  # seconds; where somebody will be later is anyone's guess


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How often and how an engine estimates, and when a window counts as active.

    Attributes:
        every: frames between estimates.
        talkers: the most voices at once, 1 to 4; if None 3 where the model knows several, else 1. A
            model of one voice runs with 1, whatever is asked for.
        average: latest frames whose outputs are averaged before decoding; if None the window's T
            for one voice, and the later half of them for several. Fewer follow a voice sooner, more
            are steadier. Beyond T, outputs that earlier windows gave for earlier frames count as
            well, as far back as there are any; each frame counts once, with the outputs of the
            latest window that held it.
        method: `peak` or `centroid`; the spec's choice if None. Of one voice, and of where the
            scores point while several are silent.
        gate_dbfs: a window below this level is not active, and its confidence is 0. Levels and the
            noise floor are those of W after the spec's high-pass; of 30 Hz where it has none.
        margin_db: how far above the tracked noise floor an active window is; 0 for no tracking.
        min_confidence: least confidence of an active window; if None 0.4 where the spec
            calibrates it, a probability, else 0.07. With several voices it is that of a new voice,
            0.5 where the spec calibrates it, else 0.2.
        smooth_s: time constant of a smoother on the sphere; 0 for none. See `doa_edge.smoother`.
            Each of several voices has its own.
        lead_s: how far the directions of several voices are led by how they move: `of_s` is so much
            later [seconds].
        ignore: zones in which nobody talks, whatever is heard there, such as a television's: no
            peak in them is a voice, and one voice is not active there.
        keep_outputs: whether estimates carry the mean outputs of their frames.
        keep_audio: whether estimates carry the sound that is new.
        keep_voices: whether those of `DirectionEngine.run` carry the sound of each talker, too.

    Raises:
        ValueError: a value out of range.
    """

    every: int = DEFAULT_EVERY
    talkers: int | None = None
    average: int | None = None
    method: str | None = None
    gate_dbfs: float = DEFAULT_GATE_DBFS
    margin_db: float = DEFAULT_MARGIN_DB
    min_confidence: float | None = None
    smooth_s: float = 0.0
    lead_s: float = 0.0
    ignore: tuple[Zone, ...] = ()
    keep_outputs: bool = False
    keep_audio: bool = False
    keep_voices: bool = False

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("average", self.average)):
            if value is not None and not 1 <= value <= LONGEST:
                raise ValueError(
                    f"`{name}` must be 1 to {LONGEST} frames. Received: {name}={value}"
                )
        if self.talkers is not None:
            check_voices(self.talkers, name="talkers")
        if not 0.0 <= self.lead_s <= LONGEST_LEAD_S:
            raise ValueError(
                f"`lead` must be 0 to {LONGEST_LEAD_S:g} seconds. Received: lead={self.lead_s}"
            )
        if self.method is not None:
            check_choice("decode", self.method, METHODS)
        self.detector(ModelSpec())  # both check their own values
        self.smoother()

    def detector(self, spec: ModelSpec) -> ActivityDetector:
        """What decides which windows of a model are active."""
        return ActivityDetector(
            hop_s=spec.features.hop / spec.features.sample_rate,
            gate_dbfs=self.gate_dbfs,
            margin_db=self.margin_db,
            min_confidence=self.threshold(spec, several=False),
        )

    def threshold(self, spec: ModelSpec, *, several: bool) -> float:
        """Least confidence of a new voice of several, or of an active window of one."""
        if self.min_confidence is not None:
            return self.min_confidence
        if spec.calibration:
            return voices.DEFAULT_MIN_PROBABILITY if several else DEFAULT_MIN_PROBABILITY
        return voices.DEFAULT_MIN_SCORE if several else DEFAULT_MIN_CONFIDENCE

    def smoother(self) -> DirectionSmoother | None:
        """What smooths directions; None if nothing does."""
        return DirectionSmoother(self.smooth_s) if self.smooth_s else None

    def voices_of(self, spec: ModelSpec) -> int:
        """The most voices at once that a model can be asked for."""
        several = voices.DEFAULT_TALKERS if self.talkers is None else self.talkers
        return several if spec.voices > 1 else 1

    def follower(self, spec: ModelSpec) -> VoiceFollower | None:
        """What follows several voices of a model; None where there is one."""
        if self.voices_of(spec) == 1:
            return None
        return VoiceFollower(
            spec,
            talkers=self.voices_of(spec),
            min_confidence=self.threshold(spec, several=True),
            step_s=self.every * spec.features.hop / spec.features.sample_rate,
            smooth_s=self.smooth_s,
            lead_s=self.lead_s,
            ignore=self.ignore,
        )


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
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self.samples = 0
        self.missed = 0
        self.seconds = {"features": 0.0, "network": 0.0, "decode": 0.0}
        self._estimates = 0
        self._longest = 0  # samples without a gap
        self._detector = self.settings.detector(self.spec)
        self._voices = self.settings.follower(self.spec)
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
        of_s, talkers = None, None
        if self._voices:
            heard = self._detector.is_active(power, 1.0)
            of_s, talkers = self._voices.update(outputs, time_s=time_s, heard=heard)
        if talkers:
            first = talkers[0]
            azimuth_deg, elevation_deg = first.azimuth_deg, first.elevation_deg
            confidence, active = first.confidence, True
        else:
            azimuth_deg, elevation_deg, confidence, active = self._one.update(
                outputs, self._detector, power=power, time_s=time_s
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
