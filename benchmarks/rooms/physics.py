"""Hybrid rooms against the same rooms traced in full by pyroomacoustics: cost and acoustics."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.rooms.reference import reference_responses
from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.acoustics import c50, diffuseness, direct_direction, drr_db, t30
from doa_tf.rooms.plan import RoomSettings, draw_plan
from doa_tf.rooms.room import Room, simulate_room

LATE = 0.08  # seconds after the emission from which a response counts as late
BANDS = {"t30_250": (177.0, 354.0), "t30": (354.0, 1414.0), "t30_4k": (2828.0, 5657.0)}
SEED, PROCESSES = 11, 2
_SETTINGS = RoomSettings(rt60=(0.2, 0.8), dry_share=0.0, sources=1, microphone="ideal")


def _reference(number: int) -> np.ndarray:
    import pyroomacoustics as pra

    pra.constants.set("num_threads", 1)
    plan = draw_plan(np.random.default_rng((SEED, number, 0)), _SETTINGS)
    return reference_responses(plan, 0)


def _timed(pool: ProcessPoolExecutor, work: Any, numbers: range) -> tuple[list[Any], float]:
    """Results, and wall seconds per item with every process of the pool busy."""
    started = time.perf_counter()
    results = list(pool.map(work, numbers))
    return results, (time.perf_counter() - started) / len(numbers)


def measure_rooms(rooms: int) -> dict[str, Any]:
    """Cost ratio and errors of `rooms` rooms with one source each, RT60 uniform in [0.2, 0.8] s."""
    numbers = range(rooms)
    hybrid = partial(simulate_room, seed=SEED, settings=_SETTINGS)
    drawn = partial(simulate_room, seed=SEED, settings=replace(_SETTINGS, microphone="random"))
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(hybrid, range(4 * PROCESSES)))  # imports, once
        references, reference_s = _timed(pool, _reference, numbers)
        many = range(max(rooms, 40))
        hybrids, hybrid_s = _timed(pool, hybrid, many)
        _, random_s = _timed(pool, drawn, many)
    errors = [_errors(ours, theirs) for ours, theirs in zip(hybrids, references, strict=False)]
    table = {name: [error[name] for error in errors] for name in errors[0]}
    asked = [100.0 * (room.rt60_measured / room.rt60 - 1.0) for room in hybrids]
    return {
        "speedup_vs_reference": reference_s / hybrid_s,
        "speedup_random_microphones": reference_s / random_s,
        "reference_s_per_source": reference_s,
        "hybrid_s_per_source": hybrid_s,
        "t30_error_median_pct": float(np.median(np.abs(table["t30"]))),
        "drr_error_median_db": float(np.median(np.abs(table["drr_db"]))),
        "c50_error_median_db": float(np.median(np.abs(table["c50_db"]))),
        "direct_error_median_deg": float(np.median(table["direct_deg"])),
        "diffuseness_error_median": float(np.median(np.abs(table["diffuseness"]))),
        "rooms": rooms,
        "distributions": {
            **{name: _distribution(values) for name, values in table.items()},
            "t30_measured_over_asked": _distribution(asked),
        },
    }


def _errors(room: Room, reference: np.ndarray) -> dict[str, float]:
    ours, late = room.srirs[0], round(LATE * SAMPLE_RATE)
    w, v = reference[:, 0], ours[:, 0]
    directions = direct_direction(ours), direct_direction(reference)
    return {
        **{name: 100.0 * (t30(v, band=b) / t30(w, band=b) - 1.0) for name, b in BANDS.items()},
        "drr_db": drr_db(v) - drr_db(w),
        "c50_db": c50(v) - c50(w),
        "direct_deg": float(np.degrees(great_circle_distance(*directions))),
        "diffuseness": diffuseness(ours[late:]) - diffuseness(reference[late:]),
    }


def _distribution(values: list[float]) -> dict[str, float]:
    """Signed percentiles, so that a bias can be told from a scatter."""
    finite = np.asarray(values)[np.isfinite(values)]
    percent = np.percentile(finite, [5, 25, 50, 75, 95])
    return {
        **dict(zip(("p5", "p25", "p50", "p75", "p95"), map(float, percent), strict=True)),
        "largest": float(np.abs(finite).max()),
        "n": len(finite),
    }
