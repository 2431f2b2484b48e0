"""What was heard in a stretch of time; one of a minute is a line of the daily log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from doa_edge.report.messages import number
from doa_edge.report.moments import Moment, read_moment, write_moment

SECTORS = 72  # of azimuth
SECTOR_DEG = 360 // SECTORS
MOST_COUNTED = 4  # talkers at once that are told apart
_MOST_S = 1e10
_MINUTE_S = 60.0
_LONGEST_S = 86_400.0  # of a line of the log
_MOST_NAMES = 4096  # zones or talkers of a line of the log
_LONGEST_NAME = 200  # characters


def sector_of(azimuth_deg: float) -> int:
    """The sector of an azimuth, 0 to 71: sector n lies around n times 5 degrees."""
    return round(azimuth_deg / SECTOR_DEG) % SECTORS


def sector_azimuth(sector: int) -> int:
    """The azimuth in the middle of a sector, in (-180, 180] [degrees]."""
    return sector * SECTOR_DEG - (360 if sector > SECTORS // 2 else 0)


def add_seconds(sums: dict[int, float], more: Mapping[int, float]) -> None:
    """Add seconds to sums, key by key."""
    for key, seconds in more.items():
        sums[key] = sums.get(key, 0.0) + seconds


@dataclass
class Place:
    """How long somebody, or somebody in a zone, was heard, and from where.

    Attributes:
        seconds: of voice.
        x, y: sums of the directions, ahead and left, by seconds.
        entered: how often the zone was entered.
        confirmed: whether a talker was ever more than tentative.
        begin, end: when a talker was heard first and last [seconds], as of the span.
        sectors: seconds by sector of azimuth.
    """

    seconds: float = 0.0
    x: float = 0.0
    y: float = 0.0
    entered: int = 0
    confirmed: bool = False
    begin: float = math.inf
    end: float = -math.inf
    sectors: dict[int, float] = field(default_factory=dict)

    def hear(self, azimuth_deg: float, seconds: float) -> None:
        """Add a direction, for some seconds."""
        azimuth = math.radians(azimuth_deg)
        self.seconds += seconds
        self.x += seconds * math.cos(azimuth)
        self.y += seconds * math.sin(azimuth)
        add_seconds(self.sectors, {sector_of(azimuth_deg): seconds})

    def add(self, other: Place) -> None:
        """Add another one's."""
        self.seconds += other.seconds
        self.x += other.x
        self.y += other.y
        self.entered += other.entered
        self.confirmed |= other.confirmed
        self.begin = min(self.begin, other.begin)
        self.end = max(self.end, other.end)
        add_seconds(self.sectors, other.sectors)

    @property
    def azimuth_deg(self) -> float:
        """The mean azimuth [degrees]; 0 where there is none."""
        return math.degrees(math.atan2(self.y, self.x))

    @property
    def peak_deg(self) -> float:
        """The azimuth that was heard longest, with what lies beside it [degrees].

        Somebody was there, which need not be so of the mean of two.
        """

        def around(sector: int) -> float:
            beside = (self.sectors.get((sector + by) % SECTORS, 0.0) for by in (-1, 1))
            return self.sectors[sector] + 0.5 * sum(beside)

        return float(sector_azimuth(max(self.sectors, key=around))) if self.sectors else 0.0


@dataclass
class Span:
    """What was heard from one moment to another.

    Attributes:
        begin, end: since 1970 by a clock, else of stream time, of all runs one behind the other
            [seconds].
        offset_s: what local time is ahead of UTC [seconds]; None where there is no clock.
        run: whose it is: ids of talkers are counted anew in another one.
        file: the recording, where there are several.
        name: of the microphone, where it has one.
        heard_s: that estimates stand for [seconds].
        voice_s: of it, in which somebody was heard.
        counts: seconds by how many were heard at once, from nobody to four or more.
        sectors: seconds of voice by sector of azimuth; two talkers count twice.
        zones, talkers: by name, and by id.
        missing: seconds that are missing, by reason.
        steps_s: steps of the clock [seconds].
        step_s: the longest time that one estimate of it stands for [seconds].
    """

    begin: float
    end: float
    offset_s: float | None = None
    run: str = ""
    file: str = ""
    name: str = ""
    heard_s: float = 0.0
    voice_s: float = 0.0
    counts: dict[int, float] = field(default_factory=dict)
    sectors: dict[int, float] = field(default_factory=dict)
    zones: dict[str, Place] = field(default_factory=dict)
    talkers: dict[int, Place] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    steps_s: list[float] = field(default_factory=list)
    step_s: float = 0.0

    @property
    def middle(self) -> float:
        """The moment that says which minute, hour and day it belongs to [seconds]."""
        return (self.begin + self.end) / 2.0

    def to_dict(self) -> dict[str, Any]:
        """The line of the daily log. See `read_span`."""
        begin = math.floor(self.middle / 60.0) * 60.0
        values: dict[str, Any] = {
            "minute": write_moment(Moment(begin, self.offset_s or 0.0)),
            "from_s": round(self.begin - begin, 3),
            "to_s": round(self.end - begin, 3),
            "run": self.run,
            "name": self.name,
            "heard_s": round(self.heard_s, 3),
            "voice_s": round(self.voice_s, 3),
            "count_s": _rounded(self.counts),
            "azimuth_s": _rounded_sectors(self.sectors),
            "zones": {name: _told_zone(place) for name, place in self.zones.items()},
            "talkers": {str(key): _told(place) for key, place in self.talkers.items()},
            "missing_s": _rounded(self.missing),
            "clock_stepped_s": [round(step, 3) for step in self.steps_s],
        }
        needed = ("minute", "from_s", "to_s", "run", "heard_s", "voice_s")
        return {key: value for key, value in values.items() if value or key in needed}


