"""A whole recording in a few numbers: one direction, or who talked from where and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.decode import GRID_HEADS
from doa_core.grid import sphere_grid
from doa_core.peaks import APART_DEG
from doa_core.spec import ModelSpec
from doa_edge.estimate import Estimate, Talker, direction_deg, rounded_azimuth, rounded_time

_CELLS_DEG = 10.0
MOST_TALKERS = 256  # that a tally remembers one by one
_NOBODY = {"azimuth_deg": None, "elevation_deg": None, "confidence": 0.0}  # of a summary


class OutputAverage:
    """Outputs of the active windows of a stream, for one direction of the whole and for a plot.

    A grid head's are summed. A regression head's few numbers are kept one by one: how well they
    agree is their confidence. Where the spec refines directions, which takes features, those of
    the windows near to the one of all outputs are averaged instead of it.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.windows = 0
        self.active_windows = 0
        self._rows: list[FloatArray] = []
        self._grid = sphere_grid(_CELLS_DEG)
        self._answers = np.zeros((len(self._grid), 3))  # sums of the windows', by cell

    def add(self, estimate: Estimate) -> None:
        """Add an estimate of an engine that keeps outputs."""
        if estimate.outputs is None:
            raise ValueError("`estimate` must carry outputs: EngineSettings(keep_outputs=True)")
        self.windows += 1
        if not estimate.active:
            return
        self.active_windows += 1
        if self.spec.refine != "none":
            angles = np.radians([estimate.azimuth_deg, estimate.elevation_deg])
            answer = angles_to_vector(*angles)
            self._answers[self._grid.nearest(answer)] += estimate.confidence * answer
        if self.spec.head in GRID_HEADS and self._rows:
            self._rows[0] = self._rows[0] + estimate.outputs
        else:
            self._rows.append(estimate.outputs)

    @property
    def outputs(self) -> FloatArray:
        """(M, K) outputs whose mean is that of all active windows; M is 0 if there was none."""
        if not self._rows:
            return np.zeros((0, self.spec.outputs))
        rows = np.stack(self._rows)
        return rows / self.active_windows if self.spec.head in GRID_HEADS else rows

    @property
    def active_share(self) -> float:
        """Share of the windows that were active, in [0, 1]."""
        return self.active_windows / self.windows if self.windows else 0.0

    def direction(self, *, method: str) -> tuple[float, float, float]:
        """Azimuth and elevation [degrees] and confidence; zeros if no window was active."""
        if not self.active_windows:
            return 0.0, 0.0, 0.0
        direction, confidence = self.spec.directions(self.outputs, method=method)
        near = self._grid.vectors @ direction > np.cos(np.radians(APART_DEG))
        mean = self._answers[near].sum(axis=0)
        if np.linalg.norm(mean) > 0.0:
            direction = mean
        return (*direction_deg(direction), float(confidence))


class TalkerTally:
    """Who was heard in a stream of several voices, from where, and for how long each talked.

    Talkers who were tentative all their life are left out. Memory is bounded: beyond 256 talkers
    the one heard shortest is no longer told apart, but counted among the others.

    Attributes:
        several: whether the estimates told of talkers at all: a run of one voice does not.

    Args:
        step_s: time between two estimates, which each of them stands for [seconds].
    """

    def __init__(self, *, step_s: float) -> None:
        self.several = False
        self._step_s = step_s
        self._heard: dict[int, _Heard] = {}
        self._other_talkers = self._other_estimates = 0

    def add(self, estimate: Estimate) -> None:
        """Count the talkers of an estimate; one of one voice changes nothing."""
        if estimate.talkers is None:
            return
        self.several = True
        present = {talker.id for talker in estimate.talkers}
        for talker in estimate.talkers:
            if talker.id not in self._heard:
                self._make_room(present)
            self._heard.setdefault(talker.id, _Heard()).add(talker)

    def talkers(self) -> list[dict[str, Any]]:
        """The talkers as `--summary` prints them, whoever talked longest first."""
        confirmed = [(number, one) for number, one in self._heard.items() if one.confirmed]
        confirmed.sort(key=lambda pair: (-pair[1].estimates, pair[0]))
        return [{"id": number, **self._told(one)} for number, one in confirmed]

    def others(self) -> dict[str, Any] | None:
        """How many talkers are not told apart any more, and for how long they talked."""
        if not self._other_talkers:
            return None
        talked_s = round(self._other_estimates * self._step_s, 3)
        return {"talkers": self._other_talkers, "talked_s": talked_s}

    def _told(self, one: _Heard) -> dict[str, Any]:
        direction = _rounded(*direction_deg(one.weighted), one.confidence / one.estimates)
        return {**direction, "talked_s": round(one.estimates * self._step_s, 3)}

    def _make_room(self, present: set[int]) -> None:
        """Forget whoever talked shortest and is silent now, where the tally is full."""
        if len(self._heard) < MOST_TALKERS:
            return
        silent = [number for number in self._heard if number not in present]
        shortest = min(
            silent,
            key=lambda number: (self._heard[number].confirmed, self._heard[number].estimates),
        )
        one = self._heard.pop(shortest)
        if one.confirmed:
            self._other_talkers += 1
            self._other_estimates += one.estimates


@dataclass
class _Heard:
    """Sums over the estimates of one talker."""

    estimates: int = 0
    confidence: float = 0.0
    weighted: FloatArray = field(default_factory=lambda: np.zeros(3))  # directions by confidence
    confirmed: bool = False

    def add(self, talker: Talker) -> None:
        azimuth, elevation = np.radians((talker.azimuth_deg, talker.elevation_deg))
        self.estimates += 1
        self.confidence += talker.confidence
        self.weighted = self.weighted + talker.confidence * angles_to_vector(azimuth, elevation)
        self.confirmed |= not talker.tentative


def summary_dict(
    average: OutputAverage,
    *,
    method: str,
    duration_s: float,
    tally: TalkerTally | None = None,
) -> dict[str, Any]:
    """The object that `doa_edge run --summary` prints.

    Of one voice it has the direction of the whole recording. Of several, the direction at the top
    is that of whoever talked longest, and `talkers` lists everybody. Where nobody talked, azimuth
    and elevation are None, confidence is 0 and `talkers` is empty.

    Args:
        average: of the outputs.
        method: `peak` or `centroid`.
        duration_s: of the recording [seconds].
        tally: of the talkers; ignored where the run was of one voice.
    """
    several = tally is not None and tally.several
    talkers = tally.talkers() if tally is not None and several else []
    direction = dict(_NOBODY)
    if talkers:
        direction = {key: talkers[0][key] for key in _NOBODY}
    elif average.active_windows and not several:
        azimuth_deg, elevation_deg, confidence = average.direction(method=method)
        direction = _rounded(azimuth_deg, elevation_deg, confidence)
    summary: dict[str, Any] = {
        **direction,
        "active_share": round(average.active_share, 4),
        "duration_s": rounded_time(duration_s),
    }
    if tally is None or not several:
        return summary
    summary["talkers"] = talkers
    others = tally.others()
    return summary if others is None else {**summary, "others": others}


def _rounded(azimuth_deg: float, elevation_deg: float, confidence: float) -> dict[str, Any]:
    """A direction as it is printed."""
    return {
        "azimuth_deg": rounded_azimuth(azimuth_deg),
        "elevation_deg": round(elevation_deg, 2) + 0.0,
        "confidence": round(confidence, 4),
    }
