"""An evening at home as the lines of `doa_edge run`, for reports: two people and a television.

Who is where follows a timetable; when they talk is drawn. A microphone that stalls, a run that is
started again and zones are in it. No sound is made.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

Message = dict[str, Any]

STEP_S = 0.16  # between two estimates [seconds]
FIRST_S = 0.832  # of a run: a window
ZONES = {
    "desk": (20.0, 55.0),
    "kitchen": (-105.0, -55.0),
    "table": (-50.0, 18.0),
    "sofa": (70.0, 125.0),
    "television": (140.0, 165.0),
}
# Who, from and to [hours of the day], azimuth [degrees], and the share of the time that they talk.
TIMETABLE = (
    ("Ada", 17.6, 18.7, 38.0, 0.34),
    ("Ada", 18.7, 19.2, -74.0, 0.22),
    ("Ada", 19.2, 20.1, 4.0, 0.36),
    ("Ada", 20.1, 20.3, -82.0, 0.20),
    ("Ada", 20.3, 22.7, 108.0, 0.12),
    ("Ada", 22.7, 23.3, 40.0, 0.30),
    ("Ben", 18.55, 19.15, -92.0, 0.30),
    ("Ben", 19.15, 20.15, -34.0, 0.38),
    ("Ben", 20.3, 23.1, 84.0, 0.14),
    ("television", 20.35, 22.45, 152.0, 0.62),
)
STALLS = ((21.05, 390.0),)  # the hour, and what is lost [seconds]
RUNS = ((17.52, 18.33), (18.48, 23.62))  # hours


@dataclass
class _Voice:
    """Somebody who talks and pauses."""

    spread_deg: float
    talks: bool = False
    until_h: float = 0.0
    azimuth_deg: float | None = None
    id: int = 0
    silent_s: float = 1e9
    zones: set[str] = field(default_factory=set)


def lines(
    midnight: datetime, *, step_s: float = STEP_S, seed: int = 1, hours: float | None = None
) -> Iterator[Message]:
    """The messages of an evening, in their order.

    Args:
        midnight: that the day began with, with its zone.
        step_s: between two estimates [seconds].
        seed: of what is drawn.
        hours: length of one run from the first one's beginning; the evening's own runs if None.
    """
    generator = random.Random(seed)
    runs = RUNS if hours is None else ((RUNS[0][0], RUNS[0][0] + hours),)
    for begin_h, end_h in runs:
        yield from _run(midnight, (begin_h, end_h), step_s, generator)


def _run(
    midnight: datetime, hours: tuple[float, float], step_s: float, generator: random.Random
) -> Iterator[Message]:
    voices = {name: _Voice(2.0 if name == "television" else 5.0) for name, *_ in TIMETABLE}
    stalls = [stall for stall in STALLS if hours[0] < stall[0] < hours[1]]
    ids = 0
    time_s = FIRST_S
    while (hour := hours[0] + time_s / 3600.0) < hours[1]:
        if stalls and hour >= stalls[0][0]:
            _, lost_s = stalls.pop(0)
            time_s += lost_s
            yield _event(midnight, hours[0], time_s, "gap", reason="stalled", lost_s=lost_s)
            time_s += FIRST_S
            continue
        talkers = []
        for name, voice in voices.items():
            _follow(name, voice, hour, step_s, generator)
            if not voice.talks or voice.azimuth_deg is None or len(talkers) == 3:
                continue
            if voice.silent_s > 300.0 or not voice.id:
                ids += 1
                voice.id = ids
            voice.silent_s = 0.0
            azimuth_deg = _azimuth(voice.azimuth_deg + generator.gauss(0.0, voice.spread_deg))
            zones = {zone for zone, (low, high) in ZONES.items() if low <= azimuth_deg <= high}
            for zone in sorted(zones - voice.zones):
                told = {"zone": zone, "id": voice.id}
                yield _event(midnight, hours[0], time_s, "zone_entered", **told)
            voice.zones = zones
            talkers.append(_talker(voice.id, len(talkers) + 1, azimuth_deg, sorted(zones)))
        yield _estimate(midnight, hours[0], time_s, talkers)
        time_s += step_s


def _follow(name: str, voice: _Voice, hour: float, step_s: float, generator: random.Random) -> None:
    """Where somebody is now, and whether they talk."""
    now = [row for row in TIMETABLE if row[0] == name and row[1] <= hour % 24.0 < row[2]]
    voice.silent_s += step_s
    if not now:
        voice.azimuth_deg, voice.talks = None, False
        return
    _, _, _, azimuth_deg, share = now[0]
    if voice.azimuth_deg is None:
        voice.azimuth_deg = azimuth_deg
    way = azimuth_deg - voice.azimuth_deg
    voice.azimuth_deg += max(-12.0 * step_s, min(way, 12.0 * step_s))  # they walk
    if hour >= voice.until_h:
        voice.talks = generator.random() < share
        voice.until_h = hour + generator.expovariate(1.0 / 3.5) / 3600.0


def _estimate(midnight: datetime, begin_h: float, time_s: float, talkers: list[Message]) -> Message:
    top = talkers[0] if talkers else {"azimuth_deg": 0.0, "elevation_deg": 0.0, "confidence": 0.1}
    return {
        "time_s": round(time_s, 3),
        "azimuth_deg": top["azimuth_deg"],
        "elevation_deg": top["elevation_deg"],
        "confidence": top["confidence"],
        "active": bool(talkers),
        "level_dbfs": -31.5 if talkers else -58.25,
        "of_s": round(time_s - 0.21, 3),
        "talkers": talkers,
        "time": _time(midnight, begin_h, time_s),
    }


def _talker(number: int, slot: int, azimuth_deg: float, zones: list[str]) -> Message:
    return {
        "id": number,
        "slot": slot,
        "azimuth_deg": round(azimuth_deg, 2),
        "elevation_deg": 4.25,
        "confidence": 0.8125,
        "zones": zones,
    }


def _event(midnight: datetime, begin_h: float, time_s: float, event: str, **told: Any) -> Message:
    values = {"time_s": round(time_s, 3), "event": event, **told}
    return {**values, "time": _time(midnight, begin_h, time_s)}


def _time(midnight: datetime, begin_h: float, time_s: float) -> str:
    # By UTC: hours of a clock that is set for the winter are not hours of time.
    moment = midnight.astimezone(timezone.utc) + timedelta(hours=begin_h, seconds=round(time_s, 3))
    return moment.astimezone(midnight.tzinfo).isoformat(timespec="milliseconds")


def _azimuth(azimuth_deg: float) -> float:
    return (azimuth_deg + 180.0) % 360.0 - 180.0
