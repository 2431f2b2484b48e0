"""Listening to each talker: beams that follow the talkers of the estimates.

A talker's beam looks at them and has nulls at the others who are heard at the same time, those of
the highest confidence first (`doa_core.beam`). Its four weights are known at the moments that the
directions are of; between two moments they change linearly, sample by sample, so that nothing
clicks, and a voice that begins or ends is faded.

Estimates learn of a voice after it has begun. So a talker is heard from half a second before they
are first reported until half a second after they were last, and the sound comes out that much
later. A talker who is tentative waits until they are confirmed, and then has all of it, up to five
seconds; who never is confirmed is never heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.beam import MAX_NOISE_GAIN_DB, beam_weights
from doa_edge.estimate import Estimate, VoiceSound

BEFORE_S, AFTER_S = 0.5, 0.5  # heard before the first and after the last report
WAIT_S = 5.0  # of sound that is kept until a talker is confirmed
_ONE_VOICE = 1  # the id where the engine follows one


@dataclass(frozen=True)
class _Heard:
    """A talker at one moment."""

    direction: FloatArray  # (3,)
    confidence: float


@dataclass(frozen=True)
class _Moment:
    """Who is where at a stream time [samples]; talkers by id."""

    position: int
    talkers: Mapping[int, _Heard]


class TalkerListener:
    """Estimates with their sound in, the sound of each talker out.

    Attributes:
        sample_rate: of the sound [hertz].

    Args:
        sample_rate: of the sound [hertz].
        lag_s: how long before an estimate's end its direction is of, where `of_s` does not say:
            half of what it is averaged over [seconds].
        lead_s: by which directions were led [seconds]: who talks is of so much before `of_s`.
        max_noise_gain_db: see `doa_core.beam.beam_weights`.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        lag_s: float = 0.0,
        lead_s: float = 0.0,
        max_noise_gain_db: float = MAX_NOISE_GAIN_DB,
    ) -> None:
        self.sample_rate = sample_rate
        self._lag = round(lag_s * sample_rate)
        self._lead = round(lead_s * sample_rate)
        self._before, self._after = round(BEFORE_S * sample_rate), round(AFTER_S * sample_rate)
        self._limit_db = max_noise_gain_db
        self._waiting: dict[int, list[VoiceSound]] = {}
        self._confirmed: set[int] = set()
        self._restart(0)

    def _restart(self, start: int) -> None:
        """Begin anew behind a gap; who is to be confirmed goes on waiting."""
        self._start = start  # stream time of the sound that is not steered yet
        self._sound: npt.NDArray[np.float32] = np.zeros((0, 4), np.float32)
        self._moments: list[_Moment] = []
        self._next = 0  # moment up to which sound is steered next
        self._weights: dict[int, FloatArray] | None = None  # at the moment before

    def push(self, estimate: Estimate) -> list[VoiceSound]:
        """What becomes known of confirmed talkers; stretches of one talker follow one another.

        Args:
            estimate: the next one of a stream, with its audio. Sound that is missing between the
                last one and this is a gap: nobody is heard in it.

        Raises:
            ValueError: no audio, or sound from before the end of the last estimate.
        """
        if estimate.audio is None:
            raise ValueError("`estimate` must carry audio: EngineSettings(keep_audio=True)")
        end = round(estimate.time_s * self.sample_rate)
        start, last = end - len(estimate.audio), self._start + len(self._sound)
        if start < last:
            raise ValueError(
                "`estimate` must hold sound from where the last one ended, or later. Received: "
                f"sound from sample {start} on after sound up to {last}"
            )
        voices: list[VoiceSound] = []
        if start > last:
            voices = self.finish()
            self._restart(start)
        self._sound = np.concatenate([self._sound, estimate.audio])
        if not self._moments:  # before the first moment everybody is where they are then
            self._moments.append(_Moment(start, _talkers(estimate)))
        position = end - self._lag
        if estimate.of_s is not None:
            position = round(estimate.of_s * self.sample_rate) - self._lead
        position = max(self._moments[-1].position, min(position, end))
        self._moments.append(_Moment(position, _talkers(estimate)))
        self._confirmed |= _confirmed(estimate)
        return [*voices, *self._steer_until(position - self._before)]

    def finish(self) -> list[VoiceSound]:
        """The rest, at the end of a stream: behind the last moment everybody stays in place."""
        if not self._moments:
            return []
        end = self._start + len(self._sound)
        self._moments.append(_Moment(end, self._moments[-1].talkers))
        voices = self._steer_until(end)
        self._restart(end)
        return voices

    def _steer_until(self, limit: int) -> list[VoiceSound]:
        """Sound up to the last moment that is not behind a limit [samples]."""
        voices: list[VoiceSound] = []
        while self._next < len(self._moments) and self._moments[self._next].position <= limit:
            position = self._moments[self._next].position
            weights = self._weights_of(self._talkers_at(position))
            for voice in self._steer(position, weights):
                voices += self._release(voice)
            self._weights = weights
            self._next += 1
            self._forget(position)
        return voices

    def _talkers_at(self, position: int) -> dict[int, _Heard]:
        """Who is heard at a moment, where the nearest moment has them.

        They are reported then, or a little later, or were a little before.
        """
        near = [
            moment
            for moment in self._moments
            if position - self._after <= moment.position <= position + self._before
        ]
        talkers: dict[int, _Heard] = {}
        for moment in sorted(near, key=lambda moment: abs(moment.position - position)):
            talkers = {**moment.talkers, **talkers}
        return talkers

    def _weights_of(self, talkers: Mapping[int, _Heard]) -> dict[int, FloatArray]:
        """(4,) weights of each talker, with nulls at the others, the highest confidence first."""
        ranked = sorted(talkers, key=lambda id: -talkers[id].confidence)
        return {
            id: beam_weights(
                heard.direction,
                [talkers[other].direction for other in ranked if other != id],
                max_noise_gain_db=self._limit_db,
            )
            for id, heard in talkers.items()
        }

    def _steer(self, position: int, weights: Mapping[int, FloatArray]) -> Iterator[VoiceSound]:
        """Sound up to a moment, with weights that change linearly to those of the moment."""
        start, piece = self._start, self._sound[: position - self._start]
        self._start, self._sound = position, self._sound[len(piece) :]
        if not len(piece):
            return
        before = weights if self._weights is None else self._weights
        share = np.arange(1, len(piece) + 1) / len(piece)
        silent = np.zeros(4)
        for id in sorted({*before, *weights}):
            old, new = piece @ before.get(id, silent), piece @ weights.get(id, silent)
            samples = (old + share * (new - old)).astype(np.float32)
            yield VoiceSound(id=id, start=start, samples=samples)

    def _release(self, voice: VoiceSound) -> list[VoiceSound]:
        """A stretch and what waited for it, or nothing as long as the talker is not confirmed."""
        if voice.id in self._confirmed:
            return [*self._waiting.pop(voice.id, []), voice]
        self._waiting.setdefault(voice.id, []).append(voice)
        return []

    def _forget(self, position: int) -> None:
        """Drop what no later moment needs, so that nothing grows with time."""
        oldest = position - round(WAIT_S * self.sample_rate)
        for id, voices in list(self._waiting.items()):
            self._waiting[id] = [voice for voice in voices if voice.start >= oldest]
            if not self._waiting[id]:
                del self._waiting[id]
        while self._moments[0].position < position - self._after:
            del self._moments[0]
            self._next -= 1
        self._confirmed &= {id for moment in self._moments for id in moment.talkers}


