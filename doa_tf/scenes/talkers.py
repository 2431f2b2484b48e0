"""Who talks: drawing the talkers of a scene, their dry voices, and in which frames they talk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from doa_core.angles import FloatArray
from doa_core.calibration import TALKING_SHARE
from doa_core.errors import InputError
from doa_core.stft import HOP, WINDOW_LENGTH
from doa_tf.rooms.room import Room
from doa_tf.scenes.draw import MixSettings, TalkerDraw
from doa_tf.scenes.recordings import Recordings

logger = logging.getLogger(__name__)

TRIES = 20  # to find a part that is speech
_SPEECH_DB = 15.0  # a part counts as speech down to this far below its recording's mean power
_SILENT_DB = 22.0  # a frame is silent from this far below its recording's mean power on
RAMP = 80  # samples, 5 ms, in which a voice that begins or ends within a scene rises or falls
_FAR = 2**22  # samples: of no scene
LOUDEST = 1e4  # amplitude gain of a voice of which the scene hears almost nothing
_TURN = (0.1, 0.9)  # of a scene, in which a talker may begin or end


def check_rooms(rooms: Sequence[Room], talkers: int) -> None:
    """Raise InputError if rooms, judged by the first, have one source for several talkers.

    Where they have too few for the most talkers, a warning says so.
    """
    sources = len(rooms[0].directions)
    if 1 < sources < talkers:
        logger.warning(
            "the rooms have %d sources: no scene has as many as %d talkers", sources, talkers
        )
    if sources < min(talkers, 2):
        raise InputError(
            f"Scenes of {talkers} talkers need rooms with as many sources: simulate them with "
            f"--sources {talkers} or more. Received: rooms with {sources}"
        )


def draw_part(
    rng: np.random.Generator, speech: Recordings, number: int, samples: int, *, tries: int = TRIES
) -> int:
    """The sample of a recording at which a scene ends, so that the scene holds speech.

    Up to `tries` positions are drawn; the first that is speech is taken, else the loudest. A
    recording shorter than a scene lies somewhere in it, padded with silence.
    """
    length = speech.length(number)
    needed = speech.power[number] * 10.0 ** (-_SPEECH_DB / 10.0)
    loudest, best = -1.0, 0
    for _ in range(tries):
        end = int(rng.integers(min(samples, length), max(samples, length) + 1))
        part = speech.part(number, end - samples, end)
        power = float(np.dot(part, part)) / samples
        if power > loudest:
            loudest, best = power, end
        if power >= needed:
            break
    return best


def draw_talkers(
    rng: np.random.Generator,
    sources: Sequence[tuple[int, np.ndarray]],
    *,
    speech: Recordings,
    settings: MixSettings,
    count: int,
) -> tuple[TalkerDraw, ...]:
    """Up to `count` talkers, different speakers as far as there are so many recorded.

    There are fewer where the sources are too near to each other.

    Who is not heard in a single frame is left out.

    Args:
        rng: random generator.
        sources: numbers and (3,) directions of a room's sources, in the order of preference.
        speech: what they say.
        settings: distributions of levels, pauses and turns.
        count: how many talk.
    """
    talkers: list[TalkerDraw] = []
    heard: set[str] = set()
    for place, source in enumerate(_apart(sources, count, settings.apart_deg)):
        number = _another_speaker(rng, speech, heard)
        tries = 1 if rng.random() < settings.pauses else TRIES
        speech_end = draw_part(rng, speech, number, settings.samples, tries=tries)
        begin, end = _draw_turn(rng, settings)
        talker = TalkerDraw(
            source=source,
            speech=number,
            speech_end=speech_end,
            drift_db=float(rng.uniform(*settings.drift_db)),
            begin=begin,
            end=end,
            below_db=float(rng.uniform(*settings.below_db)) if place else 0.0,
        )
        active = _active_frames(speech, talker, settings.samples)
        if active.any():
            talkers.append(replace(talker, active=active))
    return tuple(talkers)


def who_talks(directions: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """((V,) bool, (W, 3) unit vectors): who talks in `TALKING_SHARE` of the frames or more.

    Args:
        directions: (T, V, 3) unit vectors to V talkers, zeros where one is silent. Where one moves,
            the unit vector is that of the mean.
    """
    talks = directions.any(axis=-1).mean(axis=0) >= TALKING_SHARE
    sums = directions.sum(axis=0)[talks]
    return talks, sums / np.linalg.norm(sums, axis=-1, keepdims=True)


def dry_voice(speech: Recordings, talker: TalkerDraw, samples: int, taps: int) -> np.ndarray:
    """(N + taps - 1,) speech, with the past that reverberates into the scene's start."""
    part = speech.part(talker.speech, talker.speech_end - samples - taps + 1, talker.speech_end)
    part *= drift_gains(talker.drift_db, samples, taps)
    if talker.begin is not None or talker.end is not None:
        part *= turn_gains(talker, samples, taps)
    return part


