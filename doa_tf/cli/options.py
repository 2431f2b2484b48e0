"""Options that several commands of `doa_tf` have, and what is made of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from doa_core.errors import InputError, as_input_errors
from doa_edge.limits import Limits
from doa_edge.options.input import add_format_arguments, input_format_of
from doa_edge.tflite.shipped import BUILT_IN, judged_model
from doa_tf.cli.imports import import_quietly
from doa_tf.registration import import_modules

if TYPE_CHECKING:
    from doa_tf.files import Progress
    from doa_tf.scenes.folder import Scenes
    from doa_tf.scenes.mixer import SceneMixer

# What a command adds its parser to.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def number_pair(text: str, limits: Limits) -> tuple[float, float]:
    """LOW,HIGH."""
    low, high = (limits.read(part) for part in text.split(","))
    if low > high:
        raise ValueError(text)
    return low, high


def add_recordings(parser: argparse.ArgumentParser) -> None:
    """Add --speech and --noise, folders that hold recordings of each part or are split."""
    parts = "sub-folders train, valid and test (or LibriSpeech's), or split by speaker"
    parser.add_argument("--speech", required=True, metavar="DIR", help=parts)
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")


def add_judged(parser: argparse.ArgumentParser, models: str, nargs: str | None = None) -> None:
    """Add what is judged, on which scenes and by which groups.

    Args:
        parser: of the command.
        models: name of the argument.
        nargs: how many models it takes; one by default.
    """
    known = (
        f"a .keras file, a .tflite file, the built-in {BUILT_IN}, baseline:intensity or "
        "baseline:music"
    )
    parser.add_argument(models, nargs=nargs, metavar="MODEL", type=judged_model, help=known)
    parser.add_argument(
        "--data",
        required=True,
        metavar="SCENES",
        help="folder of recordings with labels.csv, or a published "
        "data set as it is (docs/datasets.md)",
    )
    parser.add_argument(
        "--group-by",
        metavar="COLUMN",
        help="a column of labels.csv; many different numbers make ranges (default: condition)",
    )
    add_format(parser)
    add_imports(parser)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add what the channels of recordings are; see `read_folder`."""
    group = parser.add_argument_group("the recordings", "AmbiX where nothing else is said")
    add_format_arguments(group)
    text = "which labels of a published data set count, speech or all (default: speech)"
    group.add_argument("--sounds", choices=("speech", "all"), help=text)
    text = "azimuths of a published data set count clockwise"
    group.add_argument("--clockwise", action="store_true", help=text)


def read_folder(args: argparse.Namespace, folder: str) -> Scenes:
    """The scenes of a folder, of the format that the options say; warns if it is another.

    Raises:
        InputError: no such scenes or format.
    """
    from doa_tf.scenes.datasets.label_check import warn_of_labels
    from doa_tf.scenes.folder import read_scenes
    from doa_tf.scenes.format_check import warn_of_formats

    with as_input_errors():
        scenes = read_scenes(
            folder, input_format_of(args), sounds=args.sounds, clockwise=args.clockwise
        )
    warn_of_formats(scenes)
    if scenes.published:
        warn_of_labels(scenes.scenes, where=scenes.folder, clockwise=args.clockwise)
    return scenes


def add_imports(parser: argparse._ActionsContainer) -> None:
    """Add --import, whose modules the command imports by `doa_tf.registration`."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module that registers heads, layers or losses of your own: my_heads for "
        "my_heads.py in this folder. May be given several times (default: none)",
    )


def read_judged(args: argparse.Namespace, models: Sequence[str]) -> Scenes:
    """The scenes of --data; imports Keras, quietly, where a model needs it, and --import's modules.

    Raises:
        InputError: no such model, scenes, column to group by, or module.
        MissingPackageError: Keras is not installed.
    """
    from doa_tf.evaluation.groups import check_group
    from doa_tf.evaluation.predictions import check_model_name

    for model in models:
        check_model_name(model)
    scenes = read_folder(args, args.data)
    check_group(scenes, args.group_by)
    if args.imports or any(model.endswith(".keras") for model in models):
        import_quietly("doa_tf.models", extra="train")
    import_modules(args.imports)
    return scenes


def read_mixer(args: argparse.Namespace, progress: Progress) -> SceneMixer:
    """The mixer of the options --bank, --speech, --noise, --seed, --talkers and --skip-broken."""
    from doa_tf.rooms.bank.bank import read_bank
    from doa_tf.scenes.draw import MixSettings, usual_counts
    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings
    from doa_tf.scenes.talkers import check_rooms

    rooms = read_bank(args.bank, skip_broken=args.skip_broken)
    speech = read_recordings(args.speech, progress=progress)
    noise = read_recordings(args.noise, progress=progress) if args.noise else ()
    most = getattr(args, "talkers", None)
    check_rooms(rooms, most or 1)
    settings = MixSettings(talkers=usual_counts(most) if most else ())
    return SceneMixer(rooms, speech, noise, settings=settings, seed=args.seed)


def check_sources(args: argparse.Namespace) -> None:
    """Raise InputError unless the options name what to train on, and only one source of it."""
    names = ("speech", "noise", "talkers", "sequences", "own_share")
    mixed = [name.replace("_", "-") for name in names if getattr(args, name) is not None]
    if args.talkers is not None:
        from doa_tf.scenes.draw import usual_counts

        with as_input_errors():
            usual_counts(args.talkers)
    if not args.scenes:
        _check_bank_options(args)
    elif args.bank and not args.speech:
        raise InputError("A --bank beside --scenes, to rehearse, needs --speech as well")
    elif args.bank and args.valid == args.scenes:
        raise InputError(
            "--valid names scenes of other rooms: a fifth of --scenes is set aside anyhow. "
            f"Received: {args.valid} for both"
        )
    elif not args.bank and (mixed or args.live):
        others = ", ".join(f"--{name}" for name in [*mixed, *(["live"] if args.live else [])])
        raise InputError(
            f"--scenes stands for itself: leave out {others}, or name a --bank whose scenes are "
            "mixed beside it"
        )
    if args.engine == "jax" and (args.scenes or args.cache or args.strategy != "none"):
        raise InputError("The engine jax mixes as it trains: no --scenes, --cache or --strategy")


def _check_bank_options(args: argparse.Namespace) -> None:
    if not (args.bank and args.speech):
        raise InputError("Training needs --bank and --speech, or --scenes")
    if not args.valid:
        raise InputError("--valid must name the scenes that choose the best epoch")
    if args.valid_by is not None:
        raise InputError("--valid-by splits --scenes, where no --valid is given")
    if args.own_share is not None:
        raise InputError("--own-share is that of --scenes, beside a --bank")


def add_skip_broken(parser: argparse._ActionsContainer) -> None:
    """Add the option of every command that reads a bank."""
    left_out = "leave out shards of the bank that are missing, cut short or damaged"
    parser.add_argument("--skip-broken", action="store_true", help=left_out)
