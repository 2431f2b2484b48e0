"""Messages of one microphone, counted in spans of a fixed length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

from doa_edge.report.messages import Happened, Heard, Voice
from doa_edge.report.moments import Moment, read_moment, write_moment
from doa_edge.report.span import MOST_COUNTED, Place, Span, add_seconds, sector_of

FRAME_S = 0.032  # between two estimates at least
ALONE_S = 0.16  # what an estimate stands for where a run has no other
JUMP_S = 5.0  # between two clocks, beyond which one of them was set
REFILL_S = 1.5  # without an estimate behind a gap: the engine fills its window anew
EVENT_S = 1.0  # by which an event may be told late
NOT_WRITTEN = "lines missing"
_MOST_S = 1e10


class SpanCounter:
    """Counts messages, in their order, in spans of the same length.

    An estimate stands for the time since the one before, but for no longer than the shortest time
    between two of the run: what is longer is missing. A run begins where stream time goes back, or
    with another file. Where lines have a `time`, spans are by that clock, and those without it are
    placed by the last one of the run that had it; without a clock, runs follow one another.

    Args:
        width_s: of a span [seconds].
        zone: whose local time is wanted; that of the lines if None.
        name: of the microphone.
    """

    def __init__(self, width_s: float, zone: tzinfo | None = None, *, name: str = "") -> None:
        self._width_s = width_s
        self._name = name
        self._zone = zone
        self._span: Span | None = None
        self._place_of: tuple[object, ...] = ()  # which span that is
        self._done: list[Span] = []
        self._waiting: tuple[Heard, Moment | None] | None = None  # until the next one comes
        self._step_s = 0.0  # 0: not known yet
        self._lost: dict[str, float] = {}  # since the last estimate [seconds]
        self._events: list[tuple[Happened, Moment | None]] = []  # since then
        self._anchor: Moment | None = None  # of stream time 0
        self._base_s = 0.0  # of this run, on the time line without a clock
        self._runs = 0
        self._run = self._file = ""  # the one under way, and its recording
        self._stepped = False  # the clock, as an event told, and no line has followed it yet

    def add(self, message: Heard | Happened) -> Sequence[Span]:
        """Count a message; gives the spans that are complete now.

        Raises:
            ValueError: its `time` is none; nothing is counted.
        """
        moment = None if message.time is None else read_moment(message.time, self._zone)
        self._follow_run(message, moment)
        if isinstance(message, Happened):
            self._happen(message, moment)
        else:
            self._hear(message, moment)
        return self._taken()

    def finish(self) -> Sequence[Span]:
        """The spans that are not complete; the run has ended."""
        self._end_run()
        self._run = ""
        if self._span is not None:
            self._done.append(self._span)
            self._span = None
        return self._taken()

    def _taken(self) -> Sequence[Span]:
        done, self._done = self._done, []
        return done

    def _hear(self, heard: Heard, moment: Moment | None) -> None:
        if self._waiting is not None:
            self._count_waiting(heard.time_s)
        if moment is not None:
            self._follow_clock(Moment(moment.utc_s - heard.time_s, moment.offset_s))
        self._waiting = heard, moment

    def _follow_run(self, message: Heard | Happened, moment: Moment | None) -> None:
        """End the run where the message is no later one of it, and begin one where there is none.

        An event may be told a little before the estimates around it, and need not name the file.
        """
        if self._run and self._is_of_run(message):
            return
        self._end_run()
        self._runs += 1
        self._run = write_moment(moment) if moment else str(self._runs)
        self._file = message.file
        self._anchor, self._step_s, self._stepped = None, 0.0, False

    def _is_of_run(self, message: Heard | Happened) -> bool:
        is_event = isinstance(message, Happened)
        if message.file != self._file and not (is_event and not message.file):
            return False
        if self._waiting is None:
            return True
        before_s = self._waiting[0].time_s
        return message.time_s > before_s - (EVENT_S if is_event else 0.0)

    def _end_run(self) -> None:
        if self._waiting is None:
            return
        heard, _ = self._waiting
        self._count_waiting(None)
        self._waiting = None
        self._base_s += heard.time_s

    def _follow_clock(self, anchor: Moment) -> None:
        """Take the clock of a line; a step that no event told of is one all the same."""
        if self._anchor is not None:
            by_s = anchor.utc_s - self._anchor.utc_s
            if abs(by_s) > JUMP_S:
                if not self._stepped and self._span is not None:
                    self._span.steps_s.append(by_s)
                self._stepped = False
        self._anchor = anchor

    def _happen(self, happened: Happened, moment: Moment | None) -> None:
        values = happened.values
        if happened.event == "gap":
            reason, lost_s = values.get("reason"), _finite(values.get("lost_s"))
            if isinstance(reason, str) and lost_s > 0:
                self._lost[reason[:40]] = self._lost.get(reason[:40], 0.0) + lost_s
        else:
            self._stepped |= happened.event == "clock_stepped"
            self._events.append((happened, moment))
            if self._waiting is None:
                self._count_events()

    def _count_events(self) -> None:
        """Count what happened, behind the estimate that came before it."""
        for happened, moment in self._events:
            values, step_s = happened.values, self._step_s or ALONE_S
            if happened.event == "clock_stepped":
                span = self._at(happened.time_s, moment, step_s)
                span.steps_s.append(_finite(values.get("by_s")))
            elif happened.event == "zone_entered" and isinstance(zone := values.get("zone"), str):
                zones = self._at(happened.time_s, moment, step_s).zones
                zones.setdefault(zone[:200], Place()).entered += 1
        self._events.clear()

    def _count_waiting(self, next_s: float | None) -> None:
        """Count the estimate that waits, and what is missing between it and the next.

        Args:
            next_s: stream time of that one; None where the run ends.
        """
        if self._waiting is None:
            return
        heard, moment = self._waiting
        lost_s = sum(self._lost.values())
        until_s = 0.0 if next_s is None else next_s - heard.time_s
        step_s = self._step_s or ALONE_S
        if next_s is not None:
            since_s = max(until_s - lost_s, FRAME_S)
            step_s = self._step_s = min(self._step_s or since_s, since_s)
        span = self._at(heard.time_s, moment, step_s)
        _count(span, heard.voices, step_s)
        for reason, seconds in self._lost.items():
            span.missing[reason] = span.missing.get(reason, 0.0) + seconds
        rest_s = until_s - step_s - lost_s
        if rest_s > 0.5 * step_s + (REFILL_S if self._lost else 0.0):
            span.missing[NOT_WRITTEN] = span.missing.get(NOT_WRITTEN, 0.0) + rest_s
        self._lost.clear()
        self._count_events()

    def _at(self, time_s: float, moment: Moment | None, step_s: float) -> Span:
        """The span of a stretch of stream time that ends at `time_s`."""
        offset_s: float | None = None
        if moment is None and self._anchor is not None:
            moment = Moment(self._anchor.utc_s + time_s, self._anchor.offset_s)
        if moment is None:
            end = self._base_s + time_s
        else:
            end, offset_s = moment
        begin = end - step_s
        number = math.floor((begin + end) / 2.0 / self._width_s)
        # Not the offset: at the end of an estimate summer time may have begun, which its middle
        # has not, and clocks are set between two minutes.
        place = (number, offset_s is None, self._run, self._file)
        if self._span is None or place != self._place_of:
            if self._span is not None:
                self._done.append(self._span)
            self._span = Span(begin, end, offset_s, self._run, self._file, self._name)
            self._place_of = place
        self._span.begin = min(self._span.begin, begin)
        self._span.end = max(self._span.end, end)
        self._span.step_s = max(self._span.step_s, step_s)
        return self._span


def _count(span: Span, voices: Sequence[Voice], seconds: float) -> None:
    span.heard_s += seconds
    many = min(len(voices), MOST_COUNTED)
    span.counts[many] = span.counts.get(many, 0.0) + seconds
    if not voices:
        return
    span.voice_s += seconds
    zones: dict[str, list[float]] = {}
    for voice in voices:
        add_seconds(span.sectors, {sector_of(voice.azimuth_deg): seconds})
        for zone in voice.zones:
            zones.setdefault(zone, []).append(voice.azimuth_deg)
        if voice.id is not None:
            talker = span.talkers.setdefault(voice.id, Place())
            talker.hear(voice.azimuth_deg, seconds)
            talker.confirmed |= not voice.tentative
            talker.begin, talker.end = min(talker.begin, span.begin), max(talker.end, span.end)
    for zone, azimuths in zones.items():  # two talkers in a zone are no more time of it
        place = span.zones.setdefault(zone, Place())
        for azimuth_deg in azimuths:
            place.hear(azimuth_deg, seconds / len(azimuths))


def _finite(value: object) -> float:
    """A number of an event; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _MOST_S:
        return 0.0
    return float(value)
