"""The share of several voices in the picture of a recording: each in a colour of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doa_core.angles import angles_to_vector
from doa_edge.estimate import Estimate, Talker, direction_deg
from doa_edge.sinks.slots import COLOURS

MOST_NAMED = 8  # talkers that the legend lists: those heard longest
_MARKERS = ("o", "^", "s", "D")
_PALE = 0.3  # of what is tentative


@dataclass
class Track:
    """One talker over time.

    Attributes:
        id: the talker's.
        colour: of the slot.
        marker: of Matplotlib; tells talkers apart who had one slot after another.
        times_s: the moments that the directions are of [seconds].
        talkers: the talker at each of them.
    """

    id: int
    colour: str
    marker: str
    times_s: list[float] = field(default_factory=list)
    talkers: list[Talker] = field(default_factory=list)

    @property
    def is_confirmed(self) -> bool:
        """Whether the talker was ever more than tentative."""
        return not all(talker.tentative for talker in self.talkers)

    @property
    def mean_direction_deg(self) -> tuple[float, float]:
        """Azimuth and elevation of the mean, weighted by confidence."""
        azimuth, elevation, weight = np.array(
            [(one.azimuth_deg, one.elevation_deg, one.confidence) for one in self.talkers]
        ).T
        vectors = angles_to_vector(np.radians(azimuth), np.radians(elevation))
        return direction_deg(weight @ vectors)


def tracks_of(estimates: Sequence[Estimate]) -> list[Track]:
    """The talkers of a recording, in the order in which they were heard first."""
    tracks: dict[int, Track] = {}
    holders: Counter[int] = Counter()  # talkers that each slot has had
    for estimate in estimates:
        moment = estimate.time_s if estimate.of_s is None else estimate.of_s
        for talker in estimate.talkers or ():
            if talker.id not in tracks:
                marker = _MARKERS[holders[talker.slot] % len(_MARKERS)]
                holders[talker.slot] += 1
                tracks[talker.id] = Track(talker.id, COLOURS[talker.slot - 1], marker)
            tracks[talker.id].times_s.append(moment)
            tracks[talker.id].talkers.append(talker)
    return list(tracks.values())


def draw_talkers(panels: Mapping[str, Any], tracks: Sequence[Track]) -> None:
    """Draw angles of every talker over time; where nobody talks nothing is drawn.

    Args:
        panels: axes of Matplotlib by `azimuth_deg` or `elevation_deg`, the angle that they show.
        tracks: to draw; the legend beside the first panel names those that `named` chooses.
    """
    first = next(iter(panels.values()))
    names = {track.id: f"talker {track.id}" for track in named(tracks)}
    confirmed = sum(track.is_confirmed for track in tracks)
    for track in tracks:
        for angle, axes in panels.items():
            axes.scatter(
                track.times_s,
                [getattr(talker, angle) for talker in track.talkers],
                s=22,
                color=track.colour,
                alpha=[_PALE if talker.tentative else 0.9 for talker in track.talkers],
                marker=track.marker,
                linewidths=0.0,
                zorder=3,
            )
        if track.id in names:  # as many as talk, and none of them pale
            look = {"color": track.colour, "marker": track.marker, "s": 30}
            first.scatter([], [], label=names[track.id], **look)
    if confirmed > len(names):
        first.scatter([], [], label=f"and {confirmed - len(names)} more", alpha=0.0)
    if names:
        first.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize=9, handletextpad=0
        )
    if any(talker.tentative for track in tracks for talker in track.talkers):
        first.set_title("pale: not certain yet", fontsize=9, loc="right", color="#70757f")


def mark_talkers(axes: Any, tracks: Sequence[Track]) -> None:
    """Mark the mean direction of each talker on a map of azimuth and elevation [degrees]."""
    for track in named(tracks):
        place = track.mean_direction_deg
        axes.plot(*place, track.marker, ms=17, mfc="none", mec="white", mew=3.4)
        axes.plot(*place, track.marker, ms=17, mfc="none", mec=track.colour, mew=2.0)
        axes.annotate(
            str(track.id),
            place,
            xytext=(12, 8),
            textcoords="offset points",
            color="white",
            fontweight="bold",
        )


def named(tracks: Sequence[Track]) -> list[Track]:
    """Those of the tracks that were heard longest, without what never was more than tentative."""
    confirmed = [track for track in tracks if track.is_confirmed]
    longest = sorted(confirmed, key=lambda track: -len(track.times_s))[:MOST_NAMED]
    return sorted(longest, key=lambda track: track.id)
