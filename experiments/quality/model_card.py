"""The tables of a model card, in Markdown: figures, confidence, known failures, digests.

    python -m experiments.quality.model_card MODEL --scenes DIR... [--against baseline:music ...]
        [--work DIR] [--json FILE]

Figures are by folder and condition, then over all folders by SNR, SIR, RT60, elevation and
microphone, where the scenes have such columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.groups import MISSING, group_names, grouped
from doa_tf.evaluation.judge import SceneResult, summarise
from doa_tf.files import package_versions, sha256, write_json
from doa_tf.scenes.folder import LABEL_COLUMNS, LABELS_FILE
from experiments.quality import confidence
from experiments.quality.failures import failure_figures, failure_table
from experiments.quality.options import JSON, MODEL, add_scenes, one_thread
from experiments.scenes import answers
from experiments.scenes.tables import CELL_NOTE, cell, markdown, pooled, shown, titles

BY = {
    "snr_db": "SNR [dB]",
    "sir_db": "SIR [dB]",
    "rt60_s": "RT60 [s]",
    "elevation_deg": "elevation [degrees]",
    "microphone": "microphone",
}
PACKAGES = ("doa-tf", "numpy", "tensorflow", "keras", "ai-edge-litert")


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Judge and print the tables."""
    parser = program("experiments.quality.model_card", __doc__)
    parser.add_argument("model", **MODEL)
    add_scenes(parser, required=True)
    parser.add_argument("--against", nargs="+", default=[], metavar="MODEL", help="further columns")
    parser.add_argument("--json", **JSON)
    args = parser.parse_args(argv)
    results = answers.judge_folders([args.model, *args.against], args.scenes, work=args.work)
    values = card(args.model, results)
    values["digests"] |= {
        f"{LABELS_FILE} of {name}": sha256(scenes.folder / LABELS_FILE)
        for name, scenes in answers.check_scenes(args.scenes).items()
    }
    print(text(values, next(iter(results.values()))))
    if args.json:
        write_json(args.json, values)


def card(model: str, results: Mapping[str, Mapping[str, Sequence[SceneResult]]]) -> dict[str, Any]:
    """Everything that the card says, as JSON values.

    Args:
        model: the file that the card is of.
        results: by label of a model, that one first, and by folder.
    """
    together = {label: pooled(folders) for label, folders in results.items()}
    own = next(iter(results))
    default = answers.default_threshold(model)
    spec = answers.model_spec(model)
    digests = {Path(model).name: answers.model_digest(model)}
    if spec is not None:
        digests["spec (what it does)"] = spec.digest
        made_from = spec.provenance.get("checkpoint", {})
        if "sha256" in made_from:
            digests["checkpoint"] = made_from["sha256"]
    return {
        "model": own,
        "default_threshold": default,
        "conditions": _figures(together, titles(together[own])),
        "by": {BY[name]: _figures(together, _names(together[own], name)) for name in BY},
        "thresholds": confidence.threshold_figures(results[own], default=default),
        "reliability": confidence.reliability(together[own]),
        "failures": failure_figures(together[own]),
        "digests": digests,
        "versions": package_versions(PACKAGES),
    }


def text(values: dict[str, Any], folders: Mapping[str, Sequence[SceneResult]]) -> str:
    """The card's tables as Markdown."""
    together = pooled(folders)
    parts = ["## Figures", CELL_NOTE, _table("scenes", values["conditions"])]
    for title, groups in values["by"].items():
        if len(groups) > 1:
            parts += [f"By {title}, over all of them:", _table(title, groups)]
    parts += [
        "## Confidence",
        "Share of scenes that a threshold keeps: errors above 30° among them.",
        confidence.threshold_table(folders, default=values["default_threshold"]),
        "As a probability of being within 10°, over all scenes:",
        confidence.reliability_table(together),
        "## Known failures",
        failure_table(values["failures"]),
        "## Versions and digests",
        markdown(["what", "version"], [[f"`{a}`", b] for a, b in values["versions"].items()]),
        markdown(["what", "SHA-256"], [[a, f"`{b}`"] for a, b in values["digests"].items()]),
    ]
    return "\n\n".join(parts)


def _figures(
    results: Mapping[str, Sequence[SceneResult]], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Figures of each model by the group of each result; results without one are left out."""
    pairs = results.items()
    return {
        group: {label: summarise([some[index] for index in indices]) for label, some in pairs}
        for group, indices in grouped(names).items()
        if group not in ("", MISSING)
    }


def _names(results: Sequence[SceneResult], column: str) -> list[str]:
    scenes = [result.scene for result in results]
    if column not in LABEL_COLUMNS and column not in scenes[0].columns:
        return [""] * len(scenes)
    return group_names(scenes, column)


def _table(title: str, groups: dict[str, dict[str, Any]]) -> str:
    labels = list(next(iter(groups.values())))
    rows = []
    for group, own in groups.items():
        rows.append([group, str(own[labels[0]]["n"]), *(cell(own[label]) for label in labels)])
    return markdown([title, "n", *map(shown, labels)], rows)


if __name__ == "__main__":
    run_program(main)
