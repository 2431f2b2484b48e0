"""Several models on the same scenes of any number of talkers, with paired differences.

comparison = compare_talkers(["model.tflite", "baseline:music"], read_scenes("scenes"))
comparison.to_dict()["groups"]["all"]["figures"]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from doa_tf.evaluation.comparison import ALL, model_labels
from doa_tf.evaluation.groups import check_group
from doa_tf.evaluation.judge import interval_method
from doa_tf.evaluation.predictions import check_model_name
from doa_tf.evaluation.talkers import frames, windows
from doa_tf.evaluation.talkers.judge import TalkerEvaluation, evaluate_talkers, summarise
from doa_tf.evaluation.talkers.runner import Recording
from doa_tf.evaluation.talkers.tallies import MEDIAN, Tally, difference
from doa_tf.evaluation.talkers.windows import Window
from doa_tf.files import Progress
from doa_tf.scenes.folder import Scenes, read_scenes

Results = Sequence[Window | Recording]


@dataclass(frozen=True, eq=False, kw_only=True)
class TalkerComparison:
    """Models on the same scenes.

    Attributes:
        scenes: what they were run on.
        group_by: the column that makes the groups, or None.
        evaluations: of each model by its label.
    """

    scenes: Scenes
    group_by: str | None
    evaluations: dict[str, TalkerEvaluation]

    def groups(self) -> dict[str, dict[str, Results]]:
        """Results of each model, by group and label; of `all` scenes last."""
        names: dict[str, None] = {}
        of_model = {label: each.groups() for label, each in self.evaluations.items()}
        for groups in of_model.values():  # baselines have no recordings, and may lack a group
            names |= dict.fromkeys(groups)
        by_group: dict[str, dict[str, Results]] = {
            name: {label: groups.get(name, ()) for label, groups in of_model.items()}
            for name in names
        }
        return {**by_group, ALL: {label: each.results for label, each in self.evaluations.items()}}

    def to_dict(self) -> dict[str, Any]:
        """Figures of every model, and of every two the later less the earlier; JSON values."""
        groups = {}
        for name, results in self.groups().items():
            there = {label: found for label, found in results.items() if found}
            figures = [{"model": label, **summarise(found)} for label, found in there.items()]
            paired = [
                {"a": a, "b": b, **differences(there[a], there[b])}
                for b, a in combinations(there, 2)
            ]
            groups[name] = {"figures": figures, "paired": paired}
        every = [result for each in self.evaluations.values() for result in each.results]
        return {
            "scenes": str(self.scenes.folder),
            "group_by": self.group_by,
            "interval": interval_method(every),
            "models": {label: each.model for label, each in self.evaluations.items()},
            "groups": groups,
        }


def differences(a: Results, b: Results) -> dict[str, Any]:
    """Figures of one model less those of another, with paired intervals, on what both have.

    `windows` and `count_unknown`, and `recordings`, as far as both were judged on them.
    """
    values: dict[str, Any] = {}
    own, other = ([r.tally for r in results if isinstance(r, Window)] for results in (a, b))
    if own and other:
        values["windows"] = difference(own, other, windows.KNOWN_FIGURES)
        if all(_knows_counts(tallies) for tallies in (own, other)):
            values["count_unknown"] = difference(own, other, windows.UNKNOWN_FIGURES)
    own, other = ([r.tally for r in results if isinstance(r, Recording)] for results in (a, b))
    if own and other:
        names = [name for name in frames.FIGURES if name != MEDIAN]
        values["recordings"] = difference(own, other, names)
    return values


def _knows_counts(tallies: Sequence[Tally]) -> bool:
    return any("count_right" in tally.sums for tally in tallies)


def compare_talkers(
    models: Sequence[str | os.PathLike[str]],
    scenes: Scenes | str | os.PathLike[str],
    *,
    group_by: str | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> TalkerComparison:
    """Run every model once on the scenes.

    Args:
        models: as for `evaluate_talkers`, each one once.
        scenes: from `read_scenes`, or the folder.
        group_by: a column of labels.csv. By default `condition` where it exists.
        progress: called with a model's label; returns a callback for (scenes done, all scenes).

    Raises:
        InputError: no model or one twice, or what `evaluate_talkers` raises.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    group_by = check_group(scenes, group_by)
    labels = model_labels(models)
    for model in models:
        check_model_name(model)
    evaluations = {}
    for label, model in zip(labels, models, strict=True):
        follow = progress(label) if progress else None
        evaluations[label] = evaluate_talkers(model, scenes, group_by=group_by, progress=follow)
    return TalkerComparison(scenes=scenes, group_by=group_by, evaluations=evaluations)
