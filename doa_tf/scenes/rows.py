"""Rows of labels.csv for mixed scenes; a cell is empty where a value does not apply."""

from __future__ import annotations

from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.spec import SAMPLE_RATE
from doa_core.stft import HOP, WINDOW_LENGTH
from doa_tf.rooms.room import Room
from doa_tf.scenes.draw import CONDITIONS, MixedScene


def scene_row(scene: MixedScene) -> dict[str, Any]:
    """The row of a scene of one talker."""
    return labels_row(
        scene.room,
        scene.source,
        condition=scene.condition,
        snr_db=scene.snr_db,
        sir_db=scene.sir_db,
        interferer=scene.interferer,
    )


def scene_rows(scene: MixedScene) -> list[dict[str, Any]]:
    """The rows of a scene of any number of talkers, for a folder that holds several conditions.

    Everybody has one row where all of them talk in every frame. Otherwise each has a row for every
    run of frames in which they talk, from half a hop before the middle of its first frame to half a
    hop after that of its last: read back, every frame has the targets that it was mixed with.
    """
    if scene.condition in CONDITIONS:
        return [{**scene_row(scene), **talker_columns("1")}]
    given: dict[str, Any] = {
        "condition": scene.condition,
        "snr_db": scene.snr_db,
        "sir_db": scene.sir_db,
        "interferer": scene.interferer,
    }
    if not len(scene.sources):
        return [{**labels_row(scene.room, None, **given), **talker_columns("")}]
    rows = []
    all_through = bool(np.all(scene.activity))
    for name, source, active in zip(scene.names, scene.sources, scene.activity, strict=True):
        row = labels_row(scene.room, source, **given)
        if all_through:
            rows.append({**row, **talker_columns(name)})
        for start, end in () if all_through else _runs(active):
            rows.append({**row, **talker_columns(name, start, end)})
    return rows


def labels_row(
    room: Room,
    source: int | None,
    *,
    condition: str,
    snr_db: float,
    sir_db: float = float("nan"),
    interferer: int | None = None,
) -> dict[str, Any]:
    """The row of a talker at a source of a room; of nobody without a source."""
    asked = room.rt60 if np.isfinite(room.rt60) else room.rt60_measured
    azimuth, elevation = _place(room, source)
    of_interferer = _place(room, interferer)
    has_drr = source is not None and len(room.drr_db)
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": elevation,
        "condition": condition,
        "rt60_s": round(float(asked), 3),
        "rt60_measured_s": round(float(room.rt60_measured), 3),
        "snr_db": decibels(snr_db),
        "sir_db": decibels(sir_db),
        "distance_m": _distance(room, source),
        "drr_db": decibels(float(room.drr_db[source]) if has_drr else float("nan")),
        "microphone": room.microphone_kind,
        "room": room.number,
        "interferer_azimuth_deg": of_interferer[0],
        "interferer_elevation_deg": of_interferer[1],
    }


def talker_columns(
    name: str, start: int | None = None, stop: int | None = None, *, below_db: float | str = ""
) -> dict[str, Any]:
    """Who talks, from `start` until `stop` [samples], all through by default."""
    return {
        "talker": name,
        "start_s": "" if start is None else round(start / SAMPLE_RATE, 4),
        "end_s": "" if stop is None else round(stop / SAMPLE_RATE, 4),
        "below_db": below_db if isinstance(below_db, str) else decibels(below_db),
    }


def degrees(direction: np.ndarray) -> tuple[float, float]:
    """Azimuth and elevation of a unit vector, rounded for a label."""
    azimuth, elevation = vector_to_angles(direction)
    return round(float(np.degrees(azimuth)), 3), round(float(np.degrees(elevation)), 3)


def decibels(value: float) -> float | str:
    """A level, rounded for a label; empty where there is none."""
    return "" if np.isnan(value) else round(value, 2)


def _place(room: Room, source: int | None) -> tuple[float | str, float | str]:
    return ("", "") if source is None else degrees(room.directions[source])


def _distance(room: Room, source: int | None) -> float | str:
    """[metres], empty where it is not known."""
    distance = np.nan if source is None else float(room.distances[source])
    return "" if np.isnan(distance) else round(distance, 3)


def _runs(active: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of the runs of frames that are active [samples]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]])))
    before = (
        WINDOW_LENGTH - HOP
    ) // 2  # of a frame's first sample and half a hop before its middle
    return [
        (int(first) * HOP + before, int(after) * HOP + before)
        for first, after in edges.reshape(-1, 2)
    ]
