"""`doa_tf train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from doa_tf.cli.imports import use_engine
from doa_tf.cli.options import add_skip_broken, bad_options, check_sources, read_mixer
from doa_tf.cli.progress import progress_bar

if TYPE_CHECKING:
    pass

AUGMENTATIONS = ("vertical", "upright", "all", "none")
ENGINES = ("keras", "jax")
STRATEGIES = ("none", "mirrored", "multiworker")
_SEQUENCES = 16384


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add `train` to the commands; its `run` is set."""
    parser = subparsers.add_parser(
        "train",
        help="train a network; run again to resume",
        description=(
            "Train a network on mixed scenes (--bank and --speech) or on recordings of your own "
            "(--scenes). Stopped or killed, the same command goes on where it was."
        ),
    )
    data = parser.add_argument_group("what to train on")
    data.add_argument("--bank", metavar="BANK", help="rooms, from doa_tf simulate")
    data.add_argument("--speech", metavar="DIR")
    data.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    data.add_argument("--scenes", metavar="SCENES", help="a folder of scenes instead of a bank")
    data.add_argument("--valid", required=True, metavar="SCENES", help="picks the best epoch")
    data.add_argument("--sequences", type=int, metavar="N", help="mixed scenes (default: 16384)")
    data.add_argument(
        "--augment",
        choices=AUGMENTATIONS,
        default="vertical",
        help=(
            "how scenes are turned: about the vertical axis (default); mirrored and tilted as "
            "well; or in any way"
        ),
    )
    data.add_argument(
        "--live", action="store_true", help="mix new scenes for every epoch, without a cache"
    )
    data.add_argument("--cache", metavar="DIR", help="mixed features, shared between runs")
    add_skip_broken(parser)
    parser.add_argument(
        "--head",
        default="gibbs-harmonic",
        metavar="NAME",
        help="see docs/heads.md (default: gibbs-harmonic)",
    )
    parser.add_argument("--out", required=True, metavar="RUN", help="a new or unfinished run")
    parser.add_argument("--epochs", type=int, default=60, metavar="N")
    parser.add_argument(
        "--patience", type=int, default=20, metavar="N", help="epochs without a better one"
    )
    parser.add_argument("--batch-size", type=int, default=64, metavar="B", help="of all replicas")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup-steps", type=int, default=200, metavar="N")
    parser.add_argument("--level", action="store_true", help="the level as a seventh channel")
    parser.add_argument(
        "--init-from", metavar="MODEL.keras", help="start from the weights of layers that fit"
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="mirrored: all GPUs; multiworker: several processes, told by TF_CONFIG",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="keras",
        help="jax: new scenes in every epoch, mixed and learned by an accelerator",
    )
    network = parser.add_argument_group("the network")
    network.add_argument(
        "--filters", type=int, nargs=3, default=(64, 64, 64), metavar="N", help="of convolutions"
    )
    network.add_argument("--lstm-units", type=int, default=64, metavar="N", help="each direction")
    network.add_argument("--dense-units", type=int, default=429, metavar="N")
    network.add_argument("--dropout", type=float, default=0.2, metavar="SHARE")
    parser.add_argument(
        "--backup-minutes", type=float, default=5.0, metavar="M", help="between backups"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--threads", type=int, metavar="N", help="TensorFlow's (default: all)")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        InputError: options, data or a run that cannot be used.
        FloatingPointError: the loss became NaN.
    """
    check_sources(args)
    use_engine(args.engine)
    if args.threads and args.engine == "keras":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
    from doa_tf.training.settings import TrainSettings

    level = (LEVEL_CHANNEL,) if args.level else ()
    features = FeatureSpec(channels=(*INTENSITY_CHANNELS, *level))
    with progress_bar("reading, mixing") as progress:
        sequences = args.sequences or _SEQUENCES
        sources: dict[str, Any] = {
            name: getattr(args, name) for name in ("bank", "speech", "noise")
        }
        mixer: Callable[[], Any] = partial(read_mixer, args, progress)
        if args.scenes:
            from doa_tf.data.recorded import RecordedScenes

            recorded = RecordedScenes(args.scenes, features=features)
            sequences, sources = len(recorded), recorded.sources
            mixer = partial(_given, recorded)
        with bad_options():
            settings = TrainSettings(
                head=args.head,
                epochs=args.epochs,
                sequences=sequences,
                batch_size=args.batch_size,
                learning_rate=args.learning_rate,
                warmup_steps=args.warmup_steps,
                patience=args.patience,
                seed=args.seed,
                augment=args.augment,
                live=args.live,
                filters=args.filters,
                lstm_units=args.lstm_units,
                dense_units=args.dense_units,
                dropout=args.dropout,
            )
        options: dict[str, Any] = {
            "sources": sources,
            "valid": args.valid,
            "settings": settings,
            "features": features,
            "init_from": args.init_from,
            "progress": progress,
        }
        if args.engine == "jax":
            from doa_tf.training.jax_engine import train as jax_training

            def tell(epoch: int, figures: dict[str, float]) -> None:
                sys.stderr.write(f"{jax_training.epoch_line(epoch, figures)}\n")

            jax_training.train(args.out, mixer=mixer(), on_epoch=tell, **options)
        else:
            from doa_tf.training import keras_engine as training

            training.train(
                args.out,
                mixer=mixer,
                cache=args.cache,
                strategy=args.strategy,
                backup_s=60.0 * args.backup_minutes,
                **options,
            )
    return 0


def _given(value: Any) -> Any:
    return value
