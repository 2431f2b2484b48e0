"""Labels of 100 ms, joined into the stretches in which somebody talks from one direction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from doa_tf.scenes.labels.scene import SceneTalker, Stretch

FRAMES_PER_S = 10


class LabelledFrame(NamedTuple):
    """Where somebody talks in one frame.

    Attributes:
        frame: its number; frame n lasts from n / 10 to (n + 1) / 10 seconds.
        talker: who.
        azimuth_deg: in [-180, 180] [degrees].
        elevation_deg: in [-90, 90] [degrees].
    """

    frame: int
    talker: str
    azimuth_deg: float
    elevation_deg: float


def talkers_of_frames(rows: Iterable[LabelledFrame]) -> tuple[SceneTalker, ...]:
    """The talkers of labelled frames, in the order in which they first talk.

    Consecutive frames of one direction become one stretch; whoever moves has one of 0.1 s for each
    frame. A row that is given twice counts once. Two directions of one name in a frame are two
    talkers: the second is called `NAME (2)`.
    """
    places: dict[str, dict[int, tuple[float, float]]] = {}
    for row in sorted(rows, key=lambda row: row.frame):
        where = (row.azimuth_deg, row.elevation_deg)
        name, number = row.talker, 1
        while places.setdefault(name, {}).setdefault(row.frame, where) != where:
            number += 1
            name = f"{row.talker} ({number})"
    return tuple(
        SceneTalker(name=name, stretches=_stretches(by_frame)) for name, by_frame in places.items()
    )


def _stretches(by_frame: dict[int, tuple[float, float]]) -> tuple[Stretch, ...]:
    """Runs of consecutive frames of one direction; `by_frame` is in order of time."""
    runs: list[tuple[int, int, tuple[float, float]]] = []  # first frame, one after the last, where
    for frame, where in by_frame.items():
        if runs and runs[-1][1:] == (frame, where):
            runs[-1] = (runs[-1][0], frame + 1, where)
        else:
            runs.append((frame, frame + 1, where))
    return tuple(
        Stretch(
            start_s=first / FRAMES_PER_S,
            end_s=end / FRAMES_PER_S,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
        )
        for first, end, (azimuth_deg, elevation_deg) in runs
    )
