"""`doa_tf evaluate`: a table on stdout, and JSON and a picture where asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doa_tf.evaluation import Evaluation

_HEADER = ("", "n", "mean_deg", "median_deg", "acc10", "acc15")


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add `evaluate` to the commands; its `run` is set."""
    parser = subparsers.add_parser(
        "evaluate",
        help="judge a model on scenes with known directions",
        description=(
            "Judge a model on scenes with known directions: mean and median error in degrees, and "
            "the percentage of scenes within 10 and 15 degrees."
        ),
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a .keras file, a .tflite file, baseline:intensity or baseline:music",
    )
    parser.add_argument(
        "--data", required=True, metavar="SCENES", help="folder of recordings with labels.csv"
    )
    parser.add_argument(
        "--group-by",
        metavar="COLUMN",
        help="a column of labels.csv (default: condition, where there is one)",
    )
    parser.add_argument(
        "--decode",
        choices=("peak", "centroid"),
        help="how a grid head is decoded (default: as the model file says)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the same figures as JSON")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the errors (needs Matplotlib; .pdf and .svg too)"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write the files.

    Raises:
        InputError: a model, scenes or an option that cannot be used.
        OSError: a file cannot be written.
    """
    from doa_tf.evaluation import check_group, check_model_name, evaluate
    from doa_tf.progress import progress_bar
    from doa_tf.scenes import read_scenes
    from doa_tf.tensorflow_import import import_quietly

    check_model_name(args.model)
    _check_outputs(args)
    scenes = read_scenes(args.data)
    check_group(scenes, args.group_by)
    if args.model.endswith(".keras"):
        import_quietly("doa_tf.models", extra="train")
    with progress_bar("scenes") as progress:
        evaluation = evaluate(
            args.model, scenes, group_by=args.group_by, decode=args.decode, progress=progress
        )
    sys.stdout.write(format_table(evaluation))
    if args.json is not None:
        evaluation.write_json(args.json)
    if args.plot is not None:
        from doa_tf.evaluation_plot import plot_evaluation

        plot_evaluation(args.plot, evaluation)
    return 0


def format_table(evaluation: Evaluation) -> str:
    """The figures of each group and of all scenes as aligned text."""
    figures = evaluation.to_dict()
    rows: list[tuple[str, ...]] = [(evaluation.group_by or "", *_HEADER[1:])]
    for name, values in (*figures["groups"].items(), ("all", figures["all"])):
        numbers = (f"{values[column]:.1f}" for column in _HEADER[2:])
        rows.append((name or "(empty)", str(values["n"]), *numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [f"model: {evaluation.model}"]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def _check_outputs(args: argparse.Namespace) -> None:
    """What would go wrong after minutes of work goes wrong now."""
    from doa_edge.errors import InputError

    for option, file in (("--json", args.json), ("--plot", args.plot)):
        if file is None:
            continue
        if not file or Path(file).is_dir() or not Path(file).parent.is_dir():
            raise InputError(
                f"{option} must name a file in a folder that exists. Received: {file!r}"
            )
    if args.plot is not None:
        from doa_edge.plot import check_plot

        check_plot(args.plot)
