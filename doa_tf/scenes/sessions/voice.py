"""What one person says in a recording of any length, and when they are heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_tf.scenes.recordings import Recordings

_RAMP = 80  # samples, 5 ms, in which a turn begins and ends
_FRAME = 320  # samples, 20 ms, whose level says whether somebody is heard
_PIECE = 3_200 * _FRAME  # samples that are read at once
_LOUD = 95.0  # percentile of the levels of those frames that is a person's loud parts
_HEARD_DB = 25.0  # a frame is heard down to this far below them
_CLOSED = round(0.3 * SAMPLE_RATE)  # samples: shorter gaps in speech are no pauses


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A time in which a person has the floor.

    Attributes:
        start, stop: [samples] of the recording.
        at: where in the person's speech it begins [samples].
    """

    start: int
    stop: int
    at: int = 0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One person's speech: recordings one after the other, again and again, cut into turns.

    Attributes:
        speech: all recordings.
        numbers: of those of this person.
        turns: in order; they do not overlap.
    """

    speech: Recordings
    numbers: tuple[int, ...]
    turns: tuple[Turn, ...]

    def dry(self, start: int, stop: int) -> np.ndarray:
        """(stop - start,) float32 dry voice of that part of the recording."""
        out = np.zeros(stop - start, np.float32)
        for turn in self.turns:
            first, last = max(start, turn.start), min(stop, turn.stop)
            if first < last:
                said = self._said(turn.at + first - turn.start, last - first)
                time = np.arange(first, last, dtype=np.float32)
                said *= np.clip((time - turn.start) / _RAMP, 0.0, 1.0)
                said *= np.clip((turn.stop - time) / _RAMP, 0.0, 1.0)
                out[first - start : last - start] = said
        return out

    def heard(self) -> list[tuple[int, int]]:
        """Stretches (start, stop) in which the person is heard [samples].

        Frames of 20 ms of the dry voice count down to 25 dB below the person's loud parts, the 95th
        percentile of the frames' levels; gaps of less than 0.3 s are closed.
        """
        starts, powers = [], []
        for turn in self.turns:
            whole = turn.start + -(-(turn.stop - turn.start) // _FRAME) * _FRAME
            for start in range(turn.start, whole, _PIECE):
                dry = self.dry(start, min(start + _PIECE, whole)).reshape(-1, _FRAME)
                powers.append(np.einsum("tn,tn->t", dry, dry) / _FRAME)
                starts.append(start + _FRAME * np.arange(len(dry)))
        power = np.concatenate(powers) if powers else np.zeros(0)
        if not power.any():
            return []
        heard = power > np.percentile(power, _LOUD) * 10.0 ** (-_HEARD_DB / 10.0)
        end = self.turns[-1].stop  # within its last frame
        found = _stretches(np.concatenate(starts)[heard])
        return [(start, min(stop, end)) for start, stop in found]

    def _said(self, at: int, samples: int) -> np.ndarray:
        """(samples,) of the person's recordings, joined and repeated, from sample `at` on."""
        lengths = [self.speech.length(number) for number in self.numbers]
        ends = np.cumsum(lengths)
        at %= int(ends[-1])
        parts, missing = [], samples
        while missing:
            place = int(np.searchsorted(ends, at, side="right"))
            begin = at - int(ends[place] - lengths[place])
            taken = min(missing, lengths[place] - begin)
            parts.append(self.speech.part(self.numbers[place], begin, begin + taken))
            at, missing = (at + taken) % int(ends[-1]), missing - taken
        return np.concatenate(parts)


def _stretches(frames: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of runs of frames, given by their first samples; small gaps are closed."""
    breaks = np.flatnonzero(np.diff(frames) >= _FRAME + _CLOSED) + 1
    runs: Sequence[np.ndarray] = np.split(frames, breaks)
    return [(int(run[0]), int(run[-1]) + _FRAME) for run in runs]
