"""The options of `doa_edge`. Only the standard library is imported: help answers at once."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from doa_edge.options.command import integer
from doa_edge.sinks.lines import DEFAULT_OUT_BYTES, DEFAULT_OUT_COUNT
from doa_edge.sinks.network.address import broker_address, listening_address, receiving_address
from doa_edge.sinks.network.mqtt import DEFAULT_TOPIC, PASSWORD_VARIABLE
from doa_edge.sinks.network.osc import DEFAULT_PREFIX
from doa_edge.tflite.shipped import MODEL_HELP, model_path

_SIZE_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SIGNED_OPTIONS = ("--mount", "--speaker", "--gate")


def add_directions(group: argparse._ArgumentGroup) -> None:
    """Add the options of the engine."""
    group.add_argument("--model", metavar="FILE", type=model_path, help=MODEL_HELP)
    group.add_argument(
        "--every",
        metavar="FRAMES",
        type=integer(1),
        help="frames of 32 ms between two directions (default: 5)",
    )
    group.add_argument(
        "--average",
        metavar="FRAMES",
        type=integer(1),
        help="frames whose outputs are averaged for one direction (default: a window's, 25)",
    )
    group.add_argument("--decode", metavar="peak|centroid", help="(default: the model's own)")
    group.add_argument(
        "--gate",
        metavar="DBFS",
        type=_level,
        help="a window below this level is not active (default: -60)",
    )
    group.add_argument(
        "--margin",
        metavar="DB",
        type=float,
        help="nor is one that is not this far above the tracked noise floor; 0 for no tracking "
        "(default: 3)",
    )
    group.add_argument(
        "--confidence",
        metavar="SHARE",
        type=float,
        help="nor is one whose confidence is below this (default: 0.4 where the model calibrates "
        "it, else 0.07)",
    )
    group.add_argument(
        "--smooth",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="smooth directions: time constant, which is also the delay (default: none)",
    )
    group.add_argument(
        "--threads",
        metavar="N",
        type=integer(1),
        default=1,
        help="threads of the network (default: %(default)s)",
    )


def add_outputs(group: argparse._ArgumentGroup) -> None:
    """Add the options of outputs on this machine."""
    group.add_argument(
        "--json", action=argparse.BooleanOptionalAction, help="print JSON lines on a terminal, too"
    )
    group.add_argument(
        "--out",
        metavar="FILE.jsonl",
        type=Path,
        help="write the JSON lines to this file, too: those of a recording replace it once they "
        "are complete, those of a device or a pipe are appended as they come",
    )
    group.add_argument(
        "--out-size",
        metavar="BYTES",
        type=_size,
        help="with a device or a pipe, start a new file before this one grows beyond this size, "
        f"such as 500K or 2G (default: {DEFAULT_OUT_BYTES // 10**6}M)",
    )
    group.add_argument(
        "--out-count",
        metavar="N",
        type=integer(0),
        help=f"older files to keep, FILE.jsonl.1 the latest (default: {DEFAULT_OUT_COUNT})",
    )
    group.add_argument(
        "--plot",
        metavar="FILE.png",
        type=Path,
        help="draw the scores and the track (.png, .pdf or .svg; needs Matplotlib)",
    )
    group.add_argument(
        "--summary",
        action=argparse.BooleanOptionalAction,
        help="print one JSON object with the direction of the whole recording, and no others",
    )
    group.add_argument(
        "--verbose",
        action=argparse.BooleanOptionalAction,
        help="print time per stage and peak memory on standard error",
    )


def add_network_outputs(group: argparse._ArgumentGroup) -> None:
    """Add the options of outputs to other programs."""
    group.add_argument(
        "--web",
        metavar="[HOST:]PORT",
        type=listening_address,
        help="serve a live page; on this machine only unless a host is given, 0.0.0.0 for all "
        "(needs websockets)",
    )
    group.add_argument(
        "--web-name", metavar="NAME", help="a further name by which the page may be reached"
    )
    group.add_argument(
        "--osc", metavar="HOST:PORT", type=receiving_address, help="send OSC messages over UDP"
    )
    group.add_argument(
        "--osc-prefix",
        metavar="/PREFIX",
        help="prefix of their addresses; /StereoEncoder moves an IEM StereoEncoder, /adm/obj/1 is "
        f"ADM-OSC (default: {DEFAULT_PREFIX})",
    )
    group.add_argument(
        "--tcp",
        metavar="[HOST:]PORT",
        type=listening_address,
        help="listen, and send JSON in the layout of ODAS to every client",
    )
    group.add_argument(
        "--tcp-connect",
        metavar="HOST:PORT",
        type=receiving_address,
        help="the same to a program that listens, as ODAS sends to its viewer",
    )
    group.add_argument(
        "--mqtt",
        metavar="HOST[:PORT]",
        type=broker_address,
        help="publish to an MQTT broker (needs paho-mqtt)",
    )
    group.add_argument(
        "--mqtt-topic",
        metavar="TOPIC",
        help=f"TOPIC/direction, TOPIC/event and TOPIC/status (default: {DEFAULT_TOPIC})",
    )
    group.add_argument(
        "--mqtt-qos",
        metavar="0|1|2",
        type=int,
        choices=(0, 1, 2),
        help="quality of service (default: 0)",
    )
    group.add_argument(
        "--mqtt-user",
        metavar="NAME",
        help=f"log in with this name; the password is taken from {PASSWORD_VARIABLE}",
    )
    group.add_argument(
        "--mqtt-tls",
        action=argparse.BooleanOptionalAction,
        help="use TLS, with the certificates that the system trusts",
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


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite level in dBFS. Received: {text!r}")
    return value


def _size(text: str) -> int:
    """`500K` -> bytes."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    size = int(match[1]) * _SIZE_UNITS[match[2]] if match else 0
    if size < 1:
        raise argparse.ArgumentTypeError(
            f"must be bytes, 1 or more, such as 500K, 10M or 2G. Received: {text!r}"
        )
    return size
