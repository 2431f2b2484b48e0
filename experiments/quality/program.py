"""What the programs of this folder share: options, and how they begin and end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from doa_edge.options.command import CommandParser
from doa_tf.cli.main import run_command

MODEL_HELP = ".tflite, .keras or baseline:NAME"


def add_models(parser: CommandParser, count: str) -> None:
    """Add MODEL..., as many as argparse's `nargs` says."""
    parser.add_argument("models", nargs=count, metavar="MODEL", help=MODEL_HELP)


def add_scenes(parser: CommandParser, *, required: bool) -> None:
    """Add --scenes, folders of them, and --work, where answers are kept."""
    parser.add_argument(
        "--scenes", nargs="+", type=Path, required=required, default=[], metavar="DIR"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps answers")


def add_json(parser: CommandParser) -> None:
    """Add --json, a file for the figures."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")


def run_program(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """The exit status of a program, with one thread for numpy: its matrices are small."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with threadpool_limits(1):
        return run_command(parser, argv)
