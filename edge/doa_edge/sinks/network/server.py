"""An event loop in a thread of its own, with the port that it serves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

from doa_edge.sinks.network.address import CONNECTION_ERRORS, Address
from doa_edge.sinks.sink import CLOSE_SECONDS, QUEUE_LENGTH, Reasons

MOST_CLIENTS = 32  # more are turned away
MOST_WAITING = 16  # connections that are no clients yet
BACKLOG = 16  # connections that are taken at once; further ones wait in the system
CLIENT_BUFFER = 64 * 1024  # bytes that wait for one client before it misses messages
STALLED_SECONDS = 10.0  # a client that reads nothing for this long is disconnected


class LoopServer:
    """What `TcpServerSink` and `WebSink` have in common.

    The port is bound before the thread starts, so that a port in use is an error at once. `post`
    hands a message to the loop and never waits for it.

    Attributes:
        address: at which it listens, with the real port if 0 was asked for.
        dropped: messages that clients missed, summed over all clients.

    Raises:
        OSError: the port is taken, or the host is not one of this machine.
    """

    name = "server"

    def __init__(self, address: Address) -> None:
        self._listener = _listen(address, self.name)
        self.address = Address(address.host, self._listener.getsockname()[1])
        self.dropped = 0
        self._reasons = Reasons(self.name)
        self._clients: dict[Any, Backlog] = {}  # whatever has a `transport`
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._tell)
        self._posted = 0  # messages that the loop has not taken yet
        self._posted_lock = threading.Lock()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"sink {self.name}", daemon=True)
        self._thread.start()
        self._started.wait()

    def post(self, text: str) -> None:
        """Hand a message to the loop; it is dropped if too many wait there."""
        with self._posted_lock:
            if self._posted >= QUEUE_LENGTH:
                self.dropped += 1
                return
            self._posted += 1
        try:
            self._loop.call_soon_threadsafe(self._take, text)
        except RuntimeError:  # the loop has ended
            with self._posted_lock:
                self._posted -= 1
                self.dropped += 1

    def close(self) -> None:
        """Close the connections and free the port."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CLOSE_SECONDS)

    def ready_clients(self) -> list[Any]:
        """The clients that keep up; the others miss a message. Called in the loop."""
        ready = []
        for client, backlog in list(self._clients.items()):
            if backlog.has_room():
                ready.append(client)
                continue
            self.dropped += 1
            if backlog.is_stalled(self._loop.time()):
                client.transport.abort()
        return ready

    def broadcast(self, text: str) -> None:
        """Send a message to every client. Called in the loop; must not wait."""
        raise NotImplementedError

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve clients until `stop` is set. Runs in the loop."""
        raise NotImplementedError

    def _take(self, text: str) -> None:
        with self._posted_lock:
            self._posted -= 1
        self.broadcast(text)

    def _tell(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say what a connection ran into, such as too many open files; asyncio tries again."""
        reason = context.get("exception") or context["message"]
        self._reasons.tell("has trouble with a connection", reason)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._started.set)
        try:
            self._loop.run_until_complete(self.serve(self._listener, self._stop))
            self._loop.run_until_complete(_cancel_the_rest())
        except OSError as error:
            self._reasons.tell("serves nobody any more", error)
        finally:
            self._listener.close()
            self._loop.close()


class Backlog:
    """Whether a client keeps up, judged by what waits in its transport."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._full_since: float | None = None

    def has_room(self) -> bool:
        """Whether the next message may be written."""
        if self._transport.get_write_buffer_size() <= CLIENT_BUFFER:
            self._full_since = None
            return True
        return False

    def is_stalled(self, now: float) -> bool:
        """Whether the buffer has been full for too long; `now` is the loop's time [seconds]."""
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since > STALLED_SECONDS


class Waiting:
    """Connections that are no clients yet: so many at once, each for so long.

    One too many takes the place of the one that has waited longest: whoever means it asks within
    moments, whoever holds places only to hold them loses those. So silent connections neither use
    up the descriptors nor shut others out.

    Args:
        most: connections.
        seconds: that each has to become a client, or to fetch what it came for.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._timers: dict[Any, asyncio.TimerHandle] = {}  # the one that came first is first

    def add(self, connection: Any) -> None:
        """Take in a connection, which has a `transport`. Called in the loop."""
        if len(self._timers) >= self._most:
            longest = next(iter(self._timers))
            self.remove(longest)
            longest.transport.abort()
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._seconds, connection.transport.abort)

    def close(self) -> None:
        """End all of them."""
        for connection in list(self._timers):
            self.remove(connection)
            connection.transport.abort()

    def remove(self, connection: Any) -> None:
        """Let go of a connection: it has become a client, or has ended."""
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()


def _listen(address: Address, name: str) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(place[:2], family=family, backlog=MOST_CLIENTS)
    except CONNECTION_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(
            getattr(error, "errno", None),
            f"--{name} cannot listen at {address}: {reason}. Choose another port",
        ) from error


async def _cancel_the_rest() -> None:
    tasks: list[asyncio.Task[Any]] = [
        task for task in asyncio.all_tasks() if task is not asyncio.current_task()
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
