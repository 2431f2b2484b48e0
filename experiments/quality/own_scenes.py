"""Our own test scenes, and how models do on them beside MUSIC in the same run.

    python -m experiments.quality.own_scenes MODEL... baseline:music --speech DIR --noise FILE
        --work DIR [--scenes 300] [--rooms 60] [--json FILE] [--quick]

Rooms of 0.2 to 0.6 s with a tetrahedral microphone and with the array of a SOFA file (by default
that of `experiments.scenes.array_sofa`, computed as a measurement would give it), babble and
recorded noise at 5 to 30 dB; then the same with a localised interferer at 0 to 20 dB. The scenes
lie in WORK/scenes/own-*, in the format of `doa_tf evaluate` and `doa_tf compare`. Without a model
they are rendered and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.judge import SceneResult, bootstrap_of, summarise
from doa_tf.evaluation.statistics import percentile_interval
from doa_tf.files import write_json
from doa_tf.scenes.folder import read_scenes
from experiments.quality.options import JSON, MODEL, one_thread
from experiments.scenes import sets
from experiments.scenes.answers import files_of, labelled
from experiments.scenes.microphone_error import microphone_errors_deg
from experiments.scenes.tables import CELL_NOTE, cell, markdown, shown

REFERENCE = "baseline:music"
# Of MUSIC's median error, at most: what the shipped models are asked for.
TARGETS = {"diffuse": 0.5, "interferer": 1.0 / 3.0}
OWN_NOTE = (
    "The microphone's own error: how far off its tolerances put a plane wave, without room or "
    "noise; median, 10th to 90th percentile. An estimator that does not know the very microphone "
    "can hardly take it away."
)


def own_sets(sofa: Path) -> list[sets.SceneSet]:
    """Four sets; the two microphones have rooms of their own, so that together they are more."""
    microphones = {"tetrahedral": "tetrahedral", "array": str(sofa)}
    return [
        sets.SceneSet(
            name=f"own-{name}-{condition}",
            rooms=replace(sets.OWN_ROOMS, microphone=microphone),
            condition=condition,
            seed=seed,
        )
        for seed, (name, microphone) in enumerate(microphones.items(), sets.SEED)
        for condition in TARGETS
    ]


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Render what is missing, judge, print the table."""
    parser = program("experiments.quality.own_scenes", __doc__)
    parser.add_argument("models", nargs="*", **MODEL)
    sets.add_set_options(parser)
    parser.add_argument("--json", **JSON)
    args = parser.parse_args(argv)
    models = labelled(args.models)
    with sets.scene_store(args) as store:
        results = measure(store, own_sets(sets.array_file(args.sofa, store.work)), models)
    if models:
        print(table(results))
    if args.json:
        write_json(args.json, results)


def measure(
    store: sets.SceneStore, own: Sequence[sets.SceneSet], models: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of every model on every set, and ratios of medians to MUSIC's, as JSON values."""
    answers = sets.judge_sets(store, own, models)
    music = next((label for label, model in models.items() if model == REFERENCE), None)
    values: dict[str, Any] = {"models": files_of(models), "sets": {}}
    for scene_set in own:
        by_model = answers[scene_set.name]
        figures = {label: summarise(results) for label, results in by_model.items()}
        if music is not None:
            for label, results in by_model.items():
                figures[label]["median_over_music"] = median_ratio(results, by_model[music])
        scenes = read_scenes(store.folder(scene_set)).scenes
        errors_deg = microphone_errors_deg(scenes, store.bank(scene_set))
        values["sets"][scene_set.name] = {
            "condition": scene_set.condition,
            "target_over_music": TARGETS[scene_set.condition],
            "microphone_deg": np.percentile(errors_deg, (50, 10, 90)).tolist(),
            "results": figures,
        }
    return values


def median_ratio(results: Sequence[SceneResult], music: Sequence[SceneResult]) -> dict[str, Any]:
    """Ratio of two models' median errors on the same scenes, with its bootstrap interval."""
    errors, others = (np.array([result.error_deg for result in some]) for some in (results, music))
    bootstrap = bootstrap_of(results)
    resampled = bootstrap.figures(errors)["median_deg"] / bootstrap.figures(others)["median_deg"]
    ratio = float(np.median(errors) / np.median(others))
    return {"ratio": ratio, "interval": list(percentile_interval(resampled))}


def table(values: dict[str, Any]) -> str:
    """Markdown: a row for each set, a column for each model, then the ratios."""
    labels = list(values["models"])
    rows, ratios = [], []
    for name, figures in values["sets"].items():
        results = [figures["results"][label] for label in labels]
        middle, low, high = figures["microphone_deg"]
        rows.append([name, *map(cell, results), f"{middle:.1f}° ({low:.1f} to {high:.1f})"])
        over = [own["median_over_music"] for own in results if "median_over_music" in own]
        if over:
            cells = ["{ratio:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]".format(**r) for r in over]
            ratios.append([name, *cells, f"{figures['target_over_music']:.2f}"])
    columns = ["scenes", *map(shown, labels)]
    parts = [f"{CELL_NOTE} {OWN_NOTE}", markdown([*columns, "the microphone's own error"], rows)]
    if ratios:
        parts.append("Median error over MUSIC's, on the same scenes:")
        parts.append(markdown([*columns, "wanted, at most"], ratios))
    return "\n\n".join(parts)


if __name__ == "__main__":
    run_program(main)
