"""The largest angles between a file's directions and its checkpoint's, and the mode's defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Largest angles to the checkpoint's directions.

    Attributes:
        median_deg: largest median angle [degrees].
        p99_deg: largest 99th percentile [degrees].
    """

    median_deg: float
    p99_deg: float

    def __post_init__(self) -> None:
        for name in ("median_deg", "p99_deg"):
            value = getattr(self, name)
            if not 0.0 <= value <= 180.0:  # also catches NaN
                raise ValueError(
                    f"`{name}` must be between 0 and 180 degrees. Received: {name}={value}"
                )


# For trained networks: the outputs of an untrained Cartesian one have next to no direction.
BUDGETS = {
    "none": Budget(median_deg=0.01, p99_deg=0.05),
    "float16": Budget(median_deg=0.05, p99_deg=0.3),
    "dynamic": Budget(median_deg=0.3, p99_deg=1.5),
    "int8": Budget(median_deg=0.6, p99_deg=3.0),
    "int8-full": Budget(median_deg=0.6, p99_deg=3.0),
    # Its weights have eight bits, too, and cost more than its activations.
    "int16x8": Budget(median_deg=0.6, p99_deg=3.0),
}
