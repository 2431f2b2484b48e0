"""What all pictures share: figures, styles, histograms, directions on the sphere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np

from doa_core.files import printable
from doa_edge.sinks.plot import check_plot, save_picture

# Distinct for colour-blind readers, and in print (M. Okabe, K. Ito, 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_DASHES = ("-", "--", ":")
GREY = "#70757f"
_LEGEND: dict[str, Any] = {"fontsize": 9, "frameon": False}
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
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    bins = min(_BINS, 6 + len(next(iter(kept.values()))) // 15)
    edges = np.histogram_bin_edges(np.concatenate(list(kept.values())), bins)
    style = {"alpha": 0.85} if len(kept) == 1 else {"histtype": "step", "lw": 1.8}
    for colour, (name, values) in zip(COLOURS, kept.items(), strict=False):
        label = f"{name + ': ' if name else ''}median {np.median(values):.2g}"
        axes.hist(values, edges, color=colour, label=label, **style)
    axes.margins(y=0.25)  # room for the legend
    axes.legend(fontsize=8, frameon=False, loc="upper left", borderaxespad=0.2)


def draw_directions(axes: Any, directions: np.ndarray, *, title: str, **marks: Any) -> Any:
    """Draw (N, 3) directions on an equal-area map of the sphere: uniform looks uniform.

    The height is the sine of the elevation (Lambert's cylindrical projection).

    Args:
        axes: of Matplotlib.
        directions: unit vectors.
        title: of the panel.
        marks: options of Matplotlib's `scatter`.

    Returns:
        What `scatter` returns, for a colour bar.
    """
    azimuth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
    marks = marks or {"s": 7, "color": COLOURS[0], "alpha": 0.5, "linewidths": 0.0}
    drawn = axes.scatter(azimuth, directions[:, 2], **marks)
    elevations = (-90, -45, -20, 0, 20, 45, 90)
    # What is on the listener's left is on the left.
    axes.set(xlim=(185, -185), ylim=(-1.03, 1.03), xticks=range(-180, 181, 90))
    axes.set(xlabel="azimuth [degrees]: left is positive", ylabel="elevation [degrees]")
    axes.set_yticks(np.sin(np.radians(elevations)), [f"{value}" for value in elevations])
    finish(axes, title)
    return drawn


def draw_counts(axes: Any, names: Sequence[str], *, title: str) -> None:
    """Draw how often each name occurs."""
    values, counts = np.unique(np.asarray(names), return_counts=True)
    bars = axes.barh(values, counts, color=COLOURS[0], alpha=0.85)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.margins(x=0.15)
    finish(axes, title)


def new_figure(path: str | os.PathLike[str], width: float, height: float) -> Any:
    """A figure of that size [inches], for a file.

    Raises:
        InputError: the file's suffix is not that of a picture.
        MissingPackageError: Matplotlib is not installed.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str | os.PathLike[str], title: str) -> None:
    """Write the figure with a heading; the file appears whole or not at all."""
    figure.suptitle(printable(title), fontsize=12, fontweight="bold", x=0.01, ha="left")
    save_picture(figure, path)


def styled(names: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each name with its colour, marker and line style; 21 of them are distinct."""
    looks = cycle(product(_DASHES, zip(COLOURS, MARKERS, strict=True)))
    return [
        (name, {"color": colour, "marker": marker, "linestyle": dash})
        for name, (dash, (colour, marker)) in zip(names, looks, strict=False)
    ]


def legend_below(axes: Any, *, columns: int) -> None:
    """A legend below the axes, where it hides no curve."""
    place = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.14), "borderaxespad": 0.0}
    axes.legend(**place, **_LEGEND, ncols=columns)


def legend_outside(figure: Any, axes: Any, *, columns: int = 4) -> None:
    """The legend of one of the axes, below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, **_LEGEND)


def finish(axes: Any, title: str) -> None:
    """Title and grid."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#d9dce1", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
