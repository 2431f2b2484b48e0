"""Receivers: a UDP socket, an MQTT broker, the live page and a real browser that opens it."""

from __future__ import annotations

import socket

import pytest

from doa_edge.sinks.network.address import Address
from tests.edge.broker import MOSQUITTO, Broker
from tests.edge.sinks.browser import Browser, find_chromium


@pytest.fixture
def udp():
    """A socket at a port of its own."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(60)
    yield server
    server.close()


@pytest.fixture
def broker(tmp_path):
    """A mosquitto."""
    if MOSQUITTO is None:
        pytest.skip("needs an MQTT broker: apt install mosquitto")
    started = Broker(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def web():
    """The page, at a port of its own."""
    pytest.importorskip("websockets")
    from doa_edge.sinks.network.web import WebSink

    sink = WebSink(Address("127.0.0.1", 0))
    yield sink
    sink.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium without a window."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium: apt install chromium")
    with Browser(program, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
