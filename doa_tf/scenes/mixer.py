"""Mixing scenes from a bank of rooms and folders of speech and noise.

A scene is one talker in one room and, depending on its condition, diffuse noise and one localised
interferer in the same room, recorded by that room's microphone. All randomness derives from the
scene's key, so a scene can be made again alone, in any order and by any number of workers.

Keys are (seed, epoch, index); `numpy.random.default_rng` of a key is the scene's only source of
randomness. Other draws have keys of four numbers, the last of which tells them apart:

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
from functools import partial
from typing import Any

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.angles import random_rotation
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.room import Room
from doa_tf.scenes.convolution import audible_length, convolve_valid, filter_field
from doa_tf.scenes.draw import CONDITIONS, MixSettings, SceneDraw
from doa_tf.scenes.noise import DIFFUSE_DIRECTIONS, INTERFERERS, coloured_noise, diffuse_field
from doa_tf.scenes.recordings import Recordings

TURN_STREAM, ORDER_STREAM, _FIELD_STREAM, _NOISE_STREAM, _HISS_STREAM, RENDER_STREAM = range(1, 7)
_FIELD_SECONDS = 6  # of a diffuse field and of a synthetic interferer, at least
_HISS_SAMPLES = 2**21
_ACTIVE_DB = 15.0  # a part counts as speech down to this far below its recording's mean power
_TRIES = 20  # to find a part that is speech


@dataclass(frozen=True, kw_only=True)
class MixedScene:
    """One scene.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        direction: (3,) unit vector to the talker.
        condition: a name in `CONDITIONS`.
        room: in which it was mixed.
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
    """Mixes scenes; `mix(key)` is a pure function of the key and the arguments below.

    Threads may share one. Fields and synthetic interferers are made when they are first needed.

    Args:
        rooms: from `doa_tf.rooms.read_bank`.
        speech: from `doa_tf.scenes.read_recordings`, or a list of (N,) float signals.
        noise: recordings of noise, for interferers and diffuse fields, beside synthetic noise.
        babble: recordings that diffuse babble is made of; the speech by default.
        settings: distributions that scenes are drawn from.
        seed: of the diffuse fields and synthetic noises, which all scenes share.

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
        self._directions: dict[int, np.ndarray] = {}  # by room
        self._lengths: dict[tuple[int, int], int] = {}  # of SRIRs, by room and source
        self._fields: dict[int, np.ndarray] = {}
        self._synthetic: dict[int, np.ndarray] = {}
        hiss = np.random.default_rng((seed, 0, 0, _HISS_STREAM))
        size = max(_HISS_SAMPLES, 2 * self.settings.samples)
        self.hiss = hiss.standard_normal(size, dtype=np.float32)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: without caches."""
        return {**self.__dict__, "_fields": {}, "_synthetic": {}, "_lengths": {}}

    def mix(self, key: Sequence[int], *, condition: str | None = None) -> MixedScene:
        """The scene of a key: `render(draw(key))`.

        Args:
            key: non-negative integers, such as (seed, epoch, index).
            condition: a name in `CONDITIONS`; drawn by the settings' shares if None.

        Raises:
            ValueError: unknown condition, or an interferer where rooms have one source.
        """
        return self.render(self.draw(key, condition=condition))

    def draw(self, key: Sequence[int], *, condition: str | None = None) -> SceneDraw:
        """The random choices of a scene, without any sound: a pure function of the key.

        Raises:
            ValueError: as `mix`.
        """
        settings = self.settings
        rng = np.random.default_rng(key)
        if condition is None:
            condition = CONDITIONS[np.searchsorted(np.cumsum(settings.shares[:2]), rng.random())]
        if condition not in CONDITIONS:
            raise ValueError(
                f"`condition` must be one of {', '.join(CONDITIONS)}. Received: {condition!r}"
            )
        room = int(rng.integers(len(self.rooms)))
        source, *others = (int(position) for position in rng.permutation(self.sources(room)))
        if condition == "interferer" and not others:
            raise ValueError("An interferer needs rooms with at least two sources. Received: one")
        speech, speech_end = self._draw_speech(rng)
        drift_db = float(rng.uniform(*settings.drift_db))
        more: dict[str, Any] = {}
        if condition != "clean":
            more |= {
                "snr_db": float(rng.uniform(*settings.snr_db)),
                "diffuse_field": int(rng.integers(settings.diffuse_fields)),
                "diffuse_start": int(rng.integers(self.field_samples)),
                "diffuse_turn": random_rotation(rng),
            }
        if condition == "interferer":
            more |= {"interferer": others[0], "sir_db": float(rng.uniform(*settings.sir_db))}
            more |= self._draw_interferer(rng)
        return SceneDraw(
            condition=condition,
            room=room,
            source=source,
            speech=speech,
            speech_end=speech_end,
            drift_db=drift_db,
            self_noise_db=float(rng.uniform(*settings.self_noise_db)),
            hiss_starts=rng.integers(len(self.hiss) - settings.samples + 1, size=4),
            level_dbfs=float(rng.uniform(*settings.level_dbfs)),
            **more,
        )

    def render(self, draw: SceneDraw) -> MixedScene:
        """The sound of a draw."""
        room = self.rooms[draw.room]
        srir = self._srir(draw.room, room, draw.source)
        scene = convolve_valid(self._speech_part(draw, len(srir)), srir)
        speech_power = _power(scene)
        if draw.condition != "clean":
            scene += _at_ratio(self._field_part(draw, room), speech_power, draw.snr_db)
        if draw.interferer is not None:
            srir = self._srir(draw.room, room, draw.interferer)
            dry = self._interferer_part(draw, len(srir))
            scene += _at_ratio(convolve_valid(dry, srir), speech_power, draw.sir_db)
        self._add_hiss(draw, room, scene)
        scene *= 10.0 ** (draw.level_dbfs / 20.0) / _power(scene) ** 0.5
        return MixedScene(
            waveform=scene.T,
            direction=room.directions[draw.source],
            condition=draw.condition,
            room=room,
            source=draw.source,
            interferer=draw.interferer,
            snr_db=draw.snr_db,
            sir_db=draw.sir_db,
        )

    def sources(self, number: int) -> int:
        """How many sources room `number` has."""
        if number not in self._directions:
            self._directions[number] = self.rooms[number].directions
        return len(self._directions[number])

    def direction(self, number: int, source: int) -> np.ndarray:
        """(3,) unit vector to a source of room `number`."""
        self.sources(number)
        return self._directions[number][source]

    @property
    def field_samples(self) -> int:
        """Length of a diffuse field, which is periodic."""
        return max(_FIELD_SECONDS * SAMPLE_RATE, 2 * self.settings.samples)

    def field(self, number: int) -> np.ndarray:
        """(4, N) diffuse field `number`, as an ideal microphone records it."""
        field = self._fields.get(number)
        if field is None:  # two threads may make the same one: it is the same
            rng = np.random.default_rng((self.seed, number, 0, _FIELD_STREAM))
            talkers, recorded, _ = self.settings.field_shares
            kind = rng.random()
            voices = self.babble if kind < talkers else None
            if self.noise and talkers <= kind < talkers + recorded:
                voices = self.noise
            draw = partial(_looped, voices) if voices else coloured_noise
            signals = [draw(rng, self.field_samples) for _ in range(DIFFUSE_DIRECTIONS)]
            field = self._fields.setdefault(number, diffuse_field(rng, signals))
        return field

    def synthetic_noise(self, number: int) -> np.ndarray:
        """(N,) synthetic interferer `number`, which is periodic too."""
        noise = self._synthetic.get(number)
        if noise is None:
            rng = np.random.default_rng((self.seed, number, 0, _NOISE_STREAM))
            make = INTERFERERS[number % len(INTERFERERS)]
            noise = self._synthetic.setdefault(number, make(rng, _FIELD_SECONDS * SAMPLE_RATE))
        return noise

    def _draw_speech(self, rng: np.random.Generator) -> tuple[int, int]:
        """(recording, end) of N samples that hold speech.

        Up to `_TRIES` positions are drawn; the first that is speech is taken, else the loudest. A
        recording shorter than a scene lies somewhere in it, padded with silence.
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
        return number, best

    def _draw_interferer(self, rng: np.random.Generator) -> dict[str, Any]:
        """A recorded noise, or a synthetic one where there is no recording or it is silent."""
        if self.noise and rng.random() < self.settings.recorded_share:
            number = int(rng.integers(len(self.noise)))
            start = int(rng.integers(self.noise.length(number)))
            if np.any(self.noise.looped_part(number, start, self.settings.samples)):
                return {"noise_recorded": True, "noise": number, "noise_start": start}
        number = int(rng.integers(self.settings.synthetic_noises))
        return {"noise": number, "noise_start": int(rng.integers(_FIELD_SECONDS * SAMPLE_RATE))}

    def _srir(self, number: int, room: Room, source: int) -> np.ndarray:
        """(L, 4) its audible part."""
        srir = room.srirs[source]
        length = self._lengths.get((number, source))
        if length is None:
            length = self._lengths[number, source] = audible_length(srir)
        return srir[:length]

    def _speech_part(self, draw: SceneDraw, taps: int) -> np.ndarray:
        """(N + taps - 1,) speech, with the past that reverberates into the scene's start."""
        samples = self.settings.samples
        part = self.speech.part(draw.speech, draw.speech_end - samples - taps + 1, draw.speech_end)
        part *= drift_gains(draw.drift_db, samples, taps)
        return part

    def _interferer_part(self, draw: SceneDraw, taps: int) -> np.ndarray:
        """(N + taps - 1,) noise, the scene's own samples from `noise_start` on."""
        samples = self.settings.samples + taps - 1
        start = draw.noise_start - taps + 1
        if draw.noise_recorded and self.noise:
            start %= self.noise.length(draw.noise)
            return self.noise.looped_part(draw.noise, start, samples)
        return _around(self.synthetic_noise(draw.noise), start, samples)

    def _field_part(self, draw: SceneDraw, room: Room) -> np.ndarray:
        """(4, N) part of a diffuse field, rotated, as the room's microphone records it."""
        response = room.diffuse_response
        taps = 1 if response is None else len(response)
        start, samples = draw.diffuse_start - taps + 1, self.settings.samples + taps - 1
        part = _around(self.field(draw.diffuse_field), start, samples)
        part = rotation_to_ambix_matrix(draw.diffuse_turn).astype(np.float32) @ part
        return part if response is None else filter_field(part, response)

    def _add_hiss(self, draw: SceneDraw, room: Room, scene: np.ndarray) -> None:
        """Add the microphone's own noise, white and uncorrelated, to a (4, N) scene."""
        samples = scene.shape[1]
        level = _power(scene) ** 0.5 * 10.0 ** (-draw.self_noise_db / 20.0)
        for channel, start, gain in zip(scene, draw.hiss_starts, room.noise_gains, strict=True):
            channel += float(level * gain) * self.hiss[start : start + samples]


def drift_gains(drift_db: float, samples: int, taps: int) -> np.ndarray:
    """(N + taps - 1,) float32 gains of a talker whose level moves evenly through the N samples.

    Args:
        drift_db: from the scene's first sample to its last, 0 dB in its middle.
        samples: N.
        taps: samples of the past, whose gain is that of the first.
    """
    time = np.maximum(np.arange(1 - taps, samples, dtype=np.float32), 0.0) / samples - 0.5
    return np.power(np.float32(10.0), np.float32(drift_db / 20.0) * time, dtype=np.float32)


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


def _around(signal: np.ndarray, start: int, samples: int) -> np.ndarray:
    """(..., samples) of a periodic signal from `start` on."""
    length = signal.shape[-1]
    start %= length
    if start + samples <= length:
        return signal[..., start : start + samples]
    return np.take(signal, np.arange(start, start + samples), axis=-1, mode="wrap")


def _looped(recordings: Recordings, rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) of a recording from a random place on, repeated if it is too short."""
    number = int(rng.integers(len(recordings)))
    start = int(rng.integers(recordings.length(number)))
    return recordings.looped_part(number, start, samples)
