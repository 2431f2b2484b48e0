"""Mixing scenes from a bank of rooms and folders of speech and noise.

A scene is one talker in one room, or several, or nobody, and, depending on its condition, diffuse
noise and one localised interferer, recorded by that room's microphone. All randomness derives from
its key: a scene can be made again alone, in any order and by any number of workers.

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
from functools import partial
from typing import Any

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.angles import random_rotation
from doa_core.spec import SAMPLE_RATE
from doa_core.stft import HOP, WINDOW_LENGTH, frame_count
from doa_tf.rooms.room import Room
from doa_tf.scenes.convolution import audible_length, convolve_valid, filter_field
from doa_tf.scenes.draw import (
    CONDITIONS,
    COUNTS,
    USUAL_COUNTS,
    MixedScene,
    MixSettings,
    SceneDraw,
    TalkerDraw,
)
from doa_tf.scenes.noise import DIFFUSE_DIRECTIONS, coloured_noise, diffuse_field
from doa_tf.scenes.noise_kinds import kind_of
from doa_tf.scenes.recordings import Recordings
from doa_tf.scenes.talkers import draw_part, draw_talkers, dry_voice, wanted_gain

TURN_STREAM, ORDER_STREAM, _FIELD_STREAM, _NOISE_STREAM, _HISS_STREAM, RENDER_STREAM = range(1, 7)
_FIELD_SECONDS = 6  # of a diffuse field and of a synthetic interferer, at least
_HISS_SAMPLES = 2**21


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

    Attributes:
        sample_rate: of rooms, recordings and scenes [hertz].

    Raises:
        ValueError: no room, or no speech.
    """

    sample_rate = SAMPLE_RATE

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
            condition: a name in `CONDITIONS` for one talker in every frame; `talkers` for two or
                more, `nobody` for none; drawn by the settings' shares if None.

        Raises:
            ValueError: unknown condition, or an interferer where rooms have one source.
        """
        return self.render(self.draw(key, condition=condition))

    def draw(self, key: Sequence[int], *, condition: str | None = None) -> SceneDraw:
        """The random choices of a scene, without any sound; raises ValueError as `mix`."""
        rng = np.random.default_rng(key)
        if condition in COUNTS or (condition is None and self.settings.talkers):
            return self._draw_several(rng, condition)
        if condition is None:
            condition = self._draw_condition(rng)
        if condition not in CONDITIONS:
            raise ValueError(
                f"`condition` must be one of {', '.join((*CONDITIONS, *COUNTS))}. "
                f"Received: {condition!r}"
            )
        room, (source, *others) = self._draw_room(rng)
        if condition == "interferer" and not others:
            raise ValueError("An interferer needs rooms with at least two sources. Received: one")
        number = int(rng.integers(len(self.speech)))
        talker = TalkerDraw(
            source=source,
            speech=number,
            speech_end=draw_part(rng, self.speech, number, self.settings.samples),
            drift_db=float(rng.uniform(*self.settings.drift_db)),
        )
        noise = self._draw_noise(rng, condition, others)
        return self._draw_level(rng, room, condition, (talker,), noise)

    def _draw_several(self, rng: np.random.Generator, condition: str | None) -> SceneDraw:
        """A scene of several talkers, or of nobody; noise as the settings' shares have it."""
        settings = self.settings
        shares = np.array(settings.talkers or USUAL_COUNTS)
        if condition == "nobody":
            shares = np.ones(1)
        elif condition == "talkers":
            shares[:2] = 0.0
        if not shares.any():
            raise ValueError(f"`talkers` has no share of several. Received: {settings.talkers}")
        count = int(np.searchsorted(np.cumsum(shares) / shares.sum(), rng.random()))
        kind = self._draw_condition(rng)
        room, order = self._draw_room(rng)
        sources = [(source, self.direction(room, source)) for source in order]
        talkers = draw_talkers(rng, sources, speech=self.speech, settings=settings, count=count)
        taken = {talker.source for talker in talkers}
        others = [source for source in order if source not in taken]
        if kind == "interferer" and not others:
            kind = "diffuse"
        noise = self._draw_noise(rng, kind, others)
        return self._draw_level(rng, room, COUNTS[not talkers], talkers, noise)

    def _draw_condition(self, rng: np.random.Generator) -> str:
        """Which noise a scene has."""
        return CONDITIONS[np.searchsorted(np.cumsum(self.settings.shares[:2]), rng.random())]

    def _draw_room(self, rng: np.random.Generator) -> tuple[int, list[int]]:
        """A room, and its sources in random order."""
        room = int(rng.integers(len(self.rooms)))
        return room, [int(position) for position in rng.permutation(self.sources(room))]

    def _draw_noise(
        self, rng: np.random.Generator, condition: str, others: Sequence[int]
    ) -> dict[str, Any]:
        """What a condition has beside the talkers: fields of `SceneDraw`."""
        settings = self.settings
        noise: dict[str, Any] = {}
        if condition != "clean":
            noise |= {
                "snr_db": float(rng.uniform(*settings.snr_db)),
                "diffuse_field": int(rng.integers(settings.diffuse_fields)),
                "diffuse_start": int(rng.integers(self.field_samples)),
                "diffuse_turn": random_rotation(rng),
            }
        if condition == "interferer":
            noise |= {"interferer": others[0], "sir_db": float(rng.uniform(*settings.sir_db))}
            noise |= self._draw_interferer(rng)
        return noise

    def _draw_level(
        self,
        rng: np.random.Generator,
        room: int,
        condition: str,
        talkers: tuple[TalkerDraw, ...],
        noise: dict[str, Any],
    ) -> SceneDraw:
        """The whole draw: what is left are the microphone's noise and the level."""
        settings = self.settings
        return SceneDraw(
            condition=condition,
            room=room,
            talkers=talkers,
            self_noise_db=float(rng.uniform(*settings.self_noise_db)),
            hiss_starts=rng.integers(len(self.hiss) - settings.samples + 1, size=4),
            level_dbfs=float(rng.uniform(*settings.level_dbfs)),
            **noise,
        )

    def render(self, draw: SceneDraw) -> MixedScene:
        """The sound of a draw."""
        room, samples = self.rooms[draw.room], self.settings.samples
        scene = np.zeros((4, samples), np.float32)
        for talker in draw.talkers:
            srir = self._srir(draw.room, room, talker.source)
            voice = convolve_valid(dry_voice(self.speech, talker, samples, len(srir)), srir)
            voice *= wanted_gain(talker, _power(voice))
            scene += voice
        # Beside nobody, noise is as loud as beside a voice of power 1 that is not there.
        absent = 0.0 if draw.talkers else 1.0
        power = _power(scene) + absent
        if np.isfinite(draw.snr_db):
            scene += _at_ratio(self._field_part(draw, room), power, draw.snr_db)
        if draw.interferer is not None:
            srir = self._srir(draw.room, room, draw.interferer)
            dry = self._interferer_part(draw, len(srir))
            scene += _at_ratio(convolve_valid(dry, srir), power, draw.sir_db)
        self._add_hiss(draw, room, scene, _power(scene) + absent)
        scene *= 10.0 ** (draw.level_dbfs / 20.0) / _power(scene) ** 0.5
        sources = tuple(talker.source for talker in draw.talkers)
        return MixedScene(
            waveform=scene.T,
            directions=room.directions[list(sources)].reshape(-1, 3),
            activity=self._activity(draw),
            targets=self.targets(draw),
            condition=draw.condition,
            room=room,
            sources=sources,
            interferer=draw.interferer,
            snr_db=draw.snr_db,
            sir_db=draw.sir_db,
        )

    def targets(self, draw: SceneDraw) -> np.ndarray:
        """float32 unit vectors to those who talk, of `target_shape`: what a training aims at.

        (1, 3) of the one talker; or, where the settings draw how many talk, (T, V, 3), with rows of
        zeros in the frames in which one is silent, and for talkers who are not there.
        """
        directions = [self.direction(draw.room, talker.source) for talker in draw.talkers]
        if not self.settings.talkers:
            return np.array(directions, np.float32)
        targets = np.zeros(self.target_shape, np.float32)
        if directions:
            heard = self._activity(draw).T[:, :, np.newaxis] * np.array(directions)
            targets[:, : len(directions)] = heard
        return targets

    def _activity(self, draw: SceneDraw) -> np.ndarray:
        """(P, T) in which frames each talker is heard."""
        active = np.ones((len(draw.talkers), self._frames), bool)
        for row, talker in zip(active, draw.talkers, strict=True):
            if talker.active is not None:
                row[:] = talker.active
        return active

    @property
    def _frames(self) -> int:
        return frame_count(self.settings.samples, window_length=WINDOW_LENGTH, hop=HOP)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of `targets`: (1, 3), or (T, V, 3)."""
        return (self._frames, self.voices, 3) if self.settings.talkers else (1, 3)

    @property
    def voices(self) -> int:
        """The most talkers of a scene, V."""
        return self.settings.voices

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
            make = kind_of(number, self.settings.noise_kinds)
            rng = np.random.default_rng((self.seed, number, 0, _NOISE_STREAM))
            noise = self._synthetic.setdefault(number, make(rng, _FIELD_SECONDS * SAMPLE_RATE))
        return noise

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

    def _add_hiss(self, draw: SceneDraw, room: Room, scene: np.ndarray, power: float) -> None:
        """Add the microphone's own noise, white and uncorrelated, to a (4, N) scene."""
        samples = scene.shape[1]
        level = power**0.5 * 10.0 ** (-draw.self_noise_db / 20.0)
        for channel, start, gain in zip(scene, draw.hiss_starts, room.noise_gains, strict=True):
            channel += float(level * gain) * self.hiss[start : start + samples]


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
