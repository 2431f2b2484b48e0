"""Pictures of a comparison. A function writes one file, or none if there is nothing to draw."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_core.angles import FloatArray, angles_to_vector
from doa_tf.evaluation.comparison import ALL, Comparison, Entry, read_history
from doa_tf.evaluation.groups import column_numbers
from doa_tf.evaluation.panels import draw_distribution, draw_medians, threshold_shares
from doa_tf.evaluation.statistics import OUTLIER_DEG
from doa_tf.files import MONITOR
from doa_tf.plotting import finish, legend_below, legend_outside, new_figure, save_figure, styled

AGAINST = ("snr_db", "sir_db", "rt60_s", "elevation_deg")
_MOST_PANELS = 6
_FEWEST = 20  # scenes with a number in a column that is drawn against
_SPHERE_STEP_DEG = 3.0
_TENTHS = 8  # ranges of confidence with as many scenes each
Path = str | os.PathLike[str]


def plot_distributions(path: Path, comparison: Comparison) -> bool:
    """Distribution of the error, a panel for each group."""
    groups = comparison.groups()
    names = [name for name in groups if name != ALL] or [ALL]
    if len(names) > _MOST_PANELS:
        names = [ALL]
    legend = 0.2 * len(comparison.defaults)  # inches below each panel
    figure, panels = _figure_of_panels(path, len(names), columns=3, size=(6.2, 4.6 + legend))
    for axes, name in zip(panels, names, strict=True):
        errors = {e.name: e.evaluation.errors_deg[groups[name]] for e in comparison.defaults}
        draw_distribution(axes, errors, title=f"{name or '(empty)'}: {len(groups[name])} scenes")
        legend_below(axes, columns=1)
    save_figure(figure, path, "Distribution of the error")
    return True


def plot_against(path: Path, comparison: Comparison) -> bool:
    """Median error against SNR, SIR, RT60 and elevation, as far as the scenes have them."""
    scenes = list(comparison.scenes)
    drawn = {}
    for column in AGAINST:
        numbers = column_numbers(scenes, column)
        there = numbers[np.isfinite(numbers)]
        if len(there) >= _FEWEST and len(np.unique(there)) > 2:
            drawn[column] = numbers
    if not drawn:
        return False
    figure, panels = _figure_of_panels(path, len(drawn), columns=2, size=(6.6, 4.5))
    errors = {entry.name: entry.evaluation.errors_deg for entry in comparison.defaults}
    for axes, (column, numbers) in zip(panels, drawn.items(), strict=True):
        title = f"{np.sum(np.isfinite(numbers))} scenes, 95 % intervals"
        draw_medians(axes, numbers, errors, column=column, title=title)
    legend_outside(figure, panels[0])
    save_figure(figure, path, "Median error against what makes a scene hard")
    return True


def plot_confidence(path: Path, comparison: Comparison) -> bool:
    """Outliers removed against scenes removed; share within 10 degrees against confidence."""
    figure = new_figure(path, 12.4, 5.8)
    left, right = figure.subplots(1, 2)
    for entry, style in _styled_entries(comparison.defaults):
        errors, confidence = entry.evaluation.errors_deg, entry.evaluation.confidence
        line = {"color": style["color"], "ls": style["linestyle"], "lw": 1.8, "label": entry.name}
        removed, outliers = removed_by_rank(confidence, errors)
        if len(outliers):
            left.plot(removed, outliers, **line)
        order = np.argsort(confidence, kind="stable")
        parts = [part for part in np.array_split(order, _TENTHS) if len(part)]
        means = [np.mean(confidence[part]) for part in parts]
        within = [100.0 * np.mean(errors[part] <= 10.0) for part in parts]
        right.plot(means, within, marker=style["marker"], ms=5, **line)
    left.plot([0, 100], [0, 100], color="#b8bcc4", lw=1.0, ls="--", label="at random")
    right.plot([0, 1], [0, 100], color="#b8bcc4", lw=1.0, ls="--", label="a probability")
    left.set(xlim=(0, 100), xlabel="scenes with the least confidence removed [percent]")
    left.set(ylim=(0, 101), ylabel="errors above 30° removed with them [percent]")
    right.set(xlim=(0, 1), ylim=(0, 101), xlabel="confidence", ylabel="scenes within 10° [percent]")
    finish(left, "What a threshold removes")
    finish(right, f"Share within 10° in {_TENTHS} ranges of confidence")
    legend_outside(figure, right)
    save_figure(figure, path, "Confidence")
    return True


def removed_by_rank(confidence: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(M,) percent of all scenes, and of outliers, that a rising threshold removes.

    Scenes of the same confidence are removed together. M is 0 where there is no outlier.
    """
    if not np.any(errors > OUTLIER_DEG):
        return np.zeros(0), np.zeros(0)
    thresholds = np.append(np.unique(confidence), np.inf)
    kept, removed, _ = threshold_shares(confidence, errors, thresholds)
    return 100.0 - kept, removed


