"""Tasks that are timed in turns, so that other work on the machine disturbs all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def rates_in_turns(tasks: Mapping[str, Callable[[], int]], turns: int) -> dict[str, list[float]]:
    """Things a second of each task, turn by turn.

    Args:
        tasks: each gives how many things it did.
        turns: of every task.
    """
    rates: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(turns):
        for name, task in tasks.items():
            started = time.perf_counter()
            done = task()
            rates[name].append(done / (time.perf_counter() - started))
    return rates


def ratios(some: Sequence[float], others: Sequence[float]) -> list[float]:
    """Of two tasks' rates, turn by turn."""
    return [one / other for one, other in zip(some, others, strict=True)]


def machine() -> str:
    """What is measured on, as JSON files say it."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def median_and_range(name: str, values: Sequence[float]) -> dict[str, float | list[float]]:
    """The median under a name, and the lowest and the highest under `NAME_range`."""
    return {name: statistics.median(values), f"{name}_range": [min(values), max(values)]}