def drift_gains(drift_db: float, samples: int, taps: int) -> np.ndarray:
    """(N + taps - 1,) float32 gains of a talker whose level moves evenly through the N samples.

    Args:
        drift_db: from the scene's first sample to its last, 0 dB in its middle.
        samples: N.
        taps: samples of the past, whose gain is that of the first.
    """
    time = np.maximum(np.arange(1 - taps, samples, dtype=np.float32), 0.0) / samples - 0.5
    return np.power(np.float32(10.0), np.float32(drift_db / 20.0) * time, dtype=np.float32)


def turn_gains(talker: TalkerDraw, samples: int, taps: int) -> np.ndarray:
    """(N + taps - 1,) float32 gains in [0, 1] of a talker who begins or ends within the scene."""
    time = np.arange(1 - taps, samples, dtype=np.float32)
    begin, end = turn_limits(talker)
    return np.clip((time - begin) / RAMP, 0.0, 1.0) * np.clip((end - time) / RAMP, 0.0, 1.0)


def turn_limits(talker: TalkerDraw) -> tuple[int, int]:
    """Samples of the scene between which `turn_gains` are not zero."""
    begin = -_FAR if talker.begin is None else talker.begin
    return begin, _FAR if talker.end is None else talker.end


def wanted_gain(talker: TalkerDraw, power: float) -> float:
    """Amplitude gain that gives a voice its level.

    Args:
        talker: whose level is the power 1 while they talk, less `below_db`.
        power: mean power of the voice at W, through the whole scene.
    """
    if talker.below_db is None or talker.active is None:
        return 1.0
    share = float(np.mean(talker.active))
    gain = 10.0 ** (-talker.below_db / 20.0) * (share / power) ** 0.5
    return min(gain, LOUDEST)


def _active_frames(speech: Recordings, talker: TalkerDraw, samples: int) -> np.ndarray:
    """(T,) whether the dry voice is heard in each frame; its drift does not count."""
    dry = speech.part(talker.speech, talker.speech_end - samples, talker.speech_end)
    dry *= turn_gains(talker, samples, 1)
    frames = np.lib.stride_tricks.sliding_window_view(dry, WINDOW_LENGTH)[::HOP]
    power = np.einsum("tn,tn->t", frames, frames) / WINDOW_LENGTH
    active: np.ndarray = power > speech.power[talker.speech] * 10.0 ** (-_SILENT_DB / 10.0)
    return active


def _apart(sources: Sequence[tuple[int, np.ndarray]], count: int, apart_deg: float) -> list[int]:
    """Up to `count` sources, of which no two are nearer to each other."""
    nearest = np.cos(np.radians(apart_deg))
    chosen: list[tuple[int, np.ndarray]] = []
    for source, direction in sources:
        if len(chosen) < count and all(direction @ other < nearest for _, other in chosen):
            chosen.append((source, direction))
    return [source for source, _ in chosen]


def _another_speaker(rng: np.random.Generator, speech: Recordings, heard: set[str]) -> int:
    """A recording of somebody not heard yet, as far as there is one; who it is is noted."""
    for _ in range(TRIES):
        number = int(rng.integers(len(speech)))
        if speech.speakers[number] not in heard:
            break
    heard.add(speech.speakers[number])
    return number


def _draw_turn(rng: np.random.Generator, settings: MixSettings) -> tuple[int | None, int | None]:
    """Where a talker begins or ends within the scene."""
    if rng.random() >= settings.turns:
        return None, None
    at, begins = int(rng.uniform(*_TURN) * settings.samples), rng.random() < 0.5
    return (at, None) if begins else (None, at)
