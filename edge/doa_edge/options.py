"""The options of `doa_edge`. Only the standard library is imported: help answers at once."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from doa_edge.command import CommandParser

Command = Callable[[argparse.Namespace], int]


def build_parser(*, run: Command, info: Command) -> argparse.ArgumentParser:
    """The parser of `doa_edge`; `run` of what it parses is the command to call."""
    parser = CommandParser(
        prog="doa_edge",
        description="Where does the voice come from? Directions from first-order Ambisonics.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run_parser = commands.add_parser(
        "run",
        help="directions of a recording",
        description="Print the direction of the voice in a recording, one JSON object per window.",
        epilog="On a terminal the directions are drawn instead; --json prints them all the same.",
        allow_abbrev=False,
    )
    run_parser.set_defaults(run=run)
    run_parser.add_argument(
        "--input",
        metavar="FILE",
        type=Path,
        required=True,
        help="a sound file with four channels: WAV, FLAC or AIFF, 8 to 192 kHz (a live device is "
        "not read yet)",
    )
    run_parser.add_argument(
        "--model",
        metavar="FILE",
        type=Path,
        help="a .tflite made by doa_export (default: built in)",
    )
    run_parser.add_argument(
        "--format",
        default="ambix",
        help="what the channels are: ambix (W Y Z X, SN3D), fuma, n3d (W X Y Z), tetrahedral or "
        "tetrahedral:LAYOUT with a layout such as FLU,FRD,BLD,BRU (default: %(default)s)",
    )
    run_parser.add_argument(
        "--mount",
        metavar="YAW,PITCH,ROLL",
        type=_angles,
        help="how the microphone stands in the room, in degrees: turned left, nose up, left side "
        "up; 0,0,180 is upside down (default: 0,0,0)",
    )
    run_parser.add_argument(
        "--every",
        metavar="FRAMES",
        type=_positive_integer,
        help="frames of 32 ms between two directions (default: 5)",
    )
    run_parser.add_argument("--decode", metavar="peak|centroid", help="(default: the model's own)")
    run_parser.add_argument(
        "--gate",
        metavar="DBFS",
        type=_level,
        help="a window below this level is not active (default: -60)",
    )
    run_parser.add_argument(
        "--threads",
        metavar="N",
        type=_positive_integer,
        default=1,
        help="threads of the network (default: %(default)s)",
    )
    run_parser.add_argument(
        "--out", metavar="FILE.jsonl", type=Path, help="write the JSON lines to this file, too"
    )
    run_parser.add_argument(
        "--plot",
        metavar="FILE.png",
        type=Path,
        help="draw the scores and the track (.png, .pdf or .svg; needs Matplotlib)",
    )
    run_parser.add_argument(
        "--json", action="store_true", help="print JSON lines on a terminal, too"
    )
    run_parser.add_argument(
        "--summary",
        action="store_true",
        help="print one JSON object with the direction of the whole recording, and no others",
    )
    run_parser.add_argument(
        "--verbose", action="store_true", help="time per stage and memory, on standard error"
    )
    info_parser = commands.add_parser(
        "info",
        help="what a model file says of itself",
        description="Print the spec of a model file as JSON.",
        allow_abbrev=False,
    )
    info_parser.set_defaults(run=info)
    info_parser.add_argument(
        "model", metavar="FILE", type=Path, nargs="?", help="a .tflite (default: the built-in one)"
    )
    return parser


def join_negative_values(arguments: list[str]) -> list[str]:
    """`--mount -90,0,0` as `--mount=-90,0,0`: argparse takes the value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--mount", "--gate") and re.match(r"-[\d.]", argument):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined


def _angles(text: str) -> tuple[float, ...]:
    """Three angles in degrees -> radians."""
    try:
        angles = tuple(math.radians(float(part)) for part in text.split(","))
    except ValueError:
        angles = ()
    if len(angles) != 3 or not all(map(math.isfinite, angles)):
        raise argparse.ArgumentTypeError(f"must be three angles YAW,PITCH,ROLL. Received: {text!r}")
    return angles


def _positive_integer(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer, 1 or more. Received: {text!r}")
    return value


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite level in dBFS. Received: {text!r}")
    return value
