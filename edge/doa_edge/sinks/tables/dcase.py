"""Answers in the form of DCASE's task of sound event localization and detection.

A row is somebody in a frame of 100 ms: frame, class, source, azimuth and elevation [degrees, whole
numbers], without a header. Frames count from 0; frame n is answered for its middle, n / 10 + 0.05
seconds, between the two estimates around it. The source is the talker's id, 0 of one voice.

References:
    The form of the outputs that a task takes in, dcase.community/challenge2022/
    task-sound-event-localization-and-detection-evaluated-in-real-spatial-sound-scenes
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from doa_core.angles import FloatArray, angles_to_vector
from doa_edge.estimate import direction_deg
from doa_edge.sinks.sink import Message

FRAMES_PER_S = 10
LONGEST_S = 1.0  # from one estimate to the next [seconds], between which directions are followed

Sources: TypeAlias = "dict[int, FloatArray]"


@dataclass(frozen=True, eq=False)
class _Moment:
    """Who is heard in an estimate: the moment that it is of, its window's end [seconds]."""

    of_s: float
    end_s: float
    sources: Sources


class DcaseSink:
    """Rows of frames to a CSV file, each frame once the estimate behind it has come.

    Between two estimates of up to a second apart a talker's direction is interpolated, and who is
    in one of them alone is heard in the frames that are nearer to it. Farther apart, and before the
    first and behind the last, an estimate answers for the frames in its window that no other is
    nearer to.

    Args:
        path: of the file, which is replaced.
        window_s: length of the network's window [seconds].
        class_number: of every row.

    Raises:
        OSError: the file cannot be written.
    """

    name = "dcase"
    dropped = 0

    def __init__(
        self, path: str | os.PathLike[str], *, window_s: float, class_number: int = 0
    ) -> None:
        self._file = open(path, "w", encoding="ascii", newline="")  # noqa: SIM115 (until `close`)
        self._window_s, self._class = window_s, class_number
        self._latest: _Moment | None = None
        self._frame = 0  # the next one

    def send(self, message: Message) -> None:
        """Write the frames before an estimate; events are left out. Raises OSError."""
        if "event" in message:
            return
        moment = self._moment(message)
        self._write(moment.of_s, moment)
        self._latest = moment

    def close(self) -> None:
        """Write the rest of the last window, and close the file. Raises OSError."""
        with self._file:
            if self._latest is not None:
                self._write(self._latest.end_s, None)

    def _moment(self, message: Message) -> _Moment:
        end_s = float(message["time_s"])
        if (talkers := message.get("talkers")) is not None:
            sources = {talker["id"]: _vector(talker) for talker in talkers}
            return _Moment(message["of_s"], end_s, sources)
        sources = {0: _vector(message)} if message["active"] else {}
        return _Moment(end_s - self._window_s / 2.0, end_s, sources)

    def _write(self, until_s: float, after: _Moment | None) -> None:
        """Write the frames whose middle is before `until_s`; `after` is the estimate of then."""
        while (middle_s := (self._frame + 0.5) / FRAMES_PER_S) < until_s:
            for source, direction in sorted(self._answer(middle_s, after).items()):
                azimuth_deg, elevation_deg = map(round, direction_deg(direction))
                row = (self._frame, self._class, source, azimuth_deg, elevation_deg)
                self._file.write(f"{','.join(map(str, row))}\n")
            self._frame += 1

    def _answer(self, time_s: float, after: _Moment | None) -> Sources:
        before = self._latest
        if before and after and after.of_s - before.of_s <= LONGEST_S:
            return _between(before, after, (time_s - before.of_s) / (after.of_s - before.of_s))
        near = [
            moment
            for moment in (before, after)
            if moment and moment.end_s - self._window_s <= time_s < moment.end_s
        ]
        nearest = min(near, key=lambda moment: abs(moment.of_s - time_s), default=None)
        return nearest.sources if nearest else {}


def _between(before: _Moment, after: _Moment, share: float) -> Sources:
    """Who is heard at a share of the time between two estimates, in [0, 1]."""
    nearer, other = (before, after) if share < 0.5 else (after, before)
    weight = max(share, 1.0 - share)
    return {
        source: weight * direction + (1.0 - weight) * other.sources.get(source, direction)
        for source, direction in nearer.sources.items()
    }


def _vector(angles: Mapping[str, float]) -> FloatArray:
    """(3,) unit vector of an azimuth and an elevation."""
    return angles_to_vector(*np.radians([angles["azimuth_deg"], angles["elevation_deg"]]))
