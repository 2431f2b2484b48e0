"""`doa_edge align`: where is zero? Talkers at known places tell how the microphone is mounted."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError, as_input_errors, say, visible
from doa_core.files import say_written
from doa_edge.options.command import Kind, Limited, add_options
from doa_edge.options.input import add_input_arguments, direction_angles, source_settings
from doa_edge.tflite.shipped import MODEL_HELP, model_path

if TYPE_CHECKING:
    from doa_core.angles import FloatArray
    from doa_edge.alignment.mount import Mounting
    from doa_edge.alignment.place import Place
    from doa_edge.input.stream import Source, StreamItem
    from doa_edge.tflite.network import TfliteModel

    Models = tuple[TfliteModel, TfliteModel]  # whose directions are taken, and the witness

Angles = tuple[float, float]  # azimuth, elevation [degrees]

USUAL_PLACES: tuple[Angles, ...] = ((0.0, 0.0), (90.0, 0.0), (0.0, 90.0))
DEFAULT_SECONDS, DEFAULT_WAIT = 5.0, 5.0
# Options of a configuration that are about the input; a recording and its mount are left out.
_FROM_CONFIG = ("device", "stall", "profile", "format", "channels", "rate", "model")


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "align",
        help="where is zero: find --mount from talkers at known places",
        description=(
            "Find how the microphone is mounted. One place (stand ahead, speak for five seconds) "
            "gives the yaw of a microphone that stands level or hangs; two (ahead, then to the "
            "left) give yaw, pitch and roll; three (then from above) also tell channels that are "
            "exchanged or inverted. Prints one JSON line with `mount` and `residual_deg`."
        ),
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, seconds=DEFAULT_SECONDS, wait=DEFAULT_WAIT)
    add_input_arguments(parser, several="each recording is a place")
    group = parser.add_argument_group("places", "one recording each, or one after the other live")
    text = (
        "where the talker of the next place is, in degrees, once for each place: azimuth to the "
        "left, elevation up (usually 0,0, 90,0 and 0,90: ahead, to the left, above)"
    )
    kind = Limited("place", direction_angles)
    group.add_argument("--place", metavar="AZ,EL", action="append", type=kind, help=text)
    texts = {
        "--places N": "how many, of a device (default: as many as --place, else 1)",
        "--hangs": "the microphone of one place hangs upside down",
        "--seconds SECONDS": "of speech at each place of a device (default: %(default)g)",
        "--wait SECONDS": "to get to each place of a device (default: %(default)g)",
        "--model FILE": MODEL_HELP,
    }
    kinds: dict[str, Kind] = {"--seconds": Limited("align seconds"), "FILE": model_path}
    kinds |= {"--places": Limited("places"), "--wait": Limited("align wait")}
    add_options(group, texts, kinds)
    group = parser.add_argument_group("configuration of `doa_edge run`")
    texts = {
        "--config FILE.toml": "device and format are taken from it, as far as options do not say",
        "--write": "write the mount into the file of --config, which is made if there is none",
    }
    add_options(group, texts, {"FILE.toml": Path})


def with_config(
    options: argparse.Namespace, run_parser: argparse.ArgumentParser
) -> argparse.Namespace:
    """The options, completed by those of the input in the file of --config.

    Args:
        options: of the command line, which win.
        run_parser: of `doa_edge run`, whose options the file holds.

    Raises:
        InputError, MissingPackageError: as `doa_edge.options.config.read_config`.
    """
    from doa_edge.options.config import read_config

    if options.write and not options.config.exists():
        return options
    values = read_config(options.config, run_parser)
    if options.input is not None:
        values.pop("device", None)
    for name in _FROM_CONFIG:
        if getattr(options, name) is None:
            setattr(options, name, values.get(name))
    if values.get("mount") is not None and options.mount is None:
        options.mount = values["mount"]
    return options


def run(options: argparse.Namespace) -> int:
    """Measure, print the mounting, and write it where that is asked for.

    Raises:
        InputError, MissingPackageError, OSError: like the parts that it combines.
        KeyboardInterrupt: what was measured so far is printed; nothing is written.
    """
    from doa_edge.options.config_edit import check_editable, write_numbers

    places = _places(options)
    config = None
    if options.write:
        if options.config is None:
            raise InputError("--write must have a file to write to: --config FILE.toml")
        config = check_editable(options.config, "mount")
    heard: list[Place] = []
    contrary: list[str] = []
    try:
        _hear(options, places, heard, contrary)
    except KeyboardInterrupt:
        _tell_so_far(options, heard, places)
        raise
    found = _tell(options, heard, places, contrary)
    if config is not None:
        _check_sure(found, contrary)
        write_numbers(config, "mount", _degrees(found))
        say_written("doa_edge", config)
    return 0


def _check_sure(found: Mounting, contrary: list[str]) -> None:
    """Raise InputError for a mounting that is told and not kept.

    Args:
        found: by the places.
        contrary: what the sound says against its format.
    """
    from doa_edge.alignment.mount import WARNED_DEG

    if contrary:
        raise InputError(
            f"The format must be right before a mount is kept. Received: {contrary[0]}; nothing "
            "was written"
        )
    if len(found.residuals_deg) == 1 and found.residual_deg > WARNED_DEG:
        raise InputError(
            f"One place must leave {WARNED_DEG:g} degrees unexplained at most before a mount is "
            "kept, as the microphone may hang or be tilted. "
            f"Received: {found.residual_deg:.0f}; nothing was written"
        )


def _places(options: argparse.Namespace) -> list[Angles]:
    """Where the talkers are, one for each recording, or as many as are asked for.

    Raises:
        InputError: another number of them, or places that do not tell a mounting.
    """
    from doa_edge.alignment.mount import check_places

    stated: list[Angles] = options.place or []
    if options.inputs:
        if options.places is not None:
            raise InputError("--places is for a device: each --input is a place")
        if options.inputs.count("-") > 1:
            raise InputError("Standard input can be one place only. Received: --input - twice")
        count = len(options.inputs)
    else:
        count = options.places or len(stated) or 1
    if stated and len(stated) != count:
        raise InputError(
            f"--place must be given once for each place, or not at all. Received: {len(stated)} "
            f"for {count}"
        )
    if not stated and count > len(USUAL_PLACES):
        raise InputError(
            f"More than {len(USUAL_PLACES)} places must be told by --place AZ,EL, once for each. "
            f"Received: {count} places"
        )
    if options.hangs and count > 1:
        raise InputError(
            f"--hangs is for one place: more of them tell it by themselves. Received: {count}"
        )
    places = stated or list(USUAL_PLACES[:count])
    check_places(_vectors(places))
    return places


def _hear(
    options: argparse.Namespace, places: list[Angles], heard: list[Place], contrary: list[str]
) -> None:
    """Append what was heard at each place, as soon as it is known.

    Args:
        options: of the command.
        places: where the talkers are.
        heard: gets the places.
        contrary: gets what the sound says against the format that it is read in.
    """
    from doa_edge.input.live.portaudio import quiet_descriptor
    from doa_edge.tflite.network import TfliteModel, default_model_path

    if options.mount is not None:
        say("doa_edge: the mount that is set is left out while measuring")
    with quiet_descriptor():
        witness = TfliteModel(default_model_path())
        models = (TfliteModel(options.model) if options.model else witness, witness)
    if options.input is None:
        _hear_device(options, models, places, heard, contrary)
        return
    for number, name in enumerate(options.inputs, 1):
        heard.append(_hear_recording(options, models, name, number, contrary))


def _hear_recording(
    options: argparse.Namespace, models: Models, name: str, number: int, contrary: list[str]
) -> Place:
    from doa_edge.alignment.place import PlaceListener

    listener = PlaceListener(*models)
    with _open_source(options, models[0], name) as source:
        for item in _watched(options, source, contrary):
            listener.push(item)
    try:
        return listener.finish()
    except InputError as error:
        raise InputError(f"Place {number}, {source.name}: {error}") from error


def _hear_device(
    options: argparse.Namespace,
    models: Models,
    places: list[Angles],
    heard: list[Place],
    contrary: list[str],
) -> None:
    from doa_edge.alignment.live import hear_place
    from doa_edge.options.streams import drop_talk_while

    asked = {"wait_s": options.wait, "speech_s": options.seconds}
    with _open_source(options, models[0], None) as source:
        if (pace := source.pace) is not None:
            drop_talk_while(lambda: not pace.faster)
        say(f"doa_edge: listening to {source.name}; Ctrl-C ends")
        items = iter(_watched(options, source, contrary))
        for number, place in enumerate(places, 1):
            title = f"place {number} of {len(places)}"
            heard.append(hear_place(items, models, place, title=title, **asked))


def _open_source(options: argparse.Namespace, model: TfliteModel, name: str | None) -> Source:
    """A source in the microphone's own axes."""
    from doa_edge.input.sources import open_source

    one = argparse.Namespace(**{**vars(options), "input": name, "mount": None})
    with as_input_errors():
        settings = source_settings(one)
        return open_source(**settings, model_rate=model.spec.features.sample_rate)


