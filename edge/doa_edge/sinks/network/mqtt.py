"""Directions to an MQTT broker.

TOPIC/direction  an estimate as JSON, as `doa_edge run` prints it
TOPIC/event      an event as JSON
TOPIC/status     `online` or `offline`, retained; `offline` is the last will, too

With several voices also

TOPIC/count      with each estimate: how many talk
TOPIC/talker/N   with each estimate: the talker in slot N, 1 to 4, as JSON; `null`, once, when the
                 slot falls empty

With zones also

TOPIC/zone/NAME  how many talkers are in it, retained, when it changes; see `doa_edge.zones`

and what `home_assistant` says for those who see it there.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from doa_core.errors import InputError, MissingPackageError
from doa_edge.sinks.network.address import CONNECTION_ERRORS, Address
from doa_edge.sinks.network.home_assistant import BORN, Discovery, PacedState
from doa_edge.sinks.sink import CLOSE_SECONDS, QUEUE_LENGTH, Message, Reasons
from doa_edge.sinks.slots import talkers_by_slot
from doa_edge.zones.occupancy import Occupancy

DEFAULT_TOPIC = "doa"
PORT, TLS_PORT = 1883, 8883
PASSWORD_VARIABLE = "DOA_EDGE_MQTT_PASSWORD"
KEEPALIVE_SECONDS = 30
PAUSE, LONGEST_PAUSE = 1, 30  # seconds between two attempts to connect
LONGEST_TEXT = 65_535  # bytes of UTF-8, by the standard
# What paho-mqtt 2.0 raises, in its thread, about packets that are none; later ones check them.
_GARBLED = (*CONNECTION_ERRORS, LookupError, TypeError)


class MqttSink:
    """Publishes messages; connects and reconnects by itself.

    paho-mqtt's own thread talks to the broker. Without a broker messages are dropped, as directions
    that are late are wrong, and standard error has the reason. Above QoS 0, up to 64 publications
    wait for the broker's confirmation.

    Args:
        address: the broker; port 0 stands for 1883, or 8883 with TLS.
        topic: the first levels of every topic.
        qos: 0, 1 or 2.
        user: name to log in with; the password is taken from the environment.
        tls: whether to use TLS, with the system's certificates.
        discovery: how Home Assistant is to find the microphone; not at all if None.
        environment: where DOA_EDGE_MQTT_PASSWORD is looked up.

    Raises:
        MissingPackageError: paho-mqtt is not installed.
        InputError: a topic that MQTT does not allow, a user or a password that is too long.
    """

    name = "mqtt"

    def __init__(
        self,
        address: Address,
        *,
        topic: str = DEFAULT_TOPIC,
        qos: int = 0,
        user: str | None = None,
        tls: bool = False,
        discovery: Discovery | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        check_topic(topic)
        if discovery is not None:
            check_discovery(discovery, topic.rstrip("/"))
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingPackageError("paho-mqtt", "mqtt", error) from error
        self._topic = topic.rstrip("/")
        self._qos = qos
        self._filled: set[int] = set()  # slots whose last message names a talker
        self._occupancy = Occupancy(())
        self._counted: dict[str, int] = {}  # what the broker knows of the zones
        self._discovery = discovery
        self._state = PacedState(talkers=discovery.talkers if discovery else 1)
        self.dropped = 0
        self._success = paho.MQTT_ERR_SUCCESS
        port = address.port or (TLS_PORT if tls else PORT)
        self._place = Address(address.host, port)
        self._greeted = False  # whether the broker has let us in
        self._closing = threading.Event()
        self._reasons = Reasons(self.name)
        self._client = self._new_client(paho)(CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(QUEUE_LENGTH)
        self._client.reconnect_delay_set(PAUSE, LONGEST_PAUSE)
        self._client.will_set(f"{self._topic}/status", "offline", qos=qos, retain=True)
        self._client.on_connect = self._greet
        self._client.on_message = self._hear
        self._client.on_disconnect = self._miss
        if user is not None:
            password = environment.get(PASSWORD_VARIABLE)
            _check_length("--mqtt-user", user)
            _check_length(PASSWORD_VARIABLE, password or "")
            self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set()
        self._client.connect_async(address.host, port, KEEPALIVE_SECONDS)
        self._client.loop_start()

    def count_zones(self, names: Sequence[str]) -> None:
        """Publish how many are in each of these zones, too; to be called before the first message.

        Raises:
            InputError: a name with which the topic is too long.
        """
        for name in names:
            _check_length(f"The MQTT topic of zone {name}", f"{self._topic}/zone/{name}")
        self._occupancy = Occupancy(names)

    def send(self, message: Message) -> None:
        """Publish a message; counted as dropped where no broker takes it."""
        self._occupancy.update(message)
        if not (self._greeted and self._client.is_connected()):
            self.dropped += 1
            return
        kind = "direction" if "azimuth_deg" in message else "event"
        sent = [self._publish(kind, json.dumps(message, allow_nan=False))]
        talkers = talkers_by_slot(message)
        if talkers is not None:
            sent.append(self._publish("count", str(len(talkers))))
            slots = sorted(self._filled | set(talkers))
            sent += [self._publish_slot(slot, talkers) for slot in slots]
        sent.append(self._publish_zones(self._occupancy.counts))
        if self._discovery is not None and (state := self._state.update(message)) is not None:
            sent.append(self._publish("state", state, retain=True))
        if not all(sent):
            self.dropped += 1

    def close(self) -> None:
        """Publish `offline` and disconnect."""
        self._closing.set()
        if self._client.is_connected():
            self._publish_zones(dict.fromkeys(self._counted, 0))
            if self._discovery is not None:
                self._publish("state", self._state.quiet(), retain=True)
            goodbye = self._client.publish(
                f"{self._topic}/status", "offline", qos=self._qos, retain=True
            )
            try:
                goodbye.wait_for_publish(CLOSE_SECONDS)
            except (RuntimeError, ValueError):  # the broker went first
                self.dropped += 1
        elif self.dropped and not self._reasons.told:
            self._reasons.tell(f"cannot reach {self._place}", "no answer so far")
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _new_client(self, paho: Any) -> Any:
        """paho-mqtt's client, whose thread outlives every mishap and tells why it came about."""
        unreachable = f"cannot reach {self._place}"

        class Client(paho.Client):  # type: ignore[misc]
            """Tries again whatever went wrong; paho-mqtt does so after an OSError alone."""

            def reconnect(client) -> Any:  # noqa: N805
                try:
                    return super().reconnect()
                except CONNECTION_ERRORS as error:
                    self._reasons.tell(unreachable, error)
                    raise OSError(unreachable) from error

            def loop_read(client, max_packets: int = 1) -> Any:  # noqa: N805
                try:
                    return super().loop_read(max_packets)
                except _GARBLED as error:
                    self._greeted = False
                    self._reasons.tell(f"does not understand {self._place}", error)
                self._closing.wait(PAUSE)
                try:
                    return client.reconnect()  # which forgets the packet
                except OSError:
                    return paho.MQTT_ERR_CONN_LOST

        return Client

    def _publish_slot(self, slot: int, talkers: Mapping[int, Message]) -> bool:
        """Publish who is in a slot, or once that nobody is any more; whether it was taken."""
        sent = self._publish(f"talker/{slot}", json.dumps(talkers.get(slot), allow_nan=False))
        if slot in talkers:
            self._filled.add(slot)
        elif sent:
            self._filled.discard(slot)
        return sent

    def _publish_zones(self, counts: Mapping[str, int]) -> bool:
        """Publish the counts that the broker does not know; whether all were taken."""
        known = self._counted  # the thread of the client begins a new one
        taken = True
        for name, count in counts.items():
            if known.get(name) != count:
                if self._publish(f"zone/{name}", str(count), retain=True):
                    known[name] = count
                else:
                    taken = False
        return taken

    def _publish(self, kind: str, payload: str, *, retain: bool = False) -> bool:
        """Publish below the topic; whether the client took it."""
        sent = self._client.publish(f"{self._topic}/{kind}", payload, qos=self._qos, retain=retain)
        return bool(sent.rc == self._success)

    def _introduce(self, discovery: Discovery) -> None:
        """Describe the microphone to Home Assistant, and how it is now."""
        self._describe(discovery, discovery.config(self._topic))
        self._publish("state", self._state.payload, retain=True)

    def _describe(self, discovery: Discovery, config: Mapping[str, Any]) -> None:
        topic = discovery.config_topic(self._topic)
        payload = json.dumps(config, ensure_ascii=False)
        self._client.publish(topic, payload, qos=self._qos, retain=True)

    def _hear(self, client: Any, data: Any, message: Any) -> None:
        """Home Assistant has started, or the broker shows what an earlier run has described.

        The topic of the description is subscribed to before it is written, so that what was kept
        of an earlier run comes first, and is marked as kept.
        """
        discovery = self._discovery
        if discovery is None:
            return
        if message.topic in discovery.birth_topics:
            if message.payload == BORN:
                self._introduce(discovery)
        elif message.retain:
            removal = discovery.without(self._topic, message.payload)
            if removal is not None:  # told once: it needs not be kept
                self._describe(discovery, removal)
                self._describe(discovery, discovery.config(self._topic))
            for zone in discovery.gone_zones(message.payload):
                self._publish(f"zone/{zone}", "", retain=True)

    def _greet(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._reasons.tell(f"is refused by {self._place}", reason)
            return
        self._counted = {}
        self._greeted = True
        if self._discovery is not None:
            heard = {self._discovery.config_topic(self._topic), *self._discovery.birth_topics}
            client.subscribe([(topic, self._qos) for topic in sorted(heard)])
            self._introduce(self._discovery)
        client.publish(f"{self._topic}/status", "online", qos=self._qos, retain=True)

    def _miss(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._greeted or not self._reasons.told:  # a refusal has been told
            self._reasons.tell(f"lost the connection to {self._place}", reason)
        self._greeted = False


def _check_length(name: str, text: str) -> None:
    """Raise InputError for a text that no packet can carry."""
    size = len(text.encode())
    if size > LONGEST_TEXT:
        raise InputError(
            f"{name} must have up to {LONGEST_TEXT} bytes of UTF-8. Received: {size} bytes"
        )


def check_topic(topic: str) -> None:
    """Raise InputError for a topic that cannot be published to."""
    _check_name("The MQTT topic", topic)
    _check_length("The MQTT topic, with what follows it,", f"{topic.rstrip('/')}/direction")


def check_discovery(discovery: Discovery, topic: str) -> None:
    """Raise InputError for a prefix of discovery that cannot be published below.

    Args:
        discovery: that is asked for.
        topic: of the messages.
    """
    what = "The prefix of --mqtt-discovery"
    _check_name(what, discovery.prefix)
    _check_length(f"{what}, with what follows it,", discovery.config_topic(topic))
    if f"{topic}/status" in discovery.birth_topics:
        raise InputError(
            "The MQTT topic must not be where Home Assistant says that it has started: choose "
            f"another --mqtt-topic. Received: {topic!r}"
        )


def _check_name(what: str, topic: str) -> None:
    if not topic.strip("/") or set(topic) & set("+#\0") or topic.startswith("$"):
        raise InputError(
            f"{what} must be a name without + and # that does not begin with $. Received: {topic!r}"
        )
