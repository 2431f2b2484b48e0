"""A picture of a bank: its rooms in distributions, and one response as arriving intensity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.files import write_beside
from doa_core.spec import SAMPLE_RATE
from doa_edge.sinks.plot import check_plot
from doa_tf.plotting import draw_directions, draw_histogram, finish
from doa_tf.rooms.room import Room

_FRAME = 32  # samples: 2 ms
_SHOWN_DB = 45.0  # below the strongest frame


def plot_bank(path: str | os.PathLike[str], rooms: Sequence[Room], *, room: int = 0) -> None:
    """Draw reverberation times, ratios, distances and directions of a bank, and one SRIR.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        rooms: from `doa_tf.rooms.bank.bank.read_bank`; at least one.
        room: whose first response is drawn, by its place in the bank; the first one that is not
            dry from there on.

    Raises:
        InputError: a suffix that is no picture's.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    asked, measured, drr, distances, directions = [], [], [], [], []
    drawn = rooms[room]
    for number, each in enumerate(rooms):
        if number >= room and drawn.rt60 == 0.0:
            drawn = each
        asked.append(each.rt60 or np.nan)
        measured.append(each.rt60_measured or np.nan)
        drr.extend(each.drr_db)
        distances.extend(each.distances)
        directions.extend(each.directions)
    figure = Figure(figsize=(12.5, 10.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 3)
    draw_histogram(
        figure.add_subplot(grid[0, 0]),
        {"asked": asked, "measured": measured},
        title="Reverberation time",
        unit="RT60, T30 [s]",
        of="rooms",
    )
    axes = figure.add_subplot(grid[0, 1])
    draw_histogram(axes, {"": drr}, title="Direct-to-reverberant ratio", unit="[dB]", of="sources")
    axes = figure.add_subplot(grid[0, 2])
    draw_histogram(axes, {"": distances}, title="Distance", unit="[m]", of="sources")
    draw_directions(figure.add_subplot(grid[1, :]), np.array(directions), title="Directions")
    _draw_response(figure, figure.add_subplot(grid[2, :]), drawn)
    figure.suptitle(f"{len(rooms)} rooms", fontsize=13, fontweight="bold", x=0.01, ha="left")
    with write_beside(path) as part:
        figure.savefig(part, format=Path(path).suffix[1:].lower(), dpi=120)


def response_intensity(srir: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (T,) [seconds], levels (T,) [dB] and directions (T, 3) of an (N, 4) SRIR's frames.

    The level is that of W, 0 dB at the strongest frame; the direction that of the mean active
    intensity over 2 ms.
    """
    frames = -(-len(srir) // _FRAME)
    padded = np.zeros((frames * _FRAME, 4))
    padded[: len(srir)] = srir
    cut = padded.reshape(frames, _FRAME, 4)
    intensity = np.mean(cut[..., :1] * cut[..., [3, 1, 2]], axis=1)
    power = np.mean(cut[..., 0] ** 2, axis=1)
    levels = 10.0 * np.log10(power / power.max() + 1e-12)
    return np.arange(frames) * _FRAME / SAMPLE_RATE, levels, intensity


def _draw_response(figure: Any, axes: Any, room: Room) -> None:
    times, levels, intensity = response_intensity(room.srirs[0])
    kept = levels > -_SHOWN_DB
    azimuth, elevation = (np.degrees(angle) for angle in vector_to_angles(intensity[kept]))
    size = 6.0 + 160.0 * 10.0 ** (levels[kept] / 20.0)
    points = axes.scatter(
        1000.0 * times[kept],
        azimuth,
        s=size,
        c=elevation,
        cmap="RdYlBu_r",
        vmin=-90,
        vmax=90,
        edgecolors="black",
        linewidths=0.3,
    )
    axes.set(
        ylim=(-190, 190),
        yticks=range(-180, 181, 90),
        xlabel="time [ms]",
        ylabel="azimuth [degrees]",
    )
    figure.colorbar(
        points, ax=axes, label="elevation [degrees]", pad=0.01, ticks=range(-90, 91, 45)
    )
    finish(
        axes,
        f"Room {room.number}, first source: where 2 ms of sound come from; larger is louder, "
        f"down to -{_SHOWN_DB:g} dB",
    )
