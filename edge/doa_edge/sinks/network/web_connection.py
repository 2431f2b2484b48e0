"""A connection of the live page, on top of that of websockets, which knows GET alone.

HEAD is asked as GET and answered without a body; any other method is refused in here. Imported only
where websockets is installed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection

from doa_edge.sinks.network.server import Waiting

LONGEST_METHOD = 16  # bytes, with the space behind it
NOT_ALLOWED = (
    b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class WebConnection(ServerConnection):
    """A connection that waits among others until it has become a client.

    Attributes:
        wants_body: whether the answer has a body: HEAD wants none.

    Args:
        waiting: where it waits.
        arguments: of websockets' own.
        settings: of websockets' own.
    """

    def __init__(self, *arguments: Any, waiting: Waiting, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.wants_body = True
        self._waiting = waiting
        self._begin: bytes | None = b""  # of the request; None once its method is known
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._waiting.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Look at the method first; what follows goes to websockets, or nowhere."""
        if self._begin is not None:
            self._begin += data
            method, space, _ = self._begin[:LONGEST_METHOD].partition(b" ")
            if not space and len(self._begin) < LONGEST_METHOD:
                return
            data, self._begin = self._begin, None
            if space and method == b"HEAD":
                self.wants_body = False
                data = b"GET" + data[len(method) :]
            elif space and method.isalpha() and method != b"GET":
                self._refused = True
                self.transport.write(NOT_ALLOWED)
                self.transport.write_eof()
        if not self._refused:  # what comes with it is read all the same, or the answer gets lost
            super().data_received(data)
