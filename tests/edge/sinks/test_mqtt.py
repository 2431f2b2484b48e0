"""MQTT through a real broker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time

import pytest

from doa_core.errors import InputError
from doa_edge.sinks.network.address import Address
from tests.edge.broker import MOSQUITTO, Broker, Listener
from tests.edge.sinks.messages import several, talker
from tests.processes import free_port, wait_until

pytest.importorskip("paho.mqtt.client")

from doa_edge.sinks.network.mqtt import PASSWORD_VARIABLE, MqttSink

ESTIMATE = {
    "time_s": 0.832,
    "azimuth_deg": 40.0,
    "elevation_deg": 20.0,
    "confidence": 0.8,
    "active": True,
    "level_dbfs": -25.0,
}
GAP = {"time_s": 2.0, "event": "gap", "reason": "lost", "lost_s": 0.25}


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_directions_events_and_status(broker, qos):
    listener = Listener(broker.port)
    sink = MqttSink(Address("127.0.0.1", broker.port), topic="attic/doa", qos=qos)
    assert wait_until(lambda: listener.of("attic/doa/status") == ["online"])
    sink.send(ESTIMATE)
    sink.send(GAP)
    assert wait_until(lambda: len(listener.heard) == 3)
    sink.close()
    assert wait_until(lambda: listener.of("attic/doa/status") == ["online", "offline"])
    assert list(map(json.loads, listener.of("attic/doa/direction"))) == [ESTIMATE]
    assert list(map(json.loads, listener.of("attic/doa/event"))) == [GAP]
    assert {level for topic, _, level, _ in listener.heard if topic != "attic/doa/status"} == {qos}
    assert sink.dropped == 0
    listener.close()
    late = Listener(broker.port)
    assert wait_until(lambda: ("attic/doa/status", "offline", qos, True) in late.heard)
    late.close()


def test_the_last_will_tells_of_a_crash(broker):
    listener = Listener(broker.port)
    sink = MqttSink(Address("127.0.0.1", broker.port))
    assert wait_until(lambda: listener.of("doa/status") == ["online"])
    sink._client.loop_stop()
    sink._client.socket().close()  # no goodbye
    assert wait_until(lambda: listener.of("doa/status") == ["online", "offline"])
    listener.close()


def test_a_broker_that_goes_and_comes_is_found_again(broker):
    sink = MqttSink(Address("127.0.0.1", broker.port))
    assert wait_until(sink._client.is_connected)
    broker.stop()
    assert wait_until(lambda: not sink._client.is_connected())
    for _ in range(100):
        sink.send(ESTIMATE)
    assert sink.dropped == 100
    broker.start()
    assert wait_until(sink._client.is_connected, 20)
    listener = Listener(broker.port)
    sink.send(ESTIMATE)
    assert wait_until(lambda: len(listener.of("doa/direction")) == 1)
    sink.close()
    listener.close()


def test_without_a_broker_nothing_waits():
    sink = MqttSink(Address("127.0.0.1", free_port()))
    sink.send(ESTIMATE)
    assert sink.dropped == 1
    sink.close()


def test_the_password_comes_from_the_environment(tmp_path):
    tool = shutil.which("mosquitto_passwd")
    if MOSQUITTO is None or tool is None:
        pytest.skip("needs an MQTT broker: apt install mosquitto")
    passwords = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(passwords), "pi", "secret"], check=True)
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    lines = [f"password_file {passwords}", "allow_anonymous false", "user root"]
    broker = Broker(tmp_path, lines=lines)
    address = Address("127.0.0.1", broker.port)
    wrong = MqttSink(address, user="pi", environment={PASSWORD_VARIABLE: "guess"})
    right = MqttSink(address, user="pi", environment={PASSWORD_VARIABLE: "secret"})
    assert wait_until(right._client.is_connected)
    assert not wrong._client.is_connected()
    wrong.close()
    right.close()
    broker.stop()


# --- several voices


def test_mqtt_has_a_topic_for_each_slot(broker):
    listener = Listener(broker.port)
    sink = MqttSink(Address("127.0.0.1", broker.port))
    assert wait_until(lambda: listener.of("doa/status") == ["online"])
    two = several(0.8, talker(7, 2, 90.0, 30.0, 0.75), talker(9, 4, -90.0, 0.0, 0.5))
    alone, nobody = several(1.0, talker(9, 4, -80.0, 0.0, 0.5)), several(1.2)
    for message in (two, alone, nobody, nobody, GAP):
        sink.send(message)
    assert wait_until(lambda: listener.of("doa/event"))
    directions = [json.loads(payload) for payload in listener.of("doa/direction")]
    assert directions == [two, alone, nobody, nobody]
    assert listener.of("doa/count") == ["2", "1", "0", "0"]
    second, fourth = (list(map(json.loads, listener.of(f"doa/talker/{n}"))) for n in (2, 4))
    assert second == [two["talkers"][0], None]  # once, when the slot falls empty
    assert fourth == [two["talkers"][1], alone["talkers"][0], None]
    assert listener.of("doa/talker/1") == []
    retained = {topic for topic, _, _, retain in listener.heard if retain}
    assert retained <= {"doa/status"}
    assert sink.dropped == 0
    sink.close()
    listener.close()


def test_mqtt_tells_after_an_absence_that_a_slot_fell_empty(broker):
    sink = MqttSink(Address("127.0.0.1", broker.port))
    assert wait_until(sink._client.is_connected)
    sink.send(several(1.0, talker(1, 1, 0.0)))
    broker.stop()
    assert wait_until(lambda: not sink._client.is_connected())
    sink.send(several(2.0))  # nobody hears of it
    broker.start()
    listener = Listener(broker.port)
    assert wait_until(sink._client.is_connected, 20)
    sink.send(several(3.0))
    assert wait_until(lambda: listener.of("doa/talker/1") == ["null"])
    assert sink.dropped == 1
    sink.close()
    listener.close()


# --- Reasons


def told(capsys):
    return capsys.readouterr().err.splitlines()


class Refusing:
    """A server that answers every connection with the same bytes, and closes it."""

    def __init__(self, answer):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._answer = answer
        self.answered = 0
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.sendall(self._answer)
            self.answered += 1

    def close(self):
        self._server.close()


def test_a_broker_that_is_not_there_is_told_once_and_at_once(capsys):
    port = free_port()
    sink = MqttSink(Address("127.0.0.1", port))
    line = f"doa_edge: --mqtt cannot reach 127.0.0.1:{port}: Connection refused"
    said = []
    assert wait_until(lambda: said.extend(told(capsys)) or said)
    assert said == [line]
    time.sleep(1.5)  # another attempt
    sink.send(ESTIMATE)
    sink.close()
    assert told(capsys) == []
    assert sink.dropped == 1


def test_a_broker_whose_name_is_wrong_is_said_to_be_so(capsys):
    sink = MqttSink(Address("no-such-host.invalid", 1883))
    said = []
    assert wait_until(lambda: said.extend(told(capsys)) or said)
    assert said[0].startswith("doa_edge: --mqtt cannot reach no-such-host.invalid:1883: ")
    sink.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x20\x02\x00\x05", "is refused by {}: Not authorized"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "lost the connection to {}: "),
    ],
)
def test_a_broker_that_lets_nobody_in_is_told_once(answer, reason, capsys):
    server = Refusing(answer)
    sink = MqttSink(Address("127.0.0.1", server.port))
    said = []
    assert wait_until(lambda: said.extend(told(capsys)) or said)
    assert wait_until(lambda: server.answered > 1)  # another attempt
    said += told(capsys)
    expected = "doa_edge: --mqtt " + reason.format(f"127.0.0.1:{server.port}")
    assert len(said) == 1
    assert said[0].startswith(expected)
    sink.close()
    server.close()


@pytest.mark.parametrize(
    "packet",
    [
        b"\x20\x01\x00",  # a confirmation that is too short
        b"\x20\x02\x00\x00\x30\x03\x00\x09a",  # a topic that is longer than its packet
        b"\x20\x02\x00\x00\x30\x04\x00\x02\xff\xfe",  # a topic that is not UTF-8
        b"\x20\x02\x00\x00\x90\x01\x00",
        b"\x20\x02\x00\x00\xff\xff\xff\xff\xff",
        b"\xf0\x00",
    ],
)
def test_a_broker_that_sends_rubbish_is_told_and_tried_again(packet, monkeypatch, capsys):
    monkeypatch.setattr("doa_edge.sinks.network.mqtt.PAUSE", 0.01)
    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    server = Refusing(packet)
    sink = MqttSink(Address("127.0.0.1", server.port))
    said = []
    assert wait_until(lambda: said.extend(told(capsys)) or said)
    assert wait_until(lambda: server.answered > 1)
    sink.send(ESTIMATE)
    sink.close()
    server.close()
    assert failed == []
    assert all(line.startswith("doa_edge: --mqtt ") for line in said)
    assert f"127.0.0.1:{server.port}" in said[0]


def test_what_a_connection_raises_does_not_end_its_thread(monkeypatch, capsys):
    def fail(*_, **__):
        raise UnicodeError("label too long")

    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    monkeypatch.setattr("doa_edge.sinks.network.mqtt.PAUSE", 0.01)
    monkeypatch.setattr(socket, "create_connection", fail)
    sink = MqttSink(Address("127.0.0.1", 1883))
    said = []
    assert wait_until(lambda: said.extend(told(capsys)) or said)
    assert said == ["doa_edge: --mqtt cannot reach 127.0.0.1:1883: label too long"]
    sink.send(ESTIMATE)
    assert sink._client._thread.is_alive()
    sink.close()
    assert sink.dropped == 1
    assert failed == []


def test_texts_that_no_packet_can_carry_are_refused():
    address, long = Address("127.0.0.1", 1883), "\u00fc" * 32_768
    size = "must have up to 65535 bytes of UTF-8. Received: 65"
    with pytest.raises(InputError, match=f"--mqtt-user {size}536 bytes"):
        MqttSink(address, user=long)
    with pytest.raises(InputError, match=f"{PASSWORD_VARIABLE} {size}536 bytes"):
        MqttSink(address, user="me", environment={PASSWORD_VARIABLE: long})
    with pytest.raises(InputError, match=f"The MQTT topic, with what follows it, {size}546 bytes"):
        MqttSink(address, topic=long)


def test_a_broker_that_never_answers_is_told_at_the_end(capsys):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        sink = MqttSink(Address("127.0.0.1", deaf.getsockname()[1]))
        sink.send(ESTIMATE)
        sink.close()
        assert told(capsys) == [
            f"doa_edge: --mqtt cannot reach 127.0.0.1:{deaf.getsockname()[1]}: no answer so far"
        ]
