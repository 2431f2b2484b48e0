"""`doa_tf render` and `doa_tf scenes`."""

from __future__ import annotations

import argparse

from doa_core.errors import as_input_errors
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import Commands, add_skip_broken, read_mixer
from doa_tf.cli.progress import progress_bar

CONDITIONS = ("clean", "diffuse", "interferer")  # of `doa_tf.scenes.draw`, without its imports


def add_render(commands: Commands) -> None:
    """Add `render` to the commands."""
    parser = commands.add_parser("render", help="freeze mixed scenes into a folder")
    parser.add_argument("--bank", required=True)
    parser.add_argument("--speech", required=True, metavar="DIR")
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    several = "may be given several times (default: all)"
    parser.add_argument("--condition", choices=(*CONDITIONS, "all"), action="append", help=several)
    parser.add_argument("--scenes", type=int, default=100, metavar="N", help="per condition")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--out", required=True, metavar="SCENES", help="a new folder")
    add_skip_broken(parser)
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    import_quietly("tensorflow", extra="train")
    from doa_tf.scenes.folder import check_scenes_target
    from doa_tf.scenes.render import render_scenes

    check_scenes_target(args.out)  # before the bank and the speech are read
    asked = args.condition or ["all"]
    conditions = [name for name in CONDITIONS if name in asked or "all" in asked]
    with progress_bar("reading, mixing") as progress, as_input_errors():
        render_scenes(
            args.out,
            mixer=read_mixer(args, progress),
            conditions=conditions,
            scenes=args.scenes,
            seed=args.seed,
            progress=progress,
        )
    return 0


def add_scenes(commands: Commands) -> None:
    """Add `scenes` to the commands."""
    parser = commands.add_parser("scenes", help="a picture of what is in a scenes folder")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plot = verbs.add_parser("plot", help="distributions of its labels, directions on the sphere")
    plot.add_argument("scenes", metavar="SCENES")
    plot.add_argument("--out", required=True, metavar="FILE.png")
    plot.set_defaults(run=_plot_scenes)


def _plot_scenes(args: argparse.Namespace) -> int:
    from doa_tf.scenes.folder import read_scenes
    from doa_tf.scenes.plot import plot_scenes

    plot_scenes(args.out, read_scenes(args.scenes))
    return 0
