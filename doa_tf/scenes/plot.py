"""A picture of a scenes folder: what is in its labels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from doa_core.files import write_beside
from doa_edge.sinks.plot import check_plot
from doa_tf.plotting import draw_counts, draw_directions, draw_histogram
from doa_tf.scenes.folder import Scenes

_QUANTITIES = {
    "rt60_s": ("Reverberation time", "RT60 [s]"),
    "distance_m": ("Distance of the talker", "[m]"),
    "drr_db": ("Direct-to-reverberant ratio", "[dB]"),
    "snr_db": ("Speech over diffuse noise", "SNR [dB]"),
    "sir_db": ("Speech over the interferer", "SIR [dB]"),
}


def plot_scenes(path: str | os.PathLike[str], scenes: Scenes) -> None:
    """Draw distributions of the columns that scenes have, and directions on the sphere.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        scenes: from `doa_tf.scenes.read_scenes`.

    Raises:
        InputError: a suffix that is no picture's.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [column for column in _QUANTITIES if column in scenes.columns]
    rows = 1 + -(-(len(shown) + ("condition" in scenes.columns)) // 3)
    figure = Figure(figsize=(12.5, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 3)
    directions = np.stack([scene.direction for scene in scenes])
    draw_directions(figure.add_subplot(grid[0, :]), directions, title="Directions of the talkers")
    for place, column in enumerate(shown, 3):
        title, unit = _QUANTITIES[column]
        values = [_number(scene.columns[column]) for scene in scenes]
        axes = figure.add_subplot(grid[place // 3, place % 3])
        draw_histogram(axes, {"": values}, title=title, unit=unit, of="scenes")
    if "condition" in scenes.columns:
        place = 3 + len(shown)
        axes = figure.add_subplot(grid[place // 3, place % 3])
        names = [scene.columns["condition"] for scene in scenes]
        draw_counts(axes, names, title="Conditions, scenes of each")
    figure.suptitle(
        f"{scenes.folder.resolve().name}: {len(scenes)} scenes",
        fontsize=13,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    with write_beside(path) as part:
        figure.savefig(part, format=Path(path).suffix[1:].lower(), dpi=120)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
