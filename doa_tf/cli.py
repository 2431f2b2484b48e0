"""`doa_tf`: simulate, render, train, evaluate, compare, reproduce."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from doa_edge.command import CommandParser, exit_status
from doa_edge.errors import InputError, MissingPackageError, one_line
from doa_tf import cli_compare, cli_evaluate, cli_reproduce, cli_rooms
from doa_tf.cli_options import bad_options
from doa_tf.progress import progress_bar
from doa_tf.tensorflow_import import import_quietly

if TYPE_CHECKING:
    from doa_tf.mixing import SceneMixer

CONDITIONS = ("clean", "diffuse", "interferer")
AUGMENTATIONS = ("vertical", "all", "none")


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
        resumes = args.command in ("simulate", "train", "reproduce")
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
    _add_train(commands)
    cli_evaluate.add_parser(commands)
    cli_compare.add_parser(commands)
    cli_reproduce.add_parser(commands)
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
            mixer=_mixer(args, progress),
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


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("train", help="train a network; run again to resume")
    parser.add_argument("--bank", required=True)
    parser.add_argument("--speech", required=True, metavar="DIR")
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    parser.add_argument("--valid", required=True, metavar="SCENES", help="picks the best epoch")
    parser.add_argument("--head", required=True, metavar="NAME", help="cartesian, gibbs-weighted")
    parser.add_argument("--out", required=True, metavar="RUN", help="a new or unfinished run")
    parser.add_argument("--epochs", type=int, default=60, metavar="N")
    parser.add_argument("--sequences", type=int, default=16384, metavar="N", help="mixed scenes")
    parser.add_argument("--batch-size", type=int, default=64, metavar="B")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--level", action="store_true", help="the level as a seventh channel")
    parser.add_argument(
        "--init-from", metavar="MODEL.keras", help="start from the weights of layers that fit"
    )
    parser.add_argument(
        "--augment",
        choices=AUGMENTATIONS,
        default="vertical",
        help="how scenes are turned: about the vertical axis (default), or any rotation or mirror",
    )
    parser.add_argument(
        "--live", action="store_true", help="mix new scenes for every epoch, without a cache"
    )
    parser.add_argument("--cache", metavar="DIR", help="mixed features, shared between runs")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--threads", type=int, metavar="N", help="TensorFlow's (default: all)")
    cli_rooms.add_skip_broken(parser)
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> int:
    import_quietly("doa_tf.models", extra="train")
    if args.threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
    from doa_tf.training import TrainSettings, train

    level = (LEVEL_CHANNEL,) if args.level else ()
    with bad_options():
        settings = TrainSettings(
            head=args.head,
            epochs=args.epochs,
            sequences=args.sequences,
            batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            seed=args.seed,
            augment=args.augment,
            live=args.live,
        )
        features = FeatureSpec(channels=(*INTENSITY_CHANNELS, *level))
    with progress_bar("reading, mixing") as progress:
        train(
            args.out,
            mixer=lambda: _mixer(args, progress),
            sources={"bank": args.bank, "speech": args.speech, "noise": args.noise},
            valid=args.valid,
            settings=settings,
            features=features,
            cache=args.cache,
            init_from=args.init_from,
            progress=progress,
        )
    return 0


def _mixer(args: argparse.Namespace, progress: Callable[[int, int], None]) -> SceneMixer:
    from doa_tf.bank import read_bank
    from doa_tf.mixing import SceneMixer
    from doa_tf.recordings import read_recordings

    rooms = read_bank(args.bank, skip_broken=args.skip_broken)
    speech = read_recordings(args.speech, progress=progress)
    noise = read_recordings(args.noise, progress=progress) if args.noise else ()
    return SceneMixer(rooms, speech, noise, seed=args.seed)
