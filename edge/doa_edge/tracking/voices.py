"""Outputs of a network in, talkers out: peaks of the averaged scores, and who they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.spec import ModelSpec
from doa_edge.estimate import Talker, direction_deg
from doa_edge.smoother import DirectionSmoother
from doa_edge.tracking.motion import Vector
from doa_edge.tracking.tracker import Track, Tracker, TrackSettings
from doa_edge.zones.zone import Zone, are_in, points_into

DEFAULT_TALKERS = 3
DEFAULT_MIN_SCORE = 0.2
# Kept from the first network of several voices, which had its best F-score on meetings of our own
# there. Of today's one 0.4 has a better one, with more answers to silence: docs/results/voices.md.
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

    A peak in an ignored zone is nobody: it begins no track and moves none, so that who talks in
    front of it stays where they are. A talker who walks through the zone is unheard there, as if
    they were silent, keeps slot and id, and is expected further along their course.

    Args:
        spec: of the model.
        tracks: how many voices at once there are, how sure a new one is to be, the time between
            outputs.
        smooth_s: time constant of a smoother for each talker; 0 for none.
        lead_s: how much later than the outputs' moment the directions are to be of [seconds].
        ignore: zones in which nobody talks.
        last_id: of a talker, that was used before.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        tracks: TrackSettings,
        smooth_s: float = 0.0,
        lead_s: float = 0.0,
        ignore: Sequence[Zone] = (),
        last_id: int = 0,
    ) -> None:
        self._spec = spec
        self._talkers = tracks.slots
        self._smooth_s = smooth_s
        self._lead_s = lead_s
        self._ignore = ignore
        self._tracker = Tracker(tracks, last_id=last_id)
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
        talkers = [self._talker(track, time_s) for track in speaking]
        return of_s, tuple(one for one in talkers if not self._is_ignored(one))

    def _peaks(
        self, outputs: FloatArray, features: npt.NDArray[np.float32] | None
    ) -> tuple[list[Vector], list[float]]:
        """Unit vectors and confidences of peaks: one more than can be reported, to count it."""
        count = self._talkers + 1
        peaks, ignored = self._heard_peaks(outputs, features, count)
        if ignored:  # they hide as many voices as there are of them
            peaks, _ = self._heard_peaks(outputs, features, count + ignored)
        return [direction for direction, _ in peaks[:count]], [one for _, one in peaks[:count]]

    def _heard_peaks(
        self, outputs: FloatArray, features: npt.NDArray[np.float32] | None, count: int
    ) -> tuple[list[tuple[Vector, float]], int]:
        """(peaks outside of ignored zones with their confidences, how many are inside)."""
        found, confidences = self._spec.peaks(outputs, count=count, features=features)
        peaks = [
            ((x, y, z), confidence)
            for (x, y, z), confidence in zip(found.tolist(), confidences.tolist(), strict=True)
            if not points_into(self._ignore, (x, y, z))
        ]
        return peaks, len(found) - len(peaks)

    def _is_ignored(self, talker: Talker) -> bool:
        return are_in(self._ignore, talker.azimuth_deg, talker.elevation_deg)

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
