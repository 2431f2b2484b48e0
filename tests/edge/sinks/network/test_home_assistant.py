"""What Home Assistant is told: the device with its entities, and their state."""

from __future__ import annotations

import argparse
import json
import re

import pytest

from doa_core.errors import InputError
from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.home_assistant import (
    Discovery,
    PacedState,
    asked_discovery,
    device_id,
)
from tests.edge.sinks.messages import several, talker

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


# --- what Home Assistant makes of a state


def shown(discovery, payload, zone="0"):
    """What each entity's template makes of a state, or of a zone's count."""
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment()
    values = {}
    for key, entity in discovery.config("doa")["components"].items():
        value = zone if key.startswith("zone_") else payload
        told = {"value": value, "value_json": json.loads(value)}
        values[key] = environment.from_string(entity["value_template"]).render(told)
        if attributes := entity.get("json_attributes_template"):
            more = environment.from_string(attributes).render(told)
            values[f"{key} attributes"] = json.loads(more)
    return values


def test_templates_make_texts_of_a_state():
    clock = Clock()
    state = PacedState(talkers=2, clock=clock)
    discovery = Discovery(model="voices", version="1", talkers=2, zones=("desk",))
    assert shown(discovery, state.payload) == {
        "talking": "OFF",
        "direction": "None",  # which Home Assistant calls unknown
        "elevation": "None",
        "confidence": "None",
        "talkers": "0",
        "slot_1": "None",
        "slot_1 attributes": {},
        "slot_2": "None",
        "slot_2 attributes": {},
        "zone_desk": "OFF",
    }
    told = state.update(several(1.0, talker(3, 2, -170.4, 12.0, 0.876)))
    assert shown(discovery, told, zone="2") == {
        "talking": "ON",
        "direction": "-170",
        "elevation": "12",
        "confidence": "88",
        "talkers": "1",
        "slot_1": "None",
        "slot_1 attributes": {},
        "slot_2": "-170",
        "slot_2 attributes": {
            "id": 3,
            "azimuth_deg": -170,
            "elevation_deg": 12,
            "confidence": 0.88,
        },
        "zone_desk": "ON",
    }


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