def _watched(
    options: argparse.Namespace, source: Source, contrary: list[str]
) -> Iterator[StreamItem]:
    """The items of a source; says of gaps, and of sound in another format than it is read in."""
    from doa_core.spec import SAMPLE_RATE
    from doa_edge.input.format import InputFormat
    from doa_edge.input.format_evidence import watch_format
    from doa_edge.input.stream import Gap

    one = argparse.Namespace(**{**vars(options), "input": None, "mount": None})
    input_format: InputFormat = source_settings(one)["input_format"]

    def note(sentence: str) -> None:
        contrary.append(f"{source.name}: {sentence}")
        say(f"doa_edge: {contrary[-1]}")

    items = watch_format(
        source,
        input_format,
        note,
        sample_rate=SAMPLE_RATE,
        declared=lambda: source.declared,
    )
    for item in items:
        if isinstance(item, Gap):
            say(f"doa_edge: {item.reason}: {item.detail or 'sound is missing'}")
        yield item


def _tell_so_far(options: argparse.Namespace, heard: list[Place], places: list[Angles]) -> None:
    """Print what the places before an interruption give, if they give anything."""
    if not heard:
        return
    try:
        _tell(options, heard, places[: len(heard)], [], interrupted=True)
    except InputError as error:
        say(f"doa_edge: {error}")


