"""`doa_tf train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_input_errors, say
from doa_core.files import existing_path
from doa_edge.limits import LIMITS
from doa_edge.options.command import Limited, add_options
from doa_edge.tflite.shipped import BUILT_IN, checkpoint_path
from doa_tf.cli.imports import use_engine
from doa_tf.cli.options import (
    Commands,
    add_format,
    add_imports,
    add_skip_broken,
    check_sources,
    read_folder,
    read_mixer,
)
from doa_tf.cli.progress import progress_bar
from doa_tf.registration import import_modules
from doa_tf.training.distribute import STRATEGIES

if TYPE_CHECKING:
    from doa_core.spec import FeatureSpec
    from doa_tf.files import Progress
    from doa_tf.heads import Head
    from doa_tf.scenes.folder import Scenes
    from doa_tf.training.settings import TrainingData

# As `doa_tf.data.augment` and `doa_tf.training.settings` have them, which need numpy.
AUGMENTATIONS = ("vertical", "upright", "all", "none")
ENGINES = ("keras", "jax")
VALID_SHARE = 0.2  # of recordings, where no others are given


def add_parser(commands: Commands) -> None:
    """Add `train` to the commands; its `run` is set.

    Options that are fields of `TrainSettings` have its defaults: they are None here.
    """
    parser = commands.add_parser(
        "train",
        help="train a network; run again to resume",
        description=(
            "Train a network on mixed scenes (--bank and --speech), on recordings of your own "
            "(--scenes), or on both (docs/tutorial-finetune.md). Stopped or killed, the same "
            "command goes on where it was."
        ),
    )
    _add_data(parser)
    parser.add_argument(
        "--head", metavar="NAME", help="see docs/heads.md (default: gibbs-harmonic)"
    )
    add_imports(parser)
    parser.add_argument("--out", required=True, metavar="RUN", help="a new or unfinished run")
    texts = {
        "--epochs N": "at most (default: 60)",
        "--patience N": "epochs without a better one (default: 20)",
        "--batch-size B": "of all replicas (default: 64)",
        "--learning-rate RATE": "of Nadam, at its highest (default: 0.001)",
        "--warmup-steps N": "over which the rate rises (default: 200)",
    }
    _add_numbers(parser, texts)
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
    _add_network(parser.add_argument_group("the network"))
    _add_numbers(parser, {"--backup-minutes M": "between backups"})
    seed = Limited("train seed")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of all draws")
    _add_numbers(parser, {"--threads N": "TensorFlow's (default: all)"})
    parser.set_defaults(run=run, backup_minutes=5.0)


def _add_numbers(group: argparse._ActionsContainer, texts: Mapping[str, str]) -> None:
    """Add an option for each `--name VALUE`, with the limits of that name."""
    names = [text.partition(" ")[0] for text in texts]
    add_options(group, texts, {name: Limited(name.removeprefix("--")) for name in names})


def _add_network(group: argparse._ArgumentGroup) -> None:
    sizes, text = Limited("filters"), "of the convolutions (default: 64 64 64)"
    group.add_argument("--filters", type=sizes, nargs=3, metavar="N", help=text)
    texts = {
        "--lstm-units N": "each direction (default: 64)",
        "--dense-units N": "before the outputs (default: 429)",
        "--dropout SHARE": "dropped after each pooling (default: 0.2)",
    }
    _add_numbers(group, texts)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("what to train on")
    data.add_argument("--bank", metavar="BANK", help="rooms, from doa_tf simulate")
    data.add_argument("--speech", metavar="DIR", help="recordings of talkers")
    data.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    text = "a folder of scenes, instead of a bank or among what is mixed from one"
    data.add_argument("--scenes", metavar="SCENES", help=text)
    share = "of --scenes beside --bank, each of them as often as another (default: 0.5)"
    data.add_argument("--own-share", type=Limited("own-share"), metavar="SHARE", help=share)
    text = (
        "scenes that pick the best epoch (default: a fifth of --scenes); with --bank beside "
        "--scenes, AmbiX of other rooms, which count as much as that fifth"
    )
    data.add_argument("--valid", metavar="SCENES", help=text)
    data.add_argument(
        "--valid-by",
        metavar="COLUMN",
        help="without --valid: a column of labels.csv, such as a room or a day, whose scenes of "
        "one value are learned from or picked by, never both (default: each file on its own)",
    )
    data.add_argument(
        "--talkers",
        type=Limited("train talkers"),
        metavar="N",
        help="scenes of none to N talkers, up to 3, for a network of several voices (default: one)",
    )
    data.add_argument(
        "--sequences", type=Limited("sequences"), metavar="N", help="mixed scenes (default: 16384)"
    )
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
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        InputError: options, data or a run that cannot be used.
        FloatingPointError: the loss became NaN.
    """
    check_sources(args)
    own, scenes, valid = _recordings(args)  # first, as what trains takes its time to be imported
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
    features, voices = network.pop("features", FeatureSpec()), network.pop("voices", 1)
    if args.level:
        features = replace(features, channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    with progress_bar("reading, mixing") as progress:
        with as_input_errors():
            head = heads.get(args.head or network.get("head", TrainSettings.head))
        _check_one_talker(head, own)
        if scenes is not own:
            sys.stderr.write(
                f"doa_tf: {len(scenes or ())} recordings to learn from, {len(valid[0])} to pick "
                "the best epoch\n"
            )
        voices = voices if head.several else 1
        data, given = _data(args, scenes, valid, features, voices, progress)
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
    say(f"doa_tf: the best epoch is in {Path(args.out) / BEST}")
    return 0


def _recordings(
    args: argparse.Namespace,
) -> tuple[Scenes | None, Scenes | None, list[Scenes]]:
    """The scenes of --scenes, those of them to learn from, and those that pick the best epoch.

    The first two are None where all are mixed from a bank.
    """
    if args.scenes is None:
        return None, None, [read_folder(args, args.valid)]
    own = read_folder(args, args.scenes)
    if args.valid is not None and args.bank is None:
        return own, own, [own if args.valid == args.scenes else read_folder(args, args.valid)]
    from doa_tf.scenes.folder import read_scenes

    others = [read_scenes(args.valid)] if args.valid else []  # AmbiX, as they are rendered
    scenes, valid = own.split(VALID_SHARE, by=args.valid_by, seed=args.seed)
    return own, scenes, [valid, *others]


def _check_one_talker(head: Head, scenes: Scenes | None) -> None:
    """Raise InputError, before anything is mixed, where a head of one talker would get others."""
    others = [scene.file for scene in scenes or () if not scene.single]
    if scenes is not None and others and not head.several:
        raise InputError(
            f"The head '{head.name}' takes one talker, who is in every frame: leave out scenes of "
            "several, of nobody and with pauses, or train a head of several voices, such as that "
            f"of --init-from default. Received: {len(others)} of {len(scenes)} in {scenes.folder}, "
            f"the first {others[0]}"
        )


def _architecture(args: argparse.Namespace) -> dict[str, Any]:
    """The features, voices and settings of the network of --init-from; nothing without."""
    if args.init_from is None:
        return {}
    from doa_tf.models import architecture_of, load_model

    return architecture_of(load_model(args.init_from))


def _data(
    args: argparse.Namespace,
    scenes: Scenes | None,
    valid: list[Scenes],
    features: FeatureSpec,
    known_voices: int,
    progress: Progress,
) -> tuple[TrainingData, dict[str, Any]]:
    """What to train on, and the settings that follow from it.

    Args:
        args: the options.
        scenes: to learn from, None for those of a bank.
        valid: that pick the best epoch.
        features: of the network.
        known_voices: how many the network of --init-from knows, and goes on to know.
        progress: told of what is read and mixed.
    """
    from doa_tf.data.recorded import RecordedScenes
    from doa_tf.data.rehearsed import OWN_SHARE, RehearsedScenes
    from doa_tf.training.settings import TrainingData

    given: dict[str, Any] = {"valid": valid, "cache": args.cache}
    if scenes is None:
        mixer = partial(read_mixer, args, progress)
        data = TrainingData(mixer=mixer, sources=_bank_sources(args), **given)
        return data, {"voices": args.talkers or 1}
    own = 1 if args.valid and not args.bank else valid[0].voices  # a part of the recordings
    voices = max(known_voices, args.talkers or 1, own)
    recorded = RecordedScenes(scenes, features=features, voices=voices)
    settings: dict[str, Any] = {"voices": recorded.voices}
    if args.bank is None:
        data = TrainingData(mixer=lambda: recorded, sources=recorded.sources, **given)
        return data, settings | {"sequences": len(recorded)}
    if args.talkers is None and voices > 1:
        args.talkers = min(voices, int(LIMITS["train talkers"].highest))
    share = OWN_SHARE if args.own_share is None else args.own_share
    sources = {**recorded.sources, **_bank_sources(args), "own_share": share}

    def both() -> RehearsedScenes:
        return RehearsedScenes(recorded, read_mixer(args, progress), share=share)

    return TrainingData(mixer=both, sources=sources, **given), settings


def _bank_sources(args: argparse.Namespace) -> dict[str, Any]:
    """What mixed scenes depend on, as a cache and a run know it."""
    from doa_tf.rooms.bank.bank import bank_digest

    sources = {name: getattr(args, name) for name in ("bank", "speech", "noise")}
    if existing_path(args.bank).exists():  # else a run whose scenes are all in a cache goes on
        sources["bank_sha256"] = bank_digest(args.bank, skip_broken=args.skip_broken)
    if args.talkers is not None:
        sources["talkers"] = args.talkers
    return sources
