"""How far a file's directions may be from its checkpoint's, and the defaults of each mode."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Largest differences to the checkpoint's directions.

    Attributes:
        median_deg: largest median angle [degrees].
        p99_deg: largest 99th percentile [degrees].
        different_counts: largest share of windows, in [0, 1], in which a file of several voices
            names another number of them than its checkpoint.
    """

    median_deg: float
    p99_deg: float
    different_counts: float = 1.0

    def __post_init__(self) -> None:
        for name in ("median_deg", "p99_deg"):
            value = getattr(self, name)
            if not 0.0 <= value <= 180.0:  # also catches NaN
                raise ValueError(
                    f"`{name}` must be between 0 and 180 degrees. Received: {name}={value}"
                )
        if not 0.0 <= self.different_counts <= 1.0:
            raise ValueError(
                "`different_counts` must be between 0 and 1. "
                f"Received: different_counts={self.different_counts}"
            )


# For trained networks: the outputs of an untrained Cartesian one have next to no direction.
BUDGETS = {
    "none": Budget(median_deg=0.01, p99_deg=0.05, different_counts=0.02),
    "float16": Budget(median_deg=0.05, p99_deg=0.3, different_counts=0.04),
    "dynamic": Budget(median_deg=0.3, p99_deg=1.5, different_counts=0.1),
    "int8": Budget(median_deg=0.6, p99_deg=3.0, different_counts=0.15),
    "int8-full": Budget(median_deg=0.6, p99_deg=3.0, different_counts=0.15),
    # Its weights have eight bits, too, and cost more than its activations.
    "int16x8": Budget(median_deg=0.6, p99_deg=3.0, different_counts=0.15),
}