def with_voices(estimates: Iterable[Estimate], listener: TalkerListener) -> Iterator[Estimate]:
    """Estimates of a whole stream that carry the sound of each talker.

    Each comes when the next one is known, as the last has all that is left.
    """
    held: Estimate | None = None
    for estimate in estimates:
        if held is not None:
            yield held
        held = replace(estimate, voices=tuple(listener.push(estimate)))
    if held is not None:
        yield replace(held, voices=(*(held.voices or ()), *listener.finish()))


def _talkers(estimate: Estimate) -> dict[int, _Heard]:
    """Talkers of an estimate by id; of one voice the id is 1, while it is active."""
    if estimate.talkers is None:
        direction = _direction(estimate.azimuth_deg, estimate.elevation_deg)
        return {_ONE_VOICE: _Heard(direction, estimate.confidence)} if estimate.active else {}
    return {
        talker.id: _Heard(_direction(talker.azimuth_deg, talker.elevation_deg), talker.confidence)
        for talker in estimate.talkers
    }


def _confirmed(estimate: Estimate) -> set[int]:
    """Ids of the talkers who are not tentative."""
    if estimate.talkers is None:
        return {_ONE_VOICE}
    return {talker.id for talker in estimate.talkers if not talker.tentative}


def _direction(azimuth_deg: float, elevation_deg: float) -> FloatArray:
    return angles_to_vector(math.radians(azimuth_deg), math.radians(elevation_deg))
