"""Mixed scenes written to a folder with labels.csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.errors import InputError
from doa_tf.files import Progress
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.mixer import RENDER_STREAM, MixedScene, SceneMixer


def render_scenes(
    folder: str | Path,
    *,
    mixer: SceneMixer,
    conditions: Sequence[str],
    scenes: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Write `scenes` scenes of each condition to a scenes folder; all of them, or nothing.

    Args:
        folder: a new or an empty one.
        mixer: mixes them.
        conditions: names in `doa_tf.scenes.draw.CONDITIONS`.
        scenes: how many of each.
        seed: of the draws.
        progress: called with scenes done and scenes in all.

    Raises:
        InputError: the folder is not new, or no scene is asked for.
    """
    if scenes < 1:
        raise InputError(f"`scenes` must be at least 1. Received: scenes={scenes}")

    def rows() -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
        for number, condition in enumerate(conditions):
            for index in range(scenes):
                scene = mixer.mix((seed, number, index, RENDER_STREAM), condition=condition)
                yield f"{condition}_{index:04d}.wav", scene.waveform, scene_row(scene)
                if progress:
                    progress(number * scenes + index + 1, len(conditions) * scenes)

    write_scenes(folder, rows())


def scene_row(scene: MixedScene) -> dict[str, Any]:
    """The row of a scene in labels.csv; a cell is empty where a value does not apply."""
    room, source, other = scene.room, scene.source, scene.interferer
    azimuth, elevation = _degrees(room.directions[source])
    interferer = ("", "") if other is None else _degrees(room.directions[other])
    asked = room.rt60 if np.isfinite(room.rt60) else room.rt60_measured
    drr_db = float(room.drr_db[source]) if len(room.drr_db) else float("nan")
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": elevation,
        "condition": scene.condition,
        "rt60_s": round(float(asked), 3),
        "rt60_measured_s": round(float(room.rt60_measured), 3),
        "snr_db": _decibels(scene.snr_db),
        "sir_db": _decibels(scene.sir_db),
        "distance_m": round(float(room.distances[source]), 3),
        "drr_db": _decibels(drr_db),
        "microphone": room.microphone_kind,
        "room": room.number,
        "interferer_azimuth_deg": interferer[0],
        "interferer_elevation_deg": interferer[1],
    }


def _degrees(direction: np.ndarray) -> tuple[float, float]:
    azimuth, elevation = vector_to_angles(direction)
    return round(float(np.degrees(azimuth)), 3), round(float(np.degrees(elevation)), 3)


def _decibels(value: float) -> float | str:
    return "" if np.isnan(value) else round(value, 2)
