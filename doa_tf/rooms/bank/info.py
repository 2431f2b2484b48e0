"""What a bank holds, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from doa_tf.rooms.bank.bank import RoomBank
from doa_tf.rooms.room import Room

_DISTRIBUTIONS = ("rt60_s", "rt60_measured_s", "drr_db", "distance_m")
_PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


def bank_info(bank: RoomBank) -> dict[str, Any]:
    """Rooms, sources, microphones, size on disk and distributions, as JSON values.

    Percentiles are over rooms for reverberation times, over sources for the rest. Values that are
    unknown, and those that a dry room does not have, are left out of them.
    """
    columns = room_columns(bank)
    others = ("rooms", "rooms_per_shard", "complete")
    made_with = {name: value for name, value in bank.made_with.items() if name not in others}
    return {
        "rooms": len(bank),
        "sources": len(columns["distance_m"]),
        "dry_rooms": sum(columns["dry"]),
        "microphones": dict(sorted(Counter(columns["microphone"]).items())),
        "size_bytes": sum(path.stat().st_size for path in bank.folder.iterdir()),
        **{name: _percentiles(columns[name]) for name in _DISTRIBUTIONS},
        **made_with,
    }


def room_columns(rooms: Iterable[Room]) -> dict[str, list[Any]]:
    """Values of rooms by name: one a room for the first four, one a source for the others."""
    names = ("dry", "microphone", *_DISTRIBUTIONS, "direction")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for room in rooms:
        columns["dry"].append(room.rt60 == 0.0)
        columns["microphone"].append(room.microphone_kind)
        columns["rt60_s"].append(room.rt60 or np.nan)
        columns["rt60_measured_s"].append(room.rt60_measured or np.nan)
        columns["drr_db"].extend(room.drr_db)
        columns["distance_m"].extend(room.distances)
        columns["direction"].extend(room.directions)
    return columns


def _percentiles(values: list[float]) -> dict[str, float] | None:
    """Percentiles by name, or None where no value is finite."""
    finite = np.array(values)[np.isfinite(values)]
    if len(finite) == 0:
        return None
    found = np.percentile(finite, _PERCENTILES)
    pairs = zip(_PERCENTILES, found, strict=True)
    return {str(name): round(float(value), 3) for name, value in pairs}
