"""Scenes from a bank of rooms and folders of speech and noise.

A scene is one talker in one room, and by condition diffuse noise and one localised interferer
in the same room, as that room's microphone hears them. Every draw derives from the scene's key, so
a scene can be made again alone, in any order and by any number of workers.

Keys are (seed, epoch, index); `numpy.random.default_rng` of a key is the scene's only source of
chance. Other draws have keys of four numbers whose last tells them apart:

    (seed, epoch, index, 1)     how a scene of that key is turned
    (seed, epoch, 0, 2)         order and turns of an epoch of cached scenes
    (seed, number, 0, 3)        diffuse field `number`
    (seed, number, 0, 4)        synthetic interferer `number`
    (seed, 0, 0, 5)             microphone noise
    (seed, number, index, 6)    rendered scene `index` of condition `number`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.angles import random_rotation
from doa_core.spec import SAMPLE_RATE
from doa_tf.convolution import audible_length, convolve_valid, filter_field
from doa_tf.noise import DIFFUSE_DIRECTIONS, clatter, coloured_noise, diffuse_field
from doa_tf.recordings import Recordings
from doa_tf.rooms import Room

CONDITIONS = ("clean", "diffuse", "interferer")
TURN_STREAM, ORDER_STREAM, _FIELD_STREAM, _NOISE_STREAM, _HISS_STREAM, RENDER_STREAM = range(1, 7)
_FIELD_SECONDS = 6  # of a diffuse field and of a synthetic interferer, at least
_INTERFERERS = 64  # synthetic ones
_HISS_SAMPLES = 2**21
_ACTIVE_DB = 15.0  # a part counts as speech down to this far below its recording's mean power
_TRIES = 20  # for a part that is speech


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """Distributions that scenes are drawn from, all uniform.

    Attributes:
        samples: length of a scene at 16 kHz.
        shares: of clean, diffuse and interferer scenes when no condition is asked for.
        snr_db: (low, high) reverberant speech over diffuse noise, at W.
        sir_db: (low, high) reverberant speech over the interferer, at W.
        level_dbfs: (low, high) level of W.
        self_noise_db: (low, high) level of W over the microphone's own noise at W; the other
            channels have what the room's microphone says.
        field_shares: of diffuse fields that are talkers, recorded noise, synthetic noise. Without
            recordings of noise the second counts to the third.
        recorded_share: share of interferers that are recordings, where there are some; the others
            are synthetic.
        diffuse_fields: how many fields are made; scenes take rotated parts of them, which is
            exact since a field is isotropic. 1.5 MB each.
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

    def __post_init__(self) -> None:
        for name in ("snr_db", "sir_db", "level_dbfs", "self_noise_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"`{name}` must be (low, high). Received: ({low}, {high})")
        for name in ("shares", "field_shares"):
            shares = getattr(self, name)
            if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-6:
                raise ValueError(f"`{name}` must be three that sum to 1. Received: {shares}")
        if not 0.0 <= self.recorded_share <= 1.0:
            raise ValueError(f"`recorded_share` must be in [0, 1]. Received: {self.recorded_share}")
        if self.diffuse_fields < 1 or self.samples < 1:
            raise ValueError(
                "`samples` and `diffuse_fields` must be at least 1. "
                f"Received: {self.samples}, {self.diffuse_fields}"
            )


@dataclass(frozen=True, kw_only=True)
class MixedScene:
    """One scene.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        direction: (3,) unit vector to the talker.
        condition: a name in `CONDITIONS`.
        room: what it was mixed in.
        source: which of the room's sources is the talker.
        interferer: which is the interferer; None where there is none.
        snr_db, sir_db: as drawn; nan where the condition has none.
    """

    waveform: np.ndarray
    direction: np.ndarray
    condition: str
    room: Room
    source: int
    interferer: int | None
    snr_db: float
    sir_db: float


class SceneMixer:
    """Mixes scenes; `mix(key)` is a pure function of the key and of what is given here.

    Threads may share one. Fields and synthetic interferers are made when they are first needed.

    Args:
        rooms: from `doa_tf.bank.read_bank`.
        speech: from `doa_tf.recordings.read_recordings`, or a list of (N,) float signals.
        noise: recordings of noise, for interferers and diffuse fields; synthetic ones are drawn
            as well.
        babble: recordings that diffuse babble is made of; the speech by default.
        settings: what scenes are drawn from.
        seed: of the diffuse fields and synthetic noises, which are shared by all scenes.

    Raises:
        ValueError: no room, or no speech.
    """

    def __init__(
        self,
        rooms: Sequence[Room],
        speech: Recordings | Sequence[np.ndarray],
        noise: Recordings | Sequence[np.ndarray] = (),
        *,
        babble: Recordings | Sequence[np.ndarray] | None = None,
        settings: MixSettings | None = None,
        seed: int = 0,
    ) -> None:
        if not len(rooms) or not len(speech):
            raise ValueError(
                "Scenes need at least one room and one recording of speech. "
                f"Received: {len(rooms)} rooms, {len(speech)} recordings"
            )
        self.rooms = rooms
        self.speech = _as_recordings(speech)
        self.babble = self.speech if babble is None else _as_recordings(babble)
        self.noise = _as_recordings(noise) if len(noise) else None
        self.settings = settings or MixSettings()
        self.seed = seed
        self._lengths: dict[tuple[int, int], int] = {}  # of SRIRs, by room and source
        self._fields: dict[int, np.ndarray] = {}
        self._synthetic: dict[int, np.ndarray] = {}
        self._lock = Lock()
        hiss = np.random.default_rng((seed, 0, 0, _HISS_STREAM))
        size = max(_HISS_SAMPLES, 2 * self.settings.samples)
        self._hiss = hiss.standard_normal(size, dtype=np.float32)

    def mix(self, key: Sequence[int], *, condition: str | None = None) -> MixedScene:
        """The scene of a key.

        Args:
            key: non-negative integers, such as (seed, epoch, index).
            condition: a name in `CONDITIONS`; drawn by the settings' shares if None.

        Raises:
            ValueError: unknown condition, or an interferer where rooms have one source.
        """
        settings = self.settings
        rng = np.random.default_rng(key)
        if condition is None:
            condition = CONDITIONS[np.searchsorted(np.cumsum(settings.shares[:2]), rng.random())]
        if condition not in CONDITIONS:
            raise ValueError(
                f"`condition` must be one of {', '.join(CONDITIONS)}. Received: {condition!r}"
            )
        number = int(rng.integers(len(self.rooms)))
        room = self.rooms[number]
        source, *others = (int(position) for position in rng.permutation(len(room.directions)))
        if condition == "interferer" and not others:
            raise ValueError("An interferer needs rooms with at least two sources. Received: one")
        srir = self._srir(number, room, source)
        scene = convolve_valid(self._speech_part(rng, len(srir)), srir)
        speech_power = _power(scene)
        snr_db = sir_db = float("nan")
        if condition != "clean":
            snr_db = float(rng.uniform(*settings.snr_db))
            scene += _at_ratio(self._field_part(rng, room), speech_power, snr_db)
        if condition == "interferer":
            sir_db = float(rng.uniform(*settings.sir_db))
            srir = self._srir(number, room, others[0])
            dry = self._interferer_part(rng, settings.samples + len(srir) - 1)
            scene += _at_ratio(convolve_valid(dry, srir), speech_power, sir_db)
        self._add_hiss(rng, room, scene)
        scene *= 10.0 ** (float(rng.uniform(*settings.level_dbfs)) / 20.0) / _power(scene) ** 0.5
        return MixedScene(
            waveform=scene.T,
            direction=room.directions[source],
            condition=condition,
            room=room,
            source=source,
            interferer=others[0] if condition == "interferer" else None,
            snr_db=snr_db,
            sir_db=sir_db,
        )

    def _srir(self, number: int, room: Room, source: int) -> np.ndarray:
        """(L, 4) as far as it can be heard."""
        srir = room.srirs[source]
        length = self._lengths.get((number, source))
        if length is None:
            length = self._lengths[number, source] = audible_length(srir)
        return srir[:length]

    def _speech_part(self, rng: np.random.Generator, taps: int) -> np.ndarray:
        """(N + taps - 1,) whose last N samples hold speech; the past rings into the first.

        Up to `_TRIES` places are drawn; the first that is speech is taken, else the loudest. A
        recording shorter than a scene lies somewhere in it, with silence around.
        """
        samples = self.settings.samples
        number = int(rng.integers(len(self.speech)))
        length = self.speech.length(number)
        needed = self.speech.power[number] * 10.0 ** (-_ACTIVE_DB / 10.0)
        loudest, best = -1.0, 0
        for _ in range(_TRIES):
            end = int(rng.integers(min(samples, length), max(samples, length) + 1))
            part = self.speech.part(number, end - samples, end)
            power = float(np.dot(part, part)) / samples
            if power > loudest:
                loudest, best = power, end
            if power >= needed:
                break
        return self.speech.part(number, best - samples - taps + 1, best)

    def _interferer_part(self, rng: np.random.Generator, samples: int) -> np.ndarray:
        """(N,) recorded noise or a synthetic one."""
        if self.noise and rng.random() < self.settings.recorded_share:
            part = _looped(rng, self.noise, samples)
            if np.any(part):
                return part
        signal = self._synthetic_noise(int(rng.integers(_INTERFERERS)))
        start = int(rng.integers(len(signal)))
        if start + samples <= len(signal):
            return signal[start : start + samples]
        return np.resize(np.roll(signal, -start), samples)

    def _synthetic_noise(self, number: int) -> np.ndarray:
        with self._lock:
            if number not in self._synthetic:
                rng = np.random.default_rng((self.seed, number, 0, _NOISE_STREAM))
                make = clatter if number % 2 else coloured_noise
                self._synthetic[number] = make(rng, _FIELD_SECONDS * SAMPLE_RATE)
            return self._synthetic[number]

    def _field_part(self, rng: np.random.Generator, room: Room) -> np.ndarray:
        """(4, N) of a diffuse field, turned, as the room's microphone hears it."""
        response = room.diffuse_response
        samples = self.settings.samples + (0 if response is None else len(response) - 1)
        field = self._field(int(rng.integers(self.settings.diffuse_fields)))
        start = int(rng.integers(field.shape[1]))
        turn = rotation_to_ambix_matrix(random_rotation(rng)).astype(np.float32)
        if start + samples > field.shape[1]:  # a field has no beginning
            part = np.take(field, np.arange(start, start + samples), axis=1, mode="wrap")
        else:
            part = field[:, start : start + samples]
        part = turn @ part
        return part if response is None else filter_field(part, response)

    def _field(self, number: int) -> np.ndarray:
        with self._lock:
            if number not in self._fields:
                rng = np.random.default_rng((self.seed, number, 0, _FIELD_STREAM))
                samples = max(_FIELD_SECONDS * SAMPLE_RATE, 2 * self.settings.samples)
                talkers, recorded, _ = self.settings.field_shares
                kind = rng.random()
                voices = self.babble if kind < talkers else None
                if self.noise and talkers <= kind < talkers + recorded:
                    voices = self.noise
                signals = [
                    _looped(rng, voices, samples) if voices else coloured_noise(rng, samples)
                    for _ in range(DIFFUSE_DIRECTIONS)
                ]
                self._fields[number] = diffuse_field(rng, signals)
            return self._fields[number]

    def _add_hiss(self, rng: np.random.Generator, room: Room, scene: np.ndarray) -> None:
        """Add the microphone's own noise, white and uncorrelated, to a (4, N) scene."""
        samples = scene.shape[1]
        ratio_db = float(rng.uniform(*self.settings.self_noise_db))
        level = _power(scene) ** 0.5 * 10.0 ** (-ratio_db / 20.0)
        starts = rng.integers(len(self._hiss) - samples + 1, size=4)
        for channel, start, gain in zip(scene, starts, room.noise_gains, strict=True):
            channel += float(level * gain) * self._hiss[start : start + samples]


def _as_recordings(signals: Recordings | Sequence[np.ndarray]) -> Recordings:
    return signals if isinstance(signals, Recordings) else Recordings.from_signals(signals)


def _power(scene: np.ndarray) -> float:
    """Mean power of W of a (4, N) scene, never zero."""
    w = np.ascontiguousarray(scene[0])
    return float(np.dot(w, w)) / len(w) + 1e-20


def _at_ratio(scene: np.ndarray, power: float, ratio_db: float) -> np.ndarray:
    """The scene scaled in place so that `power` is `ratio_db` above its own."""
    scene *= (power / _power(scene) * 10.0 ** (-ratio_db / 10.0)) ** 0.5
    return scene


def _looped(rng: np.random.Generator, recordings: Recordings, samples: int) -> np.ndarray:
    """(N,) of a recording from a random place on, repeated if it is too short."""
    number = int(rng.integers(len(recordings)))
    start = int(rng.integers(recordings.length(number)))
    return recordings.looped_part(number, start, samples)
