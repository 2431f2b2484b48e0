"""The name of a microphone: in every message, in topics and prefixes, under which its page is."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys

import pytest

from doa_edge.commands.main import main
from doa_edge.commands.parser import parse_options
from doa_edge.sinks.hub import Hub
from doa_edge.sinks.network.address import Address, host_name, microphone_name
from doa_edge.sinks.network.tcp import odas_line
from doa_edge.sinks.stages import message_stages
from tests.edge.broker import Listener
from tests.edge.sinks.test_web import estimate, get, send_and_see
from tests.processes import wait_until

GAP = {"time_s": 2.0, "event": "gap", "reason": "lost", "lost_s": 0.25}


class Kept:
    """A sink that keeps what it is given, and has missed as many."""

    name = "kept"
    dropped = 0

    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(message)

    def close(self):
        pass


# --- in every message


def test_every_message_has_the_name_and_nothing_else_changes():
    sink = Kept()
    with Hub([sink], stages=message_stages(parse_options(["run", "--name", "door"]))) as hub:
        hub.send(estimate())
        hub.send(GAP)
        sink.dropped = 3
        hub.send(estimate(11.0))
        sink.dropped = 0
    dropped = {"time_s": 11.0, "event": "dropped", "output": "kept", "messages": 3}
    expected = [estimate(), GAP, estimate(11.0), dropped]
    assert sink.messages == [{**message, "name": "door"} for message in expected]
    assert list(sink.messages[0])[-1] == "name"


def test_without_a_name_messages_are_what_they_were():
    assert list(message_stages(parse_options(["run"]))) == []


def test_odas_lines_have_the_name():
    line = json.loads(odas_line({**estimate(), "name": "door"}, hop_seconds=0.032))
    assert list(line) == ["timeStamp", "time_s", "level_dbfs", "name", "src"]
    assert json.loads(odas_line({**GAP, "name": "door"}, hop_seconds=0.032))["name"] == "door"
    assert "name" not in odas_line(estimate(), hop_seconds=0.032)


@pytest.mark.parametrize("text", ["door", "Door-2", "0", "a" * 63])
def test_names_that_a_host_can_have(text):
    assert microphone_name(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-door", "door-", "a" * 64, "front door", "a.b", "a_b", "a/b", "Tür", "a+", "a\n", "a\0"],
)
def test_other_names_are_refused(text, capsys):
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        microphone_name(text)
    assert str(refused.value) == (
        "must have 1 to 63 letters a to z, digits and hyphens, and no hyphen first or last. "
        f"Received: {text!r}"
    )
    assert main(["run", f"--name={text}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("doa_edge run: --name must have 1 to 63 letters")
    assert len(told.splitlines()) == 1


def test_a_name_from_a_file(tmp_path, write_wave, no_network, capsys):
    write_wave(40.0, 20.0)
    path = tmp_path / "doa.toml"
    path.write_text('input = "wave.wav"\nname = "door"\n')
    assert main(["run", "--config", str(path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["name"] for line in lines} == {"door"}
    path.write_text('input = "wave.wav"\nname = "front door"\n')
    assert main(["run", "--config", str(path)]) == 2
    assert "`name` must have 1 to 63 letters" in capsys.readouterr().err


# --- discovery from a file and from the command line


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", "homeassistant"), ("false", None), ('"ha"', "ha"), ("1", "1")],
)
def test_discovery_in_a_file(tmp_path, text, expected):
    path = tmp_path / "doa.toml"
    path.write_text(f"mqtt-discovery = {text}\n")
    assert parse_options(["run", "--config", str(path)]).mqtt_discovery == expected


def test_discovery_on_the_command_line():
    assert parse_options(["run", "--mqtt-discovery"]).mqtt_discovery == "homeassistant"
    assert parse_options(["run", "--mqtt-discovery", "ha"]).mqtt_discovery == "ha"
    assert parse_options(["run", "a.wav", "--mqtt-discovery"]).input == "a.wav"
    assert parse_options(["run"]).mqtt_discovery is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mqtt-discovery"], "--mqtt-discovery needs a broker: add --mqtt HOST"),
        (
            ["--mqtt", "localhost", "--mqtt-discovery", "a/#"],
            "The prefix of --mqtt-discovery must be a name without + and #",
        ),
        (
            ["--mqtt", "localhost", "--mqtt-topic", "homeassistant", "--mqtt-discovery"],
            "choose another --mqtt-topic. Received: 'homeassistant'",
        ),
    ],
)
def test_what_is_wrong_with_discovery_is_one_line(arguments, words, write_wave, no_network, capsys):
    pytest.importorskip("paho.mqtt.client")
    assert main(["run", str(write_wave(40.0, 20.0)), *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_recording_behind_discovery_is_not_taken_for_a_prefix(write_wave, no_network, capsys):
    path = write_wave(40.0, 20.0)
    assert main(["run", "--mqtt", "localhost", "--mqtt-discovery", str(path)]) == 2
    assert "name the recording before it" in capsys.readouterr().err


def test_a_named_microphone_in_home_assistant(broker, plane_wave):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("paho.mqtt.client")
    listener = Listener(broker.port)
    sound = (plane_wave(40.0, 20.0, seconds=1.0) * 32767).astype("<i2").tobytes()
    command = ["run", "--input", "-", "--encoding", "s16le", "--rate", "16000", "--margin", "0"]
    place = ["--name", "door", "--mqtt", f"127.0.0.1:{broker.port}", "--mqtt-discovery"]
    run = subprocess.Popen(
        [sys.executable, "-m", "doa_edge", *command, "--confidence", "0", *place],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )

    def talks():
        run.stdin.write(sound)
        return any(json.loads(state)["active"] for state in listener.of("doa/door/state"))

    assert wait_until(talks, 60)
    run.stdin.close()
    assert run.wait(60) == 0
    assert wait_until(lambda: listener.of("doa/door/status") == ["online", "offline"])
    (config,) = [topic for topic, *_ in listener.heard if topic.startswith("homeassistant/")]
    device = json.loads(listener.of(config)[0])["device"]
    assert device["name"] == "door"
    assert device["model"] == "Ambisonic microphone, network default"
    directions = [json.loads(payload) for payload in listener.of("doa/door/direction")]
    assert {direction["name"] for direction in directions} == {"door"}
    assert json.loads(listener.of("doa/door/state")[-1])["active"] is False
    listener.close()


# --- the page


@pytest.fixture
def office(monkeypatch):
    """A page of a machine that is called office.lan."""
    pytest.importorskip("websockets")
    from doa_edge.sinks.network.web import WebSink

    monkeypatch.setattr(socket, "gethostname", lambda: "Office.lan")
    sink = WebSink(Address("127.0.0.1", 0), names=["door", "door.local", "lab-2.example"])
    yield sink
    sink.close()


@pytest.mark.parametrize(
    "host",
    [
        *("office.lan", "office.local", "OFFICE.local:8080", "door", "door.local:80"),
        *("office-2.local", "office-13.local:8080", "door-2.local"),  # when two have one name
    ],
)
def test_names_that_multicast_dns_gives_us_get_the_page(office, host):
    assert get(office, Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.local", "office2.local", "office-.local", "office-x.local", "office-2.lan"),
        *("evil-2.local", "office-2.local.evil.example", "lab.example", "lab-3.example"),
        *("a.office.local", "office-2-3.local", "office-\uff12.local", ".local", "-2.local"),
    ],
)
def test_names_of_others_get_nothing(office, host):
    assert get(office, Host=host.encode())[0] in (400, 403)


@pytest.mark.parametrize("text", ["doa.example", "office.local", "10.0.0.1", "door"])
def test_further_names_of_the_page(text):
    assert host_name(text) == text


def test_a_browser_asks_for_names_of_other_letters_in_ascii():
    assert host_name("Küche.local") == "xn--kche-0ra.local"


@pytest.mark.parametrize(
    "text",
    [
        "http://doa.example",
        "doa.example:8080",
        "doa.example/",
        "",
        "a..b",
        "a b",
        "me@doa",
        "[::1]",
    ],
)
def test_what_is_no_name_of_a_page_is_refused(text, capsys):
    assert main(["run", f"--web-name={text}"]) == 2
    told = capsys.readouterr().err
    assert "--web-name must be a host name without scheme and port, such as doa.example" in told
    assert len(told.splitlines()) == 1


@pytest.mark.slow
def test_a_browser_shows_the_name(web, browser):
    browser.call("Page.navigate", url="about:blank")
    browser.problems.clear()
    browser.open(web.url)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    assert browser.evaluate("document.title") == "Where is the voice? · doa_edge"
    send_and_see(web, browser, {**estimate(1.0), "name": "door"})
    web.send({**GAP, "name": "door"})
    browser.wait_for("document.querySelector('#events li') !== null")
    assert browser.evaluate("document.title") == "door · Where is the voice? · doa_edge"
    heading = browser.evaluate("document.querySelector('h1').innerText")
    assert heading == "Where is the voice? door"
    assert "door" not in browser.evaluate("document.querySelector('#events li').textContent")
    assert browser.problems == []