def plot_spheres(path: Path, comparison: Comparison, indices: Sequence[int]) -> bool:
    """Scores over the sphere: a row for each scene, a column for each model."""
    entries = [e for e in comparison.defaults if e.label in comparison.predictions]
    if not entries or not len(indices):
        return False
    azimuth_deg = np.arange(-180.0, 180.1, _SPHERE_STEP_DEG)
    elevation_deg = np.arange(-90.0, 90.1, _SPHERE_STEP_DEG)
    directions = angles_to_vector(*np.radians(np.meshgrid(azimuth_deg, elevation_deg)))
    rows, columns = len(indices), len(entries)
    figure = new_figure(path, max(3.1 * columns, 6.0), 2.0 * rows + 0.9)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for row, index in zip(panels, indices, strict=True):
        scene = comparison.scenes[index]
        for axes, entry in zip(row, entries, strict=True):
            predictions = comparison.predictions[entry.label]
            place = [other.file for other in predictions.scenes].index(scene.file)
            scores = predictions.scores(place, directions.reshape(-1, 3))
            scores = scores.reshape(directions.shape[:2])
            look = {"cmap": "magma", "shading": "nearest", "rasterized": True}
            axes.pcolormesh(azimuth_deg, elevation_deg, scores, **look)
            _draw_answers(axes, entry, index)
        condition = scene.columns.get(comparison.group_by or "", "")
        row[0].set_ylabel(f"{scene.file}\n{condition}".strip(), fontsize=7.5)
    above = {"xycoords": "axes fraction", "ha": "center", "fontsize": 10, "fontweight": "bold"}
    for axes, entry in zip(panels[0], entries, strict=True):
        axes.annotate(entry.name, (0.5, 1.22), **above)
    for axes in panels[-1]:
        axes.set_xlabel("azimuth [degrees]", fontsize=8)
    title = "Circle: talker; cross: answer; triangle: interferer"
    save_figure(figure, path, f"Scores, each panel on its own scale. {title}")
    return True


def _draw_answers(axes: Any, entry: Entry, index: int) -> None:
    result = entry.evaluation.results[index]
    scene = result.scene
    axes.plot(scene.azimuth_deg, scene.elevation_deg, "o", ms=11, mfc="none", mec="white", mew=1.8)
    axes.plot(result.azimuth_deg, result.elevation_deg, "x", ms=7, color="#00e5ff", mew=2.0)
    interferer = [scene.number(f"interferer_{name}_deg") for name in ("azimuth", "elevation")]
    if np.all(np.isfinite(interferer)):
        axes.plot(*interferer, "^", ms=8, mfc="none", mec="#7CFC00", mew=1.4)
    axes.set(xlim=(180, -180), ylim=(-90, 90), xticks=(-90, 0, 90), yticks=(-45, 0, 45))
    axes.tick_params(labelsize=7)
    title = f"{result.error_deg:.1f}°, confidence {result.confidence:.2f}"
    axes.set_title(title, fontsize=8, loc="left")


def plot_training(path: Path, comparison: Comparison) -> bool:
    """Validation error over the epochs of the models that lie in their runs."""
    entries = [entry for entry in comparison.defaults if entry.history is not None]
    if not entries:
        return False
    figure = new_figure(path, 9.0, 5.2)
    axes = figure.subplots()
    longest = 1
    for entry, style in _styled_entries(entries):
        values = read_history(entry.history, MONITOR) if entry.history else []
        if not values:
            continue
        epochs = np.arange(1, len(values) + 1)
        longest = max(longest, len(values))
        best = int(np.argmin(values))
        line = {"color": style["color"], "ls": style["linestyle"]}
        label = f"{entry.label}: best {values[best]:.1f}° in epoch {best + 1}"
        axes.plot(epochs, values, lw=1.7, label=label, **line)
        axes.plot(best + 1, values[best], style["marker"], color=style["color"], ms=8)
    axes.set(xlim=(0.5, longest + 0.5), xlabel="epoch")
    axes.set(ylim=(0.0, None), ylabel="median error on validation scenes [degrees]")
    axes.xaxis.get_major_locator().set_params(integer=True)
    finish(axes, "A mark where each was best")
    axes.legend(fontsize=9, frameon=False)
    save_figure(figure, path, "Training")
    return True


def _figure_of_panels(
    path: Path, count: int, *, columns: int, size: tuple[float, float]
) -> tuple[Any, list[Any]]:
    """A figure with so many panels of that size [inches], and their axes."""
    rows, columns = math.ceil(count / columns), min(count, columns)
    figure = new_figure(path, size[0] * columns, size[1] * rows)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def _styled_entries(entries: Sequence[Entry]) -> list[tuple[Entry, dict[str, Any]]]:
    styles = styled([entry.name for entry in entries])
    return [(entry, style) for entry, (_, style) in zip(entries, styles, strict=True)]
