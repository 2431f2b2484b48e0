"""The `bext` chunk of Broadcast Wave files: when and by whom a recording was made."""

from __future__ import annotations

import datetime
import re
import struct
from dataclasses import dataclass, field

_TEXTS = (256, 32, 32, 10, 8)  # bytes of description, originator, its reference, date and time
_DAY = datetime.timedelta(days=1)
_YEARS = range(1970, 3000)  # of a clock that was set
_AGREE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Broadcast:
    """When the first sample of a recording was taken, as its recorder's clock had it.

    Attributes:
        date: of the beginning; None where none is given.
        time: of the beginning, mostly local; None where none is given.
        time_reference: of the first sample [samples since midnight].
        description: free text.
        originator: the program or device that wrote it.
        reference: its name for this recording.
        body: the whole chunk, with what else it says.
    """

    date: datetime.date | None = None
    time: datetime.time | None = None
    time_reference: int = 0
    description: str = ""
    originator: str = ""
    reference: str = ""
    body: bytes = field(default=b"", repr=False, compare=False)


def broadcast_of(body: bytes) -> Broadcast | None:
    """What a `bext` chunk says (EBU Tech 3285); None for one that is too short to say it."""
    size = sum(_TEXTS)
    if len(body) < size + 8:
        return None
    texts, start = [], 0
    for length in _TEXTS:
        text = body[start : start + length].split(b"\0")[0]
        texts.append(text.decode("utf-8", errors="replace").strip())
        start += length
    description, originator, reference, date, time = texts
    return Broadcast(
        date=_date(_numbers(date)),
        time=_time(_numbers(time)),
        time_reference=struct.unpack_from("<Q", body, size)[0],
        description=description,
        originator=originator,
        reference=reference,
        body=body,
    )


def at_rate(broadcast: Broadcast, from_rate: int, to_rate: int) -> bytes:
    """The chunk for the same recording at another rate, in whose samples its time reference counts.

    Args:
        broadcast: as it was read.
        from_rate: of the recording that it was read from [hertz].
        to_rate: of the one that gets it [hertz].
    """
    reference = round(broadcast.time_reference * to_rate / from_rate)
    if from_rate == to_rate or reference >= 1 << 64:  # none of a time of day
        return broadcast.body
    body = bytearray(broadcast.body)
    struct.pack_into("<Q", body, sum(_TEXTS), reference)
    return bytes(body)


def began(broadcast: Broadcast | None, sample_rate: int) -> datetime.datetime | None:
    """When the first sample was taken, in local time without a zone; None where no day is given.

    The time reference counts, which is exact to a sample and goes on from one file of a long take
    to the next; on the day that brings it nearest to the date and time that are given, since such a
    take may go on past midnight. Where it is 0, or more than a day, the time counts.

    Args:
        broadcast: what the recording says; None where it says nothing.
        sample_rate: of the recording [hertz].
    """
    if broadcast is None or broadcast.date is None or broadcast.date.year not in _YEARS:
        return None
    midnight = datetime.datetime.combine(broadcast.date, datetime.time())
    told = _told(broadcast)
    reference = broadcast.time_reference
    if not 0 < reference < 86_400 * sample_rate:
        return told
    exact = midnight + datetime.timedelta(seconds=reference / sample_rate)
    return exact if told is None else exact + round((told - exact) / _DAY) * _DAY


def contradiction(broadcast: Broadcast | None, sample_rate: int) -> str | None:
    """A sentence where the time reference and the time that is given are a minute apart, or more.

    The reference of a recorder that counts recorded time, or that of a piece that an editor has
    cut, is no time of day.

    Args:
        broadcast: what the recording says; None where it says nothing.
        sample_rate: of the recording [hertz].
    """
    told = None if broadcast is None else _told(broadcast)
    exact = began(broadcast, sample_rate)
    if told is None or exact is None or abs(exact - told) < _AGREE:
        return None
    return (
        f"its time reference says {exact:%Y-%m-%d %H:%M:%S}, its date and time "
        f"{told:%Y-%m-%d %H:%M:%S}: `time` follows the reference"
    )


def _told(broadcast: Broadcast) -> datetime.datetime | None:
    """The date and time that are given."""
    if broadcast.date is None or broadcast.time is None:
        return None
    return datetime.datetime.combine(broadcast.date, broadcast.time)


def _numbers(text: str) -> list[int]:
    """The numbers of yyyy-mm-dd or hh:mm:ss, for which the standard allows any separator."""
    return [int(part) for part in re.findall(r"[0-9]+", text)]


def _date(numbers: list[int]) -> datetime.date | None:
    try:
        year, month, day = numbers
        return datetime.date(year, month, day)
    except ValueError:
        return None


def _time(numbers: list[int]) -> datetime.time | None:
    try:
        hour, minute, second = numbers
        return datetime.time(hour, minute, second)
    except ValueError:
        return None
