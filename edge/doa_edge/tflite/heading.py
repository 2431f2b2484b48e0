"""The angle that the windows of a stream are turned by, held while it need not move.

A network that turns with its scene (`doa_tf.turning`) turns every window by the azimuth of its own
intensity, and its answer back. Any angle is right, as long as the frames of a window share it; so a
stream keeps the angle of an earlier window, and with it the convolutions, until the intensity has
moved away from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.features import intensity_heading
from doa_core.spec import FeatureSpec

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Turning:
    """What a network in two halves that turns with its scene needs of who runs it.

    Attributes:
        bins: first and last + 1 of the bins whose active intensity is summed.
        hold_deg: largest angle of the intensity of a window to the held one [degrees]; 0 where
            every window is to be turned by its own.

    Raises:
        ValueError: bins that are no range, or an angle that is none.
    """

    bins: tuple[int, int]
    hold_deg: float

    def __post_init__(self) -> None:
        first, stop = self.bins
        if any(type(bound) is not int for bound in self.bins) or not 0 <= first < stop:
            raise ValueError(
                f"`bins` must be two integers, the first smaller. Received: {self.bins}"
            )
        is_number = type(self.hold_deg) in (int, float)
        if not is_number or not 0.0 <= self.hold_deg <= 180.0:
            raise ValueError(
                f"`hold_deg` must lie between 0 and 180. Received: hold_deg={self.hold_deg!r}"
            )
        object.__setattr__(self, "hold_deg", float(self.hold_deg))

    def check_fits(self, features: FeatureSpec) -> None:
        """Raise ValueError unless the features have these bins."""
        if self.bins[1] > features.bins:
            raise ValueError(
                f"`bins` must end within the {features.bins} of the features. Received: {self.bins}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return {"bins": list(self.bins), "hold_deg": self.hold_deg}

    @classmethod
    def from_dict(cls, values: object) -> Turning:
        """What `to_dict` gave. Raises ValueError for anything else."""
        if not isinstance(values, Mapping) or set(values) != {"bins", "hold_deg"}:
            raise ValueError(f"It must have the keys bins and hold_deg. Received: {values!r}")
        bins = values["bins"]
        if not isinstance(bins, list) or len(bins) != 2:
            raise ValueError(f"`bins` must be a list of two integers. Received: {bins!r}")
        return cls(bins=(bins[0], bins[1]), hold_deg=values["hold_deg"])


class HeldHeading:
    """The heading that the windows of one stream are turned by.

    Attributes:
        value: (2,) float32 cosine and sine of it.
    """

    def __init__(self, turning: Turning) -> None:
        self._turning = turning
        self._least = math.cos(math.radians(turning.hold_deg))  # of the cosine of the angle between
        self.value: FloatArray = np.array([1.0, 0.0], np.float32)

    def update(self, window: FloatArray, *, fresh: bool) -> bool:
        """Look at the next window; returns whether it has to be turned by another heading.

        Args:
            window: (T, F, K) features.
            fresh: whether it shares nothing with the one before.
        """
        own = intensity_heading(window, bins=self._turning.bins)
        if not fresh and self._turning.hold_deg > 0.0 and float(own @ self.value) >= self._least:
            return False
        self.value = own
        return True
