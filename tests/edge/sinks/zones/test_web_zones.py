"""Zones on the live page, in a real browser."""

from __future__ import annotations

import html
import json
import re

import pytest

from doa_edge import Zone
from doa_edge.sinks.network.address import Address
from doa_edge.zones.occupancy import ZoneStage
from tests.edge.sinks.messages import several, talker
from tests.edge.sinks.test_web import estimate, get, send_and_see

pytest.importorskip("websockets")

from doa_edge.sinks.network.web import WebSink

ZONES = [
    Zone(name="desk", azimuth_deg=(-30, 30)),
    Zone(name="board", azimuth_deg=(60, 120), elevation_deg=(0, 45)),
    Zone(name="back", azimuth_deg=(135, -135)),
]
TELEVISION = Zone(name="tv", azimuth_deg=(-120, -60), elevation_deg=(-30, 30))


@pytest.fixture
def web():
    """A page with zones, at a port of its own."""
    sink = WebSink(Address("127.0.0.1", 0), zones=ZONES, ignore=[TELEVISION])
    yield sink
    sink.close()


@pytest.fixture
def page(web, browser):
    browser.open_live(web.url)
    return browser


def boxes(browser):
    """Left, top, width and height of the boxes of the map, by name."""
    found = browser.evaluate(
        "[...document.querySelectorAll('#boxes rect')].map(node => [node.dataset.zone,"
        " ...['x', 'y', 'width', 'height'].map(key => Number(node.getAttribute(key)))])"
    )
    named = {}
    for name, *box in found:
        named.setdefault(name, []).append(box)
    return named


def corners(browser, name):
    """The points of a sector of the compass, whole units."""
    points = browser.evaluate(
        f"document.querySelector('#sectors polygon[data-zone={name}]').getAttribute('points')"
    )
    return [tuple(round(float(one)) for one in point.split(",")) for point in points.split()]


def lit(browser):
    """Names of the areas that are bright."""
    return set(
        browser.evaluate(
            "[...document.querySelectorAll('.area.occupied')].map(node => node.dataset.zone)"
        )
    )


def test_the_page_has_the_borders_and_says_nothing_else(web):
    _, headers, body = get(web)
    (areas,) = re.findall(r'data-areas="([^"]*)"', body)
    told = json.loads(html.unescape(areas))
    assert told["zones"][0] == {
        "name": "desk",
        "azimuth_deg": [-30, 30],
        "elevation_deg": [-90.0, 90.0],
    }
    assert [zone["name"] for zone in told["ignore"]] == ["tv"]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_without_zones_the_page_is_the_file():
    sink = WebSink(Address("127.0.0.1", 0))
    assert "data-areas=" not in get(sink)[2]
    sink.close()


@pytest.mark.slow
def test_a_browser_draws_zones_where_they_are(web, page):
    assert boxes(page) == {
        "desk": [[150, 0, 60, 280]],  # of 360 times 280, ahead in the middle
        "board": [[60, 70, 60, 70]],  # left is left, up is up
        "back": [[0, 0, 45, 280], [315, 0, 45, 280]],  # over the seam
        "tv": [[240, pytest.approx(93.33, abs=0.01), 60, pytest.approx(93.33, abs=0.01)]],
    }
    board = corners(page, "board")
    assert board[0] == (-78, -45)  # 60 degrees to the left, at the rim: level
    assert (-90, 0) in board
    assert board[-1] == (-39, -22)  # halfway up is halfway to the middle
    names = "[...document.querySelectorAll('#boxes text')].map(node => node.textContent)"
    assert page.evaluate(names) == ["desk", "board", "back", "back", "tv (ignored)"]
    dashes = "getComputedStyle(document.querySelector('.area.ignored')).strokeDasharray"
    assert page.evaluate(dashes) != "none"
    assert page.problems == []


@pytest.mark.slow
def test_a_browser_lights_the_zones_in_which_somebody_talks(web, page):
    stage = ZoneStage(ZONES)

    def send(message):
        for changed in stage(message):
            if "event" in changed:
                web.send(changed)
            else:
                send_and_see(web, page, changed)

    for time_s in (1.0, 1.2, 1.4):
        send(several(time_s, talker(1, 1, 10.0), talker(2, 2, 170.0, 0.0, 0.6)))
    assert lit(page) == {"desk", "back"}
    legend = "document.querySelector('#legend li[data-id=\"1\"]').innerText"
    assert "10 degrees to the left, level, in desk" in page.evaluate(legend)
    # The list of what befell the stream is not for people who come and go.
    assert page.evaluate("document.getElementById('events').hidden")
    send(several(1.6, talker(2, 2, 170.0, 0.0, 0.6)))
    assert lit(page) == {"back"}
    send(several(1.8))
    assert lit(page) == set()
    send(estimate(2.0, azimuth_deg=90.0))
    assert lit(page) == {"board"}
    send(estimate(2.2, azimuth_deg=90.0, active=False))
    assert lit(page) == set()
    assert page.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_zones_fit_a_phone(web, page, dark):
    page.size(360, 740, dark=dark, scale=2)
    (told,) = ZoneStage(ZONES)(several(1.0, talker(1, 1, 10.0)))
    send_and_see(web, page, told)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
