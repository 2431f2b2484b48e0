"""Several models on the same scenes: their figures beside each other, and paired tests.

    comparison = compare(["run/model.keras", "baseline:music"], read_scenes("scenes"))
    comparison.to_dict()["groups"]["diffuse"]["figures"]

Every model runs once; a grid head has a row for each decoding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError
from doa_core.files import printable
from doa_core.reading.csv_table import read_table
from doa_tf.evaluation.groups import check_group
from doa_tf.evaluation.judge import Evaluation, bootstrap_of, interval_method, judge, summarise
from doa_tf.evaluation.predictions import (
    BASELINE_PREFIX,
    ONE_DECODING,
    Predictions,
    check_model_name,
    predict,
)
from doa_tf.evaluation.statistics import PairedComparison, compare_errors, holm
from doa_tf.files import HISTORY, Progress
from doa_tf.scenes.folder import Scenes, read_scenes

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the tables: a model with one of its decodings.

    Attributes:
        label: short name of the model.
        evaluation: of that decoding.
        default: whether it is the model's default decoding.
        history: the CSV file of its training, where it lies in a run.
    """

    label: str
    evaluation: Evaluation
    default: bool = True
    history: Path | None = None

    @property
    def name(self) -> str:
        """Label, and the decoding where there are several."""
        method = self.evaluation.decode
        return self.label if method == ONE_DECODING else f"{self.label}, {method}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Models on the same scenes.

    Attributes:
        scenes: what they were run on.
        group_by: the column that makes the groups, or None.
        entries: rows, the decodings of a model one after the other.
        predictions: of each model by its label; empty where only the answers are known.
    """

    scenes: Scenes
    group_by: str | None
    entries: tuple[Entry, ...]
    predictions: dict[str, Predictions]

    @property
    def defaults(self) -> tuple[Entry, ...]:
        """One row of each model, with its default decoding."""
        return tuple(entry for entry in self.entries if entry.default)

    def groups(self) -> dict[str, list[int]]:
        """Indices of the scenes of each group, and of `all`."""
        groups = self.entries[0].evaluation.group_indices(self.group_by) if self.group_by else {}
        return {**groups, ALL: list(range(len(self.scenes)))}

    def paired(
        self, indices: Sequence[int], entries: Sequence[Entry]
    ) -> dict[tuple[str, str], PairedComparison]:
        """Every pair of some rows, compared on some scenes, by their names."""
        results = [self.entries[0].evaluation.results[index] for index in indices]
        bootstrap = bootstrap_of(results)
        errors = {entry.name: entry.evaluation.errors_deg[indices] for entry in entries}
        return {
            (a, b): compare_errors(errors[a], errors[b], bootstrap=bootstrap)
            for a, b in combinations(errors, 2)
        }

    def to_dict(self) -> dict[str, Any]:
        """Figures of every row and paired tests of every two models, per group; JSON values."""
        groups = {}
        for name, indices in self.groups().items():
            figures = []
            for entry in self.entries:
                about = {"model": entry.label, "decode": entry.evaluation.decode}
                results = [entry.evaluation.results[index] for index in indices]
                figures.append(about | summarise(results))
            paired = self.paired(indices, self.defaults)
            groups[name] = {"figures": figures, "paired": _with_adjusted(paired)}
        return {
            "scenes": str(self.scenes.folder),
            "group_by": self.group_by,
            "interval": interval_method(self.entries[0].evaluation.results),
            "models": {entry.label: entry.evaluation.model for entry in self.entries},
            "groups": groups,
        }


def compare(
    models: Sequence[str | os.PathLike[str]],
    scenes: Scenes | str | os.PathLike[str],
    *,
    group_by: str | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> Comparison:
    """Run every model once on the scenes.

    Args:
        models: as for `doa_tf.evaluation.evaluate`, each one once.
        scenes: from `read_scenes`, or the folder.
        group_by: a column of labels.csv. By default `condition` where it exists.
        progress: called with a model's label; returns a callback for (scenes done, all scenes).

    Raises:
        InputError: no model or one twice, or what `evaluate` raises.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    group_by = check_group(scenes, group_by)
    labels = model_labels(models)
    for model in models:
        check_model_name(model)
    entries: list[Entry] = []
    given: dict[str, Predictions] = {}
    for label, model in zip(labels, models, strict=True):
        given[label] = predict(model, scenes, progress=progress(label) if progress else None)
        history = history_file(model)
        entries += entries_of(label, given[label], group_by=group_by, history=history)
    return Comparison(scenes=scenes, group_by=group_by, entries=tuple(entries), predictions=given)


def entries_of(
    label: str, predictions: Predictions, *, group_by: str | None, history: Path | None = None
) -> list[Entry]:
    """A row for each decoding of a model."""
    return [
        Entry(
            label=label,
            evaluation=judge(predictions, decode=method, group_by=group_by),
            default=method == predictions.default_method,
            history=history,
        )
        for method in predictions.methods
    ]


def model_labels(models: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A short name of each model: its run or its file's name, and as much path as makes it unique.

    Raises:
        InputError: no model, or one twice.
    """
    names = [os.fspath(model) for model in models]
    if not names or len(set(names)) < len(names):
        raise InputError(
            "At least one model is needed, and each one once. "
            f"Received: {', '.join(names) or 'none'}"
        )
    parts = []
    for name in map(printable, names):
        if name.startswith(BASELINE_PREFIX):
            parts.append((name.removeprefix(BASELINE_PREFIX),))
            continue
        path = Path(name)
        run = path.stem == "model" and bool(path.parent.name)
        parts.append((*path.parent.parts, *(() if run else (path.stem,))))
    for depth in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(part[-depth:]) for part in parts]
        if len(set(labels)) == len(labels):
            return labels
    return list(map(printable, names))


def history_file(model: str | os.PathLike[str]) -> Path | None:
    """The CSV file of a model's training, where it lies in a run folder."""
    path = Path(os.fspath(model)).parent / HISTORY
    is_file = not os.fspath(model).startswith(BASELINE_PREFIX)
    return path if is_file and path.is_file() else None


def read_history(path: Path, column: str) -> list[float]:
    """A column of a run's history, one value an epoch.

    Raises:
        InputError: no such column, or a cell that is no number.
    """
    _, rows = read_table(path, whole=False)
    try:
        return [float(row[column]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} must hold numbers in the column {column}: {error!r}") from error


def _with_adjusted(paired: dict[tuple[str, str], PairedComparison]) -> list[dict[str, Any]]:
    """Paired tests ready for JSON, with p values adjusted for how many pairs there are."""
    tests = list(paired.values())
    wilcoxon = holm([test.wilcoxon_p for test in tests])
    outliers = holm([test.mcnemar_p["outliers30"] for test in tests])
    return [
        {"a": a, "b": b, **test.to_dict(), "wilcoxon_p_holm": p, "outliers30_p_holm": p_outliers}
        for (a, b), test, p, p_outliers in zip(paired, tests, wilcoxon, outliers, strict=True)
    ]


def chosen_scenes(comparison: Comparison, *, count: int = 4) -> list[int]:
    """Scenes from easy to hard, at even ranks of their mean error over the models."""
    mean = np.mean([entry.evaluation.errors_deg for entry in comparison.defaults], axis=0)
    order = np.argsort(mean, kind="stable")
    ranks = np.linspace(0.1, 0.95, min(count, len(order))) * (len(order) - 1)
    return [int(order[round(rank)]) for rank in ranks]
