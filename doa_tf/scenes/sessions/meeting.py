"""Meetings: people at the places of one room who take turns, pause and talk at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge import limits
from doa_tf.rooms.room import Room
from doa_tf.scenes.convolution import audible_length
from doa_tf.scenes.labels.rows import labels_row, talker_columns
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import Recordings
from doa_tf.scenes.sessions.background import Image, Source, draw_background, louder, power_in
from doa_tf.scenes.sessions.session import NOISE, Session, check_seconds, level_gain
from doa_tf.scenes.sessions.voice import Turn, Voice

logger = logging.getLogger(__name__)

_APART_DEG = 25.0  # least angle between two people, where a room has such places
_ROOMS_TRIED = 20  # until one has
_CHOICES = 500  # of places in one room
_TURN = (1.0, 5.0)  # seconds
_BEGIN = (0.3, 2.0)  # seconds until the first turn
_GAP = (0.1, 0.7)  # seconds from one turn to the next
_SILENCE = (1.0, 3.0)  # seconds, in `_SILENCE_SHARE` of the changes instead
_OVERLAP = (0.3, 1.5)  # seconds that a turn begins before another ends, in `_OVERLAP_SHARE`
_SILENCE_SHARE = 0.2
_OVERLAP_SHARE = 0.25
_BREATH = 0.3  # seconds between two turns of one person, at least
_HISS = 1  # of a key: the microphone's own noise


@dataclass(frozen=True, kw_only=True)
class MeetingSettings:
    """What meetings are drawn from.

    Attributes:
        people: how many take part, 2 to 4.
        seconds: length [seconds].
        noise_share: share of meetings with a localised noise.
        below_db: (low, high) level of a person below the loudest, while they talk.
    """

    people: int = 3
    seconds: float = 24.0
    noise_share: float = 0.5
    below_db: tuple[float, float] = (0.0, 10.0)

    def __post_init__(self) -> None:
        limits.check("people", self.people)
        check_seconds(self.seconds)
        if not 0.0 <= self.noise_share <= 1.0:
            raise ValueError(f"`noise_share` must be in [0, 1]. Received: {self.noise_share}")


def draw_meeting(mixer: SceneMixer, key: Sequence[int], *, settings: MeetingSettings) -> Session:
    """A meeting in one of the mixer's rooms: a pure function of the key.

    The loudest person has a mean power of 1 at W while they talk, the others less; diffuse and
    localised noise are relative to the mean over the people, with the mixer's ratios.

    Args:
        mixer: has rooms, speech, noise and the distributions of levels.
        key: non-negative integers.
        settings: what meetings are drawn from.

    Raises:
        InputError: no room has places for so many people.
    """
    rng = np.random.default_rng(key)
    number, places, noise_place = _draw_places(rng, mixer, settings)
    room = mixer.rooms[number]
    samples = round(settings.seconds * SAMPLE_RATE)
    voices = _draw_voices(rng, mixer.speech, settings.people, samples)
    below_db = [float(level) for level in rng.uniform(*settings.below_db, size=settings.people)]
    below_db[int(rng.integers(settings.people))] = 0.0
    background = draw_background(
        rng,
        mixer,
        diffuse_response=room.diffuse_response,
        noise_gains=room.noise_gains,
        srir=None if noise_place is None else _srir(room, noise_place),
        key=(*key, _HISS),
    )
    level_dbfs = float(rng.uniform(*mixer.settings.level_dbfs))
    given: dict[str, Any] = {
        "condition": "meeting",
        "snr_db": background.snr_db,
        "sir_db": background.sir_db,
        "interferer": noise_place,
    }
    people: dict[str, Image] = {}
    rows, powers = [], []
    for name, (place, voice, below) in enumerate(zip(places, voices, below_db, strict=True), 1):
        heard = [stretch for stretch in voice.heard() if stretch[0] < samples]
        if not heard:
            continue
        source = Source(dry=voice.dry, srir=_srir(room, place))
        powers.append(10.0 ** (-below / 10.0))
        people[str(name)] = louder(source, powers[-1] / power_in(source, heard))
        row = labels_row(room, place, **given)
        rows += [{**row, **talker_columns(str(name), *each, below_db=below)} for each in heard]
    speech = float(np.mean(powers)) if powers else 1.0
    return Session(
        samples=samples,
        images={**people, NOISE: louder(background, speech)},
        gain=level_gain(level_dbfs, speech * (1.0 + background.power)),
        rows=rows or [{**labels_row(room, None, **given), **talker_columns("")}],
    )


def _srir(room: Room, source: int) -> np.ndarray:
    srir = room.srirs[source]
    return srir[: audible_length(srir)]


def _draw_places(
    rng: np.random.Generator, mixer: SceneMixer, settings: MeetingSettings
) -> tuple[int, tuple[int, ...], int | None]:
    """A room, the sources where people sit, and the one of a localised noise, if any.

    Of some rooms that have enough sources the first is taken in which nobody is nearer than 25
    degrees to somebody else; if there is none, the one in which they are farthest apart.
    """
    wanted = settings.people + int(rng.random() < settings.noise_share)
    rooms = [int(number) for number in rng.permutation(len(mixer.rooms))]
    best: tuple[float, int, tuple[int, ...]] | None = None
    for number in islice(_with_sources(mixer, rooms, wanted), _ROOMS_TRIED):
        directions = np.stack([mixer.direction(number, k) for k in range(mixer.sources(number))])
        apart_deg, places = _farthest(rng, directions, settings.people)
        if best is None or apart_deg > best[0]:
            best = (apart_deg, number, places)
        if best[0] >= _APART_DEG:
            break
    if best is None and wanted > settings.people:
        logger.info("No room has a place left for a localised noise: meetings have none")
        return _draw_places(rng, mixer, replace(settings, noise_share=0.0))
    if best is None:
        most = max(mixer.sources(number) for number in rooms)
        raise InputError(
            f"A meeting of {settings.people} people needs a room with as many sources (`doa_tf "
            f"simulate --sources {settings.people + 1}` has one left for a noise). Received: "
            f"rooms with at most {most}"
        )
    _, number, places = best
    left = [place for place in range(mixer.sources(number)) if place not in places]
    return number, places, int(rng.choice(left)) if wanted > settings.people else None


def _with_sources(mixer: SceneMixer, rooms: Sequence[int], least: int) -> Iterator[int]:
    return (number for number in rooms if mixer.sources(number) >= least)


def _farthest(
    rng: np.random.Generator, directions: np.ndarray, people: int
) -> tuple[float, tuple[int, ...]]:
    """Places in random order, and the least angle between two of them [degrees].

    The first choice in which that is 25 degrees, or the one in which it is largest.
    """
    cosines = np.clip(directions @ directions.T, -1.0, 1.0)
    order = [int(place) for place in rng.permutation(len(directions))]
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for places in islice(combinations(order, people), _CHOICES):
        nearest = max(cosines[a, b] for a, b in combinations(places, 2))
        best = max(best, (float(np.degrees(np.arccos(nearest))), places))
        if best[0] >= _APART_DEG:
            break
    return best


def _draw_voices(
    rng: np.random.Generator, speech: Recordings, people: int, samples: int
) -> list[Voice]:
    """What everybody says."""
    turns = draw_turns(rng, people, samples)
    voices = []
    for person, numbers in enumerate(draw_speakers(rng, speech, people)):
        at = int(rng.integers(sum(speech.length(number) for number in numbers)))
        own = []
        for start, stop in turns[person]:
            own.append(Turn(start=start, stop=stop, at=at))
            at += stop - start  # they go on where they stopped
        voices.append(Voice(speech=speech, numbers=numbers, turns=tuple(own)))
    return voices


def draw_speakers(
    rng: np.random.Generator, speech: Recordings, people: int
) -> list[tuple[int, ...]]:
    """The recordings of different speakers; different ones of the same where there are too few."""
    speakers: dict[Any, list[int]] = {}
    for number, speaker in enumerate(speech.speakers):
        speakers.setdefault(speaker, []).append(number)
    if len(speakers) >= people:
        chosen = rng.permutation(len(speakers))[:people]
        of_speakers = list(speakers.values())
        return [tuple(of_speakers[place]) for place in chosen]
    numbers = rng.permutation(len(speech))
    return [(int(numbers[person % len(numbers)]),) for person in range(people)]


def draw_turns(rng: np.random.Generator, people: int, samples: int) -> list[list[tuple[int, int]]]:
    """Turns (start, stop) of each person [samples].

    Everybody has had a turn before anybody has the second. A turn begins soon after the last one;
    one in four before the end of it, one in five after 1 to 3 s of silence. No more than two talk
    at once.
    """
    turns: list[list[tuple[int, int]]] = [[] for _ in range(people)]
    ends = np.full(people, -np.inf)  # seconds, of the last turn of each
    start, person = float(rng.uniform(*_BEGIN)), -1
    first = [int(each) for each in rng.permutation(people)]
    while start * SAMPLE_RATE < samples:
        others = [each for each in range(people) if each != person]
        person = first.pop() if first else int(rng.choice(others))
        # Not before this person has drawn breath, nor while two others talk.
        start = max(start, ends[person] + _BREATH, float(np.sort(ends)[-2]))
        length = float(rng.uniform(*_TURN))
        begin, end = round(start * SAMPLE_RATE), round((start + length) * SAMPLE_RATE)
        if begin < samples:
            turns[person].append((begin, min(end, samples)))
        ends[person] = start + length
        start = float(ends[person]) + _draw_gap(rng, length)
    return turns


def _draw_gap(rng: np.random.Generator, length: float) -> float:
    """Seconds from the end of a turn to the next; negative where they overlap."""
    kind = rng.random()
    if kind < _OVERLAP_SHARE:
        return -min(float(rng.uniform(*_OVERLAP)), 0.6 * length)
    return float(rng.uniform(*(_SILENCE if kind < _OVERLAP_SHARE + _SILENCE_SHARE else _GAP)))
