"""An MQTT broker of one's own, which can be killed and started again, and who listens there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
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


class Listener:
    """A client that keeps what it hears."""

    def __init__(self, port, topic="#", **login):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard = []
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda c, d, m: self.heard.append(
            (m.topic, m.payload.decode(errors="replace"), m.qos, m.retain)
        )
        self._client.on_connect = lambda c, *_: c.subscribe(topic, qos=2)
        self._client.on_subscribe = lambda *_: subscribed.set()
        if login:
            self._client.username_pw_set(**login)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def of(self, topic):
        return [payload for name, payload, *_ in self.heard if name == topic]

    def publish(self, topic, payload, *, retain=False):
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
