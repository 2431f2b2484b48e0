"""One direction of a whole recording, from the outputs of its active windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from doa_core.angles import FloatArray
from doa_core.decode import GRID_HEADS
from doa_core.spec import ModelSpec
from doa_edge.estimate import Estimate, direction_deg, rounded_azimuth


class OutputAverage:
    """Outputs of the active windows of a stream, for one direction of the whole and for a plot.

    A grid head's are summed. A regression head's few numbers are kept one by one: how well they
    agree is their confidence.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.windows = 0
        self.active_windows = 0
        self._rows: list[FloatArray] = []

    def add(self, estimate: Estimate) -> None:
        """Add an estimate of an engine that keeps outputs."""
        if estimate.outputs is None:
            raise ValueError("`estimate` must carry outputs: EngineSettings(keep_outputs=True)")
        self.windows += 1
        if not estimate.active:
            return
        self.active_windows += 1
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
        return (*direction_deg(direction), float(confidence))


def summary_dict(average: OutputAverage, *, method: str, duration_s: float) -> dict[str, Any]:
    """The object that `doa_edge run --summary` prints: one direction of a whole recording."""
    azimuth_deg, elevation_deg, confidence = average.direction(method=method)
    return {
        "azimuth_deg": rounded_azimuth(azimuth_deg),
        "elevation_deg": round(elevation_deg, 2) + 0.0,
        "confidence": round(confidence, 4),
        "active_share": round(average.active_share, 4),
        "duration_s": duration_s,
    }
