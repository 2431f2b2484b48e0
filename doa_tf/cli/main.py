"""`doa_tf`: simulate, render, train, evaluate, calibrate, compare, follow a recipe."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_edge.options.command import CommandParser, exit_status
from doa_tf.cli import calibrate, compare, evaluate, recipe, rooms, scenes, train

GOES_ON, NOTHING = "the same command goes on from here", "nothing was written"
_RESUMES = ("simulate", "train", "recipe")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 misuse or bad input, 130 interrupted."""
    return run_command(_parser(), argv)


def program(
    module: str,
    doc: str | None,
    run: Callable[[argparse.Namespace], int],
    *,
    interrupted: str = NOTHING,
) -> CommandParser:
    """A parser for `run_command`, of a program that is not a verb: `python -m MODULE`.

    Args:
        module: its name.
        doc: its docstring, of which the first line is shown.
        run: takes the arguments, gives the exit status.
        interrupted: what is said after Ctrl-C.
    """
    description = (doc or "").partition("\n")[0]
    parser = CommandParser(prog=f"python -m {module}", description=description)
    parser.set_defaults(run=run, interrupted=interrupted)
    return parser


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """The exit status of the command that a parser finds in the arguments.

    They must have `run`, and `interrupted`: what is said after Ctrl-C.
    """
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return exit_status(stop)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    try:
        return int(args.run(args))
    except InputError as error:
        sys.stderr.write(f"{parser.prog}: {one_line(error)}\n")
        return 2
    except (OSError, MissingPackageError, FloatingPointError) as error:
        sys.stderr.write(f"{parser.prog}: {one_line(error)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{parser.prog}: interrupted; {args.interrupted}\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="doa_tf", description="Direction of arrival of a voice: from rooms to a trained model."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rooms.add_simulate(commands)
    rooms.add_bank(commands)
    scenes.add_render(commands)
    scenes.add_scenes(commands)
    for verb in (train, evaluate, calibrate, compare, recipe):
        verb.add_parser(commands)
    for name, command in commands.choices.items():
        command.set_defaults(interrupted=GOES_ON if name in _RESUMES else NOTHING)
    return parser
