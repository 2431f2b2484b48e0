"""What a report takes of a message of a run, checked: lines may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_TALKERS = 16  # of one line that are counted; a run has 4 at most
MOST_ZONES = 64  # of one talker
_LONGEST_NAME = 200  # characters
_LATEST_S = 1e10  # of stream time: three centuries


class Voice(NamedTuple):
    """Somebody who is heard in an estimate.

    Attributes:
        id: of the talker; None where the run is of one voice.
        azimuth_deg: in [-360, 360].
        zones: that the direction is in.
        tentative: whether the track is not confirmed yet.
    """

    id: int | None
    azimuth_deg: float
    zones: tuple[str, ...]
    tentative: bool


class Heard(NamedTuple):
    """An estimate.

    Attributes:
        time_s: stream time [seconds].
        time: of the clock, as it was written; None where it is not known.
        file: the recording where a run has several, else "".
        name: of the microphone, else "".
        voices: who is heard; nobody where the line is not active.
    """

    time_s: float
    time: str | None
    file: str
    name: str
    voices: tuple[Voice, ...]


class Happened(NamedTuple):
    """An event.

    Attributes:
        time_s, time, file, name: as of `Heard`.
        event: its name.
        values: the message.
    """

    time_s: float
    time: str | None
    file: str
    name: str
    event: str
    values: Mapping[str, Any]


def read_message(message: object) -> Heard | Happened:
    """What a message of `doa_edge run` says.

    Raises:
        ValueError: it is none, or a number in it is none.
    """
    if not isinstance(message, dict):
        raise ValueError("a line must be an object")
    time_s = number(message.get("time_s"), 0.0, _LATEST_S)
    time = message.get("time")
    if time is not None and not isinstance(time, str):
        raise ValueError("`time` must be a text")
    file, name = (_name(message.get(key, "")) for key in ("file", "name"))
    if "event" in message:
        return Happened(time_s, time, file, name, _name(message["event"]), message)
    talkers = message.get("talkers")
    voices: tuple[Voice, ...]
    if talkers is None:
        voices = (_voice(message, None),)  # a line without an azimuth is none of ours
        if not _truth(message.get("active")):
            voices = ()
    elif isinstance(talkers, list):
        voices = tuple(_voice(one, _id(one)) for one in talkers[:MOST_TALKERS])
    else:
        raise ValueError("`talkers` must be a list")
    return Heard(time_s, time, file, name, voices)


def number(value: object, lowest: float, highest: float) -> float:
    """A finite number within limits; a ValueError says that it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number is missing")
    if not lowest <= value <= highest or not math.isfinite(value):
        raise ValueError("a number is out of range")
    return float(value)


def _voice(values: object, number_of: int | None) -> Voice:
    if not isinstance(values, dict):
        raise ValueError("a talker must be an object")
    azimuth_deg = number(values.get("azimuth_deg"), -360.0, 360.0)
    zones = values.get("zones") or ()
    if not isinstance(zones, (list, tuple)):
        raise ValueError("`zones` must be a list")
    named = tuple(_name(zone) for zone in zones[:MOST_ZONES])
    return Voice(number_of, azimuth_deg, named, bool(values.get("tentative", False)))


def _id(values: object) -> int:
    value = values.get("id") if isinstance(values, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError("`id` must be an integer")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("`active` must be true or false")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a name must be a text")
    return value[:_LONGEST_NAME]
