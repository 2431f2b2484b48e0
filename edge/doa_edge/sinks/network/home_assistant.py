"""Home Assistant's MQTT discovery: what there is to see, and how it is, at a pace for people.

PREFIX/device/ID/config  retained: a device, with an entity for each thing that can be seen
TOPIC/state              retained: what the entities show, once a second at most
TOPIC/status             `online` or `offline`: whether they are available
TOPIC/zone/NAME          how many talk in a zone, which an entity of its own shows

The ID is made of the topic: two microphones on one broker need two topics in any case, and a board
that takes the place of another one goes on with its entities and their history.

References:
    https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from doa_core.errors import InputError
from doa_core.reading.json_text import parse_json
from doa_edge.sinks.sink import Message
from doa_edge.sinks.slots import talkers_by_slot
from doa_edge.zones.zone import check_name

DEFAULT_DISCOVERY = "homeassistant"
BIRTH_TOPIC = "homeassistant/status"  # Home Assistant's own default, whatever the prefix
BORN = b"online"
LEAST_SECONDS = 1.0  # between two states
MOST_SECONDS = 30.0  # after which one is sent that has not changed
EXPIRY_SECONDS = 150  # without a state: more than MOST_SECONDS and the longest --every together
LARGEST_CONFIG = 1 << 20  # bytes that are read of what we said earlier

_LONGEST_ID = 64  # characters that are made of a topic
_ZONE_KEY = "zone_"  # begins the key of a zone's entity

Entity = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """A microphone as Home Assistant is to find it.

    Attributes:
        prefix: the first levels of the topics of discovery.
        name: of the microphone; None where there is one alone.
        model: the name of the network.
        version: of this program.
        talkers: the most voices at once; one has no slots.
        zones: their names.
    """

    prefix: str = DEFAULT_DISCOVERY
    name: str | None = None
    model: str
    version: str
    talkers: int = 1
    zones: Collection[str] = ()

    def config_topic(self, topic: str) -> str:
        """Where the device is described whose messages are below `topic`."""
        return f"{self.prefix}/device/{device_id(topic)}/config"

    @property
    def birth_topics(self) -> set[str]:
        """Where Home Assistant says that it has started."""
        return {BIRTH_TOPIC, f"{self.prefix}/status"}

    def config(self, topic: str) -> dict[str, Any]:
        """The device whose messages are below `topic`, with all its entities."""
        identity = device_id(topic)
        program = {"name": "doa_edge", "sw_version": self.version}
        return {
            "device": {
                "identifiers": [identity],
                "name": self.name or "doa_edge",
                "manufacturer": "doa-tf",
                "model": f"Ambisonic microphone, network {self.model}",
                "sw_version": self.version,
            },
            "origin": program,
            "availability_topic": f"{topic}/status",
            "state_topic": f"{topic}/state",
            "components": {
                key: {"unique_id": f"{identity}_{key}", **entity}
                for key, entity in self._entities(topic)
            },
        }

    def _entities(self, topic: str) -> Iterator[tuple[str, Entity]]:
        """Their keys, which stay what they are for ever and have no spaces, and what they show."""
        yield "talking", _binary("Somebody talks", "sound", "value_json.active")
        yield "direction", _angle("Direction", "value_json.azimuth_deg")
        yield "elevation", _angle("Elevation", "value_json.elevation_deg")
        share = "value_json.confidence"
        percent = f"{{{{ None if {share} is none else (100 * {share}) | round | int }}}}"
        yield "confidence", _sensor("Confidence", percent, unit_of_measurement="%")
        if self.talkers > 1:
            yield "talkers", _sensor("Talkers", "{{ value_json.talkers }}")
            for slot in range(1, self.talkers + 1):
                yield f"slot_{slot}", _slot(slot, f"{topic}/state")
        for zone in self.zones:
            yield f"{_ZONE_KEY}{quote(zone, safe='')}", _zone(zone, f"{topic}/zone/{zone}")

    def without(self, topic: str, earlier: bytes) -> dict[str, Any] | None:
        """The device, and the removal of what was there and no longer is: None if all still is.

        Args:
            topic: of the messages.
            earlier: what the broker has kept of an earlier run.
        """
        config = self.config(topic)
        there = _components(earlier)
        gone = {key: there[key] for key in there if key not in config["components"]}
        if not gone:
            return None
        removed = {key: {"platform": platform} for key, platform in gone.items()}
        return {**config, "components": {**config["components"], **removed}}

    def gone_zones(self, earlier: bytes) -> list[str]:
        """Names of the zones that were there and no longer are, whose counts the broker has kept.

        Args:
            earlier: what the broker has kept of an earlier run.
        """
        keys = [key for key in _components(earlier) if key.startswith(_ZONE_KEY)]
        names = [unquote(key.removeprefix(_ZONE_KEY)) for key in keys]
        return [name for name in names if name not in self.zones and _is_zone(name)]


class PacedState:
    """What the entities show: at most once a second if it changes, else every thirty.

    While nobody talks direction, elevation and confidence stay those of who talked last.

    Attributes:
        payload: what was made last, as JSON.

    Args:
        talkers: the most voices at once.
        clock: that never goes back [seconds].
    """

    def __init__(self, *, talkers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made = float("-inf")  # when
        self._quiet: dict[str, Any] = {"active": False}  # what it is while nobody talks
        if talkers > 1:
            slots = {f"slot_{slot}": None for slot in range(1, talkers + 1)}
            self._quiet.update(talkers=0, **slots)
        nobody_yet = dict.fromkeys(("azimuth_deg", "elevation_deg", "confidence"))
        self._state: dict[str, Any] = {**self._quiet, **nobody_yet}
        self.payload = json.dumps(self._state)

    def update(self, message: Message) -> str | None:
        """The state as JSON, if it is time to tell it.

        Args:
            message: an estimate; an event changes nothing.
        """
        if "azimuth_deg" not in message:
            return None
        self._state.update(self._quiet, active=message["active"])
        if message["active"]:
            self._state.update(_direction(message))
        talkers = talkers_by_slot(message)
        if talkers is not None and "talkers" in self._state:
            self._state["talkers"] = len(talkers)
            for slot, talker in talkers.items():
                others: Message = {
                    key: talker[key] for key in ("zones", "tentative") if key in talker
                }
                shown: Message = {"id": talker["id"], **_direction(talker), **others}
                self._state[f"slot_{slot}"] = shown
        return self._told(json.dumps(self._state, allow_nan=False))

    def quiet(self) -> str:
        """The state of nobody, as JSON, for the end."""
        self._state.update(self._quiet)
        self.payload = json.dumps(self._state, allow_nan=False)
        return self.payload

    def _told(self, payload: str) -> str | None:
        now = self._clock()
        if now - self._made < (MOST_SECONDS if payload == self.payload else LEAST_SECONDS):
            return None
        self._made = now
        self.payload = payload
        return payload


def asked_discovery(
    options: argparse.Namespace, *, talkers: int, model: str, version: str
) -> Discovery | None:
    """What the options of `doa_edge run` ask for; None without `--mqtt-discovery`.

    Args:
        options: of the command.
        talkers: the most voices at once.
        model: the name of the network.
        version: of this program.

    Raises:
        InputError: no broker, or a prefix that is a recording.
    """
    prefix = options.mqtt_discovery
    if prefix is None:
        return None
    if not options.mqtt:
        raise InputError("--mqtt-discovery needs a broker: add --mqtt HOST")
    if options.input is None and Path(prefix).is_file():
        raise InputError(
            "--mqtt-discovery must be followed by a prefix or by nothing: name the recording "
            f"before it. Received: {prefix}"
        )
    zones = getattr(options, "zones", None) or ()
    return Discovery(
        prefix=prefix.rstrip("/"),
        name=options.name,
        model=model,
        version=version,
        talkers=talkers,
        zones=tuple(getattr(zone, "name", zone) for zone in zones),
    )


def device_id(topic: str) -> str:
    """An id that Home Assistant allows, and that no other topic has.

    Args:
        topic: of the messages; it is read in the id where it is plain, else with a digest behind.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", topic)[:_LONGEST_ID]
    if plain == topic:
        return f"doa_edge_{plain}"
    return f"doa_edge_{plain}_{hashlib.sha256(topic.encode()).hexdigest()[:8]}"


