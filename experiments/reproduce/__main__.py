"""The heads compared, from rooms to a report: `python -m experiments.reproduce`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from doa_core.errors import InputError, as_input_errors
from doa_edge.options.command import CommandParser
from doa_edge.sinks.plot import check_plot
from doa_tf.cli.imports import use_engine
from doa_tf.cli.options import add_recordings
from doa_tf.cli.program import GOES_ON, program, run_program
from doa_tf.cli.progress import progress_bar
from experiments.reproduce.plan import SIZES, Plan
from experiments.reproduce.report import BEGIN, END, check_update, update_section
from experiments.reproduce.run import run_experiment

DESCRIPTION = (
    "The experiment: simulate rooms, render validation and test scenes, train every head "
    "on the same data with the same budget, judge them beside the classical baselines, "
    "and answer each statement of Perotin et al. (2019) in DIR/report.md. Given again, "
    "the same command goes on where it was stopped."
)


def _parser() -> CommandParser:
    parser = program("experiments.reproduce", DESCRIPTION)
    parser.add_argument("--out", required=True, metavar="DIR", help="a new or unfinished one")
    add_recordings(parser)
    add = parser.add_argument
    add(
        "--size",
        choices=SIZES,
        default="small",
        help="tiny: minutes, a test; small: two hours of two cores; medium: a day; large: a GPU",
    )
    add(
        "--heads",
        nargs="+",
        metavar="NAME",
        help="runs, `NAME-level` with the level channel (default: the six heads and the seventh)",
    )
    add("--also", nargs="+", default=(), metavar="SCENES", help="further scenes to judge on")
    add("--jobs", type=int, metavar="N", help="trainings side by side (default: one a core)")
    add("--threads", type=int, default=1, metavar="N", help="of each training (default: 1)")
    add(
        "--engine",
        choices=("keras", "live", "jax"),
        default="keras",
        help="new scenes in every epoch: mixed while it trains (live), on an accelerator (jax)",
    )
    add("--seed", type=int, default=0, metavar="S")
    add(
        "--update",
        metavar="FILE.md",
        help=f"put the report between the lines `{BEGIN}` and `{END}` of this page as well",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Do what is not yet done of the experiment, and say where the report is.

    Raises:
        InputError: an option, recordings or a folder that cannot be used.
        OSError: a training failed, or a file cannot be written.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    check_plot("report.png")  # whether Matplotlib is there
    for name in ("jobs", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} must be at least 1. Received: {value}")
    use_engine(args.engine)
    # Each model is traced anew, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if args.update:
        check_update(args.update)
    with as_input_errors():
        plan = Plan(
            size=SIZES[args.size],
            speech=os.path.abspath(args.speech),
            noise=None if args.noise is None else os.path.abspath(args.noise),
            seed=args.seed,
            engine=args.engine,
            **({"runs": tuple(args.heads)} if args.heads else {}),
        )
    report = run_experiment(
        args.out,
        plan,
        jobs=args.jobs or min(os.cpu_count() or 1, len(plan.runs)),
        threads=args.threads,
        also=args.also,
        bars=_stage,
    )
    if args.update:
        update_section(args.update, report)
    print(report)


@contextmanager
def _stage(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, and where there is no terminal a line when the stage begins."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"python -m experiments.reproduce: {name}\n")
    with progress_bar(name) as progress:
        yield progress


if __name__ == "__main__":
    run_program(main, interrupted=GOES_ON)
