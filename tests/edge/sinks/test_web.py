"""The live page: what it serves to whom, in a real browser and against hostile clients."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time

import pytest

from doa_edge.sinks.network.address import Address
from tests.processes import HANG_S, wait_until

pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from doa_edge.sinks.network.web import WebSink


def estimate(time_s=0.832, *, azimuth_deg=40.0, elevation_deg=20.0, active=True):
    return {
        "time_s": time_s,
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "confidence": 0.8,
        "active": active,
        "level_dbfs": -25.0,
    }


def get(web, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", web.address.port, timeout=HANG_S)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body.decode()


def socket_url(web):
    return f"ws://127.0.0.1:{web.address.port}/directions"


def messages(text):
    return [json.loads(line) for line in text.splitlines()]


# --- the page


def test_the_page_needs_nothing_from_elsewhere(web):
    status, headers, body = get(web)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "http://" not in body.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in body
    assert "src=" not in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert get(web, "/index.html?x=1")[0] == 200


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/page.html", "//", "/directions/x"])
def test_there_is_nothing_else(web, path):
    assert get(web, path)[0] == 404


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:80", "localhost.evil.example", ""),
        *("localhost:80; script-src *", "localhost:port", "localhost/a", "me@localhost"),
        *("127.0.0.1:\xff", "[::1", "[::1%\xff]", "[localhost]", "localhost, localhost"),
    ],
)
def test_a_name_that_is_not_ours_gets_nothing(web, host):
    """DNS rebinding: a page of evil.example whose name now points at 127.0.0.1."""
    status, _, body = get(web, Host=host)
    assert status == 403
    assert "<html" not in body


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "192.168.1.7:80", "[::1]:80"])
def test_our_names_and_addresses_get_the_page(web, host):
    assert get(web, Host=host)[0] == 200


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("path", [b"/", b"/directions", b"/nothing"])
@pytest.mark.parametrize("other", [b"localhost", b"evil.example"])
def test_a_request_under_two_names_is_no_request(web, method, path, other):
    status, body = answer(
        web, b"%b %b HTTP/1.1\r\nHost: localhost\r\nhost: %b\r\n\r\n" % (method, path, other)
    )
    assert status == 400
    assert body == (b"Only one Host header is allowed.\n" if method == b"GET" else b"")


def test_a_socket_for_two_origins_is_no_request(web):
    own = f"http://127.0.0.1:{web.address.port}"
    status, body = answer(web, opening(f"Origin: {own}\r\nOrigin: {own}\r\n".encode()))
    assert (status, body) == (400, b"Only one Origin header is allowed.\n")


@pytest.mark.parametrize("origin", [b"http://[", b"http://[::1", b"null", b"//", b"\xff", b""])
def test_an_origin_that_is_none_gets_no_socket(web, origin):
    status, body = answer(web, opening(b"Origin: " + origin + b"\r\n"))
    assert (status, body) == (403, b"Only for pages from here.\n")


def test_a_further_name_can_be_given():
    sink = WebSink(Address("127.0.0.1", 0), names=["doa.example"])
    assert get(sink, Host="DOA.example:8000")[0] == 200
    sink.close()


# --- the socket


def test_several_clients_get_every_message_and_what_was_before(web):
    web.send(estimate(1.0))
    web.send({"time_s": 1.5, "event": "gap", "reason": "lost", "lost_s": 0.5})
    with connect(socket_url(web)) as first, connect(socket_url(web)) as second:
        for client in (first, second):
            assert [m["time_s"] for m in messages(client.recv(HANG_S))] == [1.0, 1.5]
        assert wait_until(lambda: len(web._clients) == 2)
        web.send(estimate(2.0))
        for client in (first, second):
            assert messages(client.recv(HANG_S)) == [estimate(2.0)]


def test_a_page_from_elsewhere_gets_no_socket(web):
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket_url(web), origin="http://evil.example")
    own = f"http://127.0.0.1:{web.address.port}"
    with connect(socket_url(web), origin=own):
        pass


def test_port_that_is_taken_says_so(web):
    with pytest.raises(OSError, match=r"--web cannot listen at 127\.0\.0\.1"):
        WebSink(web.address)


# --- hostile clients


def raw_client(web):
    return socket.create_connection(("127.0.0.1", web.address.port), HANG_S)


def opening(headers=b""):
    """A request for the socket, with further headers."""
    return (
        b"GET /directions HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" + headers + b""
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )


def answer(web, request):
    """Status and body of what is answered to these bytes."""
    with raw_client(web) as client:
        client.sendall(request)
        head, _, body = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def raw_websocket(web):
    """A socket after the handshake, to send frames that no library would."""
    client = raw_client(web)
    client.sendall(opening())
    answer = client.recv(4096)
    if b"101" not in answer:
        client.close()
        raise AssertionError(answer)
    return client


def is_ended(client):
    client.settimeout(HANG_S)
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True


def still_serves(web):
    with connect(socket_url(web)) as client:
        own = client.local_address
        assert wait_until(lambda: any(other.remote_address == own for other in web._clients))
        web.send(estimate(99.0))
        while messages(client.recv(HANG_S))[-1]["time_s"] != 99.0:
            pass
    return True


def test_garbage_and_huge_frames_end_that_client_only(web):
    garbage = raw_client(web)
    garbage.sendall(os.urandom(100_000))
    header = raw_client(web)
    header.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + 100_000 * b"a")
    huge = raw_websocket(web)
    huge.sendall(b"\x82\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0")
    unmasked = raw_websocket(web)
    unmasked.sendall(b"\x81\x05hello")
    for client in (garbage, header, huge, unmasked):
        assert is_ended(client)
        client.close()
    with connect(socket_url(web)) as long:
        long.send(2000 * "x")
        with pytest.raises(ConnectionClosed, match="too big"):
            long.recv(HANG_S)
    assert still_serves(web)


def test_a_slow_handshake_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.network.web.HANDSHAKE_SECONDS", 3.0)
    sink = WebSink(Address("127.0.0.1", 0))
    slow = raw_client(sink)
    slow.settimeout(0.05)
    sent = bytearray(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
    slow.sendall(sent)

    def is_let_go():
        try:
            slow.sendall(b"a")
            sent.append(0)
            return slow.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    assert wait_until(is_let_go)
    assert len(sent) > 50  # not at once
    slow.close()
    assert still_serves(sink)
    sink.close()


def test_two_hundred_clients_and_those_that_went_without_a_word(web):
    crowd = []
    refused = 0
    for _ in range(200):
        try:
            crowd.append(raw_websocket(web))
        except AssertionError:
            refused += 1
    assert len(crowd) == 32
    assert refused == 168
    sent = threading.Thread(target=lambda: [web.send(estimate(n)) for n in range(20)], daemon=True)
    sent.start()
    sent.join(HANG_S)
    assert not sent.is_alive()  # a client that is waited for never reads
    for client in crowd:
        client.close()
    assert wait_until(lambda: not web._clients)
    assert still_serves(web)


def test_a_client_that_reads_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.network.server.STALLED_SECONDS", 0.3)
    monkeypatch.setattr("doa_edge.sinks.network.web.HISTORY", 2)  # of what is long here
    web = WebSink(Address("127.0.0.1", 0))
    deaf = raw_websocket(web)
    assert wait_until(lambda: len(web._clients) == 1)
    long = {"time_s": 1.0, "event": "gap", "detail": 20_000 * "x"}

    def let_go():
        web.send(long)
        time.sleep(0.001)
        return not web._clients

    assert wait_until(let_go)
    assert web.dropped > 0
    deaf.close()
    assert still_serves(web)
    web.close()


# --- a real browser


def pointer(browser):
    """Where the compass points, from the picture itself: right and up of its middle."""
    return browser.evaluate(
        "(() => { const tip = document.getElementById('needle').getBoundingClientRect(),"
        " ear = document.getElementById('ear').getBoundingClientRect();"
        " return {x: tip.x + tip.width / 2 - ear.x - ear.width / 2,"
        " y: ear.y + ear.height / 2 - tip.y - tip.height / 2}; })()"
    )


def send_and_see(web, browser, message):
    web.send(message)
    browser.wait_for(f"document.getElementById('time').textContent === '{message['time_s']:.1f} s'")


@pytest.mark.slow
def test_a_browser_shows_where_the_voice_is(web, browser):
    browser.size(1100, 760)
    browser.problems.clear()
    browser.open(web.url)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    send_and_see(web, browser, estimate(1.0, azimuth_deg=90.0, elevation_deg=0.0))
    left = pointer(browser)
    assert left["x"] < -50
    assert abs(left["y"]) < 3
    send_and_see(web, browser, estimate(2.0, azimuth_deg=0.0, elevation_deg=0.0))
    ahead = pointer(browser)
    assert ahead["y"] > 50
    assert abs(ahead["x"]) < 3
    send_and_see(web, browser, estimate(3.0, azimuth_deg=-90.0, elevation_deg=60.0))
    high = pointer(browser)
    assert 10 < high["x"] < 0.6 * ahead["y"]  # up is towards the middle
    assert browser.evaluate("document.getElementById('azimuth').textContent") == "\N{MINUS SIGN}90°"
    assert browser.evaluate("document.getElementById('voice').textContent") == "voice"
    label = browser.evaluate("document.getElementById('compass').getAttribute('aria-label')")
    assert label == "Voice 90 degrees to the right, 60 degrees up"
    assert browser.evaluate("document.querySelectorAll('#trail circle').length") == 3
    send_and_see(web, browser, estimate(4.0, active=False))
    assert browser.evaluate("document.getElementById('voice').textContent") == "quiet"
    assert browser.evaluate("document.querySelectorAll('#trail circle').length") == 3
    web.send({"time_s": 5.0, "event": "gap", "reason": "<b>lost</b>", "lost_s": 0.5})
    browser.wait_for("document.querySelectorAll('#events li').length === 1")
    assert "<b>lost</b>" in browser.evaluate("document.querySelector('#events li').textContent")
    assert browser.problems == []  # nothing was blocked, nothing thrown


@pytest.mark.slow
def test_a_browser_finds_its_way_back(web, browser):
    browser.open(web.url)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    web.close()
    browser.wait_for("document.getElementById('link').textContent.startsWith('no connection')")
    again = WebSink(web.address)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    send_and_see(again, browser, estimate(7.0))
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone(web, browser, dark, tmp_path):
    browser.size(360, 740, dark=dark, scale=2)
    browser.open(web.url)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    send_and_see(web, browser, estimate(1.0))
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    unlabelled = browser.evaluate(
        "[...document.querySelectorAll('[role=img], section, meter')].filter(node =>"
        " !node.getAttribute('aria-label') && !node.getAttribute('aria-labelledby')).length"
    )
    assert unlabelled == 0
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(16, 22, 28)" if dark else "rgb(244, 246, 248)")
    browser.screenshot(tmp_path / "phone.png")
    assert (tmp_path / "phone.png").stat().st_size > 10_000


def test_a_browser_shows_the_time_of_day_where_it_is_known(web, browser):
    browser.open(web.url)
    browser.problems.clear()
    send_and_see(web, browser, estimate(4.0))
    shown = "document.getElementById('{}').textContent"
    assert browser.evaluate(shown.format("time-name")) == "Stream time"
    web.send({**estimate(5.0), "time": "2026-11-30T12:00:05.123+01:00"})
    browser.wait_for(f"{shown.format('time')} === '12:00:05'")
    assert browser.evaluate(shown.format("time-name")) == "Time"
    step = {"time_s": 6.0, "event": "clock_stepped", "by_s": 3600.0}
    web.send({**step, "time": "2026-11-30T13:00:06.123+01:00"})
    listed = "document.querySelector('#events li')?.textContent"
    browser.wait_for(f"{listed} === '13:00:06  clock_stepped: by s 3600'")
    assert browser.problems == []
