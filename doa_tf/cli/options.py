"""What the commands of `doa_tf` share: kinds of values, and whose fault a refused one is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doa_core.errors import InputError

if TYPE_CHECKING:
    from doa_tf.scenes.mixer import SceneMixer


@contextmanager
def bad_options() -> Iterator[None]:
    """Values that a settings class refuses are the user's to mend."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error


def number_pair(text: str) -> tuple[float, float]:
    """LOW,HIGH."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"two numbers LOW,HIGH are needed, not {text!r}"
        ) from error
    return low, high


def add_recordings(parser: argparse.ArgumentParser) -> None:
    """Add --speech and --noise, folders that hold recordings of each part or are split."""
    parser.add_argument(
        "--speech",
        required=True,
        metavar="DIR",
        help="sub-folders train, valid and test (or LibriSpeech's), or split by speaker",
    )
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")


def read_mixer(args: argparse.Namespace, progress: Callable[[int, int], None]) -> SceneMixer:
    """The mixer of the options --bank, --speech, --noise, --seed and --skip-broken."""
    from doa_tf.rooms.bank.bank import read_bank
    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings

    rooms = read_bank(args.bank, skip_broken=args.skip_broken)
    speech = read_recordings(args.speech, progress=progress)
    noise = read_recordings(args.noise, progress=progress) if args.noise else ()
    return SceneMixer(rooms, speech, noise, seed=args.seed)


def check_sources(args: argparse.Namespace) -> None:
    """Raise InputError unless the options name what to train on, and that once."""
    mixed = [name for name in ("bank", "speech", "noise", "sequences") if getattr(args, name)]
    if args.scenes and (mixed or args.live):
        others = ", ".join(f"--{name}" for name in [*mixed, *(["live"] if args.live else [])])
        raise InputError(f"--scenes stands for itself: leave out {others}")
    if args.engine == "jax" and (args.scenes or args.cache or args.strategy != "none"):
        raise InputError("The engine jax mixes as it trains: no --scenes, --cache or --strategy")
    if not args.scenes and not (args.bank and args.speech):
        raise InputError("Training needs --bank and --speech, or --scenes")


def add_skip_broken(parser: argparse.ArgumentParser) -> None:
    """Add the option of every command that reads a bank."""
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out shards of the bank that are missing or cut short",
    )
