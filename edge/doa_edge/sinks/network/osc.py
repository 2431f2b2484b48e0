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

With several voices these are of the most confident talker, and there are also

    PREFIX/count         i    how many talk
    PREFIX/N/id          i    whose slot N is now: 1 to 4      only while they talk
    PREFIX/N/azimuth     f    as above, and so are the others  only while they talk
    PREFIX/N/elevation   f                                     only while they talk
    PREFIX/N/aed         fff                                   only while they talk
    PREFIX/N/confidence  f                                     only while they talk
    PREFIX/N/active      i    0 or 1

With zones there is also

    PREFIX/zone/NAME     i    how many talkers are in it; see `doa_edge.zones`

`active` is sent of each slot each time, as a datagram may be lost. While nobody talks, or nobody in
a slot, the pointer stays where it is.

With the prefix `/StereoEncoder` an IEM StereoEncoder follows the voice. A renderer that takes
ADM-OSC follows one voice with `/adm/obj/1`, and several, each with an object of their own, with
`/adm/obj`. Both count azimuth as we do.

References:
    https://plugins.iem.at/docs/osc/
    https://immersive-audio-live.github.io/ADM-OSC/
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from doa_core.errors import MissingPackageError
from doa_edge.sinks.network.address import CONNECTION_ERRORS, Address
from doa_edge.sinks.sink import Message, Reasons
from doa_edge.sinks.slots import SLOTS, talkers_by_slot
from doa_edge.zones.occupancy import Occupancy

Argument = tuple[str, str | float | int]  # OSC type tag and value

DEFAULT_PREFIX = "/doa"
DISTANCE = 1.0  # a direction has none; renderers expect one


class OscSink:
    """Estimates and events as OSC messages over UDP, which may be lost.

    Args:
        address: the receiver, or the broadcast address of a network: all that listen there.
        prefix: how every OSC address begins: `/` and at least one more character.
        zones: names of the zones in which talkers are counted.

    Raises:
        MissingPackageError: python-osc is not installed.
        OSError: the host is not known, or no way leads there.
        ValueError: a prefix, or a zone's name, that OSC does not allow.
    """

    name = "osc"

    def __init__(
        self, address: Address, *, prefix: str = DEFAULT_PREFIX, zones: Sequence[str] = ()
    ) -> None:
        check_prefix(prefix)
        _check_zones(zones)
        self._occupancy = Occupancy(zones)
        try:
            from pythonosc.osc_message_builder import OscMessageBuilder
        except ImportError as error:
            raise MissingPackageError("python-osc", "edge", error) from error
        self._builder = OscMessageBuilder
        self._prefix = prefix
        self.dropped = 0
        self._reasons = Reasons(self.name)
        self._address = address
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            # The kernel sends nothing to a broadcast address without it; else it changes nothing.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            # Connected, so that it reports a port of this machine at which nobody listens.
            self._socket.connect(place)
        except CONNECTION_ERRORS as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OSError(f"--osc cannot send to {address}: {reason}") from error

    def send(self, message: Message) -> None:
        """Send a message as a few datagrams; one that the network refuses is counted."""
        try:
            for name, values in [*_osc_messages(message), *self._zone_messages(message)]:
                builder = self._builder(f"{self._prefix}/{name}")
                for kind, value in values:
                    builder.add_arg(value, kind)
                self._socket.send(builder.build().dgram)
        except OSError as error:  # no route at the moment, or nobody at that port of this machine
            self._reasons.tell(f"cannot reach {self._address}", error)
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _zone_messages(self, message: Message) -> list[tuple[str, list[Argument]]]:
        """With each estimate, as a datagram may be lost: how many are in each zone."""
        self._occupancy.update(message)
        if "azimuth_deg" not in message:
            return []
        counts = self._occupancy.counts
        return [(f"zone/{name}", [("i", count)]) for name, count in counts.items()]


def check_prefix(prefix: str) -> None:
    """Raise ValueError for a prefix that OSC 1.0 does not allow in an address."""
    allowed = prefix.isascii() and prefix.isprintable() and not set(prefix) & set(" #*,?[]{}")
    if not allowed or not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(
            "The OSC prefix must start with / and end with a name, without any of space "
            f"# * , ? [ ] {{ }}. Received: {prefix!r}"
        )


def _check_zones(names: Sequence[str]) -> None:
    """Raise ValueError for a zone whose name can't be part of an address."""
    for name in names:
        if not name.isascii():
            raise ValueError(
                "With --osc the name of a zone must be ASCII, as it is part of an address: rename "
                f"it. Received: {name}"
            )


def _osc_messages(message: Message) -> list[tuple[str, list[Argument]]]:
    """Names below the prefix, and their arguments."""
    if "azimuth_deg" not in message:
        return [("event", [("s", str(message.get("event", ""))), ("s", json.dumps(message))])]
    return [
        *(_direction(message) if message["active"] else []),
        ("confidence", [("f", float(message["confidence"]))]),
        ("level", [("f", float(message["level_dbfs"]))]),
        ("time", [("d", float(message["time_s"]))]),
        ("active", [("i", int(message["active"]))]),
        *_slot_messages(talkers_by_slot(message)),
    ]


def _slot_messages(talkers: dict[int, Message] | None) -> list[tuple[str, list[Argument]]]:
    """Of several voices: the count, and whoever is in each slot."""
    if talkers is None:
        return []
    messages: list[tuple[str, list[Argument]]] = [("count", [("i", len(talkers))])]
    for slot in range(1, SLOTS + 1):
        if talker := talkers.get(slot):
            own: list[tuple[str, list[Argument]]] = [
                ("id", [("i", talker["id"])]),
                *_direction(talker),
                ("confidence", [("f", float(talker["confidence"]))]),
            ]
            messages += [(f"{slot}/{name}", values) for name, values in own]
        messages.append((f"{slot}/active", [("i", int(talker is not None))]))
    return messages


def _direction(talker: Message) -> list[tuple[str, list[Argument]]]:
    azimuth: Argument = ("f", float(talker["azimuth_deg"]))
    elevation: Argument = ("f", float(talker["elevation_deg"]))
    return [
        ("azimuth", [azimuth]),
        ("elevation", [elevation]),
        ("aed", [azimuth, elevation, ("f", DISTANCE)]),
    ]
