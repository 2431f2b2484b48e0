"""The command `doa_edge`. Only the standard library is imported at the top: help answers at once.

Standard output carries data, standard error carries talk. Exit status: 0 done, 1 failed,
2 misuse or bad input, 130 interrupted, 141 the reader of standard output went away, 143 terminated.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doa_edge.commands import bench, devices, doctor
from doa_edge.options.command import CommandParser
from doa_edge.options.common import (
    add_directions,
    add_network_outputs,
    add_outputs,
    join_negative_values,
)
from doa_edge.options.input import add_input_arguments
from doa_edge.tflite.shipped import MODEL_HELP, model_path

if TYPE_CHECKING:
    import argparse

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        # As little as possible in here: the signal may come while the rest is imported.
        sys.stderr.write("doa_edge: interrupted\n")
        return 130


def _main(arguments: list[str]) -> int:
    from doa_core.errors import InputError, Terminated
    from doa_edge.commands.main import parse_options
    from doa_edge.options.command import (
        EXIT_BROKEN_PIPE,
        EXIT_FAILED,
        EXIT_MISUSE,
        EXIT_TERMINATED,
        exit_status,
    )

    try:
        options = parse_options(arguments, run=_run, info=_info)
        status: int = options.run(options)
        sys.stdout.flush()
    except SystemExit as stop:
        return exit_status(stop)
    except InputError as error:
        return _complain(error, EXIT_MISUSE)
    except BrokenPipeError:
        _let_go_of_stdout()
        return EXIT_BROKEN_PIPE
    except Terminated:
        return _complain("terminated", EXIT_TERMINATED)
    except (OSError, ImportError, MemoryError) as error:
        _let_go_of_stdout()
        return _complain(error, EXIT_FAILED)
    return status


def _run(options: argparse.Namespace) -> int:
    from doa_edge.commands.run import run

    return run(options)


def _info(options: argparse.Namespace) -> int:
    from doa_edge.commands.info import info

    return info(options)


def _complain(message: object, status: int) -> int:
    from doa_core.errors import one_line

    sys.stderr.write(f"doa_edge: {one_line(message)}\n")
    return status


def _let_go_of_stdout() -> None:
    """Drop what cannot be written, or the interpreter complains about it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def parse_options(arguments: list[str], *, run: Command, info: Command) -> argparse.Namespace:
    """Options of the command line, and of the configuration file that it names.

    Raises:
        InputError: a configuration that cannot be used.
        SystemExit: misuse, or a request for help.
    """
    parser, run_parser = build_parser(run=run, info=info)
    arguments = join_negative_values(arguments)
    first = parser.parse_args(arguments)
    if getattr(first, "config", None) is None:
        return first
    from doa_edge.options.config import read_config

    values = read_config(first.config, run_parser)
    # Either of them on the command line replaces either of them in the file.
    if first.input is not None or first.device is not None:
        values.pop("input", None)
        values.pop("device", None)
    run_parser.set_defaults(**values)
    return parser.parse_args(arguments)


def build_parser(*, run: Command, info: Command) -> tuple[CommandParser, argparse.ArgumentParser]:
    """The parsers of `doa_edge` and of its verb `run`; each verb sets `run`, to be called."""
    parser = CommandParser(
        prog="doa_edge",
        description="Where does the voice come from? Directions from first-order Ambisonics.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run_parser = commands.add_parser(
        "run",
        help="directions of a recording, a pipe or a microphone",
        description="Print the direction of the voice, one JSON object per window.",
        epilog="On a terminal the directions are drawn instead; --json prints them there, too.",
        allow_abbrev=False,
    )
    run_parser.set_defaults(run=run)
    add_input_arguments(run_parser)
    run_parser.add_argument(
        "--realtime",
        action=argparse.BooleanOptionalAction,
        help="process a recording at its own speed, as if it were live",
    )
    add_directions(run_parser.add_argument_group("directions"))
    add_outputs(run_parser.add_argument_group("outputs, several at once"))
    add_network_outputs(run_parser.add_argument_group("outputs to other programs"))
    run_parser.add_argument(
        "--config",
        metavar="FILE.toml",
        type=Path,
        help="options from a file: their names without dashes are its keys; the command line wins",
    )
    devices.add_parser(commands)
    doctor.add_parser(commands)
    bench.add_parser(commands)
    info_parser = commands.add_parser(
        "info",
        help="the spec of a model file",
        description="Print the spec of a model file as JSON.",
        allow_abbrev=False,
    )
    info_parser.set_defaults(run=info)
    info_parser.add_argument("model", metavar="FILE", type=model_path, nargs="?", help=MODEL_HELP)
    return parser, run_parser
