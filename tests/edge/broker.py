"""An MQTT broker of one's own: mosquitto, which can be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

from tests.processes import HANG_S, free_port

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Broker:
    """A mosquitto without a configuration that others made."""

    def __init__(self, folder, *, lines=("allow_anonymous true",)):
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *lines]) + "\n")
        self.start()

    def start(self):
        """Start it; it listens when this returns."""
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + HANG_S
        while not self._listens():
            assert time.monotonic() < deadline, "mosquitto does not listen"
            time.sleep(0.02)

    def stop(self):
        self._process.terminate()
        self._process.wait(HANG_S)

    def kill(self):
        """As a crash or a power cut does."""
        self._process.kill()
        self._process.wait(HANG_S)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
