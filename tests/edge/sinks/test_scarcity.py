"""Connections that hold places, methods that the page does not have, descriptors that run out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import sys

import numpy as np
import pytest

from doa_edge.estimate import VoiceSound
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.listen import ListenSink
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.server import Waiting
from doa_edge.sinks.network.tcp import TcpServerSink
from doa_edge.sinks.sink import Reasons
from doa_edge.sinks.talker_files import MOST_WAITING, TalkerFiles
from tests.edge.conftest import no_descriptor_left
from tests.edge.sinks.test_web import estimate, get, raw_client, still_serves
from tests.places import DEMO
from tests.processes import wait_until

OFFICE = DEMO / "recordings" / "office.wav"
TOO_MANY = os.strerror(errno.EMFILE)


def told(capsys):
    return capsys.readouterr().err.splitlines()


# --- connections before their handshake


class Connection:
    """What `Waiting` knows of one."""

    def __init__(self):
        self.transport = self
        self.aborted = asyncio.Event()

    def abort(self):
        self.aborted.set()


def test_the_one_that_has_waited_longest_makes_room():
    async def crowd():
        waiting = Waiting(most=3, seconds=600.0)
        connections = [Connection() for _ in range(6)]
        for connection in connections[:4]:
            waiting.add(connection)
        waiting.remove(connections[1])  # has become a client
        waiting.add(connections[4])
        assert [one.aborted.is_set() for one in connections[:5]] == [True, *4 * [False]]
        waiting.add(connections[5])
        assert [one.aborted.is_set() for one in connections] == [True, False, True, *3 * [False]]
        waiting.close()
        assert [one.aborted.is_set() for one in connections] == [True, False, *4 * [True]]

    asyncio.run(crowd())


def test_each_waits_for_so_long():
    async def wait():
        waiting = Waiting(most=3, seconds=0.01)
        connection, client = Connection(), Connection()
        waiting.add(connection)
        waiting.add(client)
        waiting.remove(client)
        await connection.aborted.wait()
        assert not client.aborted.is_set()
        waiting.close()

    asyncio.run(asyncio.wait_for(wait(), 60.0))


def test_silent_connections_shut_nobody_out(web):
    silent = [raw_client(web) for _ in range(60)]
    assert get(web)[0] == 200
    assert still_serves(web)
    for client in silent[: 60 - 16]:  # their places went to others
        client.settimeout(60)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
    for client in silent:
        client.close()


def test_an_answer_that_nobody_reads_is_not_kept(monkeypatch):
    pytest.importorskip("websockets")
    monkeypatch.setattr("doa_edge.sinks.network.web.HANDSHAKE_SECONDS", 3.0)
    from doa_edge.sinks.network.web import WebSink

    web = WebSink(Address("127.0.0.1", 0))
    web._page += 8_000_000 * b" "
    deaf = raw_client(web)
    deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert deaf.recv(10) == b"HTTP/1.1 2"
    assert wait_until(lambda: not web._waiting._timers)
    deaf.close()
    web.close()


# --- methods of the page


def ask(web, request):
    """The whole answer to the bytes of a request."""
    with raw_client(web) as client:
        for piece in request:
            client.sendall(piece)
        answer = b""
        while data := client.recv(65_536):
            answer += data
    return answer


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/index.html", 200), ("/x", 404), ("/directions", 405)]
)
def test_head_is_answered_without_a_body(web, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", web.address.port, timeout=60)
    connection.request("HEAD", path)
    response = connection.getresponse()
    assert response.status == status
    connection.close()
    answer = ask(web, [b"HEAD " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
    if status == 200:
        assert response.headers["Content-Length"] == str(len(web._page))
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_head_of_a_foreign_name_is_refused_without_a_body(web):
    answer = ask(web, [b"HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n"])
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "X"])
@pytest.mark.parametrize("path", ["/", "/directions", "/x"])
def test_no_other_method_is_allowed(web, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", web.address.port, timeout=60)
    connection.request(method, path, body=3000 * b"x")
    response = connection.getresponse()
    assert (response.status, response.read()) == (405, b"")
    assert response.headers["Allow"] == "GET, HEAD"
    connection.close()


def test_a_method_may_come_in_pieces(web):
    rest = b" / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert ask(web, [b"HE", b"AD", rest]).startswith(b"HTTP/1.1 200 OK\r\n")
    assert ask(web, [b"P", b"OST", rest[:1]]).startswith(b"HTTP/1.1 405 ")
    assert ask(web, [b"G", b"ET" + rest]).endswith(b"</html>\n")


# --- descriptors


@pytest.mark.parametrize("kind", ["web", "tcp"])
def test_a_listener_without_a_descriptor_says_so_once_and_goes_on(kind, request, capsys):
    if kind == "web":
        sink = request.getfixturevalue("web")
    else:
        sink = TcpServerSink(Address("127.0.0.1", 0), hop_seconds=0.032)
    clients = [socket.socket() for _ in range(3)]
    said = []
    with no_descriptor_left():
        for client in clients:
            client.connect(("127.0.0.1", sink.address.port))
        assert wait_until(lambda: said.extend(told(capsys)) or said)
    line = f"doa_edge: --{kind} has trouble with a connection: {TOO_MANY}"
    if kind == "web":
        assert still_serves(sink)
    else:
        assert wait_until(lambda: len(sink._clients) == 3)
    assert said + told(capsys) == [line]
    for client in clients:
        client.close()
    sink.close()


def test_a_file_that_cannot_be_rotated_grows_on(tmp_path, capsys):
    path = tmp_path / "track.jsonl"
    sink = FileSink(path, size=300, count=2)
    with no_descriptor_left():
        for number in range(10):
            sink.send(estimate(number))
        held = path.stat().st_size
    assert held > 1000
    assert [entry.name for entry in tmp_path.iterdir()] == ["track.jsonl"]
    sink.send(estimate(10))
    sink.close()
    older = path.with_name("track.jsonl.1").read_text()
    assert len(older) == held
    text = older + path.read_text()
    assert [json.loads(line)["time_s"] for line in text.splitlines()] == list(range(11))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["track.jsonl", "track.jsonl.1"]
    assert told(capsys) == [
        f"doa_edge: --out cannot begin a new file and goes on in the old one: {TOO_MANY}"
    ]


def test_a_rotation_writes_through_nobodys_link(tmp_path):
    path, other = tmp_path / "track.jsonl", tmp_path / "other"
    other.write_text("kept")
    path.with_name("track.jsonl.0").symlink_to(other)
    sink = FileSink(path, size=150, count=1)
    for number in range(2):
        sink.send(estimate(number))
    sink.close()
    assert other.read_text() == "kept"
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"other", "track.jsonl", "track.jsonl.1"}
    assert json.loads(path.read_text())["time_s"] == 1


class Listener:
    """Gives each estimate, which is a voice here, as it is."""

    def push(self, voice):
        return [voice]

    def finish(self):
        return []


def stretches(count):
    return [
        VoiceSound(id=3, start=100 * number, samples=np.full(100, number / 1000, np.float32))
        for number in range(count)
    ]


def heard(folder):
    soundfile = pytest.importorskip("soundfile")
    (path,) = folder.iterdir()
    return soundfile.read(path)[0][::100]


def listen_sink(tmp_path):
    files = TalkerFiles(tmp_path / "heard", sample_rate=16_000, size=10**7, count=10)
    return files.folder, ListenSink(files, Listener())


def test_speech_waits_for_a_descriptor(tmp_path, capsys):
    folder, sink = listen_sink(tmp_path)
    voices = stretches(30)
    sink.send(voices[0])
    with no_descriptor_left():
        for voice in voices[1:20]:
            sink.send(voice)
    for voice in voices[20:]:
        sink.send(voice)
    sink.close()
    np.testing.assert_allclose(heard(folder), np.arange(30) / 1000, atol=1 / 32768)
    assert sink.dropped == 0
    assert told(capsys) == [f"doa_edge: --listen cannot open its files and tries again: {TOO_MANY}"]


def test_speech_that_waits_too_long_is_counted(tmp_path):
    folder, sink = listen_sink(tmp_path)
    voices = stretches(MOST_WAITING + 5)
    sink.send(voices[0])
    with no_descriptor_left():
        for voice in voices[1:]:
            sink.send(voice)
        assert sink.dropped == 4
    sink.close()
    expected = np.arange(len(voices)) / 1000
    expected[1:5] = 0.0
    np.testing.assert_allclose(heard(folder), expected, atol=1 / 32768)
    assert sink.dropped == 4


def test_speech_that_never_finds_a_descriptor_is_counted(tmp_path):
    folder, sink = listen_sink(tmp_path)
    with no_descriptor_left():
        for voice in stretches(3):
            sink.send(voice)
        sink.close()
    assert sink.dropped == 3
    assert not folder.exists()


def test_another_program_that_words_each_reason_anew_is_not_quoted_for_ever(capsys):
    reasons = Reasons("mqtt")
    for number in range(100):
        reasons.tell("is refused", f"\x1b[{number}m")
    said = told(capsys)
    assert said == [f"doa_edge: --mqtt is refused: \\x1b[{number}m" for number in range(16)]


@pytest.mark.slow
def test_a_run_outlives_a_crowd_of_silent_connections(tmp_path):
    """With sixty-four descriptors for all: every line is in the files and on standard output."""
    pytest.importorskip("websockets")
    out = tmp_path / "o.jsonl"
    options = f"--realtime --web 127.0.0.1:0 --out {out} --out-size 400 --out-count 100 --json"
    process = subprocess.Popen(
        [sys.executable, "-m", "doa_edge", "run", str(OFFICE), *options.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    first = process.stderr.readline()
    port = int(re.fullmatch(r"doa_edge: live page at http://127\.0\.0\.1:(\d+)/\n", first)[1])
    crowd = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(110)]
    printed, talk = process.communicate(timeout=60)
    for client in crowd:
        client.close()
    assert process.returncode == 0
    assert len(talk.splitlines()) <= 3  # a listener, a rotation; and where the lines are
    files = sorted(tmp_path.iterdir(), key=lambda path: -int(path.suffix.strip(".jsonl") or 0))
    assert len(files) > 3
    assert "".join(path.read_text() for path in files) == printed
