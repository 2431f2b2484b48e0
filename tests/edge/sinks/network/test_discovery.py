"""Home Assistant's discovery, through a real broker, and as the pages tell it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from doa_edge.sinks.network.address import Address
from doa_edge.sinks.network.home_assistant import Discovery
from tests.edge.broker import Listener
from tests.edge.sinks.network.test_home_assistant import ESTIMATE, ONE, QUIET, THREE
from tests.places import PROJECT
from tests.processes import wait_until

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


def test_counts_of_zones_that_a_later_run_no_longer_has_are_removed(broker):
    listener = Listener(broker.port)
    earlier = sink(broker, replace(ONE, zones=("desk", "Küche-links")))
    earlier.count_zones(["desk", "Küche-links"])
    assert wait_until(lambda: listener.of("doa/status"))
    earlier.send({**ESTIMATE, "zones": []})
    earlier.close()
    assert wait_until(lambda: listener.of("doa/zone/Küche-links") == ["0"])
    second = sink(broker, replace(ONE, zones=("desk",)))
    assert wait_until(lambda: listener.of("doa/zone/Küche-links") == ["0", ""])
    second.close()
    assert listener.of("doa/zone/desk") == ["0"]
    third = sink(broker, ONE)
    assert wait_until(lambda: listener.of("doa/zone/desk") == ["0", ""])
    third.close()
    assert wait_until(lambda: listener.of("doa/status") == 3 * ["online", "offline"])
    late = Listener(broker.port)
    late.publish("end", "")
    assert wait_until(lambda: late.of("end"))
    assert sorted({topic for topic, *_ in late.heard}) == [
        *("doa/state", "doa/status", "end", CONFIG)
    ]
    late.close()
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
        b'{"components": {"zone_%23": {"platform": "a"}, "zone_a%2F%2B": {"platform": "b"}}}',
        b'{"components": {"zone_": {"platform": "a"}, "zone_%FF": {"platform": "b"}}}',
    ],
    ids=lambda rubbish: str(
        len(rubbish)
    ),  # a program is started, whose environment holds the name of the test
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
    talkers = ["Talkers", "Talker 1", "Talker 2", "Talker 3"]
    assert named == ["Somebody talks", "Direction", "Elevation", "Confidence", *talkers]
    for word in (*named, config["device"]["name"]):
        assert word in text
    # Home Assistant makes the entity's id of both names.
    entity = f"{config['device']['name']} {named[0]}".lower().replace(" ", "_")
    assert f"entity_id: binary_sensor.{entity}\n" in text
    listener.close()


def test_what_the_page_has_people_remove_is_all_that_was_kept(broker):
    text = section("edge/outputs.md", "### Home Assistant: `--mqtt-discovery [PREFIX]`")
    listener = Listener(broker.port)
    talking = sink(broker, replace(ONE, zones=("desk", "sofa")))
    talking.count_zones(["desk", "sofa"])
    assert wait_until(lambda: listener.of("doa/status"))
    talking.send({**ESTIMATE, "zones": []})
    talking.close()
    assert wait_until(lambda: listener.of("doa/status") == ["online", "offline"])
    kept = Listener(broker.port)
    topics = re.findall(r"^mosquitto_pub -h BROKER -r -n -t (.*)$", text, re.M)
    assert len(topics) == 4
    named = [t.replace("NAME", zone) for t in topics for zone in ("desk", "sofa")]
    topics = sorted(set(named))
    assert wait_until(lambda: sorted({topic for topic, *_ in kept.heard}) == topics)
    kept.close()
    for topic in topics:
        listener.publish(topic, "", retain=True)
    listener.close()
    late = Listener(broker.port)
    late.publish("end", "")
    assert wait_until(lambda: late.of("end"))
    assert [topic for topic, *_ in late.heard] == ["end"]
    late.close()
