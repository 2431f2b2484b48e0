"""`run --log DIR`: what was heard, minute by minute, in one small file a day."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import datetime
from pathlib import Path

from doa_core.errors import say
from doa_edge.report.counting import SpanCounter
from doa_edge.report.messages import read_message
from doa_edge.report.moments import Moment, day_date, local_day
from doa_edge.report.span import Span
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.sink import Message, Reasons

_MINUTE_S = 60.0


class DayLogSink:
    """Appends a line a minute to `DIR/YYYY-MM-DD.jsonl`, of the local day.

    A line is on the disk when its minute is over, so that a process that is killed, or a power cut,
    loses no more than the minute under way; a file that was removed is begun again. What cannot be
    written, as on a full disk, is told once and counted; the run goes on.

    Args:
        folder: made if it does not exist.
        live: whether messages come as they happen: those without a `time` have that of this
            machine's clock then. Others are left out.

    Raises:
        OSError: the folder cannot be made or written.
    """

    name = "log"

    def __init__(self, folder: Path, *, live: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} cannot be written: --log needs a folder that can be")
        self.dropped = 0
        self._folder = folder
        self._live = live
        self._untimed = 0
        self._counters: dict[str, SpanCounter] = {}
        self._reasons = Reasons(self.name)

    def send(self, message: Message) -> None:
        """Count a message; writes the minute before, if that is over now."""
        if "time" not in message:
            if not self._live:
                self._untimed += 1
                return
            now = datetime.now().astimezone().isoformat(timespec="milliseconds")
            message = {**message, "time": now}
        read = read_message(message)
        counter = self._counters.get(read.name)
        if counter is None:
            counter = SpanCounter(_MINUTE_S, name=read.name)
            self._counters[read.name] = counter
        for span in counter.add(read):
            self._write(span)

    def close(self) -> None:
        """Write the minute under way."""
        for counter in self._counters.values():
            for span in counter.finish():
                self._write(span)
        if self._untimed:
            say(
                "doa_edge: --log has left out what has no time: "
                f"the recording tells of no clock ({self._untimed} messages)"
            )

    def _write(self, span: Span) -> None:
        day = local_day(Moment(span.begin, span.offset_s or 0.0))
        try:
            with closing(FileSink(self._folder / f"{day_date(day)}.jsonl", size=None)) as file:
                file.send(span.to_dict())
                file.sync()
        except OSError as error:
            self.dropped += 1
            self._reasons.tell("cannot be written", error)
