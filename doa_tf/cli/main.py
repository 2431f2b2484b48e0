"""The command `doa_tf`: its parser, and the exit status of what a verb raises."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_edge.options import command
from doa_tf.cli import calibrate, compare, evaluate, recipe, rooms, scenes, train

_RESUMES = {"simulate", "train", "reproduce", "recipe", "convert"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 misuse or bad input, 130 interrupted."""
    return run_command(_parser(), argv)


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """The exit status of the command that a parser finds in the arguments, its `run`."""
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return command.exit_status(stop)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    try:
        return int(args.run(args))
    except InputError as error:
        sys.stderr.write(f"{parser.prog}: {one_line(error)}\n")
        return command.EXIT_MISUSE
    except (OSError, MissingPackageError, FloatingPointError) as error:
        sys.stderr.write(f"{parser.prog}: {one_line(error)}\n")
        return command.EXIT_FAILED
    except KeyboardInterrupt:
        resumes = _RESUMES & {args.command, getattr(args, "verb", None)}
        advice = "; the same command goes on from here" if resumes else "; nothing was written"
        sys.stderr.write(f"{parser.prog}: interrupted{advice}\n")
        return command.EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = command.CommandParser(
        prog="doa_tf", description="Direction of arrival of a voice: from rooms to a trained model."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rooms.add_simulate(commands)
    rooms.add_bank(commands)
    scenes.add_render(commands)
    scenes.add_scenes(commands)
    for verb in (train, evaluate, calibrate, compare, recipe):
        verb.add_parser(commands)
    return parser
