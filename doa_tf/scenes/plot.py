"""A picture of the labels of a scenes folder."""

from __future__ import annotations

import os

import numpy as np

from doa_tf.plotting import draw_counts, draw_directions, draw_histogram, new_figure, save_figure
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
        InputError: the file's suffix is not that of a picture.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    shown = [column for column in _QUANTITIES if column in scenes.columns]
    rows = 1 + -(-(len(shown) + ("condition" in scenes.columns)) // 3)
    figure = new_figure(path, 12.5, 3.4 * rows)
    grid = figure.add_gridspec(rows, 3)
    stretches = [each for scene in scenes for who in scene.talkers for each in who.stretches]
    directions = np.array([each.direction for each in stretches]).reshape(-1, 3)
    draw_directions(figure.add_subplot(grid[0, :]), directions, title="Directions of the talkers")
    for place, column in enumerate(shown, 3):
        title, unit = _QUANTITIES[column]
        values = [scene.number(column) for scene in scenes]
        axes = figure.add_subplot(grid[place // 3, place % 3])
        draw_histogram(axes, {"": values}, title=title, unit=unit, of="scenes")
    if "condition" in scenes.columns:
        axes = figure.add_subplot(grid[1 + len(shown) // 3, len(shown) % 3])
        names = [scene.columns["condition"] for scene in scenes]
        draw_counts(axes, names, title="Conditions, scenes of each")
    save_figure(figure, path, f"{scenes.folder.resolve().name}: {len(scenes)} scenes")
