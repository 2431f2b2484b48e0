"""Tables of several talkers, as text and as Markdown, and the report of a comparison."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doa_core.files import printable, write_beside
from doa_tf.evaluation.comparison import ALL
from doa_tf.evaluation.talkers.comparison import TalkerComparison
from doa_tf.evaluation.talkers.plot import plot_talkers
from doa_tf.files import write_json

REPORT_FILE, FIGURES_FILE = "report.md", "report.json"
_TITLES = {
    "windows": "windows, count known",
    "count_unknown": "windows, count not known",
    "recordings": "whole recordings",
}
# Figures in tables, by part; the JSON has all.
COLUMNS = {
    "windows": ("mean_deg", "median_deg", "acc10", "acc15", "acc20", "outliers30"),
    "count_unknown": (
        *("recall10", "precision10", "F10", "recall20", "precision20", "F20"),
        *("count_right", "silence_answered"),
    ),
    "recordings": (
        *("recall_lone", "recall_overlap", "recall_moving", "median_deg"),
        *("silence_answered", "wrong"),
        *("LE_deg", "LR", "F20", "switches_per_minute"),
    ),
}


def part_of(values: dict[str, Any], part: str) -> dict[str, Any] | None:
    """The figures of `windows`, `count_unknown` or `recordings` in a group's; None without any."""
    if part == "windows":
        return values if "talkers" in values else None
    found: dict[str, Any] | None = values.get(part)
    return found


def cells_of(part: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """Figures with a digit after the point; a dash where there is nothing that one is of."""
    return ["-" if part[name] is None else f"{part[name]:.1f}" for name in columns]


def text_tables(values: dict[str, Any], *, group_by: str | None) -> str:
    """The figures of each group and of all scenes, a table of aligned text for each part.

    Args:
        values: of `TalkerEvaluation.to_dict`.
        group_by: the column that makes the groups.
    """
    blocks = [f"model: {values['model']}, decoding: {values['decode']}"]
    for part, columns in COLUMNS.items():
        rows = []
        for name, group in (*values["groups"].items(), (ALL, values["all"])):
            found = part_of(group, part)
            if found is not None:
                count = found.get("talkers", found.get("n", ""))
                rows.append([name or "(empty)", str(count), *cells_of(found, columns)])
        if rows:
            of = {"windows": "talkers", "recordings": "n"}.get(part, "")
            table = [[group_by or "", of, *columns], *rows]
            blocks.append("\n".join([f"{_TITLES[part]}:", *_aligned(table)]))
    return "\n\n".join(blocks) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return lines


def figure_tables(values: dict[str, Any]) -> list[str]:
    """Markdown: for each group and part a table with a row for each model.

    Args:
        values: of `TalkerComparison.to_dict`.
    """
    blocks = []
    for name, group in values["groups"].items():
        blocks.append(f"## {'All scenes' if name == ALL else name or '(empty)'}")
        for part, columns in COLUMNS.items():
            rows = []
            for figures in group["figures"]:
                found = part_of(figures, part)
                if found is not None:
                    cells = [_with_interval(found, column) for column in columns]
                    rows.append(f"| {' | '.join([figures['model'], *cells])} |")
            if rows:
                head = f"| {_TITLES[part]} | {' | '.join(columns)} |"
                blocks.append("\n".join([head, "|---" * (len(columns) + 1) + "|", *rows]))
    return blocks


def paired_tables(values: dict[str, Any], *, reference: str) -> list[str]:
    """Markdown: for each group and part every model less the reference."""
    blocks = []
    for name, group in values["groups"].items():
        for part, columns in COLUMNS.items():
            rows = []
            for pair in group["paired"]:
                if pair["b"] != reference or part not in pair:
                    continue
                cells = [_difference(pair[part].get(column)) for column in columns]
                rows.append(f"| {' | '.join([pair['a'], *cells])} |")
            if rows:
                title = "All scenes" if name == ALL else name or "(empty)"
                head = f"| {_TITLES[part]} | {' | '.join(columns)} |"
                blocks.append(f"**{title}**, less {reference}:")
                blocks.append("\n".join([head, "|---" * (len(columns) + 1) + "|", *rows]))
    return blocks


def write_talker_report(
    folder: str | os.PathLike[str], comparison: TalkerComparison, *, command: str = ""
) -> Path:
    """Write `report.md`, `report.json`, and a CSV file and a picture of each model.

    Args:
        folder: made if it is not there; files of an earlier report are replaced.
        comparison: from `compare_talkers`.
        command: what made it, quoted in the report.

    Returns:
        Path of the Markdown file.

    Raises:
        MissingPackageError: Matplotlib is not installed.
        OSError: a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = comparison.to_dict()
    write_json(folder / FIGURES_FILE, values)
    pictures = []
    for label, evaluation in comparison.evaluations.items():
        name = label.replace("/", "-")
        evaluation.write_per_scene(folder / f"{name}.csv")
        plot_talkers(folder / f"{name}.png", evaluation)
        pictures.append(f"![{label}]({name}.png)")
    interval = values["interval"]
    things = "whole rooms" if interval["drawn"] == "room" else "files"
    note = (
        f"In brackets: {100 * interval['level']:.0f} % percentile intervals of "
        f"{interval['resamples']} bootstrap resamples of {things}. Shares in percent, angles in "
        "degrees; the names are explained in docs/evaluation.md."
    )
    parts = ["# Comparison", *([f"`{command}`"] if command else []), note]
    parts += [*figure_tables(values), "# Differences"]
    parts += [*paired_tables(values, reference=next(iter(comparison.evaluations))), *pictures]
    path = folder / REPORT_FILE
    with write_beside(path) as part:
        part.write_text(printable("\n\n".join(parts) + "\n"), encoding="utf-8")
    return path


def _with_interval(part: dict[str, Any], name: str) -> str:
    if part[name] is None:
        return "-"
    low, high = part["intervals"][name]
    return f"{part[name]:.1f} [{low:.1f}, {high:.1f}]"


def _difference(values: dict[str, Any] | None) -> str:
    if values is None:
        return "-"
    low, high = values["interval"]
    return f"{values['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"
