"""What the commands of `doa_tf` share: kinds of values, and whose fault a refused one is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from doa_edge.errors import InputError


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
