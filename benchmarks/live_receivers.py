"""A `doa_edge run` and who listens to it, for programs that make its life hard."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.edge.broker import free_port

AGAIN_S = 0.5  # until somebody who was cut off tries again


class Run:
    """A process of `doa_edge`, whose lines are read as they come.

    Args:
        arguments: of the command.
        environment: its variables; those of this process if None.

    Attributes:
        estimates: `(arrival by the monotonic clock [s], time_s of the stream)` of each.
        gaps: their events.
        talk: lines of standard error.
    """

    def __init__(
        self, arguments: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> None:
        self.estimates: list[tuple[float, float]] = []
        self.gaps: list[dict[str, Any]] = []
        self.talk: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "doa_edge", *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [in_background(self._read), in_background(self._listen)]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status; None as long as it runs."""
        return self._process.poll()

    @property
    def age_s(self) -> float:
        """For how long it has given estimates [seconds]."""
        return time.monotonic() - self.estimates[0][0] if self.estimates else 0.0

    @property
    def heard_s(self) -> float:
        """Stream time of its last estimate [seconds]."""
        return self.estimates[-1][1] if self.estimates else 0.0

    def late_s(self) -> npt.NDArray[np.float64]:
        """How much later each estimate came than the promptest one [seconds]."""
        delays = np.array([arrival_s - time_s for arrival_s, time_s in self.estimates])
        return delays - delays.min() if len(delays) else delays

    def reasons(self, first: int = 0) -> list[str]:
        """Of its gaps, from that one on."""
        return [gap["reason"] for gap in self.gaps[first:]]

    def stop(self) -> int:
        """End it with SIGTERM; its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for thread in self._threads:
            thread.join(10)
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        return self._process.wait()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            message = json.loads(line)
            if "event" not in message:
                self.estimates.append((time.monotonic(), message["time_s"]))
            elif message["event"] == "gap":
                self.gaps.append(message)

    def _listen(self) -> None:
        self.talk.extend(map(str.rstrip, self._process.stderr or ()))


class Receivers:
    """One of each kind, which count what they get, and come back when they were cut off.

    Attributes:
        options: of `doa_edge run`, that send to them.

    Args:
        broker_port: of an MQTT broker on this machine.
    """

    def __init__(self, broker_port: int) -> None:
        self._ended = threading.Event()
        self._counts = dict.fromkeys(("web", "tcp", "tcp-connect", "osc", "mqtt"), 0)
        self._web, self._tcp, self._broker = free_port(), free_port(), broker_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        for opened in (self._server, self._udp):
            opened.settimeout(AGAIN_S)
        self.options = (
            *("--web", self._web, "--tcp", self._tcp, "--mqtt", f"127.0.0.1:{broker_port}"),
            *("--tcp-connect", f"127.0.0.1:{self._server.getsockname()[1]}"),
            *("--osc", f"127.0.0.1:{self._udp.getsockname()[1]}"),
        )

    def __enter__(self) -> Receivers:
        sources: dict[str, Callable[[], Iterator[object]]] = {
            "web": self._of_page,
            "tcp": self._of_server,
            "tcp-connect": self._of_client,
            "osc": self._of_osc,
        }
        for name, source in sources.items():
            in_background(self._count, name, source)
        self._subscriber = self._subscribe()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._subscriber.disconnect()
        self._subscriber.loop_stop()
        self._server.close()
        self._udp.close()

    def counts(self) -> dict[str, int]:
        """Messages that each of them got; of OSC the levels, of which every estimate has one."""
        return dict(self._counts)

    def _count(self, name: str, source: Callable[[], Iterator[object]]) -> None:
        from websockets.exceptions import WebSocketException

        while not self._ended.is_set():
            with suppress(OSError, WebSocketException):
                for _ in source():
                    self._counts[name] += 1
            self._ended.wait(AGAIN_S)

    def _of_page(self) -> Iterator[object]:
        from websockets.sync.client import connect

        with connect(f"ws://127.0.0.1:{self._web}/directions") as page:
            yield from page

    def _of_server(self) -> Iterator[object]:
        with socket.create_connection(("127.0.0.1", self._tcp)) as peer, peer.makefile() as lines:
            yield from lines

    def _of_client(self) -> Iterator[object]:
        peer, _ = self._server.accept()
        with peer, peer.makefile() as lines:
            yield from lines

    def _of_osc(self) -> Iterator[object]:
        while True:
            if self._udp.recv(4096).startswith(b"/doa/level"):
                yield

    def _subscribe(self) -> Any:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        def heard(*_: object) -> None:
            self._counts["mqtt"] += 1

        client = Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda c, *_: c.subscribe("doa/direction")
        client.on_message = heard
        client.reconnect_delay_set(1, 2)
        client.connect("127.0.0.1", self._broker)
        client.loop_start()
        return client


def in_background(work: Callable[..., None], *arguments: object) -> threading.Thread:
    """A call in a thread that nothing waits for at the end of the program."""
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
