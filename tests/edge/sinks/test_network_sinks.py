"""Network sinks against real peers: UDP and TCP sockets, hostile ones among them."""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import time

import pytest

from doa_core.errors import InputError
from doa_edge.sinks.network.address import (
    Address,
    broker_address,
    listening_address,
    receiving_address,
)
from doa_edge.sinks.network.tcp import TcpClientSink, TcpServerSink, odas_line
from tests.edge.sinks.test_sinks import GAP, HOP_SECONDS, estimate
from tests.processes import wait_until


def told(capsys):
    """Lines on standard error so far."""
    return capsys.readouterr().err.splitlines()


# --- OSC


def read_osc(server, count):
    osc_message = pytest.importorskip("pythonosc.osc_message")
    messages = []
    for _ in range(count):
        message = osc_message.OscMessage(server.recv(2048))
        messages.append((message.address, message.params))
    return messages


def osc_sink(udp, **options):
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    return OscSink(Address("127.0.0.1", udp.getsockname()[1]), **options)


def test_osc_messages_of_an_estimate(udp):
    sink = osc_sink(udp)
    sink.send(estimate())
    assert read_osc(udp, 7) == [
        ("/doa/azimuth", [90.0]),
        ("/doa/elevation", [30.0]),
        ("/doa/aed", [90.0, 30.0, 1.0]),
        ("/doa/confidence", [0.75]),
        ("/doa/level", [-20.5]),
        ("/doa/time", [0.832]),
        ("/doa/active", [1]),
    ]
    sink.close()


def test_osc_pointer_rests_while_nobody_speaks(udp):
    sink = osc_sink(udp, prefix="/StereoEncoder")
    sink.send(estimate(active=False))
    addresses = [address for address, _ in read_osc(udp, 4)]
    assert addresses == [
        f"/StereoEncoder/{name}" for name in ["confidence", "level", "time", "active"]
    ]
    sink.close()


def test_osc_event(udp):
    sink = osc_sink(udp)
    sink.send(GAP)
    ((address, (name, text)),) = read_osc(udp, 1)
    assert (address, name, json.loads(text)) == ("/doa/event", "gap", GAP)
    sink.close()


def test_osc_to_nobody_is_counted_and_goes_on(udp):
    sink = osc_sink(udp)
    udp.close()
    for number in range(20):
        sink.send(estimate(number))
        time.sleep(0.001)
    assert sink.dropped > 0  # ICMP tells that the port is closed
    sink.close()


@pytest.mark.parametrize("prefix", ["doa", "/", "/doa/", "/a b", "/a*", "/ä", ""])
def test_osc_prefix_is_checked(udp, prefix):
    with pytest.raises(ValueError, match="OSC prefix must start with /"):
        osc_sink(udp, prefix=prefix)


# --- TCP in the layout of ODAS


def read_lines(client, count):
    file = client.makefile("r")
    return [json.loads(file.readline()) for _ in range(count)]


def connected(sink, count=1):
    before = len(sink._clients)
    clients = [socket.create_connection(("127.0.0.1", sink.address.port), 5) for _ in range(count)]
    assert wait_until(lambda: len(sink._clients) == before + count)
    return clients


@pytest.fixture
def tcp():
    sink = TcpServerSink(Address("127.0.0.1", 0), hop_seconds=HOP_SECONDS)
    yield sink
    sink.close()


def test_tcp_clients_get_unit_vectors(tcp):
    clients = connected(tcp, 3)
    tcp.send(estimate())
    tcp.send(estimate(1, active=False))
    tcp.send(GAP)
    for client in clients:
        voice, quiet, gap = read_lines(client, 3)
        assert voice["timeStamp"] == 26
        (source,) = voice["src"]
        assert source["id"] == 1
        assert source["x"] == pytest.approx(0.0, abs=1e-4)
        assert source["y"] == pytest.approx(math.cos(math.radians(30)), abs=1e-4)
        assert source["z"] == pytest.approx(0.5, abs=1e-4)
        assert source["activity"] == 0.75
        assert quiet["src"] == [{"id": 0, "tag": "", "x": 0, "y": 0, "z": 0, "activity": 0}]
        assert gap["src"] == []
        assert gap["event"] == "gap"
        client.close()


