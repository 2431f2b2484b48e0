"""The `bext` chunk of Broadcast Wave files: when and by whom a recording was made."""

from __future__ import annotations

import datetime
import re
import struct
from dataclasses import dataclass

_TEXTS = (256, 32, 32, 10, 8)  # bytes of description, originator, its reference, date and time


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
    """

    date: datetime.date | None = None
    time: datetime.time | None = None
    time_reference: int = 0
    description: str = ""
    originator: str = ""
    reference: str = ""


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
    )


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
