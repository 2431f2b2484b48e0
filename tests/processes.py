"""What tests ask of processes that may end at any moment, and of ports that others may take.

No test asserts how fast something is: limits of time only end what hangs.
"""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import suppress
from pathlib import Path

HANG_S = 120.0  # seconds after which something hangs; on an idle machine all take a few
# Below those that the system gives to whoever asks for any, so that no other test is given one.
_PORTS = range(20_000, 32_000)


def gone(process: int) -> bool:
    """Whether `process` has ended, waited for or not (Linux)."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition, seconds=HANG_S):
    """Whether a condition holds within some seconds; it is asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def free_port():
    """A port of this machine at which nobody listens, for a program that is started after this."""
    draw = random.Random(os.urandom(8))
    for _ in _PORTS:
        port = draw.choice(_PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def descriptors(target):
    """Open descriptors of this process that lead to a file, or into a folder (Linux).

    Others come and go meanwhile: threads of other tests may still be ending.
    """
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            place = os.readlink(f"/proc/self/fd/{number}")
            if place == str(target) or place.startswith(f"{target}/"):
                found.append(number)
    return found