def read_span(values: Mapping[str, Any], zone: tzinfo | None = None) -> Span:
    """The span of a line of the daily log.

    Args:
        values: of the line.
        zone: whose local time is wanted; the line's own if None.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(values.get("minute"), str) or not isinstance(values.get("run"), str):
        raise ValueError("no line of a daily log")
    if not isinstance(name := values.get("name", ""), str):
        raise ValueError("a name must be a text")
    minute = read_moment(values["minute"], zone)
    steps_s = values.get("clock_stepped_s", [])
    if not isinstance(steps_s, list) or len(steps_s) > _MOST_NAMES:
        raise ValueError("steps of the clock must be a list")
    ends = (number(values.get(key), -_LONGEST_S, _LONGEST_S) for key in _ENDS)
    begin, end = (minute.utc_s + since_s for since_s in ends)
    end = max(begin, end)
    span = Span(
        begin,
        end,
        minute.offset_s,
        values["run"][:_LONGEST_NAME],
        name=name[:_LONGEST_NAME],
        heard_s=number(values.get("heard_s"), 0.0, _MOST_S),
        voice_s=number(values.get("voice_s"), 0.0, _MOST_S),
        counts={_key(key): s for key, s in _seconds(values, "count_s").items()},
        sectors=_sectors(values),
        zones={key: _read_place(one) for key, one in _table(values, "zones").items()},
        talkers={_key(key): _read_place(one) for key, one in _table(values, "talkers").items()},
        missing=_seconds(values, "missing_s"),
        steps_s=[number(step, -_MOST_S, _MOST_S) for step in steps_s],
        step_s=_step_of(end - begin),
    )
    for place in span.talkers.values():
        place.begin, place.end = span.begin, span.end
    return span


_ENDS = ("from_s", "to_s")


def _step_of(length_s: float) -> float:
    """What a line stands for: a minute of short estimates reaches a little beyond it."""
    return _MINUTE_S if _MINUTE_S < length_s < 2 * _MINUTE_S else length_s


def _told_zone(place: Place) -> dict[str, Any]:
    values = _told(place)
    if len(place.sectors) > 1:
        values["azimuth_s"] = _rounded_sectors(place.sectors)
    return values


def _told(place: Place) -> dict[str, Any]:
    values: dict[str, Any] = {"s": round(place.seconds, 3)}
    if place.seconds:
        values["azimuth_deg"] = round(place.azimuth_deg, 1) + 0.0
    if place.entered:
        values["entered"] = place.entered
    return {**values, "confirmed": True} if place.confirmed else values


def _read_place(values: object) -> Place:
    if not isinstance(values, dict):
        raise ValueError("a place must be an object")
    place = Place(
        entered=int(number(values.get("entered", 0), 0, _MOST_S)),
        confirmed=values.get("confirmed") is True,
    )
    azimuth_deg = number(values.get("azimuth_deg", 0.0), -360.0, 360.0)
    place.hear(azimuth_deg, number(values.get("s"), 0.0, _MOST_S))
    place.sectors = _sectors(values) or place.sectors
    return place


def _sectors(values: Mapping[str, Any]) -> dict[int, float]:
    return {sector_of(_key(key)): s for key, s in _seconds(values, "azimuth_s").items()}


def _rounded_sectors(sectors: Mapping[int, float]) -> dict[str, float]:
    return _rounded({sector_azimuth(key): s for key, s in sectors.items()})


def _rounded(seconds: Mapping[Any, float]) -> dict[str, float]:
    return {str(key): round(s, 3) for key, s in sorted(seconds.items())}


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = values.get(key, {})
    if not isinstance(table, dict) or len(table) > _MOST_NAMES:
        raise ValueError(f"`{key}` must be an object")
    return {name[:_LONGEST_NAME]: value for name, value in table.items()}


def _seconds(values: Mapping[str, Any], key: str) -> dict[str, float]:
    return {name: number(s, 0.0, _MOST_S) for name, s in _table(values, key).items()}


def _key(text: str) -> int:
    if len(text) > 18:
        raise ValueError("a number is too long")
    return int(text)
