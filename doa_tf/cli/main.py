"""The command `doa_tf`: its parser, and the exit status of what a verb raises.

Little is imported at the top: a signal may come while the rest is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from doa_core.process.signals import run_command

if TYPE_CHECKING:
    import argparse

_RESUMES = {"simulate", "train", "recipe", "convert"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 misuse or bad input, 130, 143 or 129 for a signal."""
    return run_command("doa_tf", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    import logging
    import sys

    from doa_edge.options import command
    from doa_edge.options.common import join_negative_values
    from doa_edge.options.streams import VisibleFormatter, open_standard_streams
    from doa_tf.cli.program import GOES_ON, NOTHING, status_of

    open_standard_streams()
    parser = _parser()
    try:
        args = parser.parse_args(join_negative_values(list(sys.argv[1:] if argv is None else argv)))
    except SystemExit as stop:
        return command.exit_status(stop)
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    resumes = _RESUMES & {args.command, getattr(args, "verb", None)}
    interrupted = GOES_ON if resumes else NOTHING
    return status_of(
        lambda: int(args.run(args)), parser.prog, interrupted=interrupted, options=args
    )


def _parser() -> argparse.ArgumentParser:
    from doa_edge.options import command
    from doa_tf.cli import blend, calibrate, compare, evaluate, recipe, rooms, scenes, train

    parser: argparse.ArgumentParser = command.CommandParser(
        prog="doa_tf", description="Direction of arrival of a voice: from rooms to a trained model."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rooms.add_simulate(commands)
    rooms.add_bank(commands)
    scenes.add_render(commands)
    scenes.add_scenes(commands)
    for verb in (train, blend, evaluate, calibrate, compare, recipe):
        verb.add_parser(commands)
    return parser