def _tell(
    options: argparse.Namespace,
    heard: list[Place],
    places: list[Angles],
    contrary: list[str],
    *,
    interrupted: bool = False,
) -> Mounting:
    """Print the mounting that the places give, and return it.

    Raises:
        InputError: they give none.
    """
    import numpy as np

    from doa_edge.alignment.mount import level_mounting, mounting
    from doa_edge.sinks.sink import json_line

    vectors = _vectors(places)
    if len(heard) == 1:
        asked = {"hangs": bool(options.hangs), "elevation_told": bool(options.place)}
        found = level_mounting(heard[0].direction, vectors[0], **asked)
    else:
        found = mounting(np.stack([place.direction for place in heard]), vectors)
    mount = _degrees(found)
    warnings = [visible(warning) for warning in (*contrary, *found.warnings)]
    message = {**_message(found, mount, heard, places), "warnings": warnings}
    sys.stdout.write(json_line({**message, "interrupted": True} if interrupted else message))
    sys.stdout.flush()
    for warning in found.warnings:
        say(f"doa_edge: {warning}")
    if len(heard) == 1:
        how = "hangs" if options.hangs else "stands level"
        say(f"doa_edge: the yaw of a microphone that {how}; two places tell how it is tilted, too")
    if interrupted:
        say(f"doa_edge: interrupted: of the {len(heard)} places so far; nothing was written")
    else:
        say(f"doa_edge: use it with --mount {','.join(f'{angle:g}' for angle in mount)}")
    return found


def _degrees(found: Mounting) -> list[float]:
    """Yaw, pitch and roll, to a tenth [degrees]."""
    return [_rounded(math.degrees(angle)) for angle in found.mount]


def _message(
    found: Mounting, mount: list[float], heard: list[Place], places: list[Angles]
) -> dict[str, Any]:
    from doa_edge.estimate import direction_deg, rounded_azimuth

    told = []
    for place, (azimuth_deg, elevation_deg), left_deg in zip(
        heard, places, found.residuals_deg, strict=True
    ):
        heard_azimuth_deg, heard_elevation_deg = direction_deg(place.direction)
        told.append(
            {
                "azimuth_deg": rounded_azimuth(_wrapped_deg(azimuth_deg)),
                "elevation_deg": elevation_deg + 0.0,
                "heard_azimuth_deg": rounded_azimuth(heard_azimuth_deg),
                "heard_elevation_deg": round(heard_elevation_deg, 2) + 0.0,
                "spread_deg": round(place.spread_deg, 2),
                "speech_s": round(place.speech_s, 2),
                "residual_deg": round(left_deg, 2),
            }
        )
    return {
        "mount": mount,
        "residual_deg": round(found.residual_deg, 2),
        "mirror_checked": found.mirror_checked,
        "places": told,
    }


def _vectors(places: list[Angles]) -> FloatArray:
    """(P, 3) unit vectors."""
    import numpy as np

    from doa_core.angles import angles_to_vector

    angles = np.radians(places)
    return angles_to_vector(angles[:, 0], angles[:, 1])


def _wrapped_deg(angle_deg: float) -> float:
    return math.remainder(angle_deg, 360.0)


def _rounded(angle_deg: float) -> float:
    """To a tenth, in (-180, 180], without a negative zero."""
    rounded = round(angle_deg, 1) + 0.0
    return 180.0 if rounded <= -180.0 else rounded
