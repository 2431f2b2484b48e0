"""Groups of scenes by a column: by its values, or by ranges of its numbers.

A column with many different numbers (`snr_db`, `rt60_s`, `elevation_deg`) is cut into some seven
ranges with round edges; any other is taken by its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from doa_core.angles import FloatArray
from doa_core.errors import InputError
from doa_tf.scenes.folder import LABEL_COLUMNS, Scene, Scenes

DEFAULT_GROUP = "condition"  # the column that is used by default, where the scenes have it
MISSING = "none"  # group of scenes that have no number in a column of numbers
_NO_NUMBER = {"", "nan", "inf", "-inf", "none", "na"}
_MOST_VALUES = 12  # different numbers that are still groups of their own
_MOST_RANGES = 8
_STEPS = (1.0, 2.0, 5.0)  # times a power of ten
_DEGREE_STEPS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 45.0, 90.0)
_SHORT = {"azimuth": "azimuth_deg", "elevation": "elevation_deg"}


def check_group(scenes: Scenes, group_by: str | None) -> str | None:
    """The column to group by: the given one, else `condition` if there is one, else None.

    Raises:
        InputError: the scenes have no such column.
    """
    if group_by is None:
        return DEFAULT_GROUP if DEFAULT_GROUP in scenes.columns else None
    column = group_by if group_by in scenes.columns else _SHORT.get(group_by, group_by)
    if column not in (*scenes.columns, *LABEL_COLUMNS):
        raise InputError(
            f"The scenes of {scenes.folder} can be grouped by "
            f"{', '.join((*scenes.columns, *LABEL_COLUMNS))}. Received: {group_by}"
        )
    return column


def column_numbers(scenes: Sequence[Scene], column: str) -> FloatArray:
    """(S,) the numbers of a column; NaN where a cell holds none."""
    return np.array([scene.number(column) for scene in scenes])


def group_names(scenes: Sequence[Scene], column: str) -> list[str]:
    """(S,) the name of each scene's group."""
    values = [
        f"{getattr(scene, column):g}" if column in LABEL_COLUMNS else scene.columns[column]
        for scene in scenes
    ]
    numbers = column_numbers(scenes, column)
    there = np.isfinite(numbers)
    words = {value.lower() for value, finite in zip(values, there, strict=True) if not finite}
    if len(set(numbers[there])) <= _MOST_VALUES or not words <= _NO_NUMBER:
        return values
    edges = range_edges(numbers[there], degrees=column.endswith("_deg"))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    return [
        f"{edges[place]:g} to {edges[place + 1]:g}" if math.isfinite(number) else MISSING
        for place, number in zip(places, numbers, strict=True)
    ]


def grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """Indices of the members of each group: ranges ascending, else by their first member."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    if all(name == MISSING or _start(name) is not None for name in groups):
        return dict(sorted(groups.items(), key=lambda item: _start(item[0]) or 0.0))
    return groups


def range_edges(numbers: FloatArray, *, degrees: bool = False) -> FloatArray:
    """Round edges of at most eight ranges that hold all of the (N,) finite numbers."""
    low, high = float(np.min(numbers)), float(np.max(numbers))
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / _MOST_RANGES))
    steps = _DEGREE_STEPS if degrees else [power * step for step in (*_STEPS, 10.0, 20.0)]
    for step in steps:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= _MOST_RANGES:
            break
    return np.round(step * np.arange(first, max(last, first + 1) + 1), 9)


def _start(name: str) -> float | None:
    """Where a range begins; infinity for the scenes without a number."""
    if name == MISSING:
        return math.inf
    try:
        low, high = map(float, name.split(" to "))
    except ValueError:
        return None
    return None if math.isnan(low) or math.isnan(high) else low
