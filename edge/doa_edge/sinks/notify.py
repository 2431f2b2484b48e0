"""Tell systemd that the program is ready, alive, or stopping: the sd_notify protocol.

A datagram of KEY=VALUE lines to the socket that NOTIFY_SOCKET names (sd_notify(3)). Without that
variable nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from doa_core.errors import visible

_MICROSECONDS = 1_000_000  # in a second


class Notifier:
    """Messages to the service manager.

    The watchdog is notified from the loop that reads the stream, not by a thread of its own: a
    stream that hangs must be noticed.

    Attributes:
        interval: seconds between two `alive` messages; None without a watchdog.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked up.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        values = os.environ if environment is None else environment
        self._address = values.get("NOTIFY_SOCKET", "")
        self.interval: float | None = None
        self._last = float("-inf")
        self._socket: socket.socket | None = None
        if not self._address.startswith(("/", "@")):
            return
        if self._address.startswith("@"):  # the abstract namespace
            self._address = "\0" + self._address[1:]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        period = values.get("WATCHDOG_USEC", "")
        meant = values.get("WATCHDOG_PID", str(os.getpid()))
        if period.isdecimal() and int(period) > 0 and meant == str(os.getpid()):
            self.interval = int(period) / _MICROSECONDS / 3

    def ready(self, status: str) -> None:
        """Report that the program listens."""
        self._send(f"READY=1\nSTATUS={visible(status)}")
        self.alive()

    def alive(self) -> None:
        """Report that the stream moves, no more often than the watchdog needs."""
        now = time.monotonic()
        if self.interval is not None and now - self._last >= self.interval:
            self._last = now
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows."""
        self._send(f"STATUS={visible(text)}")

    def stopping(self) -> None:
        """Report that the program ends."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(errors="surrogateescape"), self._address)
        except OSError:  # a manager that is gone, or busy, is no reason to stop listening
            return
