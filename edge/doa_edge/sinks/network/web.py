"""The live page: one HTML file and a WebSocket at the same port.

The page loads nothing from elsewhere, and its Content-Security-Policy says so. Requests are
answered only under names of this machine, or a page on the internet could reach the port through
a name that it points at us (DNS rebinding); the socket is opened only for pages from here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import html
import json
import logging
import re
import socket
from collections import deque
from collections.abc import Collection, Sequence
from functools import partial
from http import HTTPStatus
from importlib import resources
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doa_core.errors import MissingPackageError
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.server import (
    BACKLOG,
    CLIENT_BUFFER,
    MOST_CLIENTS,
    MOST_WAITING,
    Backlog,
    LoopServer,
    Waiting,
)
from doa_edge.sinks.sink import Message, json_line

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

    from doa_edge.sinks.network.web_connection import WebConnection
    from doa_edge.zones.zone import Zone

HISTORY = 256  # messages that a new client is given: 40 s of six estimates a second
HANDSHAKE_SECONDS = 5.0  # to open the socket, or to fetch the page
GOODBYE_SECONDS = 0.5
LARGEST_MESSAGE = 1024  # bytes; the page sends none at all
PAGE_PATHS = ("/", "/index.html")
SOCKET_PATH = "/directions"
# Where two machines have one name, multicast DNS calls the second pi-2.local.
_RENAMED = re.compile(r"-[0-9]+\.local$")
_ONCE = ("Host", "Origin")  # headers of which a request has one at most
_HOST = re.compile(r"(?:([\w.-]+)|\[([\da-f:.]+)\])(?::\d{0,5})?", re.ASCII | re.IGNORECASE)


class WebSink(LoopServer):
    """Serves the page at `/` and the messages, one JSON object each, at `/directions`.

    What clients send is ignored. One that reads too slowly misses messages, one that reads nothing
    for ten seconds is disconnected, and those beyond 32 are turned away. Connections that are no
    clients yet are sixteen at most, for five seconds; a new one takes the place of the oldest.

    Args:
        address: to listen at.
        names: further names by which people reach this machine.
        zones: that the page draws, bright while somebody is in them.
        ignore: zones in which nobody talks, which it draws dashed.

    Raises:
        MissingPackageError: websockets is not installed.
        OSError: the port is taken.
    """

    name = "web"

    def __init__(
        self,
        address: Address,
        *,
        names: Collection[str] = (),
        zones: Sequence[Zone] = (),
        ignore: Sequence[Zone] = (),
    ) -> None:
        try:
            import doa_edge.sinks.network.web_connection  # noqa: F401
        except ImportError as error:
            raise MissingPackageError("websockets", "web", error) from error
        page = resources.files("doa_edge.sinks.network").joinpath("page.html").read_text("utf-8")
        self._page = _with_areas(page, zones=zones, ignore=ignore).encode()
        hostname = socket.gethostname().lower()
        self._names = {"localhost", address.host, hostname}
        self._names |= {f"{name}.local" for name in (hostname, hostname.partition(".")[0])}
        self._names |= {name.lower() for name in names}
        self._history: deque[str] = deque(maxlen=HISTORY)
        self._waiting = Waiting(most=MOST_WAITING, seconds=HANDSHAKE_SECONDS)
        super().__init__(address)

    @property
    def url(self) -> str:
        """Of the page, for a browser on this machine."""
        return f"http://{self.address}/"

    def send(self, message: Message) -> None:
        """Send a message to every page; never waits."""
        self.post(json_line(message))

    def broadcast(self, text: str) -> None:
        """Write to the clients that keep up."""
        from websockets.asyncio.server import broadcast

        self._history.append(text)
        broadcast(self.ready_clients(), text)

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve pages until `stop` is set."""
        from websockets.asyncio.server import serve

        from doa_edge.sinks.network.web_connection import WebConnection

        quiet = logging.getLogger(f"{__name__}.clients")  # their mistakes are not ours to report
        quiet.setLevel(logging.CRITICAL)
        talk: Any = self._talk  # websockets' types know of no connection but its own
        ours: dict[str, Any] = {
            "process_request": self._answer,
            "create_connection": partial(WebConnection, waiting=self._waiting),
        }
        server = await serve(
            talk,
            sock=listener,
            **ours,
            backlog=BACKLOG,
            compression=None,
            open_timeout=HANDSHAKE_SECONDS,
            close_timeout=GOODBYE_SECONDS,
            max_size=LARGEST_MESSAGE,
            max_queue=4,
            write_limit=CLIENT_BUFFER,
            server_header=None,
            logger=quiet,
        )
        await stop.wait()
        server.close()
        # A browser keeps a spare connection open on which it sends nothing.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.wait_closed(), GOODBYE_SECONDS)
        for connection in list(self._clients):
            connection.transport.abort()
        self._waiting.close()
        await asyncio.sleep(0)  # their sockets are closed

    async def _talk(self, connection: WebConnection) -> None:
        if len(self._clients) >= MOST_CLIENTS:  # several asked at once
            return
        self._waiting.remove(connection)
        self._clients[connection] = Backlog(connection.transport)
        try:
            if self._history:
                await connection.send("".join(self._history))
            async for _ in connection:
                pass
        finally:
            del self._clients[connection]
            if not connection.transport.is_closing():  # for the end of its goodbye
                self._waiting.add(connection)

    def _answer(self, connection: WebConnection, request: Request) -> Response | None:
        """A page, a refusal, or None to open the socket."""
        response = self._page_or_refusal(connection, request)
        if response is not None and not connection.wants_body:
            response.body = b""
        return response

    def _page_or_refusal(self, connection: WebConnection, request: Request) -> Response | None:
        for name in _ONCE:
            if len(request.headers.get_all(name)) > 1:
                return _response(
                    connection, HTTPStatus.BAD_REQUEST, f"Only one {name} header is allowed.\n"
                )
        host = request.headers.get("Host", "")
        if not self._is_our_name(host):
            return _response(
                connection,
                HTTPStatus.FORBIDDEN,
                f"This page is not served under the name {host[:80]!r}. Use the IP address, or "
                "start doa_edge with --web-name NAME.\n",
            )
        path = request.path.partition("?")[0]
        if path in PAGE_PATHS:
            response = _response(connection, HTTPStatus.OK, "")
            response.body = self._page
            del response.headers["Content-Type"], response.headers["Content-Length"]
            response.headers["Content-Type"] = "text/html; charset=utf-8"
            response.headers["Content-Length"] = str(len(self._page))
            response.headers["Content-Security-Policy"] = _policy(self._page, host)
            return response
        if path != SOCKET_PATH:
            return _response(connection, HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if not connection.wants_body:
            return _response(connection, HTTPStatus.METHOD_NOT_ALLOWED, "Only for GET.\n")
        origin = request.headers.get("Origin")
        if origin is not None and not _is_from(origin, host):
            return _response(connection, HTTPStatus.FORBIDDEN, "Only for pages from here.\n")
        if len(self._clients) >= MOST_CLIENTS:
            return _response(connection, HTTPStatus.SERVICE_UNAVAILABLE, "Too many clients.\n")
        return None

    def _is_our_name(self, host: str) -> bool:
        """Whether a Host header names this machine: an IP address cannot be rebound."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found[1] or found[2]).lower()
        try:
            renamed = _RENAMED.sub(".local", name)
            return not self._names.isdisjoint((name, renamed)) or bool(ip_address(name))
        except ValueError:
            return False


def _with_areas(page: str, **areas: Sequence[Zone]) -> str:
    """The page with the borders of zones as data of the element that draws them."""
    if not any(areas.values()):
        return page
    borders = {kind: [zone.to_dict() for zone in zones] for kind, zones in areas.items()}
    return page.replace(
        '<main id="main">', f'<main id="main" data-areas="{html.escape(json.dumps(borders))}">', 1
    )


def _is_from(origin: str, host: str) -> bool:
    """Whether an Origin header is that of a page of this host."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # half an IPv6 address
        return False


def _response(connection: WebConnection, status: HTTPStatus, text: str) -> Response:
    response = connection.respond(status, text)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _policy(page: bytes, host: str) -> str:
    """What the page may do: run its own script and style, and open our socket."""
    text = page.decode()
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(text, 'script')}'",
            f"style-src '{_digest(text, 'style')}'",
            f"connect-src 'self' ws://{host}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _digest(page: str, tag: str) -> str:
    """The hash of the page's one inline script or style, as a policy writes it."""
    (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
