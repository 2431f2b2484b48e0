"""A tracker that hears peaks of known azimuths, an estimate at a time."""

from doa_edge.tracking.motion import angle
from doa_edge.tracking.tracker import Tracker, TrackSettings
from tests.edge.conftest import unit_vector

PERIOD_S = 0.16
SURE, FAIR, FAINT = 0.6, 0.25, 0.16  # begins at once; needs another; only goes on


def tracker(**changed):
    return Tracker(TrackSettings(**{"slots": 3, "confidence": 0.2, **changed}))


class Meeting:
    """Feeds a tracker an estimate at a time: peaks as (azimuth_deg, confidence)."""

    def __init__(self, tracks=None):
        self.tracks = tracks or tracker()
        self.time_s = 0.832

    def hear(self, *peaks, times=1):
        for _ in range(times):
            directions = [tuple(unit_vector(azimuth, 5.0).tolist()) for azimuth, _ in peaks]
            confidences = [confidence for _, confidence in peaks]
            speaking = self.tracks.update(directions, confidences, time_s=self.time_s)
            self.time_s += PERIOD_S
        return speaking

    def silence(self, seconds):
        return self.hear(times=round(seconds / PERIOD_S))


def ids(speaking):
    return [track.id for track in speaking]


def at(speaking, azimuth_deg):
    """The track that is reported nearest to an azimuth."""
    where = tuple(unit_vector(azimuth_deg, 5.0).tolist())
    return min(speaking, key=lambda track: angle(track.motion.direction, where))
