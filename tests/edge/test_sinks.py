"""Sinks against real peers: files, UDP and TCP sockets, and a queue that nobody waits for."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
import socket
import threading
import time

import pytest

from doa_edge.address import Address
from doa_edge.errors import InputError
from doa_edge.sinks.hub import Hub
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.sink import Queued
from doa_edge.sinks.tcp import TcpClientSink, TcpServerSink, odas_line

HOP_SECONDS = 0.032


def estimate(number=0, *, azimuth_deg=90.0, elevation_deg=30.0, active=True):
    return {
        "time_s": 0.832 + 0.16 * number,
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "confidence": 0.75,
        "active": active,
        "level_dbfs": -20.5,
    }


GAP = {"time_s": 2.0, "event": "gap", "reason": "overrun", "lost_s": 0.25}


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- files


def test_a_file_holds_every_message_as_a_line(tmp_path):
    sink = FileSink(tmp_path / "track.jsonl")
    sink.send(estimate())
    assert lines(tmp_path / "track.jsonl") == [estimate()]  # at once, not when it is closed
    sink.send(GAP)
    sink.close()
    assert lines(tmp_path / "track.jsonl") == [estimate(), GAP]


def test_lines_are_added_to_a_file_that_exists(tmp_path):
    path = tmp_path / "track.jsonl"
    path.write_text('{"time_s": 1}\n{"time_')  # the power went
    sink = FileSink(path)
    sink.send(estimate())
    sink.close()
    assert path.read_text().splitlines()[:2] == ['{"time_s": 1}', '{"time_']
    assert json.loads(path.read_text().splitlines()[2]) == estimate()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_files_are_rotated_by_size_and_count(tmp_path, count):
    path = tmp_path / "track.jsonl"
    length = len(json.dumps(estimate())) + 1
    sink = FileSink(path, size=3 * length + length // 2, count=count)
    for number in range(20):
        sink.send({**estimate(), "time_s": 0.832 + number / 1000 + 0.0001})
    sink.close()
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["track.jsonl", *(f"track.jsonl.{n}" for n in range(1, count + 1))]
    kept = []
    for name in [*(f"track.jsonl.{n}" for n in range(count, 0, -1)), "track.jsonl"]:
        assert (tmp_path / name).stat().st_size <= 3.5 * length
        kept += lines(tmp_path / name)
    times = [message["time_s"] for message in kept]
    assert times == sorted(times)
    assert len(times) == 3 * count + 2  # the newest, nothing in between is lost
    assert times[-1] == pytest.approx(0.8511)


def test_a_device_is_written_and_never_rotated():
    sink = FileSink(os.devnull, size=1)
    for number in range(3):
        sink.send(estimate(number))
    sink.close()
    assert not os.path.isfile(os.devnull)


def test_a_disk_that_is_full_leaves_whole_lines(tmp_path):
    """RLIMIT_FSIZE makes the kernel cut a write short, as a disk does that fills up."""
    path = tmp_path / "track.jsonl"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        sink = FileSink(path)
        try:
            for number in range(100):
                sink.send(estimate(number))
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == errno.EFBIG
    text = path.read_text()
    assert text.endswith("}\n")
    assert 700 < len(text) <= 1000
    assert [message["time_s"] for message in lines(path)][:2] == [0.832, 0.832 + 0.16]


def test_a_full_device_is_an_error():
    sink = FileSink("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        sink.send(estimate())


@pytest.mark.parametrize(("size", "count"), [(0, 1), (10, -1)])
def test_rotation_is_checked(tmp_path, size, count):
    with pytest.raises(ValueError, match="or more"):
        FileSink(tmp_path / "x", size=size, count=count)


# --- the queue


class SlowSink:
    name = "slow"
    dropped = 0

    def __init__(self):
        self.open = threading.Event()
        self.taken = []
        self.closed = False

    def send(self, message):
        self.open.wait(10)
        self.taken.append(message["time_s"])

    def close(self):
        self.closed = True


def test_a_slow_receiver_delays_nobody_and_gets_the_newest():
    slow = SlowSink()
    queued = Queued(slow, length=10)
    started = time.perf_counter()
    for number in range(1000):
        queued.send(estimate(number))
    assert time.perf_counter() - started < 0.5  # nobody waited; 10 ms on an idle machine
    slow.open.set()
    queued.close()
    assert slow.closed
    newest = [estimate(number)["time_s"] for number in range(991, 1000)]
    assert slow.taken[-9:] == newest
    assert len(slow.taken) <= 12  # the queue, and what was in the sink's hands
    # The last place in the queue went to the word that it ends.
    assert queued.dropped + len(slow.taken) == 1000


def test_a_receiver_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.sink.CLOSE_SECONDS", 0.2)
    slow = SlowSink()
    queued = Queued(slow, length=10)
    for number in range(5):
        queued.send(estimate(number))
    started = time.perf_counter()
    queued.close()
    assert time.perf_counter() - started < 1.0
    assert queued.dropped >= 4
    slow.open.set()


def test_what_fails_in_the_thread_is_raised_by_the_next_send(tmp_path):
    queued = Queued(FileSink("/dev/full"))
    queued.send(estimate())
    assert wait_until(lambda: queued._error is not None)
    with pytest.raises(OSError, match="No space left"):
        queued.send(estimate())
    with pytest.raises(OSError, match="No space left"):
        queued.close()


# --- the hub


class Recorder:
    def __init__(self, name="recorder"):
        self.name = name
        self.dropped = 0
        self.messages = []
        self.closed = False

    def send(self, message):
        self.messages.append(message)

    def close(self):
        self.closed = True


def test_the_hub_serves_all_and_reports_what_was_dropped(capsys):
    good, bad = Recorder("out"), Recorder("osc")
    with Hub([good, bad]) as hub:
        hub.send(estimate(0))
        bad.dropped = 7
        hub.send({**estimate(), "time_s": 10.5})
        hub.send({**estimate(), "time_s": 11.0})
    assert good.messages[2] == {
        "time_s": 10.5,
        "event": "dropped",
        "output": "osc",
        "messages": 7,
    }
    assert len(good.messages) == 4
    assert good.closed
    assert bad.closed
    assert "--osc missed 7 messages" in capsys.readouterr().err


def test_a_sink_that_cannot_be_closed_does_not_keep_the_others_open():
    class Broken(Recorder):
        def close(self):
            raise OSError("No space left on device")

    after = Recorder()
    with pytest.raises(OSError, match="No space left"), Hub([Broken(), after]) as hub:
        hub.send(estimate())
    assert after.closed


# --- OSC


def read_osc(server, count):
    osc_message = pytest.importorskip("pythonosc.osc_message")
    messages = []
    for _ in range(count):
        message = osc_message.OscMessage(server.recv(2048))
        messages.append((message.address, message.params))
    return messages


@pytest.fixture
def udp():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(5)
    yield server
    server.close()


def osc_sink(udp, **options):
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.osc import OscSink

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
    monkeypatch.setattr("doa_edge.sinks.server.STALLED_SECONDS", 0.3)
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


def test_tcp_connect_finds_its_way_back(monkeypatch):
    monkeypatch.setattr("doa_edge.sinks.tcp.RECONNECT_SECONDS", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    sink = TcpClientSink(Address("127.0.0.1", port), hop_seconds=HOP_SECONDS)
    sink.send(estimate())
    peer, _ = listener.accept()
    assert read_lines(peer, 1)[0]["src"][0]["id"] == 1
    peer.close()
    listener.close()
    for number in range(20):
        sink.send(estimate(number))
        time.sleep(0.01)
    assert sink.dropped > 0
    listener = socket.create_server(("127.0.0.1", port))
    assert wait_until(lambda: sink.send(estimate()) or sink._socket is not None)
    peer, _ = listener.accept()
    assert read_lines(peer, 1)[0]["src"][0]["id"] == 1
    sink.close()
    peer.close()
    listener.close()


def test_an_mqtt_topic_is_checked():
    from doa_edge.sinks.mqtt import check_topic

    check_topic("home/attic/doa")
    for topic in ("", "/", "a/+", "#", "$SYS/x"):
        with pytest.raises(InputError, match="MQTT topic"):
            check_topic(topic)
