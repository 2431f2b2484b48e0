"""The options of `doa_edge`. Only the standard library is imported: help answers at once."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from doa_edge.limits import Limits
from doa_edge.options.command import Kind, Limited, add_options, frames_or_seconds, time_zone
from doa_edge.options.zones import add_zones
from doa_edge.sinks.lines import DEFAULT_OUT_BYTES, DEFAULT_OUT_COUNT
from doa_edge.sinks.listen import DEFAULT_LISTEN_BYTES, DEFAULT_LISTEN_COUNT
from doa_edge.sinks.network.address import (
    broker_address,
    host_name,
    listening_address,
    receiving_address,
)
from doa_edge.sinks.network.home_assistant import DEFAULT_DISCOVERY
from doa_edge.sinks.network.mqtt import DEFAULT_TOPIC, PASSWORD_VARIABLE
from doa_edge.sinks.network.osc import DEFAULT_PREFIX
from doa_edge.tflite.shipped import MODEL_HELP, model_path

_SIZE_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SIGNED_OPTIONS = ("--mount", "--speaker", "--place", "--gate", "--zone")


def add_directions(group: argparse._ArgumentGroup) -> None:
    """Add the options of the engine."""
    texts = {
        "--model FILE": MODEL_HELP,
        "--every FRAMES": "frames of 32 ms between two directions, or seconds such as 0.5s, "
        "rounded to frames (default: 5, 0.16 s)",
        "--average FRAMES": "frames, or seconds, whose outputs are averaged for one direction "
        "(default: a window's, 25; the last 13 of them with several voices)",
        "--decode peak|centroid": "how a grid of scores becomes a direction (default: as the model "
        "file says)",
        "--gate DBFS": "a window below this level is not active (default: -60)",
        "--margin DB": "nor is one that is not this far above the tracked noise floor; 0 for no "
        "tracking (default: 3). Gate and margin are of the whole window, whoever talks in it",
        "--confidence SHARE": "nor is one whose confidence is below this (default: 0.4 where the "
        "model calibrates it, else 0.07). Each of several voices needs it to begin, or to come "
        "back, and less to go on (default: 0.5 where the model calibrates it, else 0.2)",
        "--smooth SECONDS": "smooth directions, each talker's on their own: time constant, which "
        "is also the delay (default: 0, none)",
        "--lead SECONDS": "seconds by which directions of several voices are led by how they move "
        "(default: 0, they are of the moment `of_s`)",
        "--threads N": "threads of the network (default: %(default)s)",
    }
    numbers = ("gate", "margin", "confidence", "smooth", "lead", "threads")
    kinds: dict[str, Kind] = {
        "FILE": model_path,
        **{f"--{name}": Limited(name) for name in numbers},
    }
    kinds |= {f"--{name}": frames_or_seconds(name) for name in ("every", "average")}
    add_options(group, texts, kinds)
    text = "the most voices at once, 1 to 4 (default: 3 where the model knows several, else 1)"
    add_options(group, {"--talkers N": text}, {"N": Limited("run talkers")})
    add_zones(group)
    group.set_defaults(smooth=0.0, threads=1)


def add_outputs(group: argparse._ArgumentGroup) -> None:
    """Add the options of outputs on this machine."""
    texts = {
        "--json": "print JSON lines on a terminal, too",
        "--out FILE.jsonl": "write the lines to this file, too, or to a FILE.csv as a table: those "
        "of a recording replace it once they are complete, those of a device or a pipe are "
        "appended as they come",
        "--out-size BYTES": "with a device or a pipe, start a new file before this one grows "
        f"beyond this size, such as 500K or 2G (default: {DEFAULT_OUT_BYTES // 10**6}M)",
        "--out-count N": "older files to keep, FILE.jsonl.1 the latest (default: "
        f"{DEFAULT_OUT_COUNT})",
        "--zone ZONE": "time zone of `time`: a name such as Europe/Berlin, or an offset such as "
        "+02:00 (default: the system's of live sound, none of a recording that carries a clock)",
        "--dcase FILE.csv": "write who is heard in each frame of 100 ms of a recording or a "
        "pipe, in the form of DCASE: frame, class, source, azimuth, elevation",
        "--dcase-class N": "the class of every row: a voice is not told to be a woman's or a "
        "man's (default: 0)",
        "--listen DIR": "keep speech on disk: what each talker says, by a beam at them and away "
        "from the others, as WAV files in a new folder in DIR; say so to who is in the room",
        "--listen-size BYTES": "a talker whose file has grown to this has a new one (default: "
        f"{DEFAULT_LISTEN_BYTES // 10**6}M)",
        "--listen-count N": "files of a run; who comes later is not written (default: "
        f"{DEFAULT_LISTEN_COUNT})",
        "--report FILE.html": "write a report when the run ends: where voices were, when, and for "
        "how long (.html, or .png with Matplotlib); `doa_edge report` makes one of --out",
        "--log DIR": "append what was heard, minute by minute, to one small file a day in this "
        "folder: for months, and for `doa_edge report`",
        "--plot FILE.png": "draw the scores and the track (.png, .pdf or .svg; needs Matplotlib)",
        "--summary": "print one JSON object with the direction of the whole recording, and of "
        "several voices who talked for how long, and no others",
        "--verbose": "print time per stage and peak memory on standard error",
    }
    files = ("FILE.jsonl", "FILE.csv", "FILE.html", "FILE.png", "DIR")
    kinds: dict[str, Kind] = {"ZONE": time_zone, **dict.fromkeys(files, Path)}
    kinds |= {f"--{name}": Limited(name) for name in ("out-count", "dcase-class", "listen-count")}
    kinds |= {f"--{name}": Limited(name, _size) for name in ("out-size", "listen-size")}
    add_options(group, texts, kinds)


def add_network_outputs(group: argparse._ArgumentGroup) -> None:
    """Add the options of outputs to other programs."""
    texts = {
        "--web [HOST:]PORT": "serve a live page; on this machine only unless a host is given, "
        "0.0.0.0 for all (needs websockets)",
        "--web-name NAME": "a further name by which the page may be reached, such as doa.example",
        "--osc HOST:PORT": "send OSC messages over UDP",
        "--osc-prefix /PREFIX": "prefix of their addresses; /StereoEncoder moves an IEM "
        "StereoEncoder, /adm/obj/1 is ADM-OSC, /adm/obj with an object a talker (default: "
        f"{DEFAULT_PREFIX}; with --name {DEFAULT_PREFIX}/NAME)",
        "--tcp [HOST:]PORT": "listen, and send JSON in the layout of ODAS to every client",
        "--tcp-connect HOST:PORT": "the same to a program that listens, as ODAS sends to its "
        "viewer",
        "--mqtt HOST[:PORT]": "publish to an MQTT broker (needs paho-mqtt); its port is 1883, or "
        "8883 with --mqtt-tls, if not named",
        "--mqtt-topic TOPIC": "TOPIC/direction, TOPIC/event and TOPIC/status; of several voices "
        f"TOPIC/count and TOPIC/talker/N as well (default: {DEFAULT_TOPIC}; with --name "
        f"{DEFAULT_TOPIC}/NAME)",
    }
    kinds: dict[str, Kind] = {"[HOST:]PORT": listening_address, "HOST:PORT": receiving_address}
    kinds |= {"HOST[:PORT]": broker_address, "--web-name": host_name}
    add_options(group, texts, kinds)
    texts = {
        "--mqtt-qos 0|1|2": "quality of service (default: 0)",
        "--mqtt-user NAME": "log in with this name; the password is taken from "
        f"{PASSWORD_VARIABLE}",
        "--mqtt-tls": "use TLS, with the certificates that the system trusts",
    }
    add_options(group, texts, {"0|1|2": Limited("mqtt-qos")})
    group.add_argument(
        "--mqtt-discovery",
        metavar="PREFIX",
        nargs="?",
        const=DEFAULT_DISCOVERY,
        help="let Home Assistant find the microphone: an entity for each thing that it tells, at "
        f"most once a second, from TOPIC/state (default: {DEFAULT_DISCOVERY}, if named without a "
        "PREFIX)",
    )


def join_negative_values(arguments: list[str]) -> list[str]:
    """`--mount -90,0,0` as `--mount=-90,0,0`: argparse takes the value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _SIGNED_OPTIONS and re.match(r"-[\d.]", argument):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined


def _size(text: str, limits: Limits) -> float:
    """`500K` -> bytes."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if match is None:
        raise ValueError(text)
    return limits.read(str(int(match[1]) * _SIZE_UNITS[match[2]]))
