"""Results and figures as rows and cells of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from doa_tf.evaluation.groups import DEFAULT_GROUP
from doa_tf.evaluation.judge import CLUSTER_COLUMN, SceneResult

SCENES_COLUMN = "scenes"  # added to pooled results: the folder they come from
_NAMES = {"music": "MUSIC", "intensity": "intensity vector"}  # baselines, for readers


def pooled(folders: Mapping[str, Sequence[SceneResult]]) -> list[SceneResult]:
    """Results of several folders as one: a column `scenes`, and no room that two folders share."""
    columns = {name for results in folders.values() for name in results[0].scene.columns}
    together = []
    for folder, results in folders.items():
        for result in results:
            room = result.scene.columns.get(CLUSTER_COLUMN, result.scene.file)
            values = {
                **dict.fromkeys(columns, ""),
                **result.scene.columns,
                SCENES_COLUMN: folder,
                CLUSTER_COLUMN: f"{folder}/{room}",
            }
            together.append(replace(result, scene=replace(result.scene, columns=values)))
    return together


def titles(results: Sequence[SceneResult]) -> list[str]:
    """The condition of each result, or its folder too where folders have the same conditions."""
    columns = [result.scene.columns for result in results]
    pairs = [(own[SCENES_COLUMN], own.get(DEFAULT_GROUP, "")) for own in columns]
    conditions = [condition for _, condition in set(pairs)]

    def title(folder: str, condition: str) -> str:
        if condition and conditions.count(condition) == 1:
            return condition
        return folder if condition in folder else f"{folder}, {condition}"

    return [title(*pair) for pair in pairs]


def shown(label: str) -> str:
    """A label as readers know it."""
    return _NAMES.get(label, label)


def cell(summary: dict[str, Any]) -> str:
    """Median, share within 10 degrees and above 30, with their intervals."""
    names = ("median_deg", "acc10", "outliers30")
    (a, b), (c, d), (e, f) = (summary["intervals"][name] for name in names)
    return (
        f"{summary['median_deg']:.1f}° [{a:.1f}, {b:.1f}], "
        f"{summary['acc10']:.0f} % [{c:.0f}, {d:.0f}], "
        f"{summary['outliers30']:.0f} % [{e:.0f}, {f:.0f}]"
    )


CELL_NOTE = (
    "Median error, share within 10°, share above 30°; in brackets 95 % intervals of 2,000 "
    "bootstrap resamples of whole rooms (of scenes where no room is said)."
)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
