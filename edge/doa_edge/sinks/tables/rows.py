"""Messages as rows of CSV: a row a talker, one row where nobody talks, one row an event.

    time,time_s,file,name,event,details,active,level_dbfs,of_s,id,slot,azimuth_deg,...

The columns are the same whatever a run was asked for, so that files of several runs can be read
together; those that a run does not know are empty. With one voice its row has no `id` and no
`slot`. Where nobody talks, the columns of the talker, from `id` on, are empty: the direction at the
top of a line of JSON is nobody's then.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from doa_core.errors import visible
from doa_core.files import printable
from doa_edge.sinks.sink import Message

MESSAGE_COLUMNS = ("time", "time_s", "file", "name", "event", "details")
ESTIMATE_COLUMNS = ("active", "level_dbfs", "of_s")
TALKER_COLUMNS = ("id", "slot", "azimuth_deg", "elevation_deg", "confidence", "tentative", "zones")
COLUMNS = (*MESSAGE_COLUMNS, *ESTIMATE_COLUMNS, *TALKER_COLUMNS)
SUFFIX = ".csv"
_ZONE_SEPARATOR = ";"


class CsvRows:
    """The form of a CSV file. See `doa_edge.sinks.lines.Form`.

    Attributes:
        header: the first row of each file.
    """

    header = f"{','.join(COLUMNS)}\n".encode()

    def lines(self, message: Message) -> bytes:
        """The rows of a message, each with its line break."""
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        for row in _rows(message):
            table.writerow({column: _cell(value) for column, value in row.items()})
        return text.getvalue().encode()


def _rows(message: Message) -> Iterator[dict[str, Any]]:
    """The cells of each row that are not empty."""
    if "event" in message:
        yield _event_row(message)
        return
    common = {key: message[key] for key in (*MESSAGE_COLUMNS, *ESTIMATE_COLUMNS) if key in message}
    if "talkers" in message:
        talkers = [{"tentative": False, **talker} for talker in message["talkers"]]
    else:
        talkers = [message] if message["active"] else []
    for talker in talkers or [{}]:
        yield {**common, **{key: talker[key] for key in TALKER_COLUMNS if key in talker}}


def _event_row(event: Message) -> dict[str, Any]:
    """An event: its name, and whatever else it has in one cell of JSON."""
    own = {key: event[key] for key in MESSAGE_COLUMNS if key in event}
    details = {key: value for key, value in event.items() if key not in own}
    if details:
        own["details"] = json.dumps(details, allow_nan=False)
    return own


def _cell(value: Any) -> str:
    """A value as a cell, in one line; a truth value as JSON writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = _ZONE_SEPARATOR.join(map(str, value))
    return visible(printable(value)) if isinstance(value, str) else str(value)
