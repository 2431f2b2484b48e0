"""What a source of sound yields: blocks of samples, and gaps where samples are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

GAP_REASONS = ("lost", "stalled", "recovered", "overrun", "invalid")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Sound that was not heard, so that the time of what follows stays true.

    Attributes:
        samples: per channel, at the model's rate, zero or more.
        reason: `lost` (the device went away), `stalled` (it gives nothing), `recovered` (it is
            back: the rest of what was missed), `overrun` (sound came faster than it was taken)
            or `invalid` (samples that are no sound).
        detail: for people.
    """

    samples: int
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"`samples` must be 0 or more. Received: samples={self.samples}")
        if self.reason not in GAP_REASONS:
            raise ValueError(
                f"`reason` must be one of {', '.join(GAP_REASONS)}. "
                f"Received: reason={self.reason!r}"
            )


StreamItem = npt.NDArray[np.float32] | Gap
