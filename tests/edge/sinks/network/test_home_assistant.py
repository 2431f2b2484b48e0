"""Home Assistant's discovery, through a real broker."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys

import pytest

from doa_core.errors import InputError
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.home_assistant import (
    Discovery,
    PacedState,
    asked_discovery,
    device_id,
)
from tests.edge.broker import Listener, wait_until
from tests.edge.sinks.messages import several, talker
from tests.places import PROJECT

ESTIMATE = {
    "time_s": 0.832,
    "azimuth_deg": 40.4,
    "elevation_deg": -19.6,
    "confidence": 0.834,
    "active": True,
    "level_dbfs": -25.0,
}
QUIET = {**ESTIMATE, "time_s": 0.992, "azimuth_deg": 3.0, "confidence": 0.1, "active": False}
ONE = Discovery(model="default", version="0.2.0")
THREE = Discovery(
    name="door", model="voices", version="0.2.0", talkers=3, zones=("desk", "Küche links")
)
CONFIG = "homeassistant/device/doa_edge_doa/config"


def sink(broker, discovery=ONE, topic="doa", **settings):
    pytest.importorskip("paho.mqtt.client")
    from doa_edge.sinks.network.mqtt import MqttSink

    return MqttSink(Address("127.0.0.1", broker.port), topic=topic, discovery=discovery, **settings)


def run_once(broker, discovery, listener):
    """A run that comes and goes."""
    before = len(listener.of("doa/status"))
    microphone = sink(broker, discovery)
    assert wait_until(lambda: len(listener.of("doa/status")) == before + 1)
    microphone.close()
    assert wait_until(lambda: len(listener.of("doa/status")) == before + 2)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


# --- the device


def test_one_voice_is_a_device_with_four_entities():
    config = ONE.config("doa")
    assert config["device"] == {
        "identifiers": ["doa_edge_doa"],
        "name": "doa_edge",
        "manufacturer": "doa-tf",
        "model": "Ambisonic microphone, network default",
        "sw_version": "0.2.0",
    }
    assert config["origin"] == {"name": "doa_edge", "sw_version": "0.2.0"}
    assert config["availability_topic"] == "doa/status"
    assert config["state_topic"] == "doa/state"
    assert list(config["components"]) == ["talking", "direction", "elevation", "confidence"]
    assert config["components"]["talking"] == {
        "unique_id": "doa_edge_doa_talking",
        "platform": "binary_sensor",
        "name": "Somebody talks",
        "device_class": "sound",
        "value_template": "{{ 'ON' if value_json.active else 'OFF' }}",
        "expire_after": 150,
    }
    assert config["components"]["direction"] == {
        "unique_id": "doa_edge_doa_direction",
        "platform": "sensor",
        "name": "Direction",
        "value_template": "{{ value_json.azimuth_deg }}",
        "expire_after": 150,
        "unit_of_measurement": "°",
        "icon": "mdi:compass-outline",
    }


def test_each_slot_and_each_zone_has_an_entity():
    config = THREE.config("doa/door")
    entities = config["components"]
    assert config["device"]["name"] == "door"
    assert list(entities)[4:] == [
        *("talkers", "slot_1", "slot_2", "slot_3", "zone_desk", "zone_K%C3%BCche%20links")
    ]
    assert entities["slot_2"]["name"] == "Talker 2"
    assert entities["slot_2"]["json_attributes_topic"] == "doa/door/state"
    kitchen = entities["zone_K%C3%BCche%20links"]
    assert kitchen["name"] == "Küche links"
    assert kitchen["state_topic"] == "doa/door/zone/Küche links"
    assert kitchen["value_template"] == "{{ 'ON' if value | int(0) > 0 else 'OFF' }}"
    assert kitchen["device_class"] == "occupancy"
    assert "expire_after" not in kitchen
    # What Home Assistant parts at spaces has none.
    assert not any(" " in key for key in entities)
    ids = [entity["unique_id"] for entity in entities.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("doa", "doa_edge_doa"),
        ("living-room_2", "doa_edge_living-room_2"),
        ("doa/door", "doa_edge_doa_door_57030fa2"),
        ("doa_door", "doa_edge_doa_door"),
        ("Küche", "doa_edge_K_che_a9ec872e"),
    ],
)
def test_the_id_is_made_of_the_topic_and_stays(topic, expected):
    assert device_id(topic) == expected
    assert re.fullmatch("[a-zA-Z0-9_-]+", device_id(topic))  # what Home Assistant allows


def test_long_topics_have_ids_of_their_own():
    long = "x" * 1000
    assert len(device_id(long)) < 100
    assert device_id(long) != device_id(long + "x")


# --- the state


def test_a_state_is_rounded_and_silence_keeps_the_direction():
    clock = Clock()
    state = PacedState(talkers=1, clock=clock)
    assert json.loads(state.payload) == {
        "active": False,
        "azimuth_deg": None,
        "elevation_deg": None,
        "confidence": None,
    }
    heard = {"active": True, "azimuth_deg": 40, "elevation_deg": -20, "confidence": 0.83}
    assert json.loads(state.update(ESTIMATE)) == heard
    clock.now += 1.0
    assert json.loads(state.update(QUIET)) == {**heard, "active": False}


def test_behind_is_180_on_either_side():
    state = PacedState(talkers=1, clock=Clock())
    assert json.loads(state.update({**ESTIMATE, "azimuth_deg": -179.8}))["azimuth_deg"] == 180


def test_states_come_once_a_second_when_they_change_and_else_every_thirty():
    clock = Clock()
    state = PacedState(talkers=1, clock=clock)
    told = []
    for step in range(600):  # a minute of ten a second
        clock.now = 100.0 + step / 10.0
        moved = {**ESTIMATE, "azimuth_deg": float(step % 100)}
        if state.update(moved if step < 200 else QUIET) is not None:
            told.append(step)
    assert told == [*range(0, 200, 10), 200, 500]


def test_events_are_no_states():
    state = PacedState(talkers=1, clock=Clock())
    assert state.update({"time_s": 1.0, "event": "gap", "reason": "lost", "lost_s": 0.25}) is None


def test_each_slot_shows_who_is_in_it():
    clock = Clock()
    state = PacedState(talkers=3, clock=clock)
    first, third = talker(7, 1, 90.2, 30.4, 0.755), talker(9, 3, -90.0, 0.0, 0.5, tentative=True)
    told = json.loads(state.update(several(0.8, first, third)))
    assert told == {
        "active": True,
        "azimuth_deg": 90,
        "elevation_deg": 30,
        "confidence": 0.76,
        "talkers": 2,
        "slot_1": {"id": 7, "azimuth_deg": 90, "elevation_deg": 30, "confidence": 0.76},
        "slot_2": None,
        "slot_3": {
            "id": 9,
            "azimuth_deg": -90,
            "elevation_deg": 0,
            "confidence": 0.5,
            "tentative": True,
        },
    }
    clock.now += 1.0
    nobody = {**told, "active": False, "talkers": 0, "slot_1": None, "slot_3": None}
    assert json.loads(state.update(several(1.0))) == nobody
    clock.now += 1.0
    state.update(several(1.2, first))
    assert json.loads(state.quiet()) == nobody


# --- through a broker


@pytest.mark.parametrize("qos", [0, 1])
def test_home_assistant_finds_device_state_and_status(broker, qos):
    listener = Listener(broker.port)
    microphone = sink(broker, qos=qos)
    assert wait_until(lambda: listener.of("doa/status") == ["online"])
    # Described before it is available.
    assert [topic for topic, *_ in listener.heard] == [CONFIG, "doa/state", "doa/status"]
    assert json.loads(listener.of(CONFIG)[0]) == ONE.config("doa")
    microphone.send(ESTIMATE)
    microphone.send(QUIET)  # too soon for another state
    assert wait_until(lambda: len(listener.of("doa/direction")) == 2)
    microphone.close()
    assert wait_until(lambda: listener.of("doa/status") == ["online", "offline"])
    states = [json.loads(payload) for payload in listener.of("doa/state")]
    assert [state["active"] for state in states] == [False, True, False]
    assert [state["azimuth_deg"] for state in states] == [None, 40, 40]
    assert microphone.dropped == 0
    listener.close()
    late = Listener(broker.port)  # Home Assistant, when it starts again
    assert wait_until(lambda: len(late.heard) == 3)
    assert {topic for topic, _, _, retain in late.heard if retain} == {
        *(CONFIG, "doa/state", "doa/status")
    }
    late.close()


def test_without_the_option_nothing_is_said_to_home_assistant(broker):
    listener = Listener(broker.port)
    microphone = sink(broker, None)
    assert wait_until(lambda: listener.of("doa/status") == ["online"])
    microphone.send(ESTIMATE)
    assert wait_until(lambda: listener.of("doa/direction"))
    microphone.close()
    assert wait_until(lambda: listener.of("doa/status") == ["online", "offline"])
    assert {topic for topic, *_ in listener.heard} == {"doa/status", "doa/direction"}
    listener.close()


@pytest.mark.parametrize("birth", ["homeassistant/status", "ha/status"])
def test_it_is_described_again_when_home_assistant_starts(broker, birth):
    discovery = Discovery(prefix="ha", model="default", version="0.2.0")
    config = "ha/device/doa_edge_doa/config"
    listener = Listener(broker.port)
    microphone = sink(broker, discovery)
    assert wait_until(lambda: listener.of("doa/status") == ["online"])
    for payload in ("offline", "", "ONLINE", "online"):
        listener.publish(birth, payload)
    assert wait_until(lambda: len(listener.of("doa/state")) == 2)
    assert [json.loads(payload) for payload in listener.of(config)] == 2 * [discovery.config("doa")]
    microphone.close()
    listener.close()


def test_it_is_described_again_to_a_broker_that_has_forgotten(broker):
    microphone = sink(broker)
    assert wait_until(microphone._client.is_connected)
    broker.kill()
    assert wait_until(lambda: not microphone._client.is_connected())
    broker.start()
    listener = Listener(broker.port)
    assert wait_until(lambda: listener.of("doa/status") == ["online"], 30)
    assert json.loads(listener.of(CONFIG)[0]) == ONE.config("doa")
    microphone.close()
    listener.close()


def test_what_a_later_run_no_longer_has_is_removed(broker):
    listener = Listener(broker.port)
    earlier = Discovery(model="voices", version="0.1.0", talkers=2, zones=("desk", "sofa"))
    run_once(broker, earlier, listener)
    later = Discovery(model="default", version="0.2.0", zones=("desk",))
    microphone = sink(broker, later)
    assert wait_until(lambda: len(listener.of(CONFIG)) == 4)
    first, changed, removal, last = map(json.loads, listener.of(CONFIG))
    assert first == earlier.config("doa")
    assert changed == last == later.config("doa")
    gone = {key: removal["components"].pop(key) for key in ("talkers", "slot_1", "slot_2")}
    assert set(map(str, gone.values())) == {"{'platform': 'sensor'}"}
    assert removal["components"].pop("zone_sofa") == {"platform": "binary_sensor"}
    assert removal == last
    microphone.close()
    listener.close()


def test_what_was_there_and_still_is_is_described_once(broker):
    listener = Listener(broker.port)
    for _ in range(3):
        run_once(broker, THREE, listener)
    assert [json.loads(payload) for payload in listener.of(CONFIG)] == 3 * [THREE.config("doa")]
    listener.close()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"components": 3}',
        b'{"components": {"a": {}, "b": 1}}',
        b'{"components": ' + 5000 * b"[",
        b'{"components": {"a": {"platform": "' + (1 << 20) * b"x" + b'"}}}',
    ],
)
def test_what_somebody_else_wrote_there_ends_nothing(broker, rubbish, capsys):
    listener = Listener(broker.port)
    listener.publish(CONFIG, rubbish, retain=True)
    assert wait_until(lambda: len(listener.heard) == 1)
    microphone = sink(broker)
    assert wait_until(lambda: "online" in listener.of("doa/status"))
    microphone.send(ESTIMATE)
    assert wait_until(lambda: listener.of("doa/direction"))
    assert json.loads(listener.of(CONFIG)[-1]) == ONE.config("doa")
    microphone.close()
    listener.close()
    assert capsys.readouterr().err == ""


# --- the pages


def section(page, heading):
    """A section of a page, up to the next one of the same level."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    level = heading.split()[0]
    return text[text.index(f"{heading}\n") :].partition(f"\n{level} ")[0]


