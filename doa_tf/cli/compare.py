"""`doa_tf compare`: several models on the same scenes, as a folder with a report."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, visible_lines
from doa_core.files import say_written
from doa_tf.cli.options import Commands, add_judged, read_judged
from doa_tf.cli.progress import progress_bar

if TYPE_CHECKING:
    from doa_tf.files import Progress
    from doa_tf.scenes.folder import Scenes


def add_parser(commands: Commands) -> None:
    """Add `compare` to the commands; its `run` is set."""
    parser = commands.add_parser(
        "compare",
        help="put models beside each other: tables, paired tests, pictures",
        description=(
            "Run several models on the same scenes and write a folder with report.md, report.json, "
            "a CSV of every answer and pictures. A grid head has a row for each decoding; paired "
            "differences are to the first MODEL."
        ),
    )
    add_judged(parser, "models", nargs="+")
    parser.add_argument("--out", required=True, metavar="REPORT", help="folder for the report")
    parser.add_argument(
        "--spheres",
        nargs="+",
        default=(),
        metavar="FILE",
        help="scenes whose scores are drawn (default: four, from easy to hard)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare, write the report, print its tables.

    Raises:
        InputError: a model, scenes or an option that cannot be used.
        OSError: a file cannot be written.
    """
    from doa_edge.sinks.plot import check_plot
    from doa_tf.evaluation.comparison import compare, model_labels
    from doa_tf.evaluation.judge import has_one_talker_each
    from doa_tf.evaluation.report import figure_tables, write_report

    model_labels(args.models)
    check_plot("report.png")  # that Matplotlib is there
    if Path(args.out).exists() and not Path(args.out).is_dir():
        raise InputError(f"--out must name a folder. Received the file {args.out}")
    scenes = read_judged(args, args.models)
    unknown = set(args.spheres) - {scene.file for scene in scenes}
    if unknown:
        raise InputError(
            f"--spheres must name files in labels.csv of {args.data}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    # Each model is traced anew, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if not has_one_talker_each(scenes):
        return _run_talkers(args, scenes)
    with progress_bar("models x scenes") as bar:
        progress = _overall(bar, models=len(args.models), scenes=len(scenes))
        comparison = compare(args.models, scenes, group_by=args.group_by, progress=progress)
    command = shlex.join(["doa_tf", *sys.argv[1:]])
    report = write_report(args.out, comparison, command=command, spheres=args.spheres)
    tables = "\n\n".join(figure_tables(comparison.to_dict()))
    sys.stdout.write(visible_lines(tables) + "\n")
    say_written("doa_tf", report)
    return 0


def _run_talkers(args: argparse.Namespace, scenes: Scenes) -> int:
    """The same for scenes of several talkers, of nobody, or with times."""
    from doa_tf.evaluation.talkers.comparison import compare_talkers
    from doa_tf.evaluation.talkers.report import figure_tables, write_talker_report

    if args.spheres:
        raise InputError(
            "--spheres draws scenes of one talker each. "
            f"Received: {', '.join(args.spheres)} of {args.data}"
        )
    with progress_bar("models x scenes") as bar:
        progress = _overall(bar, models=len(args.models), scenes=len(scenes))
        comparison = compare_talkers(args.models, scenes, group_by=args.group_by, progress=progress)
    report = write_talker_report(
        args.out, comparison, command=shlex.join(["doa_tf", *sys.argv[1:]])
    )
    tables = "\n\n".join(figure_tables(comparison.to_dict()))
    sys.stdout.write(visible_lines(tables) + "\n")
    say_written("doa_tf", report)
    return 0


def _overall(bar: Progress, *, models: int, scenes: int) -> Callable[[str], Progress]:
    """One bar over all models: each one's own count goes on where the last one's ended."""
    begun = count()

    def begin(_: str) -> Progress:
        before = next(begun) * scenes
        return lambda done, _: bar(before + done, models * scenes)

    return begin
