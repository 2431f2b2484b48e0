"""The report of an experiment: tables by condition and decoding, answers to the statements."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from doa_core.errors import InputError
from doa_core.files import write_beside
from doa_core.reading.json_text import read_json
from doa_tf.evaluation import report as tables
from doa_tf.evaluation.comparison import Comparison, chosen_scenes
from doa_tf.evaluation.predictions import predict
from doa_tf.files import package_versions, write_json
from experiments.reproduce.plan import FRESH_ENGINES, TIMES_FILE, Plan
from experiments.reproduce.statements import Answer, answers, best_epoch
from experiments.scenes.tables import markdown

REPORT_FILE, FIGURES_FILE = "report.md", "report.json"
_PAIRED = "### Paired differences"
BEGIN, END = "<!-- reproduce: begin -->", "<!-- reproduce: end -->"


def write_experiment_report(folder: Path, plan: Plan, comparisons: Sequence[Comparison]) -> Path:
    """Write `report.md`, `report.json` and pictures.

    Args:
        folder: of the experiment.
        plan: what was done.
        comparisons: on the test scenes, and on the further ones.

    Returns:
        Path of the Markdown file.
    """
    test, *others = comparisons
    values = [comparison.to_dict() for comparison in comparisons]
    verdicts = answers(test)
    parts = [
        _provenance(folder, plan),
        "## Does it hold here?",
        markdown(["statement", "here"], [[a.statement, f"**{a.verdict}**"] for a in verdicts]),
        "A statement holds where the interval of every difference below excludes zero on its "
        "side, does not hold where one excludes it on the other, and is open otherwise. Intervals "
        "are of the scenes, for one training of each head: another seed may move what is close.",
        _evidence(verdicts),
        "## Test scenes, by condition and decoding",
        tables.method_note(values[0]),
        *_demoted(tables.figure_tables(values[0])),
        "### Training",
        _epochs_table(test),
        _PAIRED,
        tables.PAIRED_NOTE,
        *tables.paired_tables(values[0], reference=test.defaults[0].name),
        *_pictures(folder, test),
    ]
    for comparison, figures in zip(others, values[1:], strict=True):
        parts += [f"## {comparison.scenes.folder.resolve().name}", tables.method_note(figures)]
        parts += _demoted(tables.figure_tables(figures))
    statements = [vars(answer) for answer in verdicts]
    report = {"plan": plan.to_dict(), "statements": statements, "comparisons": values}
    write_json(folder / FIGURES_FILE, report)
    path = folder / REPORT_FILE
    with write_beside(path) as part:
        text = "\n\n".join(part for part in parts if part)
        part.write_text(f"# Experiment\n\n{text}\n", encoding="utf-8")
    return path


def check_update(path: str | os.PathLike[str]) -> str:
    """The text of a file with one pair of lines that the report goes between.

    Raises:
        InputError: no such file, or not the two lines.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    begin, end = text.find(BEGIN), text.find(END)
    if min(begin, end) < 0 or end < begin or text.count(BEGIN) + text.count(END) != 2:
        raise InputError(
            f"--update needs a file with the lines {BEGIN} and {END}. Received: {path}"
        )
    return text


def update_section(path: str | os.PathLike[str], report: Path) -> None:
    """Put a report between the two lines of a page, a heading of the second level above them.

    Its title, its pictures and the paired differences, the longest part, stay behind.

    Raises:
        InputError: as `check_update`.
    """
    text = check_update(path)
    lines, wanted = [], True
    for line in report.read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("#"):
            wanted = line != _PAIRED
            line = f"#{line}"
        if wanted and not line.startswith("!["):
            lines.append(line)
    body = "\n".join(lines).strip()
    body += "\n\nThe report itself has the paired differences of every pair as well."
    before, after = text[: text.find(BEGIN) + len(BEGIN)], text[text.find(END) :]
    with write_beside(path) as part:
        part.write_text(f"{before}\n\n{body}\n\n{after}", encoding="utf-8")


def _provenance(folder: Path, plan: Plan) -> str:
    """What was done, where, by which command and in what time."""
    size = plan.size
    times = read_json(folder / TIMES_FILE, finite=False)
    spent = ", ".join(f"{stage} {seconds / 60.0:.0f} min" for stage, seconds in times.items())
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    fresh = plan.engine in FRESH_ENGINES
    scenes = "new sequences in each of" if fresh else "mixed sequences turned anew in each of"
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    if plan.engine == "jax":
        import jax

        machine += f", {jax.devices()[0].device_kind}"
    # Paths of one machine say nothing on another.
    words = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    command = ["python", "-m", "experiments.reproduce", *words]
    return "\n\n".join(
        [
            f"{size.train_rooms} rooms to train in, {size.other_rooms} others each for validation "
            f"and test, traced in full; {size.sequences} {scenes} "
            f"{size.epochs} epochs, batches of {size.batch_size}, the same for every head; "
            f"{size.test_scenes} test scenes of each condition, with speakers that training and "
            "validation do not have. Runs without `-level` hear the paper's six channels.",
            f"```\n{shlex.join(command)}\n```",
            f"{date.today():%B %Y}; {machine}; Python "
            f"{platform.python_version()}, {versions}. {spent}.",
        ]
    )


def _evidence(verdicts: Sequence[Answer]) -> str:
    lines = []
    for answer in verdicts:
        if answer.evidence:
            lines.append(f"- {answer.statement}: {answer.verdict}")
            lines += [f"  - {line}" for line in answer.evidence]
    return "\n".join(lines)


def _epochs_table(comparison: Comparison) -> str:
    best = {entry.label: best_epoch(entry) for entry in comparison.defaults}
    rows = [[run, f"{own[0]}", f"{own[1]:.1f}°"] for run, own in best.items() if own is not None]
    return markdown(["run", "best epoch", "median error there, validation"], rows)


def _pictures(folder: Path, comparison: Comparison) -> list[str]:
    """Of the test scenes. The models are run once more on the few whose scores are drawn."""
    chosen = chosen_scenes(comparison)
    few = replace(comparison.scenes, scenes=tuple(comparison.scenes[index] for index in chosen))
    predictions = {own.label: predict(own.evaluation.model, few) for own in comparison.defaults}
    drawn = tables.draw_pictures(folder, replace(comparison, predictions=predictions), chosen)
    return [f"![{tables.PICTURES[name]}]({name})" for name in drawn]


def _demoted(parts: Sequence[str]) -> list[str]:
    return [f"#{part}" if part.startswith("#") else part for part in parts]
