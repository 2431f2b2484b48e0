"""Outputs of a network in, talkers out: peaks of the averaged scores, and who they belong to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.spec import ModelSpec
from doa_edge.estimate import Talker, direction_deg
from doa_edge.smoother import DirectionSmoother
from doa_edge.tracking.motion import Vector
from doa_edge.tracking.tracker import Track, Tracker, TrackSettings

DEFAULT_TALKERS = 3
# Chosen on meetings of our own, where 0.4 and 0.6 have a smaller F-score; docs/results/voices.md.
DEFAULT_MIN_SCORE = 0.2
DEFAULT_MIN_PROBABILITY = 0.5


def default_average(frames: int) -> int:
    """Frames to average for several voices: the later half of a window's."""
    return frames // 2 + 1


def lag_s(spec: ModelSpec, average: int) -> float:
    """How long before a window's end the directions are of [seconds]: up to its centre.

    What a network says of a frame it says for the most part of its whole window, and the filter of
    a track comes a little later still. So with talkers who walk, the directions are of the window's
    centre, however few of its frames are averaged; see edge/README.md.

    Args:
        spec: of the model.
        average: latest frames whose outputs are averaged. Beyond those of a window, the directions
            are of their centre.
    """
    features = spec.features
    samples = features.window_length + (max(average, features.frames) - 1) * features.hop
    return 0.5 * samples / features.sample_rate


class VoiceFollower:
    """The talkers of one stream.

    Args:
        spec: of the model.
        talkers: the most at once.
        min_confidence: of a voice that is new; see `doa_edge.tracking.tracker.TrackSettings`.
        step_s: time between outputs [seconds].
        smooth_s: time constant of a smoother for each talker; 0 for none.
        lead_s: how much later than the outputs' moment the directions are to be of [seconds].
        last_id: of a talker, that was used before.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        talkers: int,
        min_confidence: float,
        step_s: float,
        smooth_s: float = 0.0,
        lead_s: float = 0.0,
        last_id: int = 0,
    ) -> None:
        self._spec = spec
        self._talkers = talkers
        self._smooth_s = smooth_s
        self._lead_s = lead_s
        self._tracker = Tracker(
            TrackSettings(slots=talkers, confidence=min_confidence, step_s=step_s), last_id=last_id
        )
        self._smoothers: dict[int, DirectionSmoother] = {}

    @property
    def left_out(self) -> int:
        """How often so far a voice found no slot."""
        return self._tracker.left_out

    @property
    def last_id(self) -> int:
        """The latest id of a talker."""
        return self._tracker.last_id

    def update(
        self,
        outputs: FloatArray,
        *,
        time_s: float,
        heard: bool,
        features: npt.NDArray[np.float32] | None = None,
    ) -> tuple[float, tuple[Talker, ...]]:
        """(moment that the directions are of [seconds], talkers, highest confidence first).

        Args:
            outputs: (A, K) of the latest frames, as the head gives them.
            time_s: end of the window, not before the last one [seconds].
            heard: whether the window is loud enough for a voice.
            features: (A, F, C) of these frames, where the spec refines directions by them.
        """
        directions, confidences = self._peaks(outputs, features) if heard else ([], [])
        speaking = self._tracker.update(directions, confidences, time_s=time_s)
        self._smoothers = {
            track.id: self._smoothers.get(track.id) or DirectionSmoother(self._smooth_s)
            for track in speaking
            if self._smooth_s
        }
        of_s = time_s - lag_s(self._spec, len(outputs)) + self._lead_s
        return of_s, tuple(self._talker(track, time_s) for track in speaking)

    def _peaks(
        self, outputs: FloatArray, features: npt.NDArray[np.float32] | None
    ) -> tuple[list[Vector], list[float]]:
        """Unit vectors and confidences of peaks: one more than can be reported, to count it."""
        count = self._talkers + 1
        found, confidences = self._spec.peaks(outputs, count=count, features=features)
        return [(x, y, z) for x, y, z in found.tolist()], confidences.tolist()

    def _talker(self, track: Track, time_s: float) -> Talker:
        """A track as it is reported."""
        direction: Vector | FloatArray = track.motion.ahead(self._lead_s)
        smoother = self._smoothers.get(track.id)
        if smoother:
            direction = smoother.update(
                direction, confidence=track.confidence, active=True, time_s=time_s
            )
        azimuth_deg, elevation_deg = direction_deg(direction)
        return Talker(
            id=track.id,
            slot=track.slot,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            confidence=track.confidence,
            tentative=not track.confirmed,
        )
