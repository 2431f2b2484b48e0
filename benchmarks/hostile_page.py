"""How late lines of sound in real time come while the live page is attacked.

    python -m benchmarks.hostile_page [--seconds 60] [--clients 1000] [--json FILE]

`doa_edge run --realtime` hears a recording and serves its page; its files rotate once a second or
two. After a third of the time clients come: silent ones, which say nothing, ones that send a
letter of their request a second, garbage, headers without an end, sockets that never read, frames
that no library would send, and again and again a new one for each that was sent away. The last line
has the figures: how much later than the promptest one lines came before and under attack. The
status is 1 where the run ended early or lost a line.
"""

from __future__ import annotations

import os
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.live_receivers import Run, in_background
from doa_core.errors import InputError
from doa_edge.input.audio import read_recording
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json
from tests.edge.broker import free_port
from tests.places import DEMO

RATE = 16_000  # of the recording [Hz]
WINDOW, STEP = 13_312, 2_560  # samples of a window, and between two
PATIENCE_S = 5.0  # of a client that waits for an answer
_GET = b"GET /directions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_UPGRADE = _GET + (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Attack:
    """Clients of a port, each of which comes again when it was sent away.

    Attributes:
        connections: how many were made.
    """

    def __init__(self, port: int, clients: int) -> None:
        self.connections = 0
        self._port, self._ended = port, threading.Event()
        kinds = (_trickle, _garbage, _endless_header, _deaf_socket, _huge_frame)
        self._threads = [in_background(self._stay_silent, max(1, clients - 10 * len(kinds)))]
        self._threads += [in_background(self._keep_up, kind) for kind in kinds for _ in range(10)]

    def end(self) -> None:
        """Close all of them."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)
        self.connections += 1
        return client

    def _stay_silent(self, clients: int) -> None:
        silent: list[socket.socket] = []
        while not self._ended.is_set():
            with suppress(OSError):
                silent.append(self._connect())
            if len(silent) >= clients:
                silent.pop(0).close()
                self._ended.wait(0.01)
        for client in silent:
            client.close()

    def _keep_up(self, attack: Callable[[socket.socket, threading.Event], None]) -> None:
        while not self._ended.is_set():
            with suppress(OSError), self._connect() as client:
                attack(client, self._ended)
            self._ended.wait(0.05)


def _trickle(client: socket.socket, ended: threading.Event) -> None:
    client.sendall(_GET + b"X-Long: ")
    while not ended.wait(1.0):
        client.sendall(b"a")


def _garbage(client: socket.socket, _: threading.Event) -> None:
    client.sendall(os.urandom(100_000))
    client.recv(4096)


def _endless_header(client: socket.socket, _: threading.Event) -> None:
    client.sendall(_GET + b"X: " + 1_000_000 * b"a")
    client.recv(4096)


def _deaf_socket(client: socket.socket, ended: threading.Event) -> None:
    client.sendall(_UPGRADE)
    ended.wait(20.0)


def _huge_frame(client: socket.socket, _: threading.Event) -> None:
    client.sendall(_UPGRADE)
    client.recv(4096)
    client.sendall(b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4))
    while client.recv(65_536):
        pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run, attack, tell."""
    parser = program("benchmarks.hostile_page", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=1000, help="at a time (default: 1000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    args = parser.parse_args(argv)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        office = read_recording(DEMO / "recordings" / "office.wav")
        repeats = int(np.ceil(args.seconds * RATE / len(office)))
        soundfile.write(sound, np.tile(office, (repeats, 1)), RATE, subtype="PCM_16")
        port = free_port()
        rotation = ("--out", Path(folder) / "lines.jsonl", "--out-size", "2K", "--out-count", "3")
        run = Run(("run", "--input", sound, "--realtime", "--web", port, *rotation))
        try:
            # Of this process alone: the run keeps the limit that it began with.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            while run.age_s < args.seconds / 3 and run.ended is None:
                time.sleep(0.1)
            before, attack = len(run.estimates), Attack(port, args.clients)
            try:
                while run.ended is None:
                    time.sleep(0.1)
            finally:
                attack.end()
        finally:
            status = run.stop()
    if not 0 < before < len(run.estimates):
        raise InputError(f"The run must hear sound before and after. Received: {run.talk[-3:]}")
    late_s = run.late_s()
    expected = (repeats * len(office) - WINDOW) // STEP + 1
    figures: dict[str, Any] = {
        "seconds": round(repeats * len(office) / RATE, 1),
        "connections": attack.connections,
        "descriptors_allowed": soft,
        "status": status,
        "estimates": len(run.estimates),
        "expected": expected,
        "late_before_s": _spread(late_s[:before]),
        "late_attacked_s": _spread(late_s[before:]),
        "lines_of_talk": len(run.talk),
    }
    if args.json:
        write_json(args.json, figures)
    print(_in_one_line(figures))
    return int(status != 0 or len(run.estimates) != expected)


def _spread(late_s: np.ndarray) -> dict[str, float]:
    """Median, 99th percentile and the most."""
    names = {"median": 50, "99": 99, "most": 100}
    return {name: round(float(np.percentile(late_s, q)), 4) for name, q in names.items()}


def _in_one_line(figures: dict[str, Any]) -> str:
    def late(name: str) -> str:
        median, almost, most = (1000 * value for value in figures[name].values())
        return f"{median:.0f} ms (99 %: {almost:.0f}, most {most:.0f})"

    return (
        f"{figures['seconds']:g} s, {figures['connections']} connections: status "
        f"{figures['status']}, {figures['estimates']} estimates of {figures['expected']}, late by "
        f"{late('late_before_s')} before and {late('late_attacked_s')} under attack, "
        f"{figures['lines_of_talk']} lines on standard error"
    )


if __name__ == "__main__":
    run_program(main)
