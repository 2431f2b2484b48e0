"""The distributions that scenes are drawn from, one draw before any sound, and one mixed scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from doa_core.spec import MOST_VOICES
from doa_edge import limits
from doa_tf.rooms.room import Room
from doa_tf.scenes.noise_kinds import FIRST_KINDS, NOISE_KINDS

CONDITIONS = ("clean", "diffuse", "interferer")
COUNTS = ("talkers", "nobody")  # conditions of several talkers, and of none
USUAL_COUNTS = (0.06, 0.44, 0.36, 0.14)  # shares of scenes of no talker, one, two and three


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """Distributions that scenes are drawn from, all uniform.

    Attributes:
        samples: length of a scene at 16 kHz.
        shares: of clean, diffuse and interferer scenes when no condition is asked for.
        snr_db: (low, high) reverberant speech over diffuse noise, at W.
        sir_db: (low, high) reverberant speech over the interferer, at W.
        level_dbfs: (low, high) level of W.
        self_noise_db: (low, high) level of W over the microphone's own noise at W. The noise of the
            other channels follows from the room's microphone.
        field_shares: of diffuse fields made of talkers, of recorded noise, of synthetic noise.
            Without recordings of noise the second share is added to the third.
        recorded_share: share of interferers that are recordings, if there are any; the others are
            synthetic.
        diffuse_fields: how many different fields there are; scenes take rotated parts of them,
            which is exact since a field is isotropic. 1.5 MB each.
        synthetic_noises: how many different synthetic interferers there are. 0.4 MB each.
        noise_kinds: of these in rotation, names in `doa_tf.scenes.noise_kinds.NOISE_KINDS`.
        drift_db: (low, high) by how much the talker becomes louder from start to end of a scene.
        talkers: shares of scenes of no talker, one, two, ...; empty for one talker who talks in
            every frame, for heads of one talker. The settings below are of these scenes alone.
        below_db: (low, high) level of a further talker below the first, while both talk.
        apart_deg: least angle between two talkers [degrees].
        pauses: share of talkers whose part of a recording may be a pause; of the others the first
            part that is speech is taken.
        turns: share of talkers who begin or end within a scene.
    """

    samples: int = 13_312
    shares: tuple[float, float, float] = (0.15, 0.4, 0.45)
    snr_db: tuple[float, float] = (-5.0, 30.0)
    sir_db: tuple[float, float] = (0.0, 20.0)
    level_dbfs: tuple[float, float] = (-45.0, -15.0)
    self_noise_db: tuple[float, float] = (35.0, 70.0)
    field_shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
    recorded_share: float = 0.5
    diffuse_fields: int = 64
    synthetic_noises: int = 64
    noise_kinds: tuple[str, ...] = FIRST_KINDS
    drift_db: tuple[float, float] = (-6.0, 6.0)
    talkers: tuple[float, ...] = ()
    below_db: tuple[float, float] = (0.0, 10.0)
    apart_deg: float = 15.0
    pauses: float = 0.35
    turns: float = 0.2

    def __post_init__(self) -> None:
        limits.check_the_rest(**vars(self))
        for name in ("snr_db", "sir_db", "level_dbfs", "self_noise_db", "drift_db", "below_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"`{name}` must be (low, high). Received: ({low}, {high})")
        for name in ("shares", "field_shares"):
            shares = getattr(self, name)
            if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-6:
                raise ValueError(f"`{name}` must be three that sum to 1. Received: {shares}")
        _check_counts(self.talkers)
        unknown = sorted(set(self.noise_kinds) - set(NOISE_KINDS))
        if unknown or not self.noise_kinds:
            raise ValueError(
                f"`noise_kinds` must be some of {', '.join(NOISE_KINDS)}. "
                f"Received: {', '.join(unknown) or 'none'}"
            )
        for name in ("recorded_share", "pauses", "turns"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"`{name}` must be in [0, 1]. Received: {getattr(self, name)}")
        if not 0.0 <= self.apart_deg < 120.0:  # three can be 120 degrees apart
            raise ValueError(f"`apart_deg` must be in [0, 120). Received: {self.apart_deg}")
        for name in ("samples", "diffuse_fields", "synthetic_noises"):
            limits.check(name.replace("_", "-"), getattr(self, name))

    @property
    def voices(self) -> int:
        """The most talkers of a scene, V."""
        return max(1, len(self.talkers) - 1)


def usual_counts(most: int) -> tuple[float, ...]:
    """Shares of scenes of no talker, one, ..., up to `most`: the first of `USUAL_COUNTS`.

    Raises:
        ValueError: fewer than one, or more than there are shares of.
    """
    if not 1 <= most < len(USUAL_COUNTS):
        raise ValueError(
            f"`talkers` must be 1 to {len(USUAL_COUNTS) - 1}. Received: talkers={most}"
        )
    shares = USUAL_COUNTS[: most + 1]
    return tuple(share / sum(shares) for share in shares)


def _check_counts(shares: tuple[float, ...]) -> None:
    if not shares:
        return
    sound = 2 <= len(shares) <= MOST_VOICES + 1 and min(shares) >= 0.0
    if not sound or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError(
            f"`talkers` must be shares of no talker, one, ..., up to {MOST_VOICES}, that sum to 1. "
            f"Received: {shares}"
        )


@dataclass(frozen=True, kw_only=True)
class TalkerDraw:
    """The random choices of one talker.

    Attributes:
        source: which of the room's sources.
        speech, speech_end: recording, and the sample of it where the scene ends.
        drift_db: by how much the talker becomes louder from start to end of the scene.
        begin, end: [samples] of the scene between which they talk; None for all through, with what
            they said before the scene reverberating into it.
        below_db: level below the first talker, while they talk; None for the only talker of a
            scene, who is as loud as the room makes them.
        active: (T,) in which frames their dry voice is heard; None for all of them.
    """

    source: int
    speech: int
    speech_end: int
    drift_db: float
    begin: int | None = None
    end: int | None = None
    below_db: float | None = None
    active: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class SceneDraw:
    """The random choices of one scene, before any sound.

    Attributes:
        condition: a name in `CONDITIONS` or `COUNTS`.
        room: its number among the mixer's rooms.
        talkers: who talks.
        self_noise_db: level over the microphone's own noise, at W.
        hiss_starts: (4,) where each channel's noise begins.
        level_dbfs: of W.
        snr_db: over the diffuse field; nan without one.
        diffuse_field, diffuse_start: which field, and where it begins.
        diffuse_turn: its (3, 3) rotation.
        interferer: which source is the interferer; None without one.
        sir_db: over the interferer; nan without one.
        noise_recorded: whether the interferer is a recording, else a synthetic noise.
        noise, noise_start: which one, and where it begins.
    """

    condition: str
    room: int
    talkers: tuple[TalkerDraw, ...]
    self_noise_db: float
    hiss_starts: np.ndarray
    level_dbfs: float
    snr_db: float = float("nan")
    diffuse_field: int = 0
    diffuse_start: int = 0
    diffuse_turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    interferer: int | None = None
    sir_db: float = float("nan")
    noise_recorded: bool = False
    noise: int = 0
    noise_start: int = 0


@dataclass(frozen=True, kw_only=True)
class MixedScene:
    """One scene.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        directions: (P, 3) unit vectors to those who talk; P is 0 where nobody does.
        activity: (P, T) in which frames each of them is heard.
        targets: of a training, see `doa_tf.scenes.mixer.SceneMixer.targets`.
        condition: a name in `CONDITIONS` or `COUNTS`.
        room: in which it was mixed.
        sources: (P,) which of the room's sources they are.
        interferer: which is the interferer; None where there is none.
        snr_db, sir_db: as drawn; nan where the condition has none.
    """

    waveform: np.ndarray
    directions: np.ndarray
    activity: np.ndarray
    targets: np.ndarray
    condition: str
    room: Room
    sources: tuple[int, ...]
    interferer: int | None
    snr_db: float
    sir_db: float

    @property
    def direction(self) -> np.ndarray:
        """(3,) unit vector to the first talker.

        Raises:
            ValueError: nobody talks.
        """
        if not len(self.directions):
            raise ValueError("A scene in which nobody talks has no direction")
        direction: np.ndarray = self.directions[0]
        return direction

    @property
    def source(self) -> int:
        """Which of the room's sources the first talker is."""
        return self.sources[0]

    @property
    def names(self) -> tuple[str, ...]:
        """(P,) what the talkers are called."""
        return tuple(str(number) for number in range(1, len(self.sources) + 1))
