"""How often and how an engine estimates, and when a window counts as active."""

from __future__ import annotations

from dataclasses import dataclass

from doa_core.decode import METHODS
from doa_core.errors import check_choice
from doa_core.spec import ModelSpec, check_voices
from doa_edge.activity import (
    DEFAULT_GATE_DBFS,
    DEFAULT_MARGIN_DB,
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_PROBABILITY,
    ActivityDetector,
)
from doa_edge.smoother import DirectionSmoother
from doa_edge.tracking import voices
from doa_edge.tracking.tracker import TrackSettings
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

    def follower(self, spec: ModelSpec, last_id: int = 0) -> VoiceFollower | None:
        """What follows several voices of a model, with higher ids; None where there is one."""
        if self.voices_of(spec) == 1:
            return None
        return VoiceFollower(
            spec,
            tracks=TrackSettings(
                slots=self.voices_of(spec),
                confidence=self.threshold(spec, several=True),
                step_s=self.every * spec.features.hop / spec.features.sample_rate,
            ),
            smooth_s=self.smooth_s,
            lead_s=self.lead_s,
            ignore=self.ignore,
            last_id=last_id,
        )
