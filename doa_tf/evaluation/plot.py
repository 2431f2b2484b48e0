"""A picture of an evaluation: how large the errors are, and where they occur."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_core.angles import FloatArray
from doa_tf import plotting
from doa_tf.evaluation import panels
from doa_tf.evaluation.groups import column_numbers
from doa_tf.evaluation.judge import Evaluation, SceneResult
from doa_tf.evaluation.panels import AXIS_LABELS, SMALLEST_ERROR, error_axis
from doa_tf.evaluation.statistics import figures
from doa_tf.plotting import GREY, finish, legend_below, new_figure, save_figure, styled

NOISE_COLUMN = "snr_db"  # drawn against, where the scenes have it
_LARGEST_LEGEND = 12  # groups; more of them are drawn as one


def plot_evaluation(path: str | os.PathLike[str], evaluation: Evaluation) -> None:
    """Draw the errors, where they occur, and how they relate to the confidence.

    Above, the distribution of the errors per group, and each error over the column `snr_db` where
    most scenes have a number there, else a map of the true directions, coloured by error. Below,
    error against confidence, and the share of outliers that a threshold of confidence removes.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        evaluation: from `doa_tf.evaluation.evaluate`.

    Raises:
        InputError: the file's suffix is not that of a picture.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure = new_figure(path, 12.0, 10.4)
    errors = evaluation.errors_deg
    groups = evaluation.group_indices()
    if not 0 < len(groups) <= _LARGEST_LEGEND:
        groups = {"all scenes": list(range(len(errors)))}
    (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
    columns = 1 if len(groups) <= 4 else 2
    by_group = {name or "(empty)": errors[indices] for name, indices in groups.items()}
    panels.draw_distribution(upper_left, by_group, title="Distribution of the error")
    legend_below(upper_left, columns=columns)
    noise_db = column_numbers([result.scene for result in evaluation.results], NOISE_COLUMN)
    if np.mean(np.isfinite(noise_db)) > 0.5:
        _draw_against_noise(upper_right, noise_db, errors, groups)
        legend_below(upper_right, columns=columns)
    else:
        _draw_map(figure, upper_right, evaluation.results)
    panels.draw_confidence(lower_left, evaluation.confidence, errors)
    panels.draw_threshold(lower_right, evaluation.confidence, errors)
    median = figures(errors)["median_deg"]
    decoding = "" if evaluation.decode == "direct" else f", {evaluation.decode}"
    title = f"{evaluation.model}{decoding}: median {median:.1f}° over {len(errors)} scenes"
    save_figure(figure, path, title)


def _draw_against_noise(
    axes: Any, noise_db: FloatArray, errors: FloatArray, groups: dict[str, list[int]]
) -> None:
    for name, style in styled(groups):
        x, y = noise_db[groups[name]], np.maximum(errors[groups[name]], SMALLEST_ERROR)
        mark = {"s": 24, "marker": style["marker"], "alpha": 0.7, "linewidths": 0.0}
        axes.scatter(x, y, color=style["color"], label=name or "(empty)", **mark)
    axes.axhline(10.0, color=GREY, lw=0.9, ls="--")
    axes.set(xlabel=AXIS_LABELS[NOISE_COLUMN])
    error_axis(axes, "y")
    finish(axes, "Error against noise, one mark a scene")


def _draw_map(figure: Any, axes: Any, results: Sequence[SceneResult]) -> None:
    results = sorted(results, key=lambda result: result.error_deg)  # the worst on top
    look = {"s": 30, "cmap": "viridis_r", "vmax": 45.0, "edgecolors": "black", "linewidths": 0.3}
    points = plotting.draw_directions(
        axes,
        np.stack([result.scene.direction for result in results]),
        title="Error by true direction, one mark a scene",
        c=[result.error_deg for result in results],
        vmin=0.0,
        **look,
    )
    figure.colorbar(points, ax=axes, label="error [degrees]", extend="max", pad=0.01)
