"""Pictures of what `robustness` measured: lines against numbers, bars for everything else."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_tf.plotting import COLOURS, GREY, finish, new_figure, save_figure, styled
from experiments.scenes.tables import shown

WIDTH = 7.2  # inches: 936 pixels
LINES = ("snr", "sir", "rt60", "distance", "elevation", "tilt")
LARGEST_DEG = 60.0  # end of the bars' axis; what is larger is written there
Path = str | os.PathLike[str]


def plot_lines(path: Path, values: dict[str, Any]) -> bool:
    """Median error against numbers, a panel for each axis; whether there was anything to draw."""
    axes_values = [axis for axis in values["axes"] if axis["name"] in LINES and axis["levels"]]
    if not axes_values:
        return False
    rows = math.ceil(len(axes_values) / 3)
    figure = new_figure(path, WIDTH, 2.5 * rows + 0.7)
    panels = figure.subplots(rows, 3, squeeze=False).ravel()
    for place, (axes, axis) in enumerate(zip(panels, axes_values, strict=False)):
        levels = axis["levels"]
        for number, (label, style) in enumerate(styled(values["models"])):
            shift = 0.08 * (number - 0.5 * (len(values["models"]) - 1))
            middle, *around = _medians(levels, label)
            places = [position + shift for position in range(len(levels))]
            line = {**style, "ms": 4.5, "lw": 1.4, "elinewidth": 0.9}
            axes.errorbar(places, middle, yerr=around, label=shown(label), **line)
        axes.set_xticks(range(len(levels)), [_short(row["level"]) for row in levels])
        axes.set_ylim(0.0, max(5.0, min(axes.get_ylim()[1], 100.0)))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(labelsize=8)
        finish(axes, "")
        axes.set_xlabel(_AXES.get(axis["name"], axis["title"]), fontsize=9)
        if place % 3 == 0:
            axes.set_ylabel("median error [degrees]", fontsize=9)
    for axes in panels[len(axes_values) :]:
        axes.set_visible(False)
    legend_of(figure, *panels[0].get_legend_handles_labels())
    save_figure(figure, path, "Median error against what makes a scene hard, 95 % intervals")
    return True


def plot_robustness(path: Path, values: dict[str, Any]) -> bool:
    """A bar for each level: the first model's median error; marks for the other models."""
    axes_values = [axis for axis in values["axes"] if axis["levels"]]
    if any(axis["name"] not in LINES for axis in axes_values):
        axes_values = [axis for axis in axes_values if axis["name"] not in LINES[:5]]
    if not axes_values:
        return False
    columns = _two_columns(axes_values)
    longest = max(sum(len(axis["levels"]) + 1.6 for axis in column) for column in columns)
    figure = new_figure(path, WIDTH, 0.19 * longest + 1.3)
    panels = figure.subplots(1, len(columns), squeeze=False).ravel()
    for axes, column in zip(panels, columns, strict=True):
        _draw_bars(axes, column, list(values["models"]), longest)
    known = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    names = [shown(label) for label in values["models"]]
    legend_of(figure, [known[name] for name in names], names)
    save_figure(figure, path, "Median error [degrees], one thing changed at a time")
    return True


def legend_of(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend of all panels, below them."""
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=9, frameon=False)


def _draw_bars(axes: Any, column: Sequence[dict[str, Any]], labels: list[str], rows: float) -> None:
    """Rows of bars under the title of each axis, downwards."""
    own, *others = styled(labels)
    rows_of = [row for axis in column for row in axis["levels"]]
    places, place = [], 0.0
    for axis in column:
        title = _TITLES.get(axis["name"], axis["title"])
        axes.text(0.0, place, title, fontsize=8.5, fontweight="bold", va="center")
        places += [place + number for number in range(1, len(axis["levels"]) + 1)]
        place = places[-1] + 1.6
    middle, *around = _medians(rows_of, own[0])
    axes.barh(places, middle, height=0.72, color=COLOURS[0], alpha=0.75, label=shown(own[0]))
    axes.errorbar(middle, places, xerr=around, fmt="none", ecolor="#2b2f36", elinewidth=1.0)
    for label, style in others:
        medians, *_ = _medians(rows_of, label)
        mark = {"color": style["color"], "ms": 4.5, "label": shown(label)}
        axes.plot(np.minimum(medians, LARGEST_DEG - 0.5), places, style["marker"], **mark)
        for value, where in zip(medians, places, strict=True):
            if value > LARGEST_DEG:
                text = {"fontsize": 6.5, "va": "center", "color": GREY}
                axes.text(LARGEST_DEG + 0.8, where, f"{value:.0f}", **text)
    axes.set_yticks(places, [row["level"] for row in rows_of])
    axes.set(xlim=(0.0, LARGEST_DEG), ylim=(rows - 0.8, -0.8))
    axes.tick_params(labelsize=8, length=0)
    finish(axes, "")
    axes.grid(visible=False, axis="y")


def _two_columns(axes: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The axes in their order, cut where both parts are most alike in length."""
    if len(axes) < 2:
        return [list(axes)]
    lengths = [len(axis["levels"]) + 1.6 for axis in axes]
    cut = min(range(1, len(axes)), key=lambda k: abs(sum(lengths[:k]) - sum(lengths[k:])))
    return [list(axes[:cut]), list(axes[cut:])]


def _medians(levels: Sequence[dict[str, Any]], label: str) -> tuple[np.ndarray, ...]:
    """(L,) medians of a model, and how far their intervals reach below and above."""
    figures = [row["results"][label] for row in levels]
    middle = np.array([own["median_deg"] for own in figures])
    low, high = np.array([own["intervals"]["median_deg"] for own in figures]).T
    return middle, middle - low, high - middle


_AXES = {
    "snr": "SNR, diffuse noise [dB]",
    "sir": "SIR, localised noise [dB]",
    "rt60": "reverberation time [s]",
    "distance": "distance [m]",
    "elevation": "elevation [degrees]",
    "tilt": "mounted askew by [degrees]",
}
_TITLES = {
    "tilt": "Mounted askew, untold",
    "capsule": "One capsule of four weak",
    "field": "Diffuse noise at 5 dB",
    "interferer": "Localised noise at 5 dB",
    "talkers": "Second talker, less loud by",
}


def _short(level: str) -> str:
    """A tick without its unit, which is on the axis; ranges on two lines."""
    number, _, unit = level.partition(" ")
    text = number if unit in ("dB", "s", "m", "%") else level
    return text.removesuffix("°").replace(" to ", "\nto ")
