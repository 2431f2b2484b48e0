"""The panel of hours beside days: when in the day there are voices."""

from __future__ import annotations

from collections.abc import Sequence

from doa_edge.report.columns import HOURS, DayHours
from doa_edge.report.drawing.canvas import CLEAR, Box, Canvas, Raster
from doa_edge.report.drawing.scales import NOT_HEARD, most_but_few, shade, teal
from doa_edge.report.moments import day_text, duration_text

_LEFT, _RIGHT, _TOP, _BOTTOM = 92.0, 150.0, 22.0, 26.0
_MOST_HEIGHT, _ROW = 480.0, 24.0
_LABEL = 14.0  # pixels from one day's name to the next at least
_LONGEST = 400  # days from the first to the last of which each has a row, heard or not
_TIPS = 62  # days up to which each hour has its numbers where a pointer rests


def shown_days(days: DayHours) -> list[int]:
    """The days that have a row: all from the first to the last, if that is no more than a year."""
    heard = sorted(days.heard_s)
    if heard and heard[-1] - heard[0] < _LONGEST:
        return list(range(heard[0], heard[-1] + 1))
    return heard


def height_of(days: DayHours) -> float:
    """How high the panel is [pixels]."""
    return _TOP + min(len(shown_days(days)) * _ROW, _MOST_HEIGHT) + _BOTTOM


def draw_day_hours(canvas: Canvas, days: DayHours, width: float) -> None:
    """Draw the minutes of voice of each hour of each day.

    Args:
        canvas: `width` by `height_of` pixels.
        days: one at least.
        width: of the panel [pixels].
    """
    rows = shown_days(days)
    box = Box(_LEFT, _TOP, width - _LEFT - _RIGHT, height_of(days) - _TOP - _BOTTOM)
    most = most_but_few([s for day in days.voice_s.values() for s in day])
    canvas.rect(box, "blank")
    canvas.image(box, _raster(days, rows, most.value))
    cell, row = box.width / HOURS, box.height / len(rows)
    for hour in range(HOURS + 1):
        x = box.x + hour * cell
        canvas.line([(x, box.y), (x, box.y + box.height)], "card", 1.5)
        if hour % 3 == 0:
            canvas.text((x, _TOP - 8), f"{hour}:00", size=11, fill="muted", anchor="middle")
    _draw_days(canvas, days, rows, box)
    if len(rows) <= _TIPS:
        for number in range(len(rows) + 1):
            y = box.y + number * row
            canvas.line([(box.x, y), (box.x + box.width, y)], "card", 1.5)
        _draw_tips(canvas, days, rows, box)
    y = box.y + box.height + 12
    canvas.image(Box(box.x, y, 120, 8), Raster([bytes(range(1, len(teal())))], teal()))
    told = f"voice in an hour, {most.told(duration_text(most.value))}; grey: not heard"
    canvas.text((box.x + 128, y + 8), told, size=10.5, fill="muted")


def _raster(days: DayHours, rows: Sequence[int], most: float) -> Raster:
    pixels = []
    for day in rows:
        heard, voice = days.heard_s.get(day), days.voice_s.get(day)
        if heard is None or voice is None:
            pixels.append(bytes([NOT_HEARD]) * HOURS)
            continue
        pairs = zip(heard, voice, strict=True)
        pixels.append(bytes(shade(v / most) if h else NOT_HEARD for h, v in pairs))
    return Raster(pixels, teal())


def _draw_tips(canvas: Canvas, days: DayHours, rows: Sequence[int], box: Box) -> None:
    """The numbers of each hour that was heard, where a pointer rests on it."""
    cell, row = box.width / HOURS, box.height / len(rows)
    for number, day in enumerate(rows):
        for hour, heard_s in enumerate(days.heard_s.get(day, ())):
            if heard_s:
                told = f"{duration_text(days.voice_s[day][hour])} of voice"
                heard = f"{duration_text(heard_s)} listened"
                tip = f"{day_text(day)}, {hour}:00: {told}, {heard}"
                place = Box(box.x + hour * cell, box.y + number * row, cell, row)
                canvas.rect(place, CLEAR, tip=tip)


def _draw_days(canvas: Canvas, days: DayHours, rows: Sequence[int], box: Box) -> None:
    """The name of each day, and a bar of its voice."""
    row = box.height / len(rows)
    totals = {day: sum(voice) for day, voice in days.voice_s.items()}
    most = max(totals.values()) or 1.0
    free = -1e9
    for number, day in enumerate(rows):
        y = box.y + number * row
        seconds = totals.get(day, 0.0)
        x = box.x + box.width + 10
        tip = f"{day_text(day)}: {duration_text(seconds)} of voice"
        if seconds:
            height = max(row * 0.62, 0.8)
            length = 62.0 * seconds / most
            canvas.rect(Box(x, y + (row - height) / 2, length, height), "soft", tip=tip)
        if y < free:
            continue
        free = y + _LABEL
        canvas.text((box.x - 10, y + row / 2 + 4), day_text(day), size=11, anchor="end")
        if seconds:
            text = duration_text(seconds)
            canvas.text((x + 68, y + row / 2 + 4), text, size=10.5, fill="muted")
