"""The error of models against what makes scenes hard, one thing at a time.

    python -m experiments.quality.robustness MODEL... baseline:music --speech DIR --noise FILE
        --work DIR [--axes NAME ...] [--scenes 300] [--rooms 60] [--json FILE] [--plot DIR]
        [--quick]

Where an axis says nothing else: a tetrahedral microphone with tolerances in hybrid rooms of 0.2 to
0.6 s, diffuse noise (babble, recorded, coloured) at 5 to 30 dB, one window of 0.83 s a scene. Rooms
have a seed of their own; --speech and --noise must be none of training's. Scenes and answers are
kept in --work: a run that was stopped goes on, and another model hears the same scenes. Without a
model the scenes are rendered and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.errors import InputError
from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.groups import column_numbers
from doa_tf.evaluation.judge import bootstrap_of, summarise
from doa_tf.evaluation.statistics import compare_errors
from doa_tf.files import write_json
from doa_tf.rooms.simulate import software_versions
from experiments.quality.options import JSON, MODEL, one_thread
from experiments.quality.robustness_axes import Axis, all_axes, quick_axes
from experiments.quality.robustness_plot import plot_robustness
from experiments.scenes import sets
from experiments.scenes.answers import Results, files_of, labelled
from experiments.scenes.tables import CELL_NOTE, cell, markdown, shown

NEAR_DEG = 20.0  # of a talker, where there are two
APART_DEG = 2.0 * NEAR_DEG  # below that an answer may be near both


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Render what is missing, judge, print the tables."""
    parser = program("experiments.quality.robustness", __doc__)
    parser.add_argument("models", nargs="*", **MODEL)
    sets.add_set_options(parser)
    parser.add_argument("--axes", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--json", **JSON)
    parser.add_argument("--plot", type=Path, metavar="DIR", help="folder for robustness.png")
    args = parser.parse_args(argv)
    models = labelled(args.models)
    with sets.scene_store(args) as store:
        axes = chosen_axes(all_axes(sets.array_file(args.sofa, store.work)), args.axes)
        results = measure(store, quick_axes(axes) if args.quick else axes, models)
    if not models:
        return
    print(table(results))
    if args.json:
        write_json(args.json, results)
    if args.plot:
        args.plot.mkdir(parents=True, exist_ok=True)
        plot_robustness(args.plot / "robustness.png", results)


def measure(
    store: sets.SceneStore, axes: Sequence[Axis], models: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of every model on every level of every axis, as JSON values."""
    levels = [scene_set for axis in axes for scene_set in axis.levels.values()]
    answers = sets.judge_sets(store, levels, models)
    figures = []
    for axis in axes if models else ():
        reasons = {name: store.missing(own) for name, own in axis.levels.items()}
        skipped = {name: reason for name, reason in reasons.items() if reason is not None}
        levels = {name: answers[axis.levels[name].name] for name in reasons if name not in skipped}
        figures.append(axis_figures(axis, levels, skipped))
    made_with = {"scenes": store.scenes, "rooms": store.rooms, "seed": sets.SEED}
    made_with["software"] = software_versions()
    return {"made_with": made_with, "models": files_of(models), "axes": figures}


def chosen_axes(axes: Sequence[Axis], names: Sequence[str] | None) -> list[Axis]:
    """The axes asked for, all of them by default.

    Raises:
        InputError: an axis that there is not.
    """
    known = [axis.name for axis in axes]
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise InputError(
            f"--axes must be some of {', '.join(known)}. Received: {', '.join(unknown)}"
        )
    return [axis for axis in axes if not names or axis.name in names]


def axis_figures(
    axis: Axis, levels: Mapping[str, Mapping[str, Results]], skipped: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of an axis, with paired differences to its reference, as JSON values."""
    rows = []
    for name, by_model in levels.items():
        row = {label: summarise(results) for label, results in by_model.items()}
        for label, results in by_model.items():
            if axis.reference in levels and name != axis.reference:
                row[label]["less_reference"] = paired(results, levels[axis.reference][label])
            if axis.name == "talkers":
                row[label]["two_talkers"] = two_talker_shares(results)
        rows.append({"level": name, "results": row})
    facts = {name: getattr(axis, name) for name in ("name", "title", "note", "ordered")}
    return {**facts, "reference": axis.reference, "levels": rows, "skipped": dict(skipped)}


def paired(results: Results, base: Results) -> dict[str, Any]:
    """Differences of the figures to the same scenes without the change, and their intervals."""
    errors, others = (np.array([result.error_deg for result in some]) for some in (results, base))
    test = compare_errors(errors, others, bootstrap=bootstrap_of(results))
    return {
        name: {"difference": test.differences[name], "interval": list(test.intervals[name])}
        for name in ("median_deg", "acc10", "outliers30")
    }


def two_talker_shares(results: Results) -> dict[str, float]:
    """Whom the answers are near, where two talk at once at least `APART_DEG` apart.

    `nearer_deg`, `farther_deg`: median error to the nearer and the farther of the two; `labelled`,
    `other`, `neither`: percent of answers within `NEAR_DEG` of them; `between`: of the middle of
    the two and of none of them.
    """
    scenes = [result.scene for result in results]
    columns = ("interferer_azimuth_deg", "interferer_elevation_deg")
    second = angles_to_vector(*(np.radians(column_numbers(scenes, name)) for name in columns))
    first = np.stack([scene.direction for scene in scenes])
    pairs = np.radians([(result.azimuth_deg, result.elevation_deg) for result in results])
    answers = angles_to_vector(*pairs.T)
    apart = np.degrees(great_circle_distance(first, second))
    chosen = apart >= APART_DEG
    if not chosen.any():
        return {"scenes": 0.0}
    first, second, answers = first[chosen], second[chosen], answers[chosen]
    to_first = np.degrees(great_circle_distance(answers, first))
    to_second = np.degrees(great_circle_distance(answers, second))
    middle = first + second
    middle /= np.maximum(np.linalg.norm(middle, axis=-1, keepdims=True), 1e-9)
    neither = (to_first > NEAR_DEG) & (to_second > NEAR_DEG)
    to_middle = np.degrees(great_circle_distance(answers, middle))
    between = neither & (apart[chosen] < 170.0) & (to_middle <= NEAR_DEG)
    return {
        "scenes": float(chosen.sum()),
        "nearer_deg": float(np.median(np.minimum(to_first, to_second))),
        "farther_deg": float(np.median(np.maximum(to_first, to_second))),
        "labelled": 100.0 * float(np.mean(to_first <= NEAR_DEG)),
        "other": 100.0 * float(np.mean(to_second <= NEAR_DEG)),
        "neither": 100.0 * float(np.mean(neither)),
        "between": 100.0 * float(np.mean(between)),
    }


def table(results: dict[str, Any]) -> str:
    """Markdown: a table for each axis."""
    labels = list(results["models"])
    made = results["made_with"]
    parts = [f"{made['scenes']} scenes a row, in {made['rooms']} rooms. {CELL_NOTE}"]
    for axis in results["axes"]:
        note = f" ({axis['note']})" if axis["note"] else ""
        parts.append(f"**{axis['title']}**{note}")
        rows = []
        for level in axis["levels"]:
            rows.append([level["level"], *(cell(level["results"][label]) for label in labels)])
        for level, reason in axis["skipped"].items():
            rows.append([level, f"skipped: {reason}", *[""] * (len(labels) - 1)])
        parts.append(markdown([axis["name"], *map(shown, labels)], rows))
        if axis["name"] == "talkers":
            parts.append(_talkers_table(axis, labels))
    return "\n\n".join(parts)


_TALKER_COLUMNS = {
    "nearer_deg": ("to the nearer", "{:.1f}°"),
    "farther_deg": ("to the farther", "{:.1f}°"),
    "labelled": (f"within {NEAR_DEG:g}° of the labelled", "{:.0f} %"),
    "other": ("of the other", "{:.0f} %"),
    "neither": ("of neither", "{:.0f} %"),
    "between": ("of the middle", "{:.0f} %"),
}


def _talkers_table(axis: dict[str, Any], labels: Sequence[str]) -> str:
    rows = []
    for level in axis["levels"]:
        for label in labels:
            shares = level["results"][label]["two_talkers"]
            if shares["scenes"]:
                cells = [form.format(shares[key]) for key, (_, form) in _TALKER_COLUMNS.items()]
                rows.append([f"{level['level']}, {shown(label)}", *cells])
    titles = [title for title, _ in _TALKER_COLUMNS.values()]
    return markdown([f"two talkers at least {APART_DEG:g}° apart", *titles], rows)


if __name__ == "__main__":
    run_program(main)
