"""What a bank holds, in figures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from doa_tf.rooms.bank.bank import RoomBank

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


def bank_info(bank: RoomBank) -> dict[str, Any]:
    """Rooms, sources, microphones, size on disk and distributions, as JSON values.

    Percentiles are over rooms for reverberation times, over sources for the rest; what a dry room
    has none of, and what is not known, is left out of them.
    """
    rt60, rt60_measured, drr, distances = [], [], [], []
    kinds: Counter[str] = Counter()
    dry = 0
    for room in bank:
        kinds[room.microphone_kind] += 1
        dry += room.rt60 == 0.0
        rt60.append(room.rt60 or np.nan)
        rt60_measured.append(room.rt60_measured or np.nan)
        drr.extend(room.drr_db)
        distances.extend(room.distances)
    made_with = {
        name: value
        for name, value in bank.index.items()
        if name not in ("rooms", "rooms_per_shard", "complete")
    }
    return {
        "rooms": len(bank),
        "sources": len(distances),
        "dry_rooms": dry,
        "microphones": dict(sorted(kinds.items())),
        "size_bytes": sum(path.stat().st_size for path in bank.folder.iterdir()),
        "rt60_s": _percentiles(rt60),
        "rt60_measured_s": _percentiles(rt60_measured),
        "drr_db": _percentiles(drr),
        "distance_m": _percentiles(distances),
        **made_with,
    }


def _percentiles(values: list[float]) -> dict[str, float] | None:
    """Percentiles by name, or None where no value is finite."""
    finite = np.array(values)[np.isfinite(values)]
    if len(finite) == 0:
        return None
    found = np.percentile(finite, PERCENTILES)
    return {
        str(name): round(float(value), 3) for name, value in zip(PERCENTILES, found, strict=True)
    }
