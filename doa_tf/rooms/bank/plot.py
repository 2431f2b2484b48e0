"""A picture of a bank: its rooms in distributions, and one response as arriving intensity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.spec import SAMPLE_RATE
from doa_tf.plotting import draw_directions, draw_histogram, finish, new_figure, save_figure
from doa_tf.rooms.bank.info import room_columns
from doa_tf.rooms.room import Room

_FRAME = 32  # samples: 2 ms
_SHOWN_DB = 45.0  # below the strongest frame


def plot_bank(path: str | os.PathLike[str], rooms: Sequence[Room], *, room: int = 0) -> None:
    """Draw reverberation times, ratios, distances and directions of a bank, and one SRIR.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        rooms: from `doa_tf.rooms.read_bank`; at least one.
        room: whose first response is drawn, by its place in the bank; the first one that is not
            dry from there on.

    Raises:
        InputError: the file's suffix is not that of a picture.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure = new_figure(path, 12.5, 10.4)
    columns = room_columns(rooms)
    reverberant = (each for each in islice(rooms, room, None) if each.rt60 != 0.0)
    grid = figure.add_gridspec(3, 3)
    times = {"drawn": columns["rt60_s"], "measured": columns["rt60_measured_s"]}
    axes = figure.add_subplot(grid[0, 0])
    draw_histogram(axes, times, title="Reverberation time", unit="RT60, T30 [s]", of="rooms")
    panels = (("drr_db", "Direct-to-reverberant ratio", "[dB]"), ("distance_m", "Distance", "[m]"))
    for place, (name, title, unit) in enumerate(panels, 1):
        axes = figure.add_subplot(grid[0, place])
        draw_histogram(axes, {"": columns[name]}, title=title, unit=unit, of="sources")
    directions = np.array(columns["direction"])
    draw_directions(figure.add_subplot(grid[1, :]), directions, title="Directions")
    _draw_response(figure, figure.add_subplot(grid[2, :]), next(reverberant, rooms[room]))
    save_figure(figure, path, f"{len(rooms)} rooms")


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
    colours = {"c": elevation, "cmap": "RdYlBu_r", "vmin": -90, "vmax": 90}
    edges = {"edgecolors": "black", "linewidths": 0.3}
    points = axes.scatter(1000.0 * times[kept], azimuth, s=size, **colours, **edges)
    axes.set(ylim=(-190, 190), yticks=range(-180, 181, 90))
    axes.set(xlabel="time [ms]", ylabel="azimuth [degrees]")
    ticks = range(-90, 91, 45)
    figure.colorbar(points, ax=axes, label="elevation [degrees]", pad=0.01, ticks=ticks)
    shown = f"Room {room.number}, first source: where 2 ms of sound come from"
    finish(axes, f"{shown}; larger is louder, down to -{_SHOWN_DB:g} dB")