def test_the_stream_can_be_parted_as_the_viewer_of_odas_parts_it():
    """It splits at "}\\n{" and looks at the second and third character from the end of a part."""
    stream = "".join(
        odas_line(message, hop_seconds=HOP_SECONDS)
        for message in (estimate(), estimate(1, active=False), estimate(2), GAP, estimate(3))
    )
    parts = stream.split("}\n{")
    assert len(parts) == 5
    for part in parts[:-1]:  # the last one waits for more
        whole = part if part[0] == "{" else "{" + part
        if whole[-2] != "}" and whole[-3] != "}":
            whole += "}"
        assert "src" in json.loads(whole)


def test_tcp_port_that_is_taken_says_so(tcp):
    with pytest.raises(OSError, match=f"--tcp cannot listen at 127.0.0.1:{tcp.address.port}"):
        TcpServerSink(tcp.address, hop_seconds=HOP_SECONDS)


def test_tcp_client_that_reads_nothing_delays_nobody_and_is_let_go(tcp, monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.network.server.STALLED_SECONDS", 0.3)
    deaf, good = connected(tcp, 2)
    reader = good.makefile("r")
    long = {**GAP, "detail": 20_000 * "x"}
    received = 0
    for _ in range(400):  # 8 MB: more than both sockets' buffers hold
        tcp.send(long)
        received += reader.readline().startswith('{"timeStamp"')
    assert received == 400
    assert tcp.dropped > 0

    def let_go():
        tcp.send(long)
        reader.readline()
        return len(tcp._clients) == 1

    assert wait_until(let_go)
    deaf.close()
    good.close()


def test_tcp_survives_hostile_clients(tcp):
    """Garbage, silence, half a goodbye, a reset, and two hundred at once."""
    (good,) = connected(tcp, 1)
    garbage, half, reset, silent = connected(tcp, 4)
    garbage.sendall(os.urandom(1_000_000))
    half.shutdown(socket.SHUT_WR)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    reset.close()
    crowd = []
    for _ in range(200):
        crowd.append(socket.create_connection(("127.0.0.1", tcp.address.port), 5))
    assert wait_until(lambda: len(tcp._clients) == 32)  # no more than those are kept
    tcp.send(estimate())
    assert read_lines(good, 1)[0]["src"][0]["id"] == 1
    for client in [*crowd, garbage, half, silent]:
        client.close()
    assert wait_until(lambda: len(tcp._clients) == 1)
    (late,) = connected(tcp, 1)
    tcp.send(estimate())
    assert read_lines(late, 1)[0]["src"][0]["id"] == 1
    late.close()
    good.close()


def test_closing_the_server_says_goodbye_and_frees_the_port():
    sink = TcpServerSink(Address("127.0.0.1", 0), hop_seconds=HOP_SECONDS)
    (client,) = connected(sink, 1)
    sink.send(estimate())
    sink.close()
    assert client.makefile("r").read().count("\n") == 1  # what was sent, then the end
    client.close()
    TcpServerSink(sink.address, hop_seconds=HOP_SECONDS).close()


def kept(port=0):
    """A socket at a port, which nobody else can have meanwhile, but does not listen yet."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


def test_tcp_connect_finds_its_way_back(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.network.tcp.RECONNECT_SECONDS", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    sink = TcpClientSink(Address("127.0.0.1", port), hop_seconds=HOP_SECONDS)
    sink.send(estimate())
    peer, _ = listener.accept()
    assert read_lines(peer, 1)[0]["src"][0]["id"] == 1
    peer.close()
    listener.close()
    listener = kept(port)
    assert wait_until(lambda: sink.send(estimate()) or sink.dropped > 0)
    listener.listen()
    assert wait_until(lambda: sink.send(estimate()) or sink._socket is not None)
    peer, _ = listener.accept()
    assert read_lines(peer, 1)[0]["src"][0]["id"] == 1
    sink.close()
    peer.close()
    listener.close()


def test_an_mqtt_topic_is_checked():
    from doa_edge.sinks.network.mqtt import check_topic

    check_topic("home/attic/doa")
    for topic in ("", "/", "a/+", "#", "$SYS/x"):
        with pytest.raises(InputError, match="MQTT topic"):
            check_topic(topic)


# --- Reasons


def test_a_program_that_does_not_listen_is_told_once_and_at_once(capsys):
    server = kept()
    port = server.getsockname()[1]
    sink = TcpClientSink(Address("127.0.0.1", port), hop_seconds=HOP_SECONDS)
    sink.send(estimate())
    line = f"doa_edge: --tcp-connect cannot reach 127.0.0.1:{port}: Connection refused"
    assert told(capsys) == [line]
    sink._next_try = 0.0  # as if two seconds had gone
    sink.send(estimate())
    assert told(capsys) == []
    assert sink.dropped == 2
    with server:
        server.listen()
        sink._next_try = 0.0
        sink.send(estimate())
        connection, _ = server.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()  # a reset
    assert sink.dropped == 2
    sink.send(estimate())
    (line,) = told(capsys)
    assert line.startswith(f"doa_edge: --tcp-connect lost the connection to 127.0.0.1:{port}: ")


def test_a_host_that_is_not_known_is_said_to_be_so(capsys):
    sink = TcpClientSink(Address("no-such-host.invalid", 9000), hop_seconds=HOP_SECONDS)
    sink.send(estimate())
    (line,) = told(capsys)
    assert line.startswith("doa_edge: --tcp-connect cannot reach no-such-host.invalid:9000: ")
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    with pytest.raises(OSError, match=r"--osc cannot send to no-such-host\.invalid:9000: "):
        OscSink(Address("no-such-host.invalid", 9000))


NO_HOSTS = [
    "a" * 64,
    "a..b",
    ".",
    ".a",
    f"x.{'b' * 70}.org",
    ".".join(5 * ["c" * 60]),
    "\u00fc" * 60,
    "b\udcfcro",
    "a\0b",
    "a\x1b[2Jb",
    "a b",
    "300.1.1.1",
    "1.2.3.4.5",
    "[1::2::3]",
    "[a:b:c]",
]


@pytest.mark.parametrize("host", NO_HOSTS)
@pytest.mark.parametrize("read", [receiving_address, listening_address, broker_address])
def test_a_name_that_no_host_can_have_is_misuse(read, host):
    with pytest.raises(argparse.ArgumentTypeError, match=r"a host that can exist\. Received"):
        read(f"{host}:9000")
    with pytest.raises(ValueError, match="`host` must be an IP address, or a name of up to 253"):
        Address(host.strip("[]"), 9000)


HOSTS = ["a" * 63, "a.b.", "b\u00fcro.local", "under_score", "1", "127.1", "10.0.0.255", "node.5"]


@pytest.mark.parametrize("host", [*HOSTS, "[::1]", "[fe80::1%eth0]", "[::ffff:1.2.3.4]"])
def test_a_name_that_a_host_may_have_is_taken(host):
    assert receiving_address(f"{host}:9000") == Address(host.strip("[]"), 9000)


@pytest.mark.parametrize("error", [UnicodeError("label too long"), ValueError("embedded null")])
def test_whatever_a_connection_raises_is_told_and_counted(error, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    sink = TcpClientSink(Address("127.0.0.1", 9000), hop_seconds=HOP_SECONDS)
    monkeypatch.setattr(socket, "create_connection", fail)
    sink.send(estimate())
    sink.send(estimate())
    assert told(capsys) == [f"doa_edge: --tcp-connect cannot reach 127.0.0.1:9000: {error}"]
    assert sink.dropped == 2
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match=rf"--tcp cannot listen at 127\.0\.0\.1:0: {error}"):
        TcpServerSink(Address("127.0.0.1", 0), hop_seconds=HOP_SECONDS)
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    with pytest.raises(OSError, match=rf"--osc cannot send to 127\.0\.0\.1:9000: {error}"):
        OscSink(Address("127.0.0.1", 9000))


def test_osc_says_that_nobody_listens_and_goes_on(udp, capsys):
    sink = osc_sink(udp)
    port = udp.getsockname()[1]
    udp.close()
    for _ in range(4):
        sink.send(estimate())
    reason = f"doa_edge: --osc cannot reach 127.0.0.1:{port}: Connection refused"
    assert told(capsys) == [reason]
    assert sink.dropped > 0
    sink.close()


@pytest.mark.parametrize("host", ["255.255.255.255", "127.255.255.255"])
def test_osc_reaches_all_of_a_network(host):
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    sink = OscSink(Address(host, 9000))
    assert sink._socket.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    sink.close()


def test_a_broadcast_is_heard_by_several():
    hearers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for hearer in hearers:
        hearer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hearer.bind(("", hearers[0].getsockname()[1]))
        hearer.settimeout(60)
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    sink = OscSink(Address("127.255.255.255", hearers[0].getsockname()[1]))
    sink.send(estimate())
    assert [read_osc(hearer, 1)[0][0] for hearer in hearers] == ["/doa/azimuth"] * 2
    for each in (sink, *hearers):
        each.close()