def test_the_tutorial_does_what_it_says(broker):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("paho.mqtt.client")
    text = section("docs/tutorial-integrator.md", "## In Home Assistant")
    (command,) = re.findall("^doa_edge (.*)$", text, re.M)
    listener = Listener(broker.port)
    words = command.replace("127.0.0.1", f"127.0.0.1:{broker.port}").split()
    run = subprocess.Popen(
        [sys.executable, "-m", "doa_edge", *words],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_until(
        lambda: any(json.loads(state)["active"] for state in listener.of("doa/state")), 60
    )
    run.send_signal(signal.SIGTERM)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 143
    assert f"Home Assistant finds the microphone by {CONFIG}" in told
    config = json.loads(listener.of(CONFIG)[0])
    named = [entity["name"] for entity in config["components"].values()]
    assert named == ["Somebody talks", "Direction", "Elevation", "Confidence"]
    for word in (*named, config["device"]["name"]):
        assert word in text
    # Home Assistant makes the entity's id of both names.
    entity = f"{config['device']['name']} {named[0]}".lower().replace(" ", "_")
    assert f"entity_id: binary_sensor.{entity}\n" in text
    listener.close()


def test_what_the_page_has_people_remove_is_all_that_was_kept(broker):
    text = section("edge/outputs.md", "### Home Assistant: `--mqtt-discovery [PREFIX]`")
    listener = Listener(broker.port)
    run_once(broker, ONE, listener)
    topics = re.findall(r"^mosquitto_pub -h BROKER -r -n -t (.*)$", text, re.M)
    assert len(topics) == 3
    for topic in topics:
        listener.publish(topic, "", retain=True)
    listener.close()
    late = Listener(broker.port)
    late.publish("end", "")
    assert wait_until(lambda: late.of("end"))
    assert [topic for topic, *_ in late.heard] == ["end"]
    late.close()


# --- options


def options(**values):
    nothing = {"mqtt_discovery": None, "mqtt": None, "input": None, "name": None}
    return argparse.Namespace(**{**nothing, **values})


def asked(**values):
    return asked_discovery(options(**values), talkers=2, model="voices", version="1")


def test_nothing_is_asked_without_the_option():
    assert asked(mqtt="broker") is None


def test_the_name_and_the_zones_are_those_of_the_options():
    zones = {"desk": [-30, 30], "sofa": [90, 120]}
    found = asked(mqtt="broker", mqtt_discovery="ha/", name="door", zones=zones)
    assert found == Discovery(
        prefix="ha", name="door", model="voices", version="1", talkers=2, zones=("desk", "sofa")
    )


def test_discovery_needs_a_broker():
    with pytest.raises(InputError, match="--mqtt-discovery needs a broker: add --mqtt HOST"):
        asked(mqtt_discovery="homeassistant")


def test_a_recording_is_no_prefix(tmp_path):
    path = tmp_path / "office.wav"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"name the recording before it\. Received: .*office\.wav"):
        asked(mqtt="broker", mqtt_discovery=str(path))


@pytest.mark.parametrize("prefix", ["", "a/+", "a#", "$SYS", "a\0b"])
def test_a_prefix_is_a_topic(prefix):
    pytest.importorskip("paho.mqtt.client")
    from doa_edge.sinks.network.mqtt import MqttSink

    wrong = Discovery(prefix=prefix, model="default", version="1")
    words = r"The prefix of --mqtt-discovery must be a name without \+ and # that does not begin"
    with pytest.raises(InputError, match=words):
        MqttSink(Address("127.0.0.1", 1), discovery=wrong)


def test_a_topic_must_not_be_that_of_home_assistant_itself():
    pytest.importorskip("paho.mqtt.client")
    from doa_edge.sinks.network.mqtt import MqttSink

    words = "must not be where Home Assistant says that it has started: choose another --mqtt-topic"
    for prefix, topic in (
        ("homeassistant", "homeassistant"),
        ("ha", "ha/"),
        ("ha", "homeassistant"),
    ):
        discovery = Discovery(prefix=prefix, model="default", version="1")
        with pytest.raises(InputError, match=words):
            MqttSink(Address("127.0.0.1", 1), topic=topic, discovery=discovery)
