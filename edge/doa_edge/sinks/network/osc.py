"""Open Sound Control over UDP, in addresses that spatial-audio tools listen to.

Below the prefix (`/doa` unless chosen), one message a datagram:

    PREFIX/azimuth     f    degrees, left is positive          only while active
    PREFIX/elevation   f    degrees, up is positive            only while active
    PREFIX/aed         fff  azimuth, elevation, distance (1)   only while active
    PREFIX/confidence  f    0 to 1
    PREFIX/active      i    0 or 1
    PREFIX/level       f    dBFS
    PREFIX/time        d    stream time of the window's end [seconds]
    PREFIX/event       ss   name and the event as JSON

With the prefix `/StereoEncoder` an IEM StereoEncoder follows the voice; with `/adm/obj/1` a
renderer that takes ADM-OSC does. Both count azimuth as we do. While nobody talks the pointer stays
where it is.

References:
    https://plugins.iem.at/docs/osc/
    https://immersive-audio-live.github.io/ADM-OSC/
"""

from __future__ import annotations

import json
import socket

from doa_core.errors import MissingPackageError
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.sink import Message

Argument = tuple[str, str | float | int]  # OSC type tag and value

DEFAULT_PREFIX = "/doa"
DISTANCE = 1.0  # a direction has none; renderers expect one


class OscSink:
    """Estimates and events as OSC messages over UDP, which may be lost.

    Args:
        address: the receiver.
        prefix: how every OSC address begins: `/` and at least one more character.

    Raises:
        MissingPackageError: python-osc is not installed.
        OSError: the host is not known.
        ValueError: a prefix that OSC does not allow.
    """

    name = "osc"

    def __init__(self, address: Address, *, prefix: str = DEFAULT_PREFIX) -> None:
        check_prefix(prefix)
        try:
            from pythonosc.osc_message_builder import OscMessageBuilder
        except ImportError as error:
            raise MissingPackageError("python-osc", "edge", error) from error
        self._builder = OscMessageBuilder
        self._prefix = prefix
        self.dropped = 0
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_DGRAM
            )[0]
        except socket.gaierror as error:
            raise OSError(f"--osc cannot send to {address}: {error.strerror}") from error
        self._socket = socket.socket(family, kind, protocol)
        # Connected, so that the kernel reports a port of this machine at which nobody listens.
        self._socket.connect(place)

    def send(self, message: Message) -> None:
        """Send a message as a few datagrams; one that the network refuses is counted."""
        try:
            for name, values in _osc_messages(message):
                builder = self._builder(f"{self._prefix}/{name}")
                for kind, value in values:
                    builder.add_arg(value, kind)
                self._socket.send(builder.build().dgram)
        except OSError:  # no route at the moment, or nobody at that port of this machine
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def check_prefix(prefix: str) -> None:
    """Raise ValueError for a prefix that OSC 1.0 does not allow in an address."""
    allowed = prefix.isascii() and prefix.isprintable() and not set(prefix) & set(" #*,?[]{}")
    if not allowed or not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(
            "The OSC prefix must start with / and end with a name, without any of space "
            f"# * , ? [ ] {{ }}. Received: {prefix!r}"
        )


def _osc_messages(message: Message) -> list[tuple[str, list[Argument]]]:
    """Names below the prefix, and their arguments."""
    if "azimuth_deg" not in message:
        return [("event", [("s", str(message.get("event", ""))), ("s", json.dumps(message))])]
    azimuth: Argument = ("f", float(message["azimuth_deg"]))
    elevation: Argument = ("f", float(message["elevation_deg"]))
    direction: list[tuple[str, list[Argument]]] = [
        ("azimuth", [azimuth]),
        ("elevation", [elevation]),
        ("aed", [azimuth, elevation, ("f", DISTANCE)]),
    ]
    return [
        *(direction if message["active"] else []),
        ("confidence", [("f", float(message["confidence"]))]),
        ("level", [("f", float(message["level_dbfs"]))]),
        ("time", [("d", float(message["time_s"]))]),
        ("active", [("i", int(message["active"]))]),
    ]