def _direction(message: Mapping[str, Any]) -> dict[str, float]:
    """Rounded, so that what has not changed is not told again."""
    azimuth = round(message["azimuth_deg"])
    return {
        "azimuth_deg": 180 if azimuth == -180 else azimuth,
        "elevation_deg": round(message["elevation_deg"]),
        "confidence": round(message["confidence"], 2),
    }


def _sensor(name: str, template: str, **more: Any) -> Entity:
    return {
        "platform": "sensor",
        "name": name,
        "value_template": template,
        "expire_after": EXPIRY_SECONDS,
        **more,
    }


def _angle(name: str, value: str, **more: Any) -> Entity:
    """An angle has no mean over an hour, so it is no measurement whose statistics are kept."""
    template = f"{{{{ {value} }}}}"
    return _sensor(name, template, unit_of_measurement="°", icon="mdi:compass-outline", **more)


def _binary(name: str, kind: str, condition: str, **more: Any) -> Entity:
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": kind,
        "value_template": f"{{{{ 'ON' if {condition} else 'OFF' }}}}",
        "expire_after": EXPIRY_SECONDS,
        **more,
    }


def _slot(slot: int, state_topic: str) -> Entity:
    value = f"value_json.slot_{slot}"
    return _angle(
        f"Talker {slot}",
        f"{value}.azimuth_deg if {value} else None",
        json_attributes_topic=state_topic,
        json_attributes_template=f"{{{{ ({value} or {{}}) | tojson }}}}",
    )


def _zone(zone: str, state_topic: str) -> Entity:
    """Whether somebody talks in a zone; told when it changes, so that it does not expire."""
    entity = _binary(zone, "occupancy", "value | int(0) > 0", state_topic=state_topic)
    del entity["expire_after"]
    return entity


def _is_zone(name: str) -> bool:
    """Whether it is a name that a zone of ours can have had."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def _components(earlier: bytes) -> dict[str, str]:
    """The platforms of the entities that a config has; of what is no config, none."""
    try:
        components = parse_json(earlier[:LARGEST_CONFIG])["components"]
        return {key: str(entity["platform"]) for key, entity in components.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
