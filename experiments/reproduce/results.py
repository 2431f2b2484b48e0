"""Every answer of every model of an experiment, computed once and read again afterwards.

DIR/results/SCENES/NAME.json            what they depend on, and the decodings
DIR/results/SCENES/NAME-DECODING.csv    a row for each scene
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from doa_core.reading.json_text import read_json
from doa_tf.evaluation.baselines import BASELINES
from doa_tf.evaluation.comparison import Comparison, Entry, entries_of, history_file
from doa_tf.evaluation.groups import check_group
from doa_tf.evaluation.judge import read_per_scene
from doa_tf.evaluation.predictions import BASELINE_PREFIX, predict
from doa_tf.files import sha256, write_json
from doa_tf.scenes.folder import LABELS_FILE, Scenes
from doa_tf.scenes.preparation import Bars
from experiments.reproduce.plan import Plan


def collect_results(
    folder: Path, plan: Plan, scenes: Sequence[Scenes], *, bars: Bars
) -> list[Comparison]:
    """A comparison of all runs and both baselines on each set of scenes."""
    models = {name: str(folder / "runs" / name / "model.keras") for name in plan.runs}
    models |= {name: BASELINE_PREFIX + name for name in BASELINES}
    comparisons = []
    for number, one in enumerate(scenes):
        place = folder / "results" / _place(number, one)
        place.mkdir(parents=True, exist_ok=True)
        group_by = check_group(one, None)
        entries: list[Entry] = []
        for label, model in models.items():
            made_with = {"model": _digest(model), "scenes": _digest(one.folder / LABELS_FILE)}
            history = history_file(model)
            known = _read(place / f"{label}.json", one, made_with, group_by)
            if known is None:
                with bars(f"{one.folder.name}: {label}") as progress:
                    predictions = predict(model, one, progress=progress)
                known = entries_of(label, predictions, group_by=group_by)
                _write(place / f"{label}.json", known, made_with)
            entries += [replace(entry, history=history) for entry in known]
        made = {"scenes": one, "group_by": group_by, "entries": tuple(entries)}
        comparisons.append(Comparison(**made, predictions={}))
    return comparisons


def _place(number: int, scenes: Scenes) -> str:
    """`test`, or the name of a further folder with enough of its path to be its own."""
    if number == 0:
        return "test"
    path = hashlib.sha256(str(scenes.folder.resolve()).encode()).hexdigest()
    return f"{scenes.folder.resolve().name}-{path[:8]}"


def _read(
    index: Path, scenes: Scenes, made_with: dict[str, Any], group_by: str | None
) -> list[Entry] | None:
    """The rows of a model; None where they are missing or of another model or other scenes."""
    values = read_json(index, finite=False) if index.exists() else {}
    if values.get("made_with") != made_with:
        return None
    entries = []
    for decoding in values["decodings"]:
        path = index.with_name(f"{index.stem}-{decoding['decode']}.csv")
        evaluation = read_per_scene(path, scenes, group_by=group_by)
        entries.append(Entry(label=index.stem, evaluation=evaluation, default=decoding["default"]))
    return entries


def _write(index: Path, entries: Sequence[Entry], made_with: dict[str, Any]) -> None:
    """The index last: it says that the rest is there."""
    decodings = []
    for entry in entries:
        method = entry.evaluation.decode
        entry.evaluation.write_per_scene(index.with_name(f"{index.stem}-{method}.csv"))
        decodings.append({"decode": method, "default": entry.default})
    write_json(index, {"made_with": made_with, "decodings": decodings})


def _digest(path: str | Path) -> str:
    """SHA-256 of a file; the name of what is none."""
    return sha256(path) if Path(path).is_file() else str(path)
