"""The parser of `doa_edge`. Only the standard library is imported: help answers at once."""

from __future__ import annotations

import argparse

from doa_edge.commands import align, bench, convert, devices, doctor, info, report, run
from doa_edge.options.command import CommandParser
from doa_edge.options.common import join_negative_values
from doa_edge.options.input import take_recording


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line, and of the configuration file that it names.

    Raises:
        InputError: a configuration that cannot be used.
        SystemExit: misuse, or a request for help.
    """
    parser, run_parser = make_parser()
    arguments = join_negative_values(arguments)
    first = parser.parse_args(arguments)
    take_recording(first)
    if getattr(first, "config", None) is None:
        return first
    if first.command == "align":
        return align.with_config(first, run_parser)
    from doa_edge.options.config import read_config

    values = read_config(first.config, run_parser)
    # Either of them on the command line replaces either of them in the file.
    if first.input is not None or first.device is not None:
        values.pop("input", None)
        values.pop("device", None)
    run_parser.set_defaults(**values)
    options = parser.parse_args(arguments)
    take_recording(options)
    return options


def make_parser() -> tuple[CommandParser, argparse.ArgumentParser]:
    """The parser of the command, and that of `doa_edge run` in it."""
    parser = CommandParser(
        prog="doa_edge",
        description="Where does the voice come from? Directions from first-order Ambisonics.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run_parser = run.add_parser(commands)
    for verb in (convert, report, devices, doctor, align, bench, info):
        verb.add_parser(commands)
    return parser, run_parser
