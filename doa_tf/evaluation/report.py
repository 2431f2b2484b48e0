"""The report of a comparison: Markdown and JSON tables, and pictures, in one folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from doa_core.errors import InputError
from doa_core.files import printable, write_beside
from doa_tf.evaluation.comparison import ALL, Comparison, chosen_scenes
from doa_tf.files import write_json

REPORT_FILE, FIGURES_FILE = "report.md", "report.json"
PICTURES = {
    "distribution.png": "Distribution of the error",
    "against.png": "Median error against SNR, SIR, RT60 and elevation",
    "confidence.png": "What a threshold of confidence removes",
    "spheres.png": "Scores over the sphere, from an easy scene to a hard one",
    "training.png": "Validation error over the epochs",
}


def write_report(
    folder: str | os.PathLike[str],
    comparison: Comparison,
    *,
    command: str = "",
    spheres: Sequence[str] = (),
) -> Path:
    """Write `report.md`, `report.json`, a CSV of every answer and the pictures.

    Args:
        folder: made if it is not there; files of an earlier report are replaced.
        comparison: from `doa_tf.evaluation.comparison.compare`.
        command: what made it, quoted in the report.
        spheres: files of the scenes whose scores are drawn; four from easy to hard if empty.

    Returns:
        Path of the Markdown file.

    Raises:
        InputError: a scene that there is not.
        MissingPackageError: Matplotlib is not installed.
        OSError: a file cannot be written.
    """
    folder = Path(folder)
    chosen = find_scenes(comparison, spheres)
    folder.mkdir(parents=True, exist_ok=True)
    values = comparison.to_dict()
    write_json(folder / FIGURES_FILE, values)
    for entry in comparison.entries:
        name = entry.name.replace(", ", "-").replace("/", "-")
        entry.evaluation.write_per_scene(folder / f"{name}.csv")
    drawn = draw_pictures(folder, comparison, chosen)
    pictures = [f"![{PICTURES[name]}]({name})" for name in drawn]
    parts = [
        "# Comparison",
        f"{len(comparison.scenes)} scenes of `{comparison.scenes.folder}`. " + method_note(values),
        f"```\n{command}\n```" if command else "",
        *figure_tables(values),
        "## Paired differences",
        PAIRED_NOTE,
        *paired_tables(values, reference=comparison.defaults[0].name),
        "## Pictures",
        *pictures,
    ]
    with write_beside(folder / REPORT_FILE) as beside:
        text = "\n\n".join(filter(None, parts)) + "\n"
        beside.write_text(printable(text), encoding="utf-8")
    return folder / REPORT_FILE


def find_scenes(comparison: Comparison, files: Sequence[str]) -> list[int] | None:
    """Indices of scenes by their file; None for no file.

    Raises:
        InputError: a scene that there is not.
    """
    indices = {scene.file: index for index, scene in enumerate(comparison.scenes)}
    unknown = [file for file in files if file not in indices]
    if unknown:
        raise InputError(
            f"The scenes to draw must be in labels.csv of {comparison.scenes.folder}. "
            f"Received: {', '.join(unknown)}"
        )
    return [indices[file] for file in files] or None


def draw_pictures(
    folder: Path, comparison: Comparison, scenes: Sequence[int] | None = None
) -> list[str]:
    """Draw every picture that there is something for; their names."""
    from doa_tf.evaluation import compare_plot as plot

    chosen = chosen_scenes(comparison) if scenes is None else scenes
    pictures: dict[str, Callable[[Path, Comparison], bool]] = {
        "distribution.png": plot.plot_distributions,
        "against.png": plot.plot_against,
        "confidence.png": plot.plot_confidence,
        "spheres.png": partial(plot.plot_spheres, indices=chosen),
        "training.png": plot.plot_training,
    }
    return [name for name, draw in pictures.items() if draw(folder / name, comparison)]


def method_note(values: dict[str, Any]) -> str:
    """How the intervals were made, in a sentence."""
    interval = values["interval"]
    things = "whole rooms" if interval["drawn"] == "room" else "scenes"
    return (
        f"In brackets: {100 * interval['level']:.0f} % percentile intervals of "
        f"{interval['resamples']} bootstrap resamples of {things}. Errors are great-circle angles."
    )


PAIRED_NOTE = (
    "The row less the reference, on the same scenes: negative errors and outliers favour the row. "
    "*Nearer*: share of scenes in which the row is nearer to the talker, 50 % where neither is "
    "better. p: Wilcoxon's signed-rank test of the errors and McNemar's exact test of the errors "
    "above 30°, both adjusted for the number of pairs (Holm); they take scenes as independent."
)


def figure_tables(values: dict[str, Any]) -> list[str]:
    """Markdown: a heading and a table for each group."""
    parts = []
    for name, group in values["groups"].items():
        count = group["figures"][0]["n"]
        parts.append(f"## {_group_title(name)}: {count} scene{'s' if count > 1 else ''}")
        rows = [
            "| model | decoding | median | mean | within 5° | within 10° | within 15° "
            "| above 30° |",
            "|---|---|---|---|---|---|---|---|",
        ]
        best = min(row["median_deg"] for row in group["figures"])
        for row in group["figures"]:
            median = f"{row['median_deg']:.1f}°"
            median = f"**{median}**" if row["median_deg"] == best else median
            cells = [
                row["model"],
                "" if row["decode"] == "direct" else row["decode"],
                f"{median} {_bracket(row, 'median_deg')}",
                f"{row['mean_deg']:.1f}° {_bracket(row, 'mean_deg')}",
                f"{row['acc5']:.1f} %",
                f"{row['acc10']:.1f} % {_bracket(row, 'acc10')}",
                f"{row['acc15']:.1f} %",
                f"{row['outliers30']:.1f} % {_bracket(row, 'outliers30')}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(rows))
    return parts


def paired_tables(values: dict[str, Any], *, reference: str) -> list[str]:
    """Markdown: for each group a table of every model less the reference."""
    parts = []
    for name, group in values["groups"].items():
        rows = []
        for test in group["paired"]:
            if reference not in (test["a"], test["b"]):
                continue
            sign = 1.0 if test["b"] == reference else -1.0
            other = test["a"] if sign > 0 else test["b"]
            nearer, low_high = test["nearer"], test["nearer_interval"]
            if sign < 0:
                nearer, low_high = 100.0 - nearer, [100.0 - x for x in reversed(low_high)]
            cells = [
                other,
                difference(test, "median_deg", "°", sign),
                difference(test, "acc10", " %", sign),
                difference(test, "outliers30", " %", sign),
                f"{nearer:.0f} % [{low_high[0]:.0f}, {low_high[1]:.0f}]",
                p_value(test["wilcoxon_p_holm"]),
                p_value(test["outliers30_p_holm"]),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        if rows:
            parts.append(f"**{_group_title(name)}**, less {reference}:")
            head = "| model | median | within 10° | above 30° | nearer | p, errors | p, above 30° |"
            parts.append("\n".join([head, "|---|---|---|---|---|---|---|", *rows]))
    return parts


def difference(test: dict[str, Any], name: str, unit: str, sign: float = 1.0) -> str:
    """A paired difference with its interval, such as `-1.2° [-2.0, -0.5]`."""
    value = sign * test["differences"][name] + 0.0  # no -0.0
    low, high = sorted(sign * bound + 0.0 for bound in test["intervals"][name])
    return f"{value:+.1f}{unit} [{low:+.1f}, {high:+.1f}]"


def p_value(p: float) -> str:
    """Not more digits than mean something."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _bracket(row: dict[str, Any], name: str) -> str:
    low, high = row["intervals"][name]
    return f"[{low:.1f}, {high:.1f}]"


def _group_title(name: str) -> str:
    return "All scenes" if name == ALL else name or "(empty)"
