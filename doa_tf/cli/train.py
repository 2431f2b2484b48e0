"""`doa_tf train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import as_input_errors
from doa_core.files import existing_path
from doa_edge.tflite.shipped import BUILT_IN, checkpoint_path
from doa_tf.cli.imports import use_engine
from doa_tf.cli.options import Commands, add_imports, add_skip_broken, check_sources, read_mixer
from doa_tf.cli.progress import progress_bar
from doa_tf.registration import import_modules
from doa_tf.training.distribute import STRATEGIES

if TYPE_CHECKING:
    from doa_core.spec import FeatureSpec
    from doa_tf.files import Progress
    from doa_tf.training.settings import TrainingData

# As `doa_tf.data.augment` and `doa_tf.training.settings` have them, which need numpy.
AUGMENTATIONS = ("vertical", "upright", "all", "none")
ENGINES = ("keras", "jax")


def add_parser(commands: Commands) -> None:
    """Add `train` to the commands; its `run` is set.

    Options that are fields of `TrainSettings` have its defaults: they are None here.
    """
    parser = commands.add_parser(
        "train",
        help="train a network; run again to resume",
        description=(
            "Train a network on mixed scenes (--bank and --speech) or on recordings of your own "
            "(--scenes). Stopped or killed, the same command goes on where it was."
        ),
    )
    _add_data(parser)
    parser.add_argument(
        "--head", metavar="NAME", help="see docs/heads.md (default: gibbs-harmonic)"
    )
    add_imports(parser)
    parser.add_argument("--out", required=True, metavar="RUN", help="a new or unfinished run")
    parser.add_argument("--epochs", type=int, metavar="N", help="at most (default: 60)")
    parser.add_argument(
        "--patience", type=int, metavar="N", help="epochs without a better one (default: 20)"
    )
    parser.add_argument("--batch-size", type=int, metavar="B", help="of all replicas (default: 64)")
    text = "of Nadam, at its highest (default: 0.001)"
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help=text)
    text = "over which the rate rises (default: 200)"
    parser.add_argument("--warmup-steps", type=int, metavar="N", help=text)
    parser.add_argument("--level", action="store_true", help="the level as a seventh channel")
    parser.add_argument(
        "--init-from",
        metavar="MODEL.keras",
        type=checkpoint_path,
        help=f"start from this network (built in: {BUILT_IN}): its head, input, sizes "
        "and high-pass, where no option says otherwise, and the weights of layers that fit",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="mirrored: all GPUs; multiworker: processes, told by TF_CONFIG (default: none)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="keras",
        help="jax: new scenes in every epoch, mixed and learned by an accelerator (default: keras)",
    )
    network = parser.add_argument_group("the network")
    network.add_argument(
        "--filters", type=int, nargs=3, metavar="N", help="of the convolutions (default: 64 64 64)"
    )
    network.add_argument("--lstm-units", type=int, metavar="N", help="each direction (default: 64)")
    text = "before the outputs (default: 429)"
    network.add_argument("--dense-units", type=int, metavar="N", help=text)
    text = "dropped after each pooling (default: 0.2)"
    network.add_argument("--dropout", type=float, metavar="SHARE", help=text)
    parser.add_argument(
        "--backup-minutes", type=float, default=5.0, metavar="M", help="between backups"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all draws")
    parser.add_argument("--threads", type=int, metavar="N", help="TensorFlow's (default: all)")
    parser.set_defaults(run=run)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("what to train on")
    data.add_argument("--bank", metavar="BANK", help="rooms, from doa_tf simulate")
    data.add_argument("--speech", metavar="DIR", help="recordings of talkers")
    data.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    data.add_argument("--scenes", metavar="SCENES", help="a folder of scenes instead of a bank")
    data.add_argument("--valid", required=True, metavar="SCENES", help="picks the best epoch")
    data.add_argument(
        "--talkers",
        type=int,
        metavar="N",
        help="scenes of none to N talkers, up to 3, for a network of several voices (default: one)",
    )
    data.add_argument("--sequences", type=int, metavar="N", help="mixed scenes (default: 16384)")
    data.add_argument(
        "--augment",
        choices=AUGMENTATIONS,
        help=(
            "how scenes are turned: about the vertical axis; mirrored and tilted as well; in any "
            "way; or not at all (default: vertical)"
        ),
    )
    data.add_argument(
        "--live", action="store_true", help="mix new scenes for every epoch, without a cache"
    )
    data.add_argument(
        "--cache", metavar="DIR", help="mixed features, shared between runs (default: RUN/cache)"
    )
    add_skip_broken(parser)


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        InputError: options, data or a run that cannot be used.
        FloatingPointError: the loss became NaN.
    """
    check_sources(args)
    use_engine(args.engine)
    import_modules(args.imports)
    if args.threads and args.engine == "keras":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    from dataclasses import fields, replace

    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
    from doa_tf import heads
    from doa_tf.training.run import epoch_line, train
    from doa_tf.training.run_folder import BEST
    from doa_tf.training.settings import RunOptions, TrainSettings

    def tell(epoch: int, figures: Mapping[str, float]) -> None:
        sys.stderr.write(f"{epoch_line(epoch, figures)}\n")

    network = _architecture(args)
    features = network.pop("features", FeatureSpec())
    if args.level:
        features = replace(features, channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    with progress_bar("reading, mixing") as progress:
        with as_input_errors():
            heads.get(args.head or TrainSettings.head)  # before anything is read
        _check_formats(args)
        data, given = _data(args, features, progress)
        names = {field.name for field in fields(TrainSettings)}
        given |= network
        given |= {k: v for k, v in vars(args).items() if k in names and v is not None}
        with as_input_errors():
            settings = TrainSettings(**given)
        options = RunOptions(
            strategy=args.strategy,
            backup_s=60.0 * args.backup_minutes,
            progress=progress,
            on_epoch=tell if args.engine == "jax" else None,  # Keras tells its epochs itself
        )
        train(
            args.out,
            data,
            settings=settings,
            features=features,
            engine=args.engine,
            init_from=args.init_from,
            options=options,
        )
    sys.stderr.write(f"doa_tf: the best epoch is in {Path(args.out) / BEST}\n")
    return 0


def _check_formats(args: argparse.Namespace) -> None:
    """Warn of recordings that are not AmbiX."""
    from doa_tf.scenes.folder import read_scenes
    from doa_tf.scenes.format_check import warn_of_formats

    for folder in dict.fromkeys((args.scenes, args.valid)):
        if folder is not None:
            warn_of_formats(read_scenes(folder))


def _architecture(args: argparse.Namespace) -> dict[str, Any]:
    """The features, and those settings, of the network of --init-from; nothing without."""
    if args.init_from is None:
        return {}
    from doa_tf.models import architecture_of, load_model

    return architecture_of(load_model(args.init_from))


def _data(
    args: argparse.Namespace, features: FeatureSpec, progress: Progress
) -> tuple[TrainingData, dict[str, Any]]:
    """What to train on, and the settings that follow from it."""
    from doa_tf.rooms.bank.bank import bank_digest
    from doa_tf.training.settings import TrainingData

    given: dict[str, Any] = {"valid": args.valid, "cache": args.cache}
    if not args.scenes:
        sources = {name: getattr(args, name) for name in ("bank", "speech", "noise")}
        if existing_path(args.bank).exists():  # else a run whose scenes are all in a cache goes on
            sources["bank_sha256"] = bank_digest(args.bank, skip_broken=args.skip_broken)
        if args.talkers is not None:
            sources["talkers"] = args.talkers
        mixer = partial(read_mixer, args, progress)
        return TrainingData(mixer=mixer, sources=sources, **given), {"voices": args.talkers or 1}
    from doa_tf.data.recorded import RecordedScenes

    recorded = RecordedScenes(args.scenes, features=features)
    data = TrainingData(mixer=lambda: recorded, sources=recorded.sources, **given)
    return data, {"sequences": len(recorded), "voices": recorded.voices}
