"""`doa_tf evaluate`: a table on stdout, and JSON and a picture where asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, visible_lines
from doa_core.files import say_written
from doa_tf.cli.options import Commands, add_judged, read_judged
from doa_tf.cli.progress import progress_bar

if TYPE_CHECKING:
    from doa_tf.evaluation.judge import Evaluation
    from doa_tf.scenes.folder import Scenes

_COLUMNS = ("mean_deg", "median_deg", "acc5", "acc10", "acc15", "outliers30")


def add_parser(commands: Commands) -> None:
    """Add `evaluate` to the commands; its `run` is set."""
    parser = commands.add_parser(
        "evaluate",
        help="judge a model on scenes with known directions",
        description=(
            "Judge a model on scenes with known directions: mean and median error in degrees, the "
            "percentage of scenes within 5, 10 and 15 degrees and above 30 (outliers). The JSON "
            "has a 95 percent bootstrap interval of each figure. Where several talk, nobody, or at "
            "times, other tables come: angles by optimal assignment, recall and precision, and for "
            "whole recordings the runner of doa_edge, moment by moment."
        ),
    )
    add_judged(parser, "model")
    parser.add_argument(
        "--decode",
        choices=("peak", "centroid"),
        help="how a grid head is decoded (default: as the model file says)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the same figures as JSON")
    parser.add_argument("--per-scene", metavar="FILE.csv", help="write every scene's answer")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the errors (needs Matplotlib; .pdf and .svg too)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write the files.

    Raises:
        InputError: a model, scenes or an option that cannot be used.
        OSError: a file cannot be written.
    """
    from doa_tf.evaluation.judge import evaluate, has_one_talker_each

    _check_outputs(args)
    scenes = read_judged(args, [args.model])
    if not has_one_talker_each(scenes):
        return _run_talkers(args, scenes)
    with progress_bar("scenes") as progress:
        evaluation = evaluate(
            args.model, scenes, group_by=args.group_by, decode=args.decode, progress=progress
        )
    sys.stdout.write(visible_lines(format_table(evaluation)))
    if args.json is not None:
        evaluation.write_json(args.json)
    if args.per_scene is not None:
        evaluation.write_per_scene(args.per_scene)
    if args.plot is not None:
        from doa_tf.evaluation.plot import plot_evaluation

        plot_evaluation(args.plot, evaluation)
    say_written("doa_tf", args.json, args.per_scene, args.plot)
    return 0


def _run_talkers(args: argparse.Namespace, scenes: Scenes) -> int:
    """The same for scenes of several talkers, of nobody, or with times."""
    from doa_tf.evaluation.talkers.judge import evaluate_talkers
    from doa_tf.evaluation.talkers.report import text_tables

    if args.decode is not None:
        raise InputError(
            "--decode is for scenes of one talker each; several are the peaks of the scores. "
            f"Received: --decode {args.decode} for {args.data}"
        )
    with progress_bar("scenes") as progress:
        evaluation = evaluate_talkers(args.model, scenes, group_by=args.group_by, progress=progress)
    tables = text_tables(evaluation.to_dict(), group_by=evaluation.group_by)
    sys.stdout.write(visible_lines(tables))
    if args.json is not None:
        evaluation.write_json(args.json)
    if args.per_scene is not None:
        evaluation.write_per_scene(args.per_scene)
    if args.plot is not None:
        from doa_tf.evaluation.talkers.plot import plot_talkers

        plot_talkers(args.plot, evaluation)
    say_written("doa_tf", args.json, args.per_scene, args.plot)
    return 0


def format_table(evaluation: Evaluation) -> str:
    """The figures of each group and of all scenes as aligned text, medians with their interval."""
    figures = evaluation.to_dict()
    rows = [[evaluation.group_by or "", "n", *_COLUMNS, "median's 95 %"]]
    for name, values in (*figures["groups"].items(), ("all", figures["all"])):
        numbers = (f"{values[column]:.1f}" for column in _COLUMNS)
        low, high = values["intervals"]["median_deg"]
        rows.append([name or "(empty)", str(values["n"]), *numbers, f"{low:.1f} to {high:.1f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"model: {evaluation.model}, decoding: {evaluation.decode}"]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse files that cannot be written before minutes of work, not after them."""
    files = (("--json", args.json), ("--per-scene", args.per_scene), ("--plot", args.plot))
    for option, file in files:
        if file is None:
            continue
        if not file or Path(file).is_dir() or not Path(file).parent.is_dir():
            raise InputError(
                f"{option} must name a file in a folder that exists. Received: {file!r}"
            )
    if args.plot is not None:
        from doa_edge.sinks.plot import check_plot

        check_plot(args.plot)
