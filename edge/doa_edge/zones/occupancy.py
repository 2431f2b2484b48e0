"""Who is in which zone, from one message of a run to the next: entering and leaving.

A line says which zones a direction is in. At a border that would go back and forth, so

- a talker who is in a zone stays in it until they are `MARGIN_DEG` outside;
- they have *entered* once they were heard in it for `DWELL_S`, and *left* once they were heard
  outside for as long, or not heard for `SILENT_S`, which is longer than most pauses of speech.

Where a recording ends nobody leaves, as its lines end; the next one begins with nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from doa_edge.zones.zone import Zone

Message = dict[str, Any]  # a line of `doa_edge run`

ENTERED, LEFT = "zone_entered", "zone_left"
EVENTS = (ENTERED, LEFT)
MARGIN_DEG = 5.0
DWELL_S = 0.3
SILENT_S = 2.0
_ROUNDING = 1e-6  # seconds: times are printed to the microsecond
_ONE_VOICE = 0  # stands for the id where there is none


class ZoneStage:
    """Lines in; lines with the zones of their talkers out, and events beside them.

    Args:
        zones: to tell of, in this order.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        self._occupancy = Occupancy([zone.name for zone in zones])
        self._inside: dict[int, list[str]] = {}  # zones in the latest line, by id

    def __call__(self, message: Message) -> Iterator[Message]:
        """A message as it is sent on, and who entered and left with it."""
        if "azimuth_deg" in message:
            message = self._with_zones(message)
        yield message
        yield from self._occupancy.update(message)

    def restart(self) -> None:
        """Another recording begins, which nobody comes to from the last one."""
        self._inside = {}
        self._occupancy.restart()

    def _with_zones(self, message: Message) -> Message:
        talkers = message.get("talkers")
        if talkers is None:
            zones = self._zones_of(_ONE_VOICE, message) if message["active"] else []
            message = {**message, "zones": zones}
        else:
            told = [{**talker, "zones": self._zones_of(talker["id"], talker)} for talker in talkers]
            message = {**message, "talkers": told}
        known = self._occupancy.present
        self._inside = {
            **{id: zones for id, zones in self._inside.items() if id in known},
            **dict(_heard(message)),
        }
        return message

    def _zones_of(self, id: int, talker: Message) -> list[str]:
        """Names of the zones that a direction is in, or was and has not clearly left."""
        before = self._inside.get(id, ())
        azimuth_deg, elevation_deg = talker["azimuth_deg"], talker["elevation_deg"]
        return [
            zone.name
            for zone in self._zones
            if zone.holds(
                azimuth_deg, elevation_deg, margin_deg=MARGIN_DEG if zone.name in before else 0.0
            )
        ]


class Occupancy:
    """Who has entered which zone and not left it, by lines that name the zones of their talkers.

    It is made of estimates alone, so that it is right again soon where messages were lost. With a
    message of another `file`, or of an earlier time, another recording has begun.

    Args:
        names: of the zones.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._visitors: dict[int, _Visitor] = {}
        self._time_s = 0.0
        self._file: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many talkers are in each zone."""
        visitors = self._visitors.values()
        return {name: sum(name in one.entered for one in visitors) for name in self._names}

    @property
    def present(self) -> frozenset[int]:
        """Ids of those who were heard lately."""
        return frozenset(self._visitors)

    def update(self, message: Message) -> list[Message]:
        """Take in the next message; who enters and leaves by it."""
        time_s, file = message["time_s"], message.get("file")
        if time_s < self._time_s or file != self._file:
            self.restart()
        self._time_s, self._file = time_s, file
        events = []
        for id, zones in _heard(message):
            visitor = self._visitors.setdefault(id, _Visitor())
            for name in visitor.hear(self._names, zones, time_s):
                events.append(
                    _event(time_s, ENTERED if name in visitor.entered else LEFT, name, id)
                )
        for id, visitor in list(self._visitors.items()):
            if time_s - visitor.heard_s > SILENT_S + _ROUNDING:
                events += self._end(id, time_s)
        return events

    def restart(self) -> None:
        """Another recording begins: with nobody."""
        self._visitors = {}
        self._time_s = 0.0

    def _end(self, id: int, time_s: float) -> list[Message]:
        entered = self._visitors.pop(id).entered
        return [_event(time_s, LEFT, name, id) for name in self._names if name in entered]


class _Visitor:
    """Where one talker is.

    Attributes:
        entered: the zones that they are in.
        heard_s: when they were heard last [seconds].
    """

    def __init__(self) -> None:
        self.entered: set[str] = set()
        self.heard_s = 0.0
        self._since: dict[str, float] = {}  # time from which on a zone is otherwise than `entered`

    def hear(self, names: Sequence[str], zones: Sequence[str], time_s: float) -> list[str]:
        """The zones that they enter or leave as they are heard in some."""
        self.heard_s = time_s
        changed = []
        for name in names:
            if (name in zones) == (name in self.entered):
                self._since.pop(name, None)
            elif time_s - self._since.setdefault(name, time_s) >= DWELL_S - _ROUNDING:
                del self._since[name]
                self.entered ^= {name}
                changed.append(name)
        return changed


def _heard(message: Mapping[str, Any]) -> list[tuple[int, list[str]]]:
    """Id and zones of each talker of a line; of nobody where it is none."""
    if "azimuth_deg" not in message:
        return []
    talkers = message.get("talkers")
    if talkers is None:
        return [(_ONE_VOICE, message.get("zones", []))] if message["active"] else []
    return [(talker["id"], talker.get("zones", [])) for talker in talkers]


def _event(time_s: float, event: str, zone: str, id: int) -> Message:
    of_whom = {} if id == _ONE_VOICE else {"id": id}
    return {"time_s": time_s, "event": event, "zone": zone, **of_whom}
