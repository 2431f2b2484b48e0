"""Sums over a file, and the figures of many files with their bootstrap intervals.

Every figure but the median is a sum over all files divided by another one, so that a talker, a
frame or a minute counts the same in whatever file it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doa_core.angles import FloatArray
from doa_tf.evaluation.judge import CLUSTER_COLUMN, bootstrap_of, resampled_unit
from doa_tf.evaluation.statistics import Bootstrap, percentile_interval
from doa_tf.scenes.folder import Scene

MEDIAN = "median_deg"
# Figures that are no shares, which all others are [percent].
MEASURES = ("mean_deg", "LE_deg", "count_error", "switches_per_minute")
_DECIMALS = 4  # in JSON


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was counted in one file.

    Attributes:
        scene: the recording and its labels.
        errors_deg: (N,) what the median is of [degrees].
        sums: (part, whole) of each figure, by name.
    """

    scene: Scene
    errors_deg: FloatArray
    sums: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def figure(self, name: str) -> float | None:
        """A figure of this file alone; None where there is nothing that it is of."""
        return figure([self], name)


def figure(tallies: Sequence[Tally], name: str) -> float | None:
    """A figure of some files; None where there is nothing that it is of."""
    if name == MEDIAN:
        errors = np.concatenate([tally.errors_deg for tally in tallies])
        return float(np.median(errors)) if len(errors) else None
    part, whole = (float(np.sum(side)) for side in _sides(tallies, name))
    return _scale(name) * part / whole if whole else None


def figures(tallies: Sequence[Tally], names: Iterable[str]) -> dict[str, Any]:
    """Figures of some files, rounded, and their `intervals`; None where there are none.

    Args:
        tallies: one for each file, at least one.
        names: of `Tally.sums`, and `median_deg`.
    """
    bootstrap = bootstrap_of(tallies)
    values: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    for name in names:
        value = figure(tallies, name)
        values[name] = None if value is None else round(value, _DECIMALS)
        bounds = None if value is None else _interval(tallies, name, bootstrap)
        intervals[name] = None if bounds is None else [round(bound, _DECIMALS) for bound in bounds]
    return {**values, "intervals": intervals}


def difference(
    a: Sequence[Tally], b: Sequence[Tally], names: Iterable[str]
) -> dict[str, dict[str, Any] | None]:
    """Figures of `a` less those of `b` on the same files, with their paired intervals.

    Args:
        a: one for each file.
        b: of the same files in the same order.
        names: of figures; `median_deg` only where both have the error of the same talkers.

    Returns:
        `difference` and `interval` of each name; None where one of the two has no such figure.
    """
    bootstrap = bootstrap_of(a)
    differences: dict[str, dict[str, Any] | None] = {}
    for name in names:
        own, other = figure(a, name), figure(b, name)
        if own is None or other is None:
            differences[name] = None
            continue
        values = _resampled(a, name, bootstrap) - _resampled(b, name, bootstrap)
        bounds = percentile_interval(values[np.isfinite(values)])
        rounded = [round(bound, _DECIMALS) for bound in bounds]
        differences[name] = {"difference": round(own - other, _DECIMALS), "interval": rounded}
    return differences


def _sides(tallies: Sequence[Tally], name: str) -> tuple[FloatArray, FloatArray]:
    """(S,) parts and (S,) wholes of a figure."""
    pairs = np.array([tally.sums.get(name, (0.0, 0.0)) for tally in tallies], dtype=np.float64)
    return pairs[:, 0], pairs[:, 1]


def _scale(name: str) -> float:
    return 1.0 if name in MEASURES else 100.0


def _interval(
    tallies: Sequence[Tally], name: str, bootstrap: Bootstrap
) -> tuple[float, float] | None:
    if name == MEDIAN:
        return percentile_interval(_resampled(tallies, name, bootstrap))
    parts, wholes = _sides(tallies, name)
    if _scale(name) == 1.0:
        return bootstrap.ratio_interval(parts, wholes)
    return bootstrap.share_interval(parts, wholes)


def _resampled(tallies: Sequence[Tally], name: str, bootstrap: Bootstrap) -> FloatArray:
    """(R,) values of a figure, one for each resample."""
    if name != MEDIAN:
        parts, wholes = _sides(tallies, name)
        return _scale(name) * bootstrap.ratio(parts, wholes)
    errors = np.concatenate([tally.errors_deg for tally in tallies])
    by_room = resampled_unit(tallies) == CLUSTER_COLUMN
    owners = [
        tally.scene.columns[CLUSTER_COLUMN] if by_room else tally.scene.file
        for tally in tallies
        for _ in tally.errors_deg
    ]
    return Bootstrap(len(errors), clusters=owners).figures(errors)[MEDIAN]
