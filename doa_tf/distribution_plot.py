"""Panels that pictures of banks and of scenes share: histograms, and directions on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

COLOURS = ("#0072b2", "#d55e00", "#009e73")  # M. Okabe, K. Ito, 2008
_GREY = "#70757f"
_BINS = 24


def draw_histogram(axes: Any, series: dict[str, Any], *, title: str, unit: str, of: str) -> None:
    """Draw histograms of one quantity over common bins, with their medians.

    Args:
        axes: of Matplotlib.
        series: values by name; those that are not finite are left out.
        title: of the panel.
        unit: of the values.
        of: what is counted.
    """
    kept = {name: np.asarray(values, float) for name, values in series.items()}
    kept = {name: values[np.isfinite(values)] for name, values in kept.items()}
    kept = {name: values for name, values in kept.items() if len(values)}
    finish(axes, title)
    axes.set(xlabel=unit, ylabel=of)
    if not kept:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=_GREY)
        axes.set(xticks=[], yticks=[])
        return
    edges = np.histogram_bin_edges(
        np.concatenate(list(kept.values())), min(_BINS, 6 + len(next(iter(kept.values()))) // 15)
    )
    for colour, (name, values) in zip(COLOURS, kept.items(), strict=False):
        label = f"{name + ': ' if name else ''}median {np.median(values):.2g}"
        if len(kept) == 1:
            axes.hist(values, edges, color=colour, alpha=0.85, label=label)
        else:
            axes.hist(values, edges, color=colour, histtype="step", lw=1.8, label=label)
    axes.margins(y=0.25)  # room for the legend
    axes.legend(fontsize=8, frameon=False, loc="upper left", borderaxespad=0.2)


def draw_directions(axes: Any, directions: np.ndarray, *, title: str) -> None:
    """Draw (N, 3) directions on an equal-area map of the sphere, so that even looks even.

    The height is the sine of the elevation (Lambert's cylindrical projection).
    """
    azimuth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
    axes.scatter(azimuth, directions[:, 2], s=7, color=COLOURS[0], alpha=0.5, linewidths=0.0)
    elevations = (-90, -45, -20, 0, 20, 45, 90)
    axes.set(
        xlim=(185, -185),  # what is on the listener's left is on the left
        ylim=(-1.03, 1.03),
        xticks=range(-180, 181, 90),
        xlabel="azimuth [degrees]: left is positive",
        ylabel="elevation [degrees]",
    )
    axes.set_yticks(np.sin(np.radians(elevations)), [f"{value}" for value in elevations])
    finish(axes, title)


def draw_counts(axes: Any, names: Sequence[str], *, title: str) -> None:
    """Draw how often each name occurs."""
    values, counts = np.unique(np.asarray(names), return_counts=True)
    bars = axes.barh(values, counts, color=COLOURS[0], alpha=0.85)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.margins(x=0.15)
    finish(axes, title)


def finish(axes: Any, title: str) -> None:
    """Give a panel its title and grid."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#d9dce1", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
