"""Panels for pictures of errors. Angles in degrees, shares in percent."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_tf.evaluation.groups import range_edges
from doa_tf.evaluation.statistics import OUTLIER_DEG, Bootstrap, figures
from doa_tf.plotting import COLOURS, GREY, finish, legend_below, styled

SMALLEST_ERROR = 0.5  # degrees, end of the logarithmic axis
_FEWEST = 5  # scenes for a median
_DEGREE_TICKS = (0.5, 1, 2, 5, 10, 20, 45, 90, 180)
AXIS_LABELS = {
    "snr_db": "signal-to-noise ratio [dB]",
    "sir_db": "signal-to-interference ratio [dB]",
    "rt60_s": "reverberation time RT60 [s]",
    "elevation_deg": "true elevation [degrees]",
    "azimuth_deg": "true azimuth [degrees]",
}


def error_axis(axes: Any, which: str) -> None:
    """Make `x` or `y` a logarithmic axis of errors."""
    limits = (SMALLEST_ERROR, 180.0)
    axes.set(**{f"{which}scale": "log", f"{which}lim": limits, f"{which}label": "error [degrees]"})
    ticks = getattr(axes, f"set_{which}ticks")
    ticks(_DEGREE_TICKS, [f"{tick:g}" for tick in _DEGREE_TICKS], minor=False)
    ticks([], minor=True)


def draw_distribution(axes: Any, errors: Mapping[str, FloatArray], *, title: str) -> None:
    """Cumulative distribution of the (N,) errors of each name."""
    for name, style in styled(errors):
        ordered = np.sort(errors[name])
        # From 0 percent at the left edge to 100 at the right one, a step up at each error.
        x = np.concatenate([[SMALLEST_ERROR], np.maximum(ordered, SMALLEST_ERROR), [180.0]])
        y = np.concatenate([[0.0], 100.0 * np.arange(1, len(ordered) + 1) / len(ordered), [100.0]])
        own = figures(ordered)
        label = f"{name}: median {own['median_deg']:.1f}°, {own['acc10']:.0f} % within 10°"
        line = {"color": style["color"], "ls": style["linestyle"], "lw": 1.8}
        axes.step(x, y, where="post", label=label, **line)
    axes.axvline(10.0, color=GREY, lw=0.9, ls="--")
    axes.set(ylim=(0.0, 101.0), ylabel="scenes with at most this error [percent]")
    error_axis(axes, "x")
    finish(axes, title)


def draw_medians(
    axes: Any, numbers: FloatArray, errors: Mapping[str, FloatArray], *, column: str, title: str
) -> None:
    """Median error of each name in ranges of a column, with its bootstrap interval.

    Args:
        axes: to draw on.
        numbers: (N,) of the column; scenes without one are left out.
        errors: (N,) of each name.
        column: for the label.
        title: of the panel.
    """
    there = np.isfinite(numbers)
    edges = range_edges(numbers[there], degrees=column.endswith("_deg"))
    width = edges[1] - edges[0]
    for place, (name, style) in enumerate(styled(errors)):
        shift = 0.6 * width * ((place + 0.5) / len(errors) - 0.5)
        points = []
        for low, high in pairwise(edges):
            last = high == edges[-1]
            inside = there & (numbers >= low) & ((numbers <= high) if last else (numbers < high))
            if np.sum(inside) < _FEWEST:
                continue
            values = errors[name][inside]
            bottom, top = Bootstrap(len(values), resamples=500).intervals(values)["median_deg"]
            middle = float(np.median(values))
            points.append((0.5 * (low + high) + shift, middle, middle - bottom, top - middle))
        if points:
            x, y, below, above = np.array(points).T
            line = {"ms": 5, "lw": 1.2, "elinewidth": 0.9, **style}
            axes.errorbar(x, y, yerr=[below, above], label=name, **line)
    axes.set(xticks=edges, xlabel=AXIS_LABELS.get(column, column))
    axes.set(ylim=(0.0, None), ylabel="median error [degrees]")
    finish(axes, title)


def draw_confidence(axes: Any, confidence: FloatArray, errors: FloatArray) -> None:
    """One mark a scene, and the median error in ten ranges with as many scenes each."""
    mark = {"s": 14, "color": COLOURS[0], "alpha": 0.45, "linewidths": 0.0, "label": "a scene"}
    axes.scatter(confidence, np.maximum(errors, SMALLEST_ERROR), **mark)
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part) >= _FEWEST]
    if parts:
        x = [float(np.median(confidence[part])) for part in parts]
        y = [max(float(np.median(errors[part])), SMALLEST_ERROR) for part in parts]
        axes.plot(x, y, "s-", color=COLOURS[1], lw=1.6, ms=6, label="median of a tenth of them")
    axes.axhline(OUTLIER_DEG, color=GREY, lw=0.9, ls="--")
    axes.set(xlim=(0.0, 1.0), xlabel="confidence")
    error_axis(axes, "y")
    finish(axes, "Error against confidence")
    legend_below(axes, columns=2)


def threshold_shares(
    confidence: npt.ArrayLike, errors: npt.ArrayLike, thresholds: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The effect of requiring some confidence [percent], for each of (H,) thresholds.

    Returns:
        Shares of all scenes kept, of the outliers removed (NaN where there are none), and of
        outliers among the scenes that are kept (NaN where none is kept).
    """
    confidence, errors = np.asarray(confidence), np.asarray(errors)
    kept = confidence >= np.asarray(thresholds)[:, np.newaxis]
    outlier = errors > OUTLIER_DEG
    among = kept & outlier
    with np.errstate(invalid="ignore", divide="ignore"):
        removed = 1.0 - among.sum(axis=1) / np.float64(outlier.sum())
        left = among.sum(axis=1) / kept.sum(axis=1).astype(np.float64)
    if not outlier.any():
        removed = np.full(len(kept), np.nan)
    return 100.0 * kept.mean(axis=1), 100.0 * removed, 100.0 * left


def draw_threshold(axes: Any, confidence: FloatArray, errors: FloatArray) -> None:
    """Shares of scenes kept and outliers removed, over the threshold of confidence."""
    thresholds = np.linspace(0.0, 1.0, 201)
    kept, removed, left = threshold_shares(confidence, errors, thresholds)
    axes.plot(thresholds, removed, color=COLOURS[1], lw=1.8, label="outliers that it removes")
    axes.plot(thresholds, kept, color=COLOURS[0], lw=1.8, label="scenes that it keeps")
    axes.plot(thresholds, left, color=COLOURS[2], lw=1.8, label="outliers among the kept")
    axes.set(xlim=(0.0, 1.0), xlabel="threshold of confidence")
    axes.set(ylim=(0.0, 101.0), ylabel="[percent]")
    count = int(np.sum(errors > OUTLIER_DEG))
    finish(axes, f"What a threshold removes: {count} errors above 30° in {len(errors)} scenes")
    legend_below(axes, columns=2)
