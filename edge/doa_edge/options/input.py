"""Options of the input. Only the standard library is imported."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING, Any

from doa_edge.limits import Limits
from doa_edge.options.command import Kind, Limited, add_options

if TYPE_CHECKING:
    from doa_edge.input.format import InputFormat

ENCODING_NAMES = ("s16le", "s24le", "s24_32le", "s32le", "f32le")


def add_input_arguments(parser: argparse.ArgumentParser, *, several: str = "") -> None:
    """Add the options of the input, as a group.

    Args:
        parser: of the verb.
        several: what its help says of several recordings, where the verb takes them; see
            `take_recording`.
    """
    group = parser.add_argument_group("input", "a file, a pipe, or (by default) a live device")
    text = "a recording: the same as --input FILE"
    count: dict[str, Any] = {"nargs": "*" if several else "?"}
    group.add_argument("recording", metavar="FILE", help=text, **count)
    text = (
        "a sound file (WAV, FLAC, AIFF, ...), a named pipe, or - for standard input: a WAV stream, "
        "or raw PCM with --encoding and --rate"
    )
    if several:
        text += f"; {several}"
        count = {"nargs": "+", "action": "extend"}
    group.add_argument("--input", metavar="FILE|-", help=text, **(count if several else {}))
    texts = {
        "--device NUMBER|NAME": "a live device by its number or a part of its name, as `doa_edge "
        "devices` lists them (default: the only one that can be used)",
        "--stall SECONDS": "reopen a device that delivers nothing for this long (default: 3)",
        "--profile NAME": "a microphone whose channels are documented, instead of --format; "
        "`doa_edge devices --profiles` lists them",
        **_FORMAT_TEXTS,
        "--rate HZ": "of raw PCM, or to open a device with (default: the model's 16000, else the "
        "device's)",
    }
    kinds: dict[str, Kind] = {"SECONDS": Limited("stall"), "HZ": Limited("rate")}
    add_options(group, texts, {**_FORMAT_KINDS, **kinds})
    text = "of raw PCM on standard input: s16le, s24le, s32le or f32le"
    group.add_argument("--encoding", type=str.lower, choices=ENCODING_NAMES, help=text)
    text = "channels of raw PCM (default: 4)"
    add_options(group, {"--raw-channels N": text}, {"N": Limited("raw-channels")})


def add_format_arguments(group: argparse._ActionsContainer) -> None:
    """Add --format, --channels and --mount, of recordings; see `input_format_of`."""
    add_options(group, _FORMAT_TEXTS, _FORMAT_KINDS)


def input_format_of(options: argparse.Namespace) -> InputFormat:
    """What --format, --channels and --mount say.

    Raises:
        ValueError: an unknown format, or a mounting that is not three finite angles.
    """
    from doa_edge.input.format import InputFormat

    return InputFormat(
        audio_format=options.format, channel_map=options.channels, mount=options.mount
    )


def take_recording(options: argparse.Namespace) -> None:
    """What is named without `--input` becomes the value of `input`: a name, or None.

    Of a verb that takes several it is the first of `inputs`, which lists all.

    Raises:
        InputError: recordings are named both ways.
    """
    if not hasattr(options, "recording"):
        return
    bare, named = _listed(options.recording), _listed(options.input)
    if bare and named:
        from doa_core.errors import InputError

        raise InputError(
            "The recording must be named once, as FILE or as --input FILE. "
            f"Received: {' '.join(bare)} and --input {' '.join(named)}"
        )
    options.inputs = bare or named
    options.input = options.inputs[0] if options.inputs else None


def _listed(names: str | list[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def source_settings(options: argparse.Namespace, input: str | None = None) -> dict[str, Any]:
    """Arguments of `doa_edge.input.sources.open_source`, but for `model_rate`.

    Args:
        options: of the command.
        input: the recording that is meant, where several are given.

    Raises:
        InputError: an unknown profile, or one that contradicts the format.
        ValueError: an unknown format, or a mounting that is not three finite angles.
    """
    from dataclasses import replace

    from doa_core.errors import InputError
    from doa_core.files import existing_path
    from doa_edge.input.profiles import find_profile

    profile = find_profile(options.profile) if options.profile else None
    if profile and options.format and options.format != profile.audio_format:
        raise InputError(
            "`profile` and `format` exclude each other. "
            f"Received: profile={options.profile!r}, format={options.format!r}"
        )
    input_format = input_format_of(options)
    if profile and not options.format:
        input_format = replace(input_format, audio_format=profile.audio_format)
    same = ("device", "rate", "encoding", "raw_channels")
    settings = {name: getattr(options, name) for name in same}
    settings["input"] = options.input if input is None else input
    if settings["input"] not in (None, "-"):
        settings["input"] = os.fspath(existing_path(settings["input"]))
    return {**settings, "input_format": input_format, "stall_s": options.stall}


def mount_angles(text: str, limits: Limits) -> tuple[float, ...]:
    """Three angles in degrees -> radians."""
    angles = tuple(math.radians(limits.read(part)) for part in text.split(","))
    if len(angles) != 3:
        raise ValueError(text)
    return angles


def direction_angles(text: str, limits: Limits) -> tuple[float, float]:
    """Azimuth and elevation [degrees]."""
    azimuth, elevation = (limits.read(part) for part in text.split(","))
    if abs(elevation) > 90.0:
        raise ValueError(text)
    return azimuth, elevation


def channel_numbers(text: str, limits: Limits) -> tuple[float, ...]:
    """Four channel numbers, counted from 1."""
    numbers = tuple(limits.read(part) for part in text.split(","))
    if len(numbers) != 4 or len(set(numbers)) != 4:
        raise ValueError(text)
    return numbers


_FORMAT_TEXTS = {
    "--format FORMAT": "what the channels are: ambix (W Y Z X, SN3D), fuma, n3d (W X Y Z), "
    "tetrahedral or tetrahedral:LAYOUT with a layout such as FLU,FRD,BLD,BRU "
    "(default: what a file declares, as .amb does fuma, else ambix)",
    "--channels A,B,C,D": "which four channels, counted from 1, of an input with more "
    "(default: of a device the first four; a file must have just four)",
    "--mount YAW,PITCH,ROLL": "mounting of the microphone in the room, in degrees: turned "
    "left, nose up, left side up; 0,0,180 is upside down (default: 0,0,0)",
}
_FORMAT_KINDS: dict[str, Kind] = {
    "FORMAT": str.lower,
    "A,B,C,D": Limited("channels", channel_numbers),
    "YAW,PITCH,ROLL": Limited("mount", mount_angles),
}
