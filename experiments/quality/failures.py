"""Kinds of answers that are far off, counted, with the worst scene of each as an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_tf.evaluation.judge import SceneResult
from doa_tf.evaluation.statistics import OUTLIER_DEG
from experiments.scenes.answers import apart_deg
from experiments.scenes.tables import SCENES_COLUMN, markdown

NEAR_DEG = 20.0  # of what an answer is taken to point to
STEEP_DEG = 15.0  # elevation from which a mirrored answer can be told from a right one
_COLUMNS = ("snr_db", "sir_db", "rt60_s", "distance_m", "drr_db", "microphone")
KINDS = {
    "interferer": f"within {NEAR_DEG:g}° of the interferer",
    "mirrored": f"within {NEAR_DEG:g}° of the talker's image in floor or ceiling",
    "elevation": f"azimuth within {NEAR_DEG:g}°, elevation not",
    "elsewhere": "anywhere else",
}


def failure_kind(result: SceneResult) -> str:
    """The key in `KINDS` of an answer that is far off."""
    answer, scene = (result.azimuth_deg, result.elevation_deg), result.scene
    interferer = [scene.number(f"interferer_{angle}_deg") for angle in ("azimuth", "elevation")]
    if np.all(np.isfinite(interferer)) and apart_deg(answer, interferer) <= NEAR_DEG:
        return "interferer"
    mirrored = (scene.azimuth_deg, -scene.elevation_deg)
    if abs(scene.elevation_deg) >= STEEP_DEG and apart_deg(answer, mirrored) <= NEAR_DEG:
        return "mirrored"
    turn = abs((result.azimuth_deg - scene.azimuth_deg + 180.0) % 360.0 - 180.0)
    return "elevation" if turn <= NEAR_DEG else "elsewhere"


def failure_figures(results: Sequence[SceneResult]) -> dict[str, dict[str, Any]]:
    """How many outliers are of each kind, their mean confidence, and the worst one."""
    outliers = [result for result in results if result.error_deg > OUTLIER_DEG]
    figures = {}
    for kind in KINDS:
        own = [result for result in outliers if failure_kind(result) == kind]
        if own:
            worst = max(own, key=lambda result: result.error_deg)
            figures[kind] = {
                "n": len(own),
                "percent": 100.0 * len(own) / len(results),
                "confidence": float(np.mean([result.confidence for result in own])),
                "example": {
                    "scene": f"{worst.scene.columns.get(SCENES_COLUMN, '')}/{worst.scene.file}",
                    "talker_deg": [worst.scene.azimuth_deg, worst.scene.elevation_deg],
                    "answer_deg": [worst.azimuth_deg, worst.elevation_deg],
                    "error_deg": worst.error_deg,
                    "confidence": worst.confidence,
                    **{
                        name: worst.scene.columns[name]
                        for name in _COLUMNS
                        if worst.scene.columns.get(name, "nan") not in ("", "nan")
                    },
                },
            }
    return figures


def failure_table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for each kind."""
    if not figures:
        return f"No error above {OUTLIER_DEG:g}°."
    rows = []
    for kind, own in figures.items():
        example = own["example"]
        where = ["{:.0f}°, {:.0f}°".format(*example[name]) for name in ("talker_deg", "answer_deg")]
        facts = ", ".join(f"{name} {example[name]}" for name in _COLUMNS if name in example)
        worst = (
            f"`{example['scene']}`: talker {where[0]}, answer {where[1]}, confidence "
            f"{example['confidence']:.2f}; {facts}"
        )
        count = f"{own['n']} ({own['percent']:.1f} %)"
        rows.append([KINDS[kind], count, f"{own['confidence']:.2f}", worst])
    header = [f"answers more than {OUTLIER_DEG:g}° off", "scenes", "mean confidence", "the worst"]
    return markdown(header, rows)
