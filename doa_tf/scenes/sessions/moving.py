"""Talkers who walk: back and forth through one room, around the microphone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doa_core.errors import InputError, as_damage
from doa_core.spec import SAMPLE_RATE
from doa_edge import limits
from doa_tf.rooms.bank.bank import RoomBank
from doa_tf.rooms.path import PathRoom, draw_path_room
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.room import Room
from doa_tf.scenes.convolution import convolve_full
from doa_tf.scenes.labels.rows import degrees, labels_row, talker_columns
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.sessions.background import Dry, Image, draw_background, louder, power_in
from doa_tf.scenes.sessions.meeting import draw_speakers
from doa_tf.scenes.sessions.session import NOISE, Session, check_seconds, level_gain
from doa_tf.scenes.sessions.voice import Turn, Voice

STEP = SAMPLE_RATE // 10  # samples from one place on a path to the next
_CLEARANCE = 1.3  # metres from the microphone to a wall, at least
_DISTANCE = (1.0, 2.5)  # metres from the microphone to a walker, where the walls allow it
_HALF_ARC_DEG = (45.0, 90.0)  # from the middle of a walk to its turning points
_AT_ONCE = 16  # places that are simulated together
_KEPT = 256  # responses that are kept
_GEOMETRY, _ROOM, _HISS = range(1, 4)  # of a key


@dataclass(frozen=True, kw_only=True)
class MovingSettings:
    """What walks are drawn from.

    Attributes:
        walkers: one, or two whose ways cross.
        seconds: length [seconds].
        speed_deg: (low, high) of each way [degrees/second], seen from the microphone.
        below_db: (low, high) level of the second walker below the first.
    """

    walkers: int = 1
    seconds: float = 24.0
    speed_deg: tuple[float, float] = (20.0, 40.0)
    below_db: tuple[float, float] = (0.0, 10.0)

    def __post_init__(self) -> None:
        limits.check("walkers", self.walkers)
        check_seconds(self.seconds)
        if not 0.0 < self.speed_deg[0] <= self.speed_deg[1]:
            raise ValueError(f"`speed_deg` must be 0 < low <= high. Received: {self.speed_deg}")


def draw_walk(mixer: SceneMixer, key: Sequence[int], *, settings: MovingSettings) -> Session:
    """One or two who talk while they walk, in a room as those of the mixer's bank are drawn.

    The room is simulated for a place every 0.1 s of each path, and what is said on the way from one
    to the next is cross-faded between them. Diffuse noise and the microphone's own are as the
    mixer's settings have them.

    Args:
        mixer: has speech, noise, the distributions of levels and, in its bank, those of rooms.
        key: non-negative integers.
        settings: what walks are drawn from.

    Raises:
        InputError: a bank of measured rooms.
        ValueError: no room of the bank's settings can be walked in.
    """
    rng = np.random.default_rng((*key, _GEOMETRY))
    rooms = _room_settings(mixer)
    room = draw_path_room((*key, _ROOM), settings=rooms, clearance=_CLEARANCE)
    samples = round(settings.seconds * SAMPLE_RATE)
    walks = _draw_walks(rng, room, rooms, settings)
    numbers = draw_speakers(rng, mixer.speech, settings.walkers)
    background = draw_background(
        rng,
        mixer,
        diffuse_response=room.diffuse_response,
        noise_gains=room.microphone.noise_gains,
        key=(*key, _HISS),
    )
    level_dbfs = float(rng.uniform(*mixer.settings.level_dbfs))
    row = _row(room, background.snr_db)
    people: dict[str, Image] = {}
    rows: list[dict[str, Any]] = []
    powers: list[float] = []
    for name, (walk, own) in enumerate(zip(walks, numbers, strict=True), 1):
        below_db = float(rng.uniform(*settings.below_db)) if powers else 0.0
        at = int(rng.integers(sum(mixer.speech.length(number) for number in own)))
        turns = (Turn(start=0, stop=samples, at=at),)
        voice = Voice(speech=mixer.speech, numbers=own, turns=turns)
        heard = voice.heard()
        if not heard:
            continue
        walker = Walker(dry=voice.dry, room=room, places=walk)
        powers.append(10.0 ** (-below_db / 10.0))
        people[str(name)] = louder(walker, powers[-1] / power_in(walker, heard))
        rows += _rows(row, str(name), heard, walk - room.plan.microphone, below_db)
    speech = float(np.mean(powers)) if powers else 1.0
    return Session(
        samples=samples,
        images={**people, NOISE: louder(background, speech)},
        gain=level_gain(level_dbfs, speech * (1.0 + background.power)),
        rows=rows or [{**row, **talker_columns("")}],
    )


@dataclass(frozen=True, kw_only=True)
class Walker:
    """What a microphone hears of a source that moves.

    Attributes:
        dry: its sound.
        room: through which it moves.
        places: (S, 3) where it is, every `STEP` samples [metres].
    """

    dry: Dry
    room: PathRoom
    places: np.ndarray
    _kept: OrderedDict[int, np.ndarray] = field(default_factory=OrderedDict, repr=False)

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) float32 of that part of the recording."""
        out = np.zeros((4, stop - start), np.float32)
        past = start - self.room.plan.samples  # what was said then reverberates in this part
        first, last = max(0, past // STEP), min(stop // STEP + 1, len(self.places) - 1)
        for place in range(first, last + 1):
            begin = (place - 1) * STEP
            said = self.dry(begin, begin + 2 * STEP) * _FADE
            if not said.any():
                continue
            image = convolve_full(said, self._response(place))
            low, high = max(start, begin), min(stop, begin + image.shape[1])
            if low < high:
                out[:, low - start : high - start] += image[:, low - begin : high - begin]
        return out.T

    def _response(self, place: int) -> np.ndarray:
        if place not in self._kept:
            group = range(place, min(place + _AT_ONCE, len(self.places)))
            self._kept.update(zip(group, self.room.responses(self.places[group]), strict=True))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[place]


# What is said between two places is heard from both, more and more from the next.
_FADE = (1.0 - np.abs(np.arange(2 * STEP) / STEP - 1.0)).astype(np.float32)


def _room_settings(mixer: SceneMixer) -> RoomSettings:
    """What the mixer's rooms were drawn from; the default for rooms that are in no bank."""
    if not isinstance(mixer.rooms, RoomBank):
        return RoomSettings()
    settings = mixer.rooms.made_with.get("settings")
    if settings is None:
        raise InputError(
            "Talkers who walk need a bank of simulated rooms, to simulate more places in such "
            f"rooms. Received: {mixer.rooms.folder}, with measured ones"
        )
    with as_damage(f"{mixer.rooms.folder} has an index with other settings than those of rooms"):
        return RoomSettings(**settings)


def _draw_walks(
    rng: np.random.Generator, room: PathRoom, rooms: RoomSettings, settings: MovingSettings
) -> list[np.ndarray]:
    """(S, 3) places of each walker, every `STEP` samples; the ways of two cross in their middle."""
    plan, margin = room.plan, rooms.source_clearance
    count = math.ceil(settings.seconds * SAMPLE_RATE / STEP) + 1
    middle = rng.uniform(-np.pi, np.pi)
    half_arc = np.radians(rng.uniform(*_HALF_ARC_DEG))
    low, high = np.clip(rooms.talker_height, margin, plan.size[2] - margin)
    heights = rng.uniform(low, high, size=settings.walkers)
    distances = rng.uniform(*_DISTANCE, size=settings.walkers)
    swing = _back_and_forth(rng, count, half_arc, settings.speed_deg)
    walks = []
    for sign, height, distance in zip((1.0, -1.0), heights, distances, strict=False):
        # Far above or below the microphone, a step changes the azimuth by more.
        elevation = np.arctan2(height - plan.microphone[2], distance)
        azimuth = middle + sign * swing / np.cos(elevation)
        ahead = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
        # Where a wall is nearer, they walk along it.
        to_wall = np.where(
            ahead > 0.0,
            plan.size[:2] - margin - plan.microphone[:2],
            plan.microphone[:2] - margin,
        ) / np.maximum(np.abs(ahead), 1e-9)
        radius = np.minimum(distance, to_wall.min(axis=-1))
        flat = plan.microphone[:2] + radius[:, np.newaxis] * ahead
        walks.append(np.concatenate([flat, np.full((count, 1), height)], axis=1))
    return walks


def _back_and_forth(
    rng: np.random.Generator, count: int, half_arc: float, speed_deg: tuple[float, float]
) -> np.ndarray:
    """(count,) angle from the middle of a walk, every `STEP` samples; a new speed each way."""
    angles = np.zeros(count)
    angle, way = -half_arc, 1.0
    speed = np.radians(rng.uniform(*speed_deg))
    for place in range(count):
        angles[place] = angle
        angle += way * speed * STEP / SAMPLE_RATE
        if way * angle >= half_arc:
            way, speed = -way, np.radians(rng.uniform(*speed_deg))
    return angles


def _row(room: PathRoom, snr_db: float) -> dict[str, Any]:
    """The columns that all rows of a walk share."""
    plan = room.plan
    described = Room(
        number=0,
        rt60=plan.rt60,
        size=plan.size,
        microphone=plan.microphone,
        directions=np.zeros((0, 3)),
        distances=np.zeros(0),
        srirs=(),
        rt60_measured=room.rt60_measured,
        microphone_kind=room.microphone.kind,
    )
    return {**labels_row(described, None, condition="moving", snr_db=snr_db), "room": ""}


def _rows(
    row: dict[str, Any],
    name: str,
    heard: Sequence[tuple[int, int]],
    offsets: np.ndarray,
    below_db: float,
) -> list[dict[str, Any]]:
    """A row for each part of a stretch between two places, with the direction of their middle."""
    rows = []
    for start, stop in heard:
        for place in range(start // STEP, -(-stop // STEP)):
            begin, end = max(start, place * STEP), min(stop, (place + 1) * STEP)
            offset = offsets[place : place + 2].mean(axis=0)
            distance = float(np.linalg.norm(offset))
            azimuth, elevation = degrees(offset / distance)
            rows.append(
                {
                    **row,
                    "azimuth_deg": azimuth,
                    "elevation_deg": elevation,
                    "distance_m": round(distance, 3),
                    **talker_columns(name, begin, end, below_db=below_db),
                }
            )
    return rows
