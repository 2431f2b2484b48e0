"""Directions as JSON over TCP in the layout of ODAS, for programs that read that daemon's.

ODAS writes for each of its frames an object `{"timeStamp": ..., "src": [...]}` with the tracked
sources as unit vectors, and its viewer parts the stream where a `}` ends a line and a `{` begins
the next. Ours has one object a line, which both line readers and that viewer take:

    {"timeStamp": 26, "src": [{"id": 1, "tag": "dynamic", "x": ..., "activity": ...} ] }

`timeStamp` counts hops (32 ms), as ODAS counts its own; x is forward, y left, z up; `activity` is
the confidence. With one voice `src` holds one source, whose id is 1. With several it holds four,
as that of ODAS does: a talker's place is their slot, and `id` is theirs. A place in which nobody
talks holds the empty source of ODAS: id 0 and zeros. `time_s`, `level_dbfs`, `of_s`, `time`,
`file`, `name` and a source's `tentative` and `zones` are ours. Events have an empty `src`, and
`event`; those of zones and of the clock are not sent, as the empty `src` would say that nobody
talks.

References:
    https://github.com/introlab/odas/wiki
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import time

from doa_edge.sinks.network.address import CONNECTION_ERRORS, Address
from doa_edge.sinks.network.server import BACKLOG, MOST_CLIENTS, Backlog, LoopServer
from doa_edge.sinks.sink import Message, Reasons
from doa_edge.sinks.slots import SLOTS, talkers_by_slot
from doa_edge.zones.occupancy import EVENTS as EVENTS_OF_ZONES

RECONNECT_SECONDS = 2.0
CONNECT_SECONDS = 2.0
SEND_SECONDS = 1.0
_UNSENT = (*EVENTS_OF_ZONES, "clock_stepped")  # events while which somebody may talk
_EMPTY = {"id": 0, "tag": "", "x": 0.0, "y": 0.0, "z": 0.0, "activity": 0.0}


class TcpServerSink(LoopServer):
    """Listens; every client gets every message from then on.

    What clients send is ignored. One that reads too slowly misses messages, one that reads nothing
    for ten seconds is disconnected, and those beyond 32 are turned away.

    Args:
        address: to listen at.
        hop_seconds: unit of `timeStamp` [seconds].

    Raises:
        OSError: the port is taken.
    """

    name = "tcp"

    def __init__(self, address: Address, *, hop_seconds: float) -> None:
        self._hop_seconds = hop_seconds
        super().__init__(address)

    def send(self, message: Message) -> None:
        """Send a message to every client; never waits."""
        if message.get("event") not in _UNSENT:
            self.post(odas_line(message, hop_seconds=self._hop_seconds))

    def broadcast(self, text: str) -> None:
        """Write to the clients that keep up."""
        data = text.encode()
        for writer in self.ready_clients():
            writer.write(data)

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve clients until `stop` is set."""
        server = await asyncio.start_server(self._talk, sock=listener, backlog=BACKLOG)
        try:
            await stop.wait()
        finally:
            server.close()  # `async with` waits for the clients as well, since Python 3.12
        for writer in list(self._clients):
            writer.close()
        await asyncio.sleep(0)  # their last bytes leave

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            writer.transport.abort()
            return
        self._clients[writer] = Backlog(writer.transport)
        try:
            while await reader.read(4096):
                pass
        except OSError:  # the client is gone
            return
        finally:
            self._clients.pop(writer, None)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class TcpClientSink:
    """Connects to a program that listens, as ODAS connects to its viewer, and keeps trying.

    Blocks while it connects and sends, so put it behind a `Queued`.

    Args:
        address: at which the program listens.
        hop_seconds: unit of `timeStamp` [seconds].
    """

    name = "tcp-connect"

    def __init__(self, address: Address, *, hop_seconds: float) -> None:
        self._address = address
        self._hop_seconds = hop_seconds
        self._socket: socket.socket | None = None
        self._next_try = -math.inf
        self._reasons = Reasons(self.name)
        self.dropped = 0

    def send(self, message: Message) -> None:
        """Send a message, or count it where nobody listens and tell why."""
        if message.get("event") in _UNSENT:
            return
        line = odas_line(message, hop_seconds=self._hop_seconds)
        connection = self._connected()
        try:
            if connection is not None:
                connection.sendall(line.encode())
                return
        except OSError as error:
            self._reasons.tell(f"lost the connection to {self._address}", error)
            self.close()
        self.dropped += 1

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket | None:
        """The connection, which is tried anew every two seconds; None where there is none."""
        now = time.monotonic()
        if self._socket is None and now >= self._next_try:
            self._next_try = now + RECONNECT_SECONDS
            place = (self._address.host, self._address.port)
            try:
                self._socket = socket.create_connection(place, timeout=CONNECT_SECONDS)
                self._socket.settimeout(SEND_SECONDS)
            except CONNECTION_ERRORS as error:
                self._reasons.tell(f"cannot reach {self._address}", error)
        return self._socket


def odas_line(message: Message, *, hop_seconds: float) -> str:
    """A message in the layout of ODAS, with its line break."""
    facts = {"timeStamp": round(message["time_s"] / hop_seconds), "time_s": message["time_s"]}
    if "azimuth_deg" not in message:
        facts.update({key: value for key, value in message.items() if key not in facts})
        return json.dumps({**facts, "src": []}, allow_nan=False)[:-1] + " }\n"
    facts["level_dbfs"] = message["level_dbfs"]
    facts |= {key: message[key] for key in ("of_s", "time", "file", "name") if key in message}
    sources = ", ".join(json.dumps(source, allow_nan=False) for source in _sources(message))
    # The spaces at the end are what that viewer's parser looks for.
    return f'{json.dumps(facts, allow_nan=False)[:-1]}, "src": [{sources} ] }}\n'


def _sources(message: Message) -> list[dict[str, object]]:
    """One source of one voice; of several one a slot."""
    talkers = talkers_by_slot(message)
    if talkers is None:
        return [_source(message, number=1) if message["active"] else dict(_EMPTY)]
    return [
        _source(talkers[slot], number=talkers[slot]["id"]) if slot in talkers else dict(_EMPTY)
        for slot in range(1, SLOTS + 1)
    ]


def _source(talker: Message, *, number: int) -> dict[str, object]:
    azimuth = math.radians(talker["azimuth_deg"])
    elevation = math.radians(talker["elevation_deg"])
    source: dict[str, object] = {
        "id": number,
        "tag": "dynamic",
        "x": round(math.cos(elevation) * math.cos(azimuth), 4),
        "y": round(math.cos(elevation) * math.sin(azimuth), 4),
        "z": round(math.sin(elevation), 4),
        "activity": talker["confidence"],
    }
    source.update({key: talker[key] for key in ("tentative", "zones") if key in talker})
    return source
