"""A time zone as `--zone` names it. Only the standard library is imported: help answers at once."""

from __future__ import annotations

import datetime
import re

from doa_core.errors import one_line

_OFFSET = re.compile(r"([+-])(\d\d)(?::?(\d\d))?")
_LARGEST_OFFSET = datetime.timedelta(hours=14)  # of a zone that people live in
_SHOWN = 40  # characters of what was received


def read_zone(text: str) -> datetime.tzinfo:
    """The zone of `Europe/Berlin`, `+02:00`, `-0530`, `UTC` or `Z`.

    Raises:
        ValueError: no such zone; the message says what is allowed and what came.
    """
    if text.upper() in ("Z", "UTC"):
        return datetime.timezone.utc
    if match := _OFFSET.fullmatch(text):
        sign, hours, minutes = match.groups()
        offset = datetime.timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset <= _LARGEST_OFFSET and int(minutes or 0) < 60:
            return datetime.timezone(-offset if sign == "-" else offset)
    elif (zone := _named(text)) is not None:
        return zone
    raise ValueError(
        "must be a name of the IANA data base such as Europe/Berlin, or an offset from UTC such as "
        f"+02:00, up to 14 hours. Received: {one_line(text, length=_SHOWN)!r}{_advice()}"
    )


def _named(text: str) -> datetime.tzinfo | None:
    """A zone of the IANA data base; None where it has no such."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):  # of names that are none, such as `../x` or a folder
        return None


def _advice() -> str:
    """What to do on a machine without the data base, where no name is known."""
    if _named("Europe/Berlin") is not None:
        return ""
    return "; this machine has no data base of zones: pip install tzdata, or name an offset"
