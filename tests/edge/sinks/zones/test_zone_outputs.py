"""Zones in MQTT, OSC and TCP."""

from __future__ import annotations

import json
import socket

import pytest

from doa_core.errors import InputError
from doa_edge import Zone
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.tcp import TcpServerSink, odas_line
from doa_edge.zones.occupancy import ZoneStage
from tests.edge.broker import MOSQUITTO, Broker
from tests.edge.sinks.messages import several, talker
from tests.processes import wait_until

STEP_S = 0.16
ZONES = [Zone(name="desk", azimuth_deg=(-30, 30)), Zone(name="door", azimuth_deg=(80, 100))]
NAMES = ["desk", "door"]


def lines(stage, *talkers, begin_s, number=4):
    """What a stage makes of some estimates of these talkers."""
    messages = [several(round(begin_s + STEP_S * n, 3), *talkers) for n in range(number)]
    return [changed for message in messages for changed in stage(message)]


# --- MQTT


@pytest.fixture
def broker(tmp_path):
    pytest.importorskip("paho.mqtt.client")
    if MOSQUITTO is None:
        pytest.skip("needs an MQTT broker: apt install mosquitto")
    started = Broker(tmp_path)
    yield started
    started.stop()


def connected(broker, names=NAMES, **settings):
    from doa_edge.sinks.network.mqtt import MqttSink

    sink = MqttSink(Address("127.0.0.1", broker.port), **settings)
    sink.count_zones(names)
    assert wait_until(lambda: sink._greeted and sink._client.is_connected())
    return sink


def test_mqtt_keeps_how_many_are_in_each_zone(broker):
    from tests.edge.sinks.test_mqtt import Listener

    listener = Listener(broker.port)
    sink, stage = connected(broker, topic="attic/doa", qos=1), ZoneStage(ZONES)
    for message in lines(stage, talker(1, 1, 0.0), talker(2, 2, 20.0, 0.0, 0.5), begin_s=0.832):
        sink.send(message)
    assert wait_until(lambda: listener.of("attic/doa/zone/desk") == ["0", "2"])
    assert listener.of("attic/doa/zone/door") == ["0"]  # told once, as it does not change
    late = Listener(broker.port)
    assert wait_until(lambda: ("attic/doa/zone/desk", "2", 1, True) in late.heard)
    for message in lines(stage, talker(2, 2, 90.0), begin_s=1.472, number=16):
        sink.send(message)
    assert wait_until(lambda: listener.of("attic/doa/zone/door") == ["0", "1"])
    assert wait_until(lambda: listener.of("attic/doa/zone/desk") == ["0", "2", "1", "0"])
    told = [json.loads(event) for event in listener.of("attic/doa/event")]
    assert [(event["event"], event["zone"], event["id"]) for event in told] == [
        ("zone_entered", "desk", 1),
        ("zone_entered", "desk", 2),
        ("zone_left", "desk", 2),
        ("zone_entered", "door", 2),
        ("zone_left", "desk", 1),
    ]
    sink.close()
    assert wait_until(lambda: listener.of("attic/doa/zone/door") == ["0", "1", "0"])
    assert sink.dropped == 0
    late.close()
    listener.close()


def test_a_broker_that_comes_back_learns_of_all_zones(broker):
    from tests.edge.sinks.test_mqtt import Listener

    sink, stage = connected(broker), ZoneStage(ZONES)
    broker.stop()
    assert wait_until(lambda: not sink._client.is_connected())
    for message in lines(stage, talker(1, 1, 0.0), begin_s=0.832):
        sink.send(message)
    broker.start()
    assert wait_until(lambda: sink._greeted and sink._client.is_connected(), 20)
    listener = Listener(broker.port)
    for message in lines(stage, talker(1, 1, 0.0), begin_s=1.472, number=1):
        sink.send(message)
    assert wait_until(lambda: listener.of("doa/zone/desk") == ["1"])
    assert wait_until(lambda: listener.of("doa/zone/door") == ["0"])
    sink.close()
    listener.close()


def test_without_zones_mqtt_is_as_before(broker):
    from tests.edge.sinks.test_mqtt import Listener

    listener = Listener(broker.port)
    sink = connected(broker, ())
    sink.send(several(1.0, talker(1, 1, 0.0)))
    sink.close()
    assert wait_until(lambda: listener.of("doa/status") == ["online", "offline"])
    assert not [topic for topic, *_ in listener.heard if "zone" in topic]
    listener.close()


def test_a_topic_that_is_too_long_for_a_zone_is_refused(broker):
    from doa_edge.sinks.network.mqtt import MqttSink

    sink = MqttSink(Address("127.0.0.1", broker.port), topic="x" * 65_520)
    with pytest.raises(InputError, match="The MQTT topic of zone desk-by-the-window must have up"):
        sink.count_zones(["desk-by-the-window"])
    sink.close()


# --- OSC


def received(udp, number):
    from pythonosc.osc_message import OscMessage

    return [
        (message.address, *message.params)
        for message in (OscMessage(udp.recv(4096)) for _ in range(number))
    ]


def test_osc_sends_how_many_are_in_each_zone_with_each_estimate(udp):
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    sink = OscSink(Address("127.0.0.1", udp.getsockname()[1]), prefix="/room", zones=NAMES)
    stage = ZoneStage(ZONES)
    counted = []
    for message in lines(stage, talker(1, 1, 90.0), begin_s=0.832):
        sink.send(message)
        if "event" in message:
            assert received(udp, 1)[0][:2] == ("/room/event", "zone_entered")
        else:
            told = received(udp, 19)
            assert told[-2][0] == "/room/zone/desk"
            counted.append({name: value for name, value, *_ in told if "/zone/" in name})
    assert counted == [
        {"/room/zone/desk": 0, "/room/zone/door": 0},
        {"/room/zone/desk": 0, "/room/zone/door": 0},
        {"/room/zone/desk": 0, "/room/zone/door": 1},
        {"/room/zone/desk": 0, "/room/zone/door": 1},
    ]
    sink.close()


def test_a_zone_that_osc_has_no_address_for_is_refused():
    pytest.importorskip("pythonosc")
    from doa_edge.sinks.network.osc import OscSink

    with pytest.raises(ValueError, match=r"must be ASCII, as it is part of .* Received: K\xfcche"):
        OscSink(Address("127.0.0.1", 9), zones=["desk", "K\xfcche"])


# --- TCP


def test_tcp_tells_the_zones_of_each_source_and_no_events_of_zones():
    stage = ZoneStage(ZONES)
    messages = lines(stage, talker(1, 2, 0.0), begin_s=0.832)
    source = json.loads(odas_line(messages[0], hop_seconds=0.032))["src"][1]
    assert (source["id"], source["zones"]) == (1, ["desk"])
    sink = TcpServerSink(Address("127.0.0.1", 0), hop_seconds=0.032)
    with socket.create_connection(("127.0.0.1", sink.address.port), timeout=10) as client:
        assert wait_until(lambda: sink._clients)
        for message in messages:
            sink.send(message)
        stream = client.makefile()
        told = [json.loads(stream.readline()) for _ in range(4)]
    sink.close()
    assert [message.get("event") for message in messages].count("zone_entered") == 1
    assert [line["time_s"] for line in told] == [0.832, 0.992, 1.152, 1.312]
    assert not any("event" in line for line in told)
