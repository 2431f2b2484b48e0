"""Times of lines: ISO 8601 with or without a zone, and how times and spans of time are told."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

_EPOCH_DAY = 719_163  # 1970-01-01 as `date.toordinal` counts
_DAY_S = 86_400
_FIRST_YEAR, _LAST_YEAR = 1900, 2200  # a board without a clock begins in 1970
_FRACTION = re.compile(r"[.,](\d+)")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Moment(NamedTuple):
    """A moment by a clock.

    Attributes:
        utc_s: since 1970 [seconds]; of a time without a zone, as if it were UTC.
        offset_s: what local time is ahead of it [seconds].
    """

    utc_s: float
    offset_s: float

    @property
    def local_s(self) -> float:
        """Local time since 1970 [seconds], without leaps."""
        return self.utc_s + self.offset_s


def read_moment(text: str, zone: tzinfo | None = None) -> Moment:
    """The moment of a text such as 2026-11-28T19:04:12.5+01:00.

    Args:
        text: ISO 8601; without a zone it is local time.
        zone: whose local time is wanted; the text's own if None.

    Raises:
        ValueError: no such text, or centuries away.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # Python 3.10 knows neither Z nor other than 3 or 6 decimals
        plain = re.sub("[zZ]$", "+00:00", text)
        six = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", plain)
        time = datetime.fromisoformat(six)
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"a time must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    if zone is not None:
        time = time.replace(tzinfo=zone) if time.tzinfo is None else time.astimezone(zone)
    offset = time.utcoffset()
    if offset is None:
        time, offset = time.replace(tzinfo=timezone.utc), timedelta()
    return Moment(time.timestamp(), offset.total_seconds())


def write_moment(moment: Moment) -> str:
    """ISO 8601 to the second, with the zone."""
    zone = timezone(timedelta(seconds=moment.offset_s))
    return datetime.fromtimestamp(moment.utc_s, zone).isoformat(timespec="seconds")


def local_day(moment: Moment) -> int:
    """The local day [days since 1970]."""
    return int(moment.local_s // _DAY_S)


def day_text(day: int, *, year: bool = False) -> str:
    """A day since 1970 as `Sat 28 Nov`, with the year if asked for."""
    one = datetime.fromordinal(day + _EPOCH_DAY)
    text = f"{_DAYS[one.weekday()]} {one.day} {_MONTHS[one.month - 1]}"
    return f"{text} {one.year}" if year else text


def clock_text(local_s: float, *, seconds: bool = False) -> str:
    """The time of the day of a local time, `19:04` or `19:04:12`."""
    second = int(local_s) % _DAY_S
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}"
    return f"{text}:{second % 60:02d}" if seconds else text


def offset_text(offset_s: float) -> str:
    """What local time is ahead of UTC as `+02:00`."""
    minutes = round(abs(offset_s) / 60)
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def elapsed_text(time_s: float) -> str:
    """Stream time as `1:02:03`, hours, minutes and seconds."""
    second = int(time_s)
    return f"{second // 3600}:{second // 60 % 60:02d}:{second % 60:02d}"


def duration_text(span_s: float) -> str:
    """A span of time by its two largest units: `5 h 12 min`, `3 min 5 s`, `8.3 s`."""
    if span_s < 59.5:
        return f"{span_s:.1f} s" if span_s < 9.95 else f"{span_s:.0f} s"
    minutes, second = divmod(round(span_s), 60)
    if minutes < 10:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    hours, minutes = divmod(round(span_s / 60), 60)
    if not hours:
        return f"{minutes} min"
    if hours < 72:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(span_s / 3600), 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def day_date(day: int) -> str:
    """A day since 1970 as `2026-11-28`."""
    return datetime.fromordinal(day + _EPOCH_DAY).date().isoformat()
