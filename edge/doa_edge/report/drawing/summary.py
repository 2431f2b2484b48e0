"""The panels of numbers: totals above, and below what is missing, in words."""

from __future__ import annotations

from collections.abc import Sequence

from doa_edge.report.drawing.canvas import Canvas
from doa_edge.report.history import NOT_RUNNING, Gap, History
from doa_edge.report.lines import Unread
from doa_edge.report.moments import clock_text, day_text, duration_text, elapsed_text, offset_text

TOTALS_HEIGHT = 52.0
_ROW = 20.0
_DAY_S = 86_400


def totals(history: History) -> list[tuple[str, str]]:
    """What the panel above tells: a number, and of what."""
    share = 100.0 * history.voice_s / history.heard_s
    most = max((many for many, seconds in enumerate(history.counts) if seconds), default=0)
    lost_s = sum(one.seconds for one in history.missing.values())
    return [
        (duration_text(history.heard_s), "listened"),
        (duration_text(history.voice_s), f"of voice, {share:.0f} %"),
        (f"{most} or more" if most == len(history.counts) - 1 else str(most), "at once at most"),
        (str(history.runs), "run" if history.runs == 1 else "runs"),
        (duration_text(lost_s) if lost_s else "nothing", "missing"),
    ]


def draw_totals(canvas: Canvas, history: History, width: float) -> None:
    """Draw the totals side by side."""
    shown = totals(history)
    for number, (value, of) in enumerate(shown):
        x = number * width / len(shown)
        canvas.text((x, 24), value, size=23, bold=True)
        canvas.text((x, 45), of, size=12.5, fill="muted")


def extent(history: History) -> str:
    """From when to when: `Sat 28 Nov 2026, 18:02 to 23:40`."""
    first, latest = history.first, history.latest
    if not history.has_clock:
        return f"stream time {elapsed_text(first.begin)} to {elapsed_text(latest.end)}"
    begin = first.begin + (first.offset_s or 0.0)
    end = latest.end + (latest.offset_s or 0.0)
    day, last = int(begin // _DAY_S), int(end // _DAY_S)
    told = f"{day_text(day, year=True)}, {clock_text(begin)}"
    until = clock_text(end)
    if first.offset_s != latest.offset_s:  # or a night on which clocks are set seems to run back
        told += offset_text(first.offset_s or 0.0)
        until += offset_text(latest.offset_s or 0.0)
    if last == day:
        return f"{told} to {until}"
    return f"{told} to {day_text(last, year=True)}, {until}"


def notes(history: History, unread: Unread | None = None) -> list[str]:
    """What is missing, and what the numbers cannot tell, in sentences.

    Args:
        history: of a microphone.
        unread: lines of the files that could not be used.
    """
    told = []
    for reason, missing in sorted(history.missing.items(), key=lambda pair: -pair[1].seconds):
        what = reason if reason == NOT_RUNNING else f"gaps ({reason})"
        times = "once" if missing.times == 1 else f"{missing.times} times"
        told.append(f"{what}: {duration_text(missing.seconds)}, {times}")
    if history.steps:
        steps = ", ".join(_step(step) for step in history.steps_s[-3:])
        times = "once" if history.steps == 1 else f"{history.steps} times"
        told.append(f"the clock was set {times} ({steps}): times before that are off by as much")
    if history.repeated_s:
        told.append(f"told twice and counted once: {duration_text(history.repeated_s)}")
    if history.has_clock and history.untimed_s:
        told.append(
            f"without a time, so in no picture over time: {duration_text(history.untimed_s)}"
        )
    if not history.has_clock:
        told.append(
            "the lines have no time of a clock: times count from the start of the first run"
        )
    if history.days.left_out:
        told.append(f"earlier days that are not drawn: {history.days.left_out}")
    if unread is not None and unread.damaged:
        told.append(f"lines that could not be read: {unread.damaged}")
    if unread is not None and unread.cut:
        cut = "a last line is" if unread.cut == 1 else f"{unread.cut} last lines are"
        told.append(f"{cut} cut short: the run was ended hard, or is still writing")
    return told or ["nothing"]


def gap_lines(history: History) -> list[str]:
    """The longest gaps, in their order: `19:04:12, 3.2 s: stalled`."""
    return [
        f"{_when(gap, history)}, {duration_text(gap.seconds)}: {gap.reason}" for gap in history.gaps
    ]


def missing_height(history: History, unread: Unread | None) -> float:
    """How high the panel is [pixels]."""
    return 12.0 + _ROW * max(len(notes(history, unread)), len(gap_lines(history)))


def draw_missing(canvas: Canvas, history: History, unread: Unread | None, width: float) -> None:
    """Write what is missing, and the longest gaps beside it."""
    _write(canvas, notes(history, unread), 0.0, "ink")
    _write(canvas, gap_lines(history), 0.62 * width, "muted")


def _write(canvas: Canvas, lines: Sequence[str], x: float, fill: str) -> None:
    for number, line in enumerate(lines):
        canvas.text((x, 14 + _ROW * number), line, size=12.5, fill=fill)


def _when(gap: Gap, history: History) -> str:
    if gap.offset_s is None:
        return elapsed_text(gap.begin)
    local_s = gap.begin + gap.offset_s
    clock = clock_text(local_s, seconds=True)
    if history.latest.end - history.first.begin < _DAY_S:
        return clock
    return f"{day_text(int(local_s // _DAY_S))} {clock}"


def _step(by_s: float) -> str:
    return ("+" if by_s >= 0 else "-") + duration_text(abs(by_s))
