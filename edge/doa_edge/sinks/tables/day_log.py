"""`run --log DIR`: what was heard, minute by minute, in one small file a day."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

from doa_core.errors import say
from doa_edge.report.counting import SpanCounter
from doa_edge.report.messages import read_message
from doa_edge.report.moments import Moment, day_date, local_day
from doa_edge.report.span import Span
from doa_edge.sinks.lines import FileSink
from doa_edge.sinks.sink import Message, Reasons

_MINUTE_S = 60.0
_MOST_WAITING = 1024  # messages: more than a pipe gives before it is known whether it is live
_FASTER = 1.5  # times real time: of a recording, not of a machine that is late


def _now() -> datetime:
    return datetime.now().astimezone()


class DayLogSink:
    """Appends a line a minute to `DIR/YYYY-MM-DD.jsonl`, of the local day.

    A line is on the disk when its minute is over, so that a process that is killed, or a power cut,
    loses no more than the minute under way; a file that was removed is begun again. What cannot be
    written, as on a full disk, is told once and counted; the run goes on.

    Messages of live sound that come before its clock is known, as those of a pipe do, wait until it
    is, and are put back to where they belong. Where the run ends first, or a busy machine never
    finds out, they end when the last one came.

    Args:
        folder: made if it does not exist, and removed again where nothing was written.
        live: whether messages may come as they happen: those without a `time` have that of this
            machine's clock then. Those of a recording are left out, which is said.
        played: whether a recording is played in real time, each message when it comes.
        now: gives this machine's clock, with its zone.

    Raises:
        OSError: the folder cannot be made or written.
    """

    name = "log"

    def __init__(
        self,
        folder: Path,
        *,
        live: bool,
        played: bool = False,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} cannot be written: --log needs a folder that can be")
        self.dropped = 0
        self._folder = folder
        self._live = live
        self._played = played
        self._now = now
        self._waiting: list[Message] = []  # for the clock of the stream
        self._first = self._latest = now()  # when the first and the last of them came
        self._untimed: set[object] = set()  # recordings without a clock
        self._counters: dict[str, SpanCounter] = {}
        self._reasons = Reasons(self.name)

    def send(self, message: Message) -> None:
        """Count a message; writes the minute before, if that is over now."""
        if "time" in message:
            self._place_waiting(datetime.fromisoformat(message["time"]), message["time_s"])
            self._count(message)
        elif self._played:
            self._count({**message, "time": self._now().isoformat(timespec="milliseconds")})
        elif not self._live or len(self._waiting) >= _MOST_WAITING:
            self._leave_out(message)
        else:
            self._wait(message)

    def close(self) -> None:
        """Write the minute under way."""
        if 0 < len(self._waiting) < _MOST_WAITING:
            self._place_waiting(self._latest, self._waiting[-1]["time_s"])
        for counter in self._counters.values():
            for span in counter.finish():
                self._write(span)
        if self._made:
            with suppress(OSError):  # something is in it
                self._folder.rmdir()

    def _wait(self, message: Message) -> None:
        """Keep a message for the clock; so many at the pace of a microphone are of one."""
        self._latest = self._now()
        if not self._waiting:
            self._first = self._latest
        self._waiting.append(message)
        if len(self._waiting) == _MOST_WAITING:
            stream_s = message["time_s"] - self._waiting[0]["time_s"]
            if stream_s <= _FASTER * (self._latest - self._first).total_seconds():
                self._place_waiting(self._latest, message["time_s"])

    def _place_waiting(self, time: datetime, time_s: float) -> None:
        """Count what waits, by the time of a moment of the stream."""
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            then = time + timedelta(seconds=message["time_s"] - time_s)
            self._count({**message, "time": then.isoformat(timespec="milliseconds")})

    def _leave_out(self, message: Message) -> None:
        """Say once of each recording that it has no time."""
        file = message.get("file")
        if file not in self._untimed:
            self._untimed.add(file)
            what = f"{file}: the recording" if file else "the recording"
            say(f"doa_edge: --log leaves out what has no time: {what} tells of no clock")

    def _count(self, message: Message) -> None:
        read = read_message(message)
        counter = self._counters.get(read.name)
        if counter is None:
            counter = SpanCounter(_MINUTE_S, name=read.name)
            self._counters[read.name] = counter
        for span in counter.add(read):
            self._write(span)

    def _write(self, span: Span) -> None:
        day = local_day(Moment(span.middle, span.offset_s or 0.0))
        try:
            with closing(FileSink(self._folder / f"{day_date(day)}.jsonl", size=None)) as file:
                file.send(span.to_dict())
                file.sync()
        except OSError as error:
            self.dropped += 1
            self._reasons.tell("cannot be written", error)
