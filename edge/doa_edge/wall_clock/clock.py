"""The `time` of messages: of live sound by the system's clock, of a recording by its recorder's."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from doa_edge.wall_clock.anchor import Anchor

if TYPE_CHECKING:
    from doa_edge.input.stream import Source

_HALF_MS = datetime.timedelta(microseconds=500)


class WallClock:
    """Tells the time of day of a stream, where it is known.

    - A recording, or a pipe, that carries its recorder's clock has that: local, and without a zone
      unless `zone` says which.
    - Live sound has the system's clock, in the system's zone unless `zone` names another. A pipe is
      live once it is known to be, see `doa_edge.input.pace`.
    - Whatever else is not known: the time of a file is that of a copy, or of an edit.

    Args:
        zone: of what is told.
        wall: gives the system's clock [seconds since 1970 UTC].
        monotonic: gives a clock that nobody sets [seconds].
    """

    def __init__(
        self,
        zone: datetime.tzinfo | None = None,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zone = zone
        self._wall, self._monotonic = wall, monotonic
        self._source: Source | None = None
        self._anchor: Anchor | None = None

    def begin(self, source: Source) -> None:
        """Tell the time of this source from now on."""
        self._source = source
        self._anchor = None
        if source.pace is not None:
            self._anchor = Anchor(wall=self._wall, monotonic=self._monotonic)

    def observe(self, stream_s: float, *, new: bool) -> None:
        """Look at the clock, for each block as soon as it has come; see `Anchor.observe`."""
        if self._anchor is not None:
            self._anchor.observe(stream_s, new=new)

    def at(self, stream_s: float) -> datetime.datetime | None:
        """The time of day at a moment of the stream, to the millisecond; None: it is not known.

        Args:
            stream_s: stream time [seconds].
        """
        source = self._source
        if source is None:
            return None
        if (began := source.began) is not None:
            return self._recorded(began, datetime.timedelta(seconds=stream_s))
        is_live = source.pace is not None and source.pace.live
        if self._anchor is None or not (is_live and self._anchor.known):
            return None
        time_s = self._anchor.time_s(stream_s)
        moment = datetime.datetime.fromtimestamp(time_s, datetime.timezone.utc)
        return _rounded(moment).astimezone(self._zone)

    def text(self, stream_s: float) -> str | None:
        """The same in ISO 8601, such as `2026-11-29T07:32:12.345+01:00`."""
        moment = self.at(stream_s)
        return None if moment is None else moment.isoformat(timespec="milliseconds")

    def steps(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The message, and before it an event where time has jumped: the first of all stages."""
        by_s = 0.0 if self._anchor is None else round(self._anchor.stepped_s(), 3)
        if by_s and self.at(message["time_s"]) is not None:
            yield {"time_s": message["time_s"], "event": "clock_stepped", "by_s": by_s}
        yield message

    def stamp(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The message with its `time`, where it is known: behind all that make events."""
        text = self.text(message["time_s"])
        yield message if text is None else {**message, "time": text}

    def _recorded(self, began: datetime.datetime, since: datetime.timedelta) -> datetime.datetime:
        """A moment of a recording; in a zone, over the nights on which its clocks are set."""
        if self._zone is None:
            return _rounded(began + since)
        utc = began.replace(tzinfo=self._zone).astimezone(datetime.timezone.utc)
        return _rounded(utc + since).astimezone(self._zone)


def _rounded(moment: datetime.datetime) -> datetime.datetime:
    """To the nearest millisecond; in UTC, as sums in a zone know nothing of its summer."""
    moment += _HALF_MS
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
