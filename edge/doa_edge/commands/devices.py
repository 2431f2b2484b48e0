"""`doa_edge devices`: the inputs that can be used, and why the others cannot."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from doa_core.errors import one_line, visible


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """Whether and how a device can be used.

    Attributes:
        index: its number, for `--device`.
        name: in the system; a part of it is enough for `--device`.
        host_api: of PortAudio.
        channels: of its input.
        usable: whether it can be opened now with four channels.
        rate: at which it would be opened [hertz]; None if it cannot be used.
        note: why it cannot be used, or what to know about it.
    """

    index: int
    name: str
    host_api: str
    channels: int
    usable: bool
    rate: int | None
    note: str


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "devices",
        help="live devices that can be used, and why the others cannot",
        description="List the inputs of this computer. Each one with four channels is opened for a "
        "moment, so that a light on it may flash.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument(
        "--profiles", action="store_true", help="list the microphones that --profile knows instead"
    )


def run(options: argparse.Namespace) -> int:
    """Print the list; exit status 1 if nothing can be used."""
    if options.profiles:
        return _list_profiles(as_json=options.json)
    reports = device_reports()
    if options.json:
        sys.stdout.write(json.dumps([asdict(report) for report in reports], indent=2) + "\n")
    else:
        for report in reports:
            state = f"{report.rate} Hz" if report.usable else "no"
            line = (
                f"{report.index:3}  {state:9}  {report.name} ({report.host_api}, "
                f"{report.channels} in){': ' if report.note else ''}{report.note}"
            )
            sys.stdout.write(f"{visible(line)}\n")
    if any(report.usable for report in reports):
        return 0
    sys.stderr.write(
        "doa_edge: no device can be used. Is the microphone plugged in (`arecord -l`), and may "
        f"this user open it (`groups` must list audio)? {len(reports)} seen\n"
    )
    return 1


def device_reports() -> list[DeviceReport]:
    """A report of every device with an input; each is tried.

    Raises:
        MissingPackageError: sounddevice is not installed.
        OSError: PortAudio is missing or does not start.
    """
    from doa_edge.input.live.portaudio import list_devices

    return [report(device) for device in list_devices() if device.channels]


def report(device: Any) -> DeviceReport:
    """The report of a `doa_edge.input.live.portaudio.InputDevice`, which is tried."""
    from doa_core.errors import InputError
    from doa_edge.input.live.portaudio import DeviceError, negotiate
    from doa_edge.input.profiles import not_ambisonic
    from doa_edge.input.stream import CHANNELS

    rate = None
    what = not_ambisonic(device.name)
    if device.channels < CHANNELS:
        channels = "channel" if device.channels == 1 else "channels"
        note = f"{device.channels} {channels}, {CHANNELS} are needed"
    elif what:
        note = what
    elif device.converter:
        note = "a plugin of ALSA that converts another device, no microphone"
    else:
        try:
            opening = negotiate(device)
        except (InputError, DeviceError) as error:
            note = one_line(error)
        else:
            rate = opening.rate
            note = (
                "--channels says which four, 1,2,3,4 if not" if device.channels > CHANNELS else ""
            )
            if device.virtual:
                note = "the system's choice, which may mix or repeat channels"
    return DeviceReport(
        index=device.index,
        name=device.name,
        host_api=device.host_api,
        channels=device.channels,
        usable=rate is not None,
        rate=rate,
        note=note,
    )


def _list_profiles(*, as_json: bool) -> int:
    from doa_edge.input.profiles import PROFILES

    if as_json:
        sys.stdout.write(json.dumps([asdict(profile) for profile in PROFILES], indent=2) + "\n")
        return 0
    for profile in PROFILES:
        sys.stdout.write(
            f"{profile.name:10}  {profile.title}: {profile.audio_format}; needs {profile.needs} "
            f"({profile.source})\n"
        )
    return 0
