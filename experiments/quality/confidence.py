"""What a threshold of confidence keeps and what it lets through, and whether it is a probability.

    python -m experiments.quality.confidence MODEL --scenes DIR... [--work DIR] [--json FILE]

A cell of the first table: share of scenes kept, and the share of errors above 30 degrees among
them. The default is that of `doa_edge run --confidence`. Wanted of it: fewer than 1 % such errors,
and at least 80 % of the scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from doa_core.calibration import WITHIN_DEG
from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.calibration import calibration_error
from doa_tf.evaluation.judge import SceneResult, summarise
from doa_tf.evaluation.statistics import OUTLIER_DEG
from doa_tf.files import write_json
from experiments.quality.options import JSON, MODEL, add_scenes, one_thread
from experiments.scenes.answers import default_threshold, judge_folders
from experiments.scenes.tables import markdown, pooled

THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_OUTLIERS, LEAST_KEPT = 1.0, 80.0  # percent
BINS = 10
Results = Mapping[str, Sequence[SceneResult]]


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Judge and print both tables."""
    parser = program("experiments.quality.confidence", __doc__)
    parser.add_argument("model", **MODEL)
    add_scenes(parser, required=True)
    parser.add_argument("--json", **JSON)
    args = parser.parse_args(argv)
    (results,) = judge_folders([args.model], args.scenes, work=args.work).values()
    default = default_threshold(args.model)
    print(threshold_table(results, default=default))
    print(f"\n{reliability_table(pooled(results))}")
    if args.json:
        values = {"default": default, "thresholds": threshold_figures(results, default=default)}
        write_json(args.json, {**values, "reliability": reliability(pooled(results))})


def kept_by(results: Sequence[SceneResult], threshold: float) -> dict[str, Any]:
    """`kept`, `acc10` and `outliers30` with its `interval` [percent]; None where none is kept."""
    kept = [result for result in results if result.confidence >= threshold]
    summary = summarise(kept) if kept else {"intervals": {}}
    return {
        "threshold": threshold,
        "kept": 100.0 * len(kept) / len(results),
        "outliers30": summary.get("outliers30"),
        "acc10": summary.get("acc10"),
        "interval": summary["intervals"].get("outliers30"),
    }


def highest_that_keeps(results: Sequence[SceneResult], percent: float) -> float:
    """The highest threshold that keeps so many scenes."""
    ordered = np.sort([result.confidence for result in results])[::-1]
    return float(ordered[int(np.ceil(percent / 100.0 * len(ordered))) - 1])


def threshold_figures(results: Results, *, default: float) -> dict[str, list[dict[str, Any]]]:
    """What each threshold does, by folder: the default first, the highest that keeps 80 % last."""
    figures = {}
    for name, some in results.items():
        thresholds = (default, *THRESHOLDS, highest_that_keeps(some, LEAST_KEPT))
        figures[name] = [kept_by(some, threshold) for threshold in thresholds]
    return figures


def threshold_table(results: Results, *, default: float) -> str:
    """Markdown: a row for each threshold, a column for each folder."""
    figures = threshold_figures(results, default=default)
    titles = [f"{default:g}, the default", *(f"{value:g}" for value in THRESHOLDS)]
    first, *others, last = zip(*figures.values(), strict=True)
    pairs = zip(titles, (first, *others), strict=True)
    rows = [[title, *map(_kept_cell, row)] for title, row in pairs]
    cells = [f"{own['threshold']:.2f}: {_kept_cell(own)}" for own in last]
    rows.append([f"the highest that keeps {LEAST_KEPT:g} %", *cells])
    wanted = f"default: below {MOST_OUTLIERS:g} % and {LEAST_KEPT:g} % kept"
    rows.append([wanted, *("yes" if _as_wanted(own) else "no" for own in first)])
    return markdown(["confidence at least", *figures], rows)


def reliability(results: Sequence[SceneResult]) -> dict[str, Any]:
    """Mean confidence and share within 10 degrees in bins of equal width, and their mean distance.

    `error` is `doa_tf.evaluation.calibration.calibration_error`, over groups of equal size.
    """
    confidence = np.array([result.confidence for result in results])
    errors = np.array([result.error_deg for result in results])
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for place in np.unique(places):
        summary = summarise([results[index] for index in np.flatnonzero(places == place)])
        bins.append(
            {
                "from": place / BINS,
                "to": (place + 1) / BINS,
                "n": summary["n"],
                "confidence": float(np.mean(confidence[places == place])),
                "acc10": summary["acc10"],
                "interval": summary["intervals"]["acc10"],
                "outliers30": summary["outliers30"],
            }
        )
    return {"error": calibration_error(confidence, errors), "bins": bins}


def reliability_table(results: Sequence[SceneResult]) -> str:
    """Markdown: a row for each bin of confidence."""
    figures = reliability(results)
    rows = [
        [
            f"{own['from']:.1f} to {own['to']:.1f}",
            str(own["n"]),
            f"{own['confidence']:.2f}",
            f"{own['acc10']:.0f} % [{own['interval'][0]:.0f}, {own['interval'][1]:.0f}]",
            f"{own['outliers30']:.0f} %",
        ]
        for own in figures["bins"]
    ]
    header = ["confidence", "scenes", "mean confidence"]
    header += [f"within {WITHIN_DEG:g}°", f"above {OUTLIER_DEG:g}°"]
    note = f"Mean distance between the two: {100 * figures['error']:.1f} points of probability."
    return f"{markdown(header, rows)}\n\n{note}"


def _as_wanted(figures: dict[str, Any]) -> bool:
    few = figures["outliers30"] is not None and figures["outliers30"] < MOST_OUTLIERS
    return few and figures["kept"] >= LEAST_KEPT


def _kept_cell(figures: dict[str, Any]) -> str:
    if figures["interval"] is None:
        return f"{figures['kept']:.0f} %"
    low, high = figures["interval"]
    return f"{figures['kept']:.0f} %: {figures['outliers30']:.1f} % [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    run_program(main)
