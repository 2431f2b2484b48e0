"""The panel of azimuths over time: how much was heard from where, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from doa_edge.report.columns import Block, Column, TimeColumns
from doa_edge.report.drawing.canvas import Box, Canvas, Raster
from doa_edge.report.drawing.scales import (
    DISTINCT,
    NOT_HEARD,
    Most,
    apart,
    cut,
    glow,
    most_but_few,
    shade,
    time_step,
)
from doa_edge.report.history import History
from doa_edge.report.moments import clock_text, day_text, elapsed_text
from doa_edge.report.span import SECTORS

HEIGHT = 372.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 104.0, 14.0, 56.0
_BREAK = 22.0  # between two blocks [pixels]
_TICK = 74.0  # from one time to the next at least [pixels]
_PLACES = ((180, "back"), (90, "left"), (0, "ahead"), (-90, "right"), (-180, "back"))
_MOST_ZONES = 6


def draw_time_map(canvas: Canvas, history: History, width: float) -> None:
    """Draw how much was heard from each sector of azimuth in each column of time.

    Left is above ahead, right below it. Time runs to the right; a long pause is drawn short.

    Args:
        canvas: `width` by `HEIGHT` pixels.
        history: with an estimate at least.
        width: of the panel [pixels].
    """
    frame = Box(_LEFT, _TOP, width - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM)
    columns = history.columns
    blocks = columns.blocks()
    most = most_but_few([share for one in columns.columns.values() for share in _shares(one)])
    places = _places(frame, blocks)
    for block, box in zip(blocks, places, strict=True):
        canvas.rect(box, "blank")
        canvas.image(box, _raster(columns, block, most.value))
        _draw_times(canvas, columns, block, box, clock=history.has_clock)
    for before, after in pairwise(places):
        x, y = (before.x + before.width + after.x) / 2.0, frame.y + frame.height / 2.0
        canvas.text((x, y), "···", fill="muted", anchor="middle", bold=True)
    for azimuth_deg, name in _PLACES:
        y = _y(frame, azimuth_deg)
        canvas.text((_LEFT - 10, y - 1), name, size=11.5, anchor="end", bold=True)
        canvas.text((_LEFT - 10, y + 11), f"{azimuth_deg}°", size=10, fill="muted", anchor="end")
    _draw_zones(canvas, history, frame)
    _draw_gaps(canvas, history, blocks, places)
    _draw_key(canvas, Box(_LEFT, HEIGHT - 12, 120, 8), most, columns.width_s)


def _shares(column: Column) -> Iterator[float]:
    return (seconds / max(column.heard_s, 1e-9) for seconds in column.sectors.values())


def _places(frame: Box, blocks: Sequence[Block]) -> list[Box]:
    """Where each block is drawn."""
    lengths = [block.last - block.first + 1 for block in blocks]
    gap = min(_BREAK, 0.4 * frame.width / len(blocks))
    scale = (frame.width - gap * (len(blocks) - 1)) / sum(lengths)
    boxes, x = [], frame.x
    for length in lengths:
        boxes.append(Box(x, frame.y, length * scale, frame.height))
        x += length * scale + gap
    return boxes


def _raster(columns: TimeColumns, block: Block, most: float) -> Raster:
    """A pixel for each column and sector, 180° above."""
    length = block.last - block.first + 1
    rows = [bytearray([NOT_HEARD]) * length for _ in range(SECTORS)]
    for x in range(length):
        column = columns.columns.get(block.first + x)
        if column is None:
            continue
        for row in range(SECTORS):
            seconds = column.sectors.get((SECTORS // 2 - row) % SECTORS, 0.0)
            rows[row][x] = shade(seconds / max(column.heard_s, 1e-9) / most)
    return Raster([bytes(row) for row in rows], glow())


def _draw_times(
    canvas: Canvas, columns: TimeColumns, block: Block, box: Box, *, clock: bool
) -> None:
    """Times below a block, at round local times, and days below these."""
    span_s = (block.last - block.first + 1) * columns.width_s
    step_s = time_step(span_s, max(1, int(box.width / _TICK)))
    bottom = box.y + box.height
    offset_s, free, day = 0.0, -1e9, None
    for number in range(block.first, block.last + 1):
        column = columns.columns.get(number)
        offset_s = column.offset_s if column else offset_s
        local_s = number * columns.width_s + offset_s
        last_s = local_s - columns.width_s if number > block.first else local_s - 1e-3
        x = box.x + (number - block.first) * box.width / (block.last - block.first + 1)
        first = number == block.first
        if clock and local_s // 86_400 != day and (first or x > free - _TICK + 30):
            day = local_s // 86_400
            if first or step_s < 86_400:
                canvas.text((x, bottom + 31), day_text(int(day)), size=11, bold=True)
        if (first and box.width < _TICK) or (local_s // step_s != last_s // step_s and x >= free):
            canvas.line([(x, bottom), (x, bottom + 5)], "muted")
            text = _time_text(local_s, step_s, clock=clock)
            if x + 40 < box.x + box.width + _BREAK or first:
                anchor = "start" if first else "middle"
                canvas.text((x, bottom + 17), text, size=11, fill="muted", anchor=anchor)
            free = x + _TICK * 0.9


def _time_text(local_s: float, step_s: float, *, clock: bool) -> str:
    if not clock:
        return elapsed_text(local_s)
    if step_s >= 86_400:
        return day_text(int(local_s // 86_400)).partition(" ")[2]
    return clock_text(local_s, seconds=step_s < 60)


def _draw_zones(canvas: Canvas, history: History, frame: Box) -> None:
    """The names of the zones beside the azimuths that they were heard from."""
    x = frame.x + frame.width
    longest = sorted(history.zones.items(), key=lambda pair: -pair[1].seconds)[:_MOST_ZONES]
    marked = sorted(
        (_y(frame, place.peak_deg), name, number)
        for number, (name, place) in enumerate(longest)
        if place.seconds
    )
    ys = [y for y, _, _ in marked]
    places = apart(ys, 14.0, top=frame.y, bottom=frame.y + frame.height)
    for (y, name, number), at in zip(marked, places, strict=True):
        canvas.line([(x + 2, y), (x + 8, y), (x + 14, at)], DISTINCT[number], 2.0)
        canvas.text((x + 18, at + 4), cut(name, 13), size=11.5, bold=True)


def _draw_gaps(
    canvas: Canvas, history: History, blocks: Sequence[Block], boxes: Sequence[Box]
) -> None:
    """Why nothing is drawn where a stretch is blank and wide enough to say so."""
    width_s = history.columns.width_s
    for gap in history.gaps:
        if (gap.offset_s is not None) != history.has_clock:
            continue
        for block, box in zip(blocks, boxes, strict=True):
            scale = box.width / ((block.last - block.first + 1) * width_s)
            left = box.x + (gap.begin - block.first * width_s) * scale
            wide = gap.seconds * scale
            if wide > 7 * len(gap.reason) and box.x < left < box.x + box.width - wide:
                middle = (left + wide / 2.0, box.y + box.height / 2.0)
                canvas.text(middle, gap.reason, size=11, fill="muted", anchor="middle")


def _draw_key(canvas: Canvas, box: Box, most: Most, width_s: float) -> None:
    canvas.image(box, Raster([bytes(range(1, len(glow())))], glow()))
    scale = most.told(f"{100 * most.value:.0f} %")
    told = f"share of the time of a column with a voice from there, {scale}"
    of = f"{width_s:g} s" if width_s < 60 else f"{width_s / 60:g} min"
    x = box.x + box.width + 8
    canvas.text((x, box.y + 8), f"{told}; a column is {of}", size=10.5, fill="muted")


def _y(frame: Box, azimuth_deg: float) -> float:
    half = 360.0 / SECTORS / 2.0
    return frame.y + min(180.0 - azimuth_deg + half, 360.0) / 360.0 * frame.height
