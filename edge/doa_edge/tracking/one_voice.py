"""Outputs of a network in, one direction out: where the scores point, and whether somebody talks.

The counterpart of `doa_edge.tracking.voices` for a single voice, which is nobody's track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.spec import ModelSpec
from doa_edge.activity import ActivityDetector
from doa_edge.estimate import direction_deg
from doa_edge.smoother import DirectionSmoother
from doa_edge.zones.zone import Zone, points_into


class OneVoice:
    """The direction of one stream.

    Args:
        spec: of the model.
        method: `peak` or `centroid`.
        smoother: of the directions of active windows; None for none.
        ignore: where nobody talks, whatever is heard.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        method: str,
        smoother: DirectionSmoother | None,
        ignore: Sequence[Zone] = (),
    ) -> None:
        self._spec = spec
        self._method = method
        self._smoother = smoother
        self._ignore = ignore

    def update(
        self,
        outputs: FloatArray,
        detector: ActivityDetector,
        *,
        power: float,
        time_s: float,
        features: npt.NDArray[np.float32] | None = None,
    ) -> tuple[float, float, float, bool]:
        """Azimuth and elevation [degrees], confidence and activity.

        Args:
            outputs: (A, K) of the latest frames, as the head gives them.
            detector: of the stream.
            power: of the window, as the detector takes it.
            time_s: end of the window, not before the last one [seconds].
            features: (A, F, C) of these frames, where the spec refines directions by them.
        """
        direction, certainty = self._spec.directions(
            outputs, method=self._method, features=features
        )
        confidence = float(certainty) if detector.is_above_gate(power) else 0.0
        heard = detector.is_active(power, confidence)
        active = heard and not self._is_ignored(direction)
        if self._smoother:
            direction = self._smoother.update(
                direction, confidence=confidence, active=active, time_s=time_s
            )
            active = active and not self._is_ignored(direction)
        return (*direction_deg(direction), confidence, active)

    def _is_ignored(self, direction: FloatArray) -> bool:
        return points_into(self._ignore, direction.tolist())
