"""What the paper states about the heads, each as paired differences on the test scenes.

A statement is made of differences that would be negative if it were true. It holds where the 95 %
interval of every one lies below zero, does not hold where one lies above, and is open otherwise,
or where fewer than ten rooms were heard.
Networks of the paper are decoded by their peak, as there. Epochs have no interval: there is one
run for each head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from doa_tf.evaluation.comparison import Comparison, Entry, read_history
from doa_tf.evaluation.judge import bootstrap_of
from doa_tf.files import MONITOR
from experiments.reproduce.plan import CONDITIONS, SEVENTH_HEAD, SIX_HEADS

REGRESSION, CLASSIFICATION = SIX_HEADS[:3], SIX_HEADS[3:]
HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold", "open", "not tested"
_FEWEST_DRAWN = 10  # rooms, or scenes; intervals of fewer say little
_FIGURES = {"median_deg": ("median", "°"), "outliers30": ("errors above 30°", " %")}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A statement and what the test scenes say of it.

    Attributes:
        statement: of the paper.
        verdict: `holds`, `does not hold`, `open` or `not tested`.
        evidence: the differences, with their intervals, as text.
    """

    statement: str
    verdict: str
    evidence: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Evidence:
    """Differences of one statement; None where a head or a condition is missing."""

    comparison: Comparison
    lines: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    missing: bool = False

    def less(self, a: str, b: str, figure: str, condition: str, *, centroid: bool = False) -> str:
        """Note the difference of a head's figure and another's; whether it is below zero."""
        rows = _rows(self.comparison, "centroid" if centroid else "peak")
        indices = self.comparison.groups().get(condition)
        if a not in rows or b not in rows or indices is None:
            self.missing = True
            return UNTESTED
        (test,) = self.comparison.paired(indices, (rows[a], rows[b])).values()
        rooms = bootstrap_of([rows[a].evaluation.results[index] for index in indices]).clusters
        low, high = test.intervals[figure]
        enough = rooms >= _FEWEST_DRAWN
        verdict = HOLDS if enough and high < 0.0 else FAILS if enough and low > 0.0 else OPEN
        name, unit = _FIGURES[figure]
        self.lines.append(
            f"{condition}, {name}: {rows[a].name} less {rows[b].name} "
            f"{test.differences[figure] + 0.0:+.1f}{unit} [{low + 0.0:+.1f}, {high + 0.0:+.1f}]"
            + ("" if enough else f"; {rooms} rooms or scenes are too few to tell")
        )
        self.verdicts.append(verdict)
        return verdict

    def answer(self, statement: str) -> Answer:
        """The verdict of all differences together."""
        verdict = FAILS if FAILS in self.verdicts else OPEN
        if self.missing or not self.verdicts:
            verdict = UNTESTED
        elif set(self.verdicts) == {HOLDS}:
            verdict = HOLDS
        return Answer(statement=statement, verdict=verdict, evidence=tuple(self.lines))


def answers(comparison: Comparison) -> list[Answer]:
    """Each statement of the paper, and the aim of the seventh head, on the test scenes."""

    def better(
        statement: str,
        head: str,
        others: Sequence[str],
        *,
        figure: str = "median_deg",
        conditions: Sequence[str] = CONDITIONS,
    ) -> Answer:
        evidence = _Evidence(comparison=comparison)
        for condition in conditions:
            for other in others:
                evidence.less(head, other, figure, condition)
        return evidence.answer(statement)

    regression = [head for head in REGRESSION if head != "cartesian"]
    return [
        better("Gibbs targets are slightly better than one-hot", "gibbs", ["onehot"]),
        better("Gibbs-weighted is better again", "gibbs-weighted", ["gibbs"]),
        better("... above all in outliers", "gibbs-weighted", ["gibbs"], figure="outliers30"),
        _faster(comparison),
        better("Cartesian is the best regression", "cartesian", regression),
        better(
            "Cartesian is generally the most accurate with diffuse noise",
            "cartesian",
            [*regression, *CLASSIFICATION],
            conditions=["diffuse"],
        ),
        _robust(comparison),
        _seventh(comparison),
    ]


def best_epoch(entry: Entry) -> tuple[int, float] | None:
    """Epoch of the best validation median, from 1, and that median [degrees]."""
    values = read_history(entry.history, MONITOR) if entry.history is not None else []
    if not values:
        return None
    best = int(np.nanargmin(values))
    return best + 1, values[best]


def _rows(comparison: Comparison, method: str) -> dict[str, Entry]:
    """Of each model the row with a decoding, or its only one."""
    kinds = (method, "direct")
    return {own.label: own for own in comparison.entries if own.evaluation.decode in kinds}


def _faster(comparison: Comparison) -> Answer:
    statement = "... and faster to train"
    rows = _rows(comparison, "peak")
    if not all(name in rows and best_epoch(rows[name]) for name in CLASSIFICATION):
        return Answer(statement=statement, verdict=UNTESTED)
    history = rows["gibbs-weighted"].history
    weighted = read_history(history, MONITOR) if history is not None else []
    lines, sooner = [], []
    for name in ("onehot", "gibbs"):
        epoch, median = best_epoch(rows[name]) or (0, 0.0)
        reached = next((k for k, value in enumerate(weighted, 1) if value <= median), None)
        sooner.append(reached is not None and reached < epoch)
        when = f"in epoch {reached}" if reached else "never"
        lines.append(
            f"validation: gibbs-weighted reaches the best median of {name} ({median:.1f}°, epoch "
            f"{epoch}) {when}; one run each, no interval"
        )
    verdict = HOLDS if all(sooner) else OPEN if any(sooner) else FAILS
    return Answer(statement=statement, verdict=verdict, evidence=tuple(lines))


def _robust(comparison: Comparison) -> Answer:
    statement = "Classification is more robust to a localised interferer"
    rows = _rows(comparison, "peak")
    best = []
    for heads in (CLASSIFICATION, REGRESSION):
        known = [(best_epoch(rows[name]), name) for name in heads if name in rows]
        medians = [(epoch[1], name) for epoch, name in known if epoch is not None]
        if not medians:
            return Answer(statement=statement, verdict=UNTESTED)
        best.append(min(medians)[1])  # on validation scenes, so that the test does not choose
    evidence = _Evidence(comparison=comparison)
    for figure in _FIGURES:
        evidence.less(best[0], best[1], figure, "interferer")
    return evidence.answer(statement)


def _seventh(comparison: Comparison) -> Answer:
    statement = (
        f"The seventh head, {SEVENTH_HEAD}: not worse than any of the six in either condition, "
        "better than each of them in at least one (centroid decoding for all)"
    )
    evidence = _Evidence(comparison=comparison)
    conditions = {
        condition: [
            evidence.less(SEVENTH_HEAD, head, figure, condition, centroid=True)
            for figure in _FIGURES
            for head in SIX_HEADS
        ]
        for condition in CONDITIONS
    }
    if evidence.missing:
        return Answer(statement=statement, verdict=UNTESTED)
    medians = [verdicts[: len(SIX_HEADS)] for verdicts in conditions.values()]
    better = any(all(verdict == HOLDS for verdict in condition) for condition in medians)
    verdict = FAILS if FAILS in evidence.verdicts else HOLDS if better else OPEN
    return Answer(statement=statement, verdict=verdict, evidence=tuple(evidence.lines))
