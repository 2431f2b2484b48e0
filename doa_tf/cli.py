"""`doa_tf`: simulate, render, train, evaluate, compare, reproduce."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from doa_edge.command import CommandParser, exit_status
from doa_edge.errors import InputError, MissingPackageError, one_line
from doa_tf import (
    cli_calibrate,
    cli_compare,
    cli_evaluate,
    cli_recipe,
    cli_reproduce,
    cli_rooms,
    cli_train,
)
from doa_tf.cli_options import bad_options
from doa_tf.progress import progress_bar
from doa_tf.tensorflow_import import import_quietly

CONDITIONS = ("clean", "diffuse", "interferer")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 misuse or bad input, 130 interrupted."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:
        return exit_status(stop)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    try:
        return int(args.run(args))
    except InputError as error:
        sys.stderr.write(f"doa_tf: {one_line(error)}\n")
        return 2
    except (OSError, MissingPackageError, FloatingPointError) as error:
        sys.stderr.write(f"doa_tf: {one_line(error)}\n")
        return 1
    except KeyboardInterrupt:
        resumes = args.command in ("simulate", "train", "reproduce", "recipe")
        advice = "; the same command goes on from here" if resumes else "; nothing was written"
        sys.stderr.write(f"doa_tf: interrupted{advice}\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="doa_tf", description="Direction of arrival of a voice: from rooms to a trained model."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cli_rooms.add_simulate(commands)
    cli_rooms.add_bank(commands)
    _add_render(commands)
    _add_scenes(commands)
    cli_train.add_parser(commands)
    cli_evaluate.add_parser(commands)
    cli_calibrate.add_parser(commands)
    cli_compare.add_parser(commands)
    cli_reproduce.add_parser(commands)
    cli_recipe.add_parser(commands)
    return parser


def _add_render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("render", help="freeze mixed scenes into a folder")
    parser.add_argument("--bank", required=True)
    parser.add_argument("--speech", required=True, metavar="DIR")
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    parser.add_argument(
        "--condition",
        choices=(*CONDITIONS, "all"),
        action="append",
        help="may be given several times (default: all)",
    )
    parser.add_argument("--scenes", type=int, default=100, metavar="N", help="per condition")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--out", required=True, metavar="SCENES", help="a new folder")
    cli_rooms.add_skip_broken(parser)
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    import_quietly("tensorflow", extra="train")
    from doa_tf.render import render_scenes
    from doa_tf.scenes import check_scenes_target

    check_scenes_target(args.out)  # before the bank and the speech are read
    asked = args.condition or ["all"]
    conditions = [name for name in CONDITIONS if name in asked or "all" in asked]
    with progress_bar("reading, mixing") as progress, bad_options():
        render_scenes(
            args.out,
            mixer=cli_train.read_mixer(args, progress),
            conditions=conditions,
            scenes=args.scenes,
            seed=args.seed,
            progress=progress,
        )
    return 0


def _add_scenes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("scenes", help="a picture of what is in a scenes folder")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plot = verbs.add_parser("plot", help="distributions of its labels, directions on the sphere")
    plot.add_argument("scenes", metavar="SCENES")
    plot.add_argument("--out", required=True, metavar="FILE.png")
    plot.set_defaults(run=_plot_scenes)


def _plot_scenes(args: argparse.Namespace) -> int:
    from doa_tf.scenes import read_scenes
    from doa_tf.scenes_plot import plot_scenes

    plot_scenes(args.out, read_scenes(args.scenes))
    return 0
