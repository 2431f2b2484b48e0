"""Pictures of how good models are, for the pages of results.

    python -m experiments.quality.pictures MODEL... --scenes DIR...
        [--robustness FILE.json] [--meeting RECORDING] [--work DIR] [--out docs/images]

distributions.png   distribution of the error, a panel for each folder and condition
medians.png         the median of each of them with its interval
reliability.png     confidence against the share of right answers; what a threshold keeps
against.png         median error against SNR, SIR, RT60, ..., from `robustness --json`
robustness.png      the same for everything else that it changes
meeting.png         a recording of a scenes folder: who talks where and when, and what the runner
                    makes of it with the first model, a .tflite of several voices
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.reading.json_text import read_json
from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.groups import grouped
from doa_tf.evaluation.judge import SceneResult, summarise
from doa_tf.evaluation.panels import draw_distribution
from doa_tf.evaluation.predictions import BASELINE_PREFIX
from doa_tf.evaluation.statistics import OUTLIER_DEG
from doa_tf.plotting import GREY, finish, new_figure, save_figure, styled
from experiments.quality.confidence import LEAST_KEPT, MOST_OUTLIERS, reliability
from experiments.quality.meeting_picture import find_scene, hear, plot_meeting
from experiments.quality.options import MODEL, add_scenes, one_thread
from experiments.quality.robustness_plot import WIDTH, legend_of, plot_lines, plot_robustness
from experiments.scenes.answers import default_threshold, judge_folders
from experiments.scenes.tables import pooled, shown, titles

_DEGREE_TICKS = (1, 3, 10, 30, 100)
_MEDIAN_TICKS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 90)
_SHOWN_OUTLIERS = 12.0  # percent; baselines may leave the panel, which is about a few percent
Pooled = Mapping[str, Sequence[SceneResult]]


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Judge and draw."""
    parser = program("experiments.quality.pictures", __doc__)
    parser.add_argument("models", nargs="+", **MODEL)
    add_scenes(parser, required=False)
    parser.add_argument("--robustness", type=Path, metavar="FILE", help="of robustness --json")
    text = "of a scenes folder, with several talkers"
    parser.add_argument("--meeting", type=Path, metavar="RECORDING", help=text)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), metavar="DIR")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    drawn = []
    if args.scenes:
        answers = judge_folders(args.models, args.scenes, work=args.work)
        results = {label: pooled(folders) for label, folders in answers.items()}
        plot_distributions(args.out / "distributions.png", results)
        plot_medians(args.out / "medians.png", results)
        defaults = {
            label: default_threshold(model)
            for label, model in zip(results, args.models, strict=True)
            if not model.startswith(BASELINE_PREFIX)
        }
        plot_reliability(args.out / "reliability.png", results, defaults)
        drawn += ["distributions.png", "medians.png", "reliability.png"]
    if args.robustness:
        values = read_json(args.robustness, finite=False)
        for name, plot in (("against.png", plot_lines), ("robustness.png", plot_robustness)):
            if plot(args.out / name, values):
                drawn.append(name)
    if args.meeting:
        scene = find_scene(args.meeting)
        plot_meeting(args.out / "meeting.png", scene, hear(args.models[0], scene))
        drawn.append("meeting.png")
    for name in drawn:
        print(args.out / name)


def plot_distributions(path: Path, results: Pooled) -> None:
    """Distribution of the error, a panel for each folder and condition."""
    pairs = results.items()
    groups = grouped(titles(next(iter(results.values()))))
    columns = 2 if len(groups) in (1, 2, 4) else 3
    rows = math.ceil(len(groups) / columns)
    figure = new_figure(path, WIDTH, 2.35 * rows + 0.9)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (title, indices) in zip(panels, groups.items(), strict=False):
        errors = {name: np.array([some[k].error_deg for k in indices]) for name, some in pairs}
        draw_distribution(axes, errors, title="")
        axes.set_title(f"{title} ({len(indices)})", fontsize=9, loc="left")
        axes.set(xlabel="", ylabel="")
        axes.tick_params(labelsize=8)
        for line, label in zip(axes.get_lines(), results, strict=False):
            line.set_label(shown(label))
        axes.set_xticks(_DEGREE_TICKS, [f"{tick:g}" for tick in _DEGREE_TICKS], minor=False)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(groups) - columns) : len(groups)]:
        axes.tick_params(labelbottom=True)
    for axes in panels[(rows - 1) * columns :]:
        axes.set_xlabel("error [degrees]", fontsize=9)
    figure.supylabel("scenes with at most this error [percent]", fontsize=9)
    legend_of(figure, *panels[0].get_legend_handles_labels())
    save_figure(figure, path, "Distribution of the error")


