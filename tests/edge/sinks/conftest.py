"""The live page and a real browser that opens it."""

from __future__ import annotations

import pytest

from doa_edge.sinks.network.address import Address
from tests.edge.browser import Browser, find_chromium


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
