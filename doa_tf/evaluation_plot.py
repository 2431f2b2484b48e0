"""A picture of an evaluation: how large the errors are, and where they come from."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_edge.output import write_beside
from doa_edge.plot import check_plot
from doa_tf.evaluation import Evaluation, SceneResult, summarise

NOISE_COLUMN = "snr_db"  # drawn against, where the scenes have it
# Distinct for colour-blind readers, and in print (M. Okabe, K. Ito, 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_LARGEST_LEGEND = 12  # groups; more of them are drawn as one
_SMALLEST_ERROR = 0.5  # degrees, left end of the logarithmic axis
_DEGREE_TICKS = (0.5, 1, 2, 5, 10, 20, 45, 90, 180)


def plot_evaluation(path: str | os.PathLike[str], evaluation: Evaluation) -> None:
    """Draw the distribution of the errors per group, and each error against SNR or on the sphere.

    The right panel has the error over the column `snr_db` where most scenes have a number there,
    else a map of the true directions, coloured by error.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        evaluation: from `doa_tf.evaluation.evaluate`.

    Raises:
        InputError: a suffix that is no picture's.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = dict(evaluation.groups())
    if not 0 < len(groups) <= _LARGEST_LEGEND:
        groups = {"all scenes": evaluation.results}
    figure = Figure(figsize=(12.0, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.15])
    _draw_distribution(left, groups)
    noise_db = [_number(result, NOISE_COLUMN) for result in evaluation.results]
    if np.mean(np.isfinite(noise_db)) > 0.5:
        _draw_against_noise(right, groups)
    else:
        _draw_map(figure, right, evaluation.results)
    figure.suptitle(
        f"{evaluation.model}: median {summarise(evaluation.results)['median_deg']:.1f}° over "
        f"{len(evaluation.results)} scenes",
        fontsize=12,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    with write_beside(path) as part:
        figure.savefig(part, format=Path(path).suffix[1:].lower(), dpi=130)


def _draw_distribution(axes: Any, groups: dict[str, tuple[SceneResult, ...]]) -> None:
    for (name, results), colour, _ in _styled(groups):
        errors = np.sort([result.error_deg for result in results])
        # From 0 percent at the left edge to 100 at the right one, a step up at each error.
        x = np.concatenate([[_SMALLEST_ERROR], np.maximum(errors, _SMALLEST_ERROR), [180.0]])
        y = np.concatenate([[0.0], 100.0 * np.arange(1, len(errors) + 1) / len(errors), [100.0]])
        figures = summarise(results)
        label = f"{name}: median {figures['median_deg']:.1f}°, {figures['acc10']:.0f} % within 10°"
        axes.step(x, y, where="post", color=colour, lw=1.8, label=label)
    axes.axvline(10.0, color="#70757f", lw=0.9, ls="--")
    axes.set(
        xscale="log",
        xlim=(_SMALLEST_ERROR, 180.0),
        ylim=(0.0, 101.0),
        xlabel="error [degrees]",
        ylabel="scenes with at most this error [percent]",
    )
    axes.set_xticks(_DEGREE_TICKS, [f"{tick:g}" for tick in _DEGREE_TICKS], minor=False)
    axes.set_xticks([], minor=True)
    _finish(axes, "Distribution of the error")
    _legend_below(axes, columns=1 if len(groups) <= 4 else 2)


def _draw_against_noise(axes: Any, groups: dict[str, tuple[SceneResult, ...]]) -> None:
    for (name, results), colour, marker in _styled(groups):
        noise_db = [_number(result, NOISE_COLUMN) for result in results]
        errors = [max(result.error_deg, _SMALLEST_ERROR) for result in results]
        axes.scatter(
            noise_db,
            errors,
            s=24,
            color=colour,
            marker=marker,
            alpha=0.7,
            linewidths=0.0,
            label=name,
        )
    axes.axhline(10.0, color="#70757f", lw=0.9, ls="--")
    axes.set(
        yscale="log",
        ylim=(_SMALLEST_ERROR, 180.0),
        xlabel="signal-to-noise ratio [dB]",
        ylabel="error [degrees]",
    )
    axes.set_yticks(_DEGREE_TICKS, [f"{tick:g}" for tick in _DEGREE_TICKS], minor=False)
    axes.set_yticks([], minor=True)
    _finish(axes, "Error against noise, one mark a scene")
    _legend_below(axes, columns=1 if len(groups) <= 4 else 2)


def _draw_map(figure: Any, axes: Any, results: Sequence[SceneResult]) -> None:
    results = sorted(results, key=lambda result: result.error_deg)  # the worst on top
    points = axes.scatter(
        [result.scene.azimuth_deg for result in results],
        [result.scene.elevation_deg for result in results],
        c=[result.error_deg for result in results],
        s=30,
        cmap="viridis_r",
        vmin=0.0,
        vmax=45.0,
        edgecolors="black",
        linewidths=0.3,
    )
    axes.set(
        xlim=(185, -185),  # what is on the listener's left is on the left
        ylim=(-93, 93),
        xticks=range(-180, 181, 45),
        yticks=range(-90, 91, 30),
        xlabel="true azimuth [degrees]: left is positive",
        ylabel="true elevation [degrees]",
    )
    figure.colorbar(points, ax=axes, label="error [degrees]", extend="max", pad=0.01)
    _finish(axes, "Error by true direction, one mark a scene")


def _styled(groups: dict[str, tuple[SceneResult, ...]]) -> list[tuple[Any, str, str]]:
    return [
        (item, _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)])
        for number, item in enumerate(groups.items())
    ]


def _legend_below(axes: Any, *, columns: int) -> None:
    """Curves and marks can be anywhere inside."""
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.12),
        fontsize=9,
        frameon=False,
        ncols=columns,
        borderaxespad=0.0,
    )


def _finish(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#d9dce1", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _number(result: SceneResult, column: str) -> float:
    try:
        return float(result.scene.columns.get(column, ""))
    except ValueError:
        return math.nan