def plot_medians(path: Path, results: Pooled) -> None:
    """Median error with its interval, a row for each folder and condition."""
    groups = grouped(titles(next(iter(results.values()))))
    figure = new_figure(path, WIDTH, 0.42 * len(groups) + 1.2)
    axes = figure.subplots()
    rows = np.arange(len(groups))
    for number, (label, style) in enumerate(styled(results)):
        own = [summarise([results[label][k] for k in some]) for some in groups.values()]
        median = np.array([figures["median_deg"] for figures in own])
        low, high = np.array([figures["intervals"]["median_deg"] for figures in own]).T
        beside = rows + 0.6 * ((number + 0.5) / len(results) - 0.5)
        line = {**style, "linestyle": "", "ms": 5, "elinewidth": 1.2}
        error = [median - low, high - median]
        axes.errorbar(median, beside, xerr=error, label=shown(label), **line)
    axes.set_yticks(rows, list(groups), fontsize=8)
    axes.set(xscale="log", xlabel="median error [degrees]")
    axes.invert_yaxis()
    ticks = [tick for tick in _MEDIAN_TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    finish(axes, "")
    legend_of(figure, *axes.get_legend_handles_labels())
    save_figure(figure, path, "Median error")


def plot_reliability(path: Path, results: Pooled, defaults: Mapping[str, float]) -> None:
    """Share of right answers in bins of confidence; outliers among what a threshold keeps."""
    figure = new_figure(path, WIDTH, 3.9)
    left, right = figure.subplots(1, 2)
    for label, style in styled(results):
        line = {"color": style["color"], "ls": style["linestyle"], "lw": 1.6}
        if label in defaults:
            _draw_bins(left, reliability(results[label])["bins"], label, style)
        confidence = np.array([result.confidence for result in results[label]])
        outlier = np.array([result.error_deg > OUTLIER_DEG for result in results[label]])
        order = np.argsort(-confidence, kind="stable")
        counts = np.arange(1, len(order) + 1)
        last = np.append(np.diff(confidence[order]) != 0.0, True)  # ties are kept together
        kept = (100.0 * counts / len(order))[last]
        share = (100.0 * np.cumsum(outlier[order]) / counts)[last]
        right.plot(kept, share, label=shown(label), **line)
        if label in defaults:
            place = np.searchsorted(kept, 100.0 * np.mean(confidence >= defaults[label]))
            place = min(int(place), len(kept) - 1)
            mark = {"color": style["color"], "ms": 8, "clip_on": False, "zorder": 5}
            right.plot(kept[place], share[place], style["marker"], **mark)
    left.plot([0, 1], [0, 100], color=GREY, lw=1.0, ls="--", label="a probability")
    left.set(xlim=(0, 1), ylim=(0, 101), xlabel="confidence", ylabel="scenes within 10° [percent]")
    right.set(
        xlim=(10, 100.5),
        ylim=(0, _SHOWN_OUTLIERS),
        xlabel="scenes that a threshold keeps [percent]",
        ylabel="errors above 30° among them [percent]",
    )
    wanted = {"xmin": (LEAST_KEPT - 10.0) / 90.5, "color": "#009e73", "alpha": 0.3, "lw": 0}
    right.axhspan(0.0, MOST_OUTLIERS, **wanted)
    finish(left, "Is it a probability?")
    finish(right, "Mark: default threshold; green: wanted")
    left.legend(fontsize=8, frameon=False, loc="upper left")
    right.legend(fontsize=8, frameon=False, loc="center right")
    for axes in (left, right):
        axes.title.set_fontsize(9.5)
        axes.tick_params(labelsize=8)
    save_figure(figure, path, "Confidence")


def _draw_bins(axes: Any, bins: list[dict[str, Any]], label: str, style: dict[str, Any]) -> None:
    share = np.array([own["acc10"] for own in bins])
    low, high = np.array([own["interval"] for own in bins]).T
    confidence = [own["confidence"] for own in bins]
    line = {**style, "ms": 5, "lw": 1.4, "elinewidth": 0.9}
    axes.errorbar(confidence, share, yerr=[share - low, high - share], label=shown(label), **line)


if __name__ == "__main__":
    run_program(main)
