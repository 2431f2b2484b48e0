"""`doa_tf recipe`: from rooms to a calibrated checkpoint, as a file says."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from doa_core.errors import InputError, say, visible
from doa_core.reading.toml import parse_toml
from doa_edge.options.command import Limited
from doa_edge.tflite.shipped import BUILT_IN, checkpoint_path
from doa_tf.cli.imports import use_engine
from doa_tf.cli.options import Commands, add_imports, add_recordings
from doa_tf.cli.progress import progress_bar
from doa_tf.registration import import_modules


def add_parser(subparsers: Commands) -> argparse.ArgumentParser:
    """Add `recipe` to the commands; its `run` is set."""
    parser = subparsers.add_parser(
        "recipe",
        help="make a network as a recipe says, from rooms to a calibrated checkpoint",
        description=(
            "Simulate rooms, render validation scenes, train, and calibrate, as a recipe in "
            "configs/ says (docs/recipes.md). Given again, the same command goes on where it was "
            "stopped. DIR/model.keras is what doa_export converts."
        ),
    )
    parser.add_argument("recipe", metavar="FILE.toml", help="such as configs/default.toml")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new or unfinished one")
    add_recordings(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="instead of what the file says; VALUE as in TOML. May be given several times",
    )
    add_imports(parser)
    start = f"start from the weights of layers that fit; also the built-in {BUILT_IN}"
    parser.add_argument("--init-from", metavar="MODEL.keras", type=checkpoint_path, help=start)
    processes = "processes that simulate (default: all cores)"
    parser.add_argument("--workers", type=Limited("workers"), metavar="N", help=processes)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Follow the recipe.

    Raises:
        InputError: a recipe, folder or recordings that cannot be used.
        FloatingPointError: the loss became NaN.
    """
    from doa_tf.recipe import read_recipe, run_recipe

    def prepare(engine: str) -> None:
        use_engine(engine)
        import_modules(args.imports)

    recipe = read_recipe(args.recipe, dict(map(_change, args.set)), prepare=prepare)
    path = run_recipe(
        recipe,
        args.out,
        speech=args.speech,
        noise=args.noise,
        init_from=args.init_from,
        workers=args.workers,
        bars=progress_bar,
        say=say,
    )
    sys.stdout.write(f"{visible(path) if sys.stdout.isatty() else path}\n")
    say(f"doa_tf: the calibrated network is in {path}")
    return 0


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        if not equals or "." not in name:
            raise ValueError("no SECTION.KEY")
        return name, parse_toml(f"value = {value}")["value"]
    except ValueError as error:
        message = f"--set takes SECTION.KEY=VALUE, VALUE as in TOML. Received: {text}"
        raise InputError(message) from error
