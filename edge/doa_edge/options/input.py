"""Options of the input. Only the standard library is imported."""

from __future__ import annotations

import argparse
import math
from typing import Any

from doa_edge.options.command import integer, number

ENCODING_NAMES = ("s16le", "s24le", "s32le", "f32le")


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the input, as a group."""
    group = parser.add_argument_group("input", "a file, a pipe, or (by default) a live device")
    group.add_argument(
        "--input",
        metavar="FILE|-",
        help="a sound file (WAV, FLAC, AIFF, ...), a named pipe, or - for standard input: a WAV "
        "stream, or raw PCM with --encoding and --rate",
    )
    group.add_argument(
        "--device",
        metavar="NUMBER|NAME",
        help="a live device by its number or a part of its name, as `doa_edge devices` lists them "
        "(default: the only one that can be used)",
    )
    group.add_argument(
        "--stall",
        metavar="SECONDS",
        type=number(0.1, 3600, "seconds"),
        help="reopen a device that delivers nothing for this long (default: 3)",
    )
    _add_format(group)
    group.add_argument(
        "--rate",
        metavar="HZ",
        type=integer(1),
        help="of raw PCM, or to open a device with (default: the model's 16000, else the device's)",
    )
    group.add_argument("--encoding", choices=ENCODING_NAMES, help="of raw PCM on standard input")
    group.add_argument(
        "--raw-channels", metavar="N", type=integer(1), help="channels of raw PCM (default: 4)"
    )


def _add_format(group: argparse._ArgumentGroup) -> None:
    """Add the options of an `InputFormat`."""
    group.add_argument(
        "--profile",
        metavar="NAME",
        help="a microphone whose channels are documented, instead of --format; "
        "`doa_edge devices --profiles` lists them",
    )
    group.add_argument(
        "--format",
        help="what the channels are: ambix (W Y Z X, SN3D), fuma, n3d (W X Y Z), tetrahedral or "
        "tetrahedral:LAYOUT with a layout such as FLU,FRD,BLD,BRU (default: ambix)",
    )
    group.add_argument(
        "--channels",
        metavar="A,B,C,D",
        type=channel_numbers,
        help="which four channels, counted from 1, of an input with more (default: of a device the "
        "first four; a file must have just four)",
    )
    group.add_argument(
        "--mount",
        metavar="YAW,PITCH,ROLL",
        type=mount_angles,
        help="mounting of the microphone in the room, in degrees: turned left, nose up, left side "
        "up; 0,0,180 is upside down (default: 0,0,0)",
    )


def source_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `doa_edge.input.sources.open_source`, but for `model_rate`.

    Raises:
        InputError: an unknown profile, or one that contradicts the format.
        ValueError: an unknown format, or a mounting that is not three finite angles.
    """
    from doa_core.errors import InputError
    from doa_edge.input.format import InputFormat
    from doa_edge.input.profiles import find_profile

    profile = find_profile(options.profile) if options.profile else None
    if profile and options.format and options.format != profile.audio_format:
        raise InputError(
            "`profile` and `format` exclude each other. "
            f"Received: profile={options.profile!r}, format={options.format!r}"
        )
    return {
        "input": options.input,
        "device": options.device,
        "input_format": InputFormat(
            audio_format=options.format or (profile.audio_format if profile else "ambix"),
            channel_map=options.channels,
            mount=options.mount,
        ),
        "rate": options.rate,
        "encoding": options.encoding,
        "raw_channels": options.raw_channels,
        "stall_s": options.stall,
    }


def mount_angles(text: str) -> tuple[float, ...]:
    """Three angles in degrees -> radians."""
    try:
        angles = tuple(math.radians(float(part)) for part in text.split(","))
    except ValueError:
        angles = ()
    if len(angles) != 3 or not all(map(math.isfinite, angles)):
        raise argparse.ArgumentTypeError(f"must be three angles YAW,PITCH,ROLL. Received: {text!r}")
    return angles


def channel_numbers(text: str) -> tuple[int, ...]:
    """Four channel numbers, counted from 1."""
    parts = text.split(",")
    numbers = tuple(int(part) for part in parts if part.strip().isdecimal())
    if len(parts) != 4 or len(set(numbers)) != 4 or min(numbers) < 1:
        raise argparse.ArgumentTypeError(
            f"must be four different channel numbers from 1 on, such as 1,2,3,4. Received: {text!r}"
        )
    return numbers
