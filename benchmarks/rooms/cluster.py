"""How simulation scales over processes, and whether its memory stays flat.

    python -m benchmarks.rooms.cluster [--rooms 200] [--memory-rooms 10000]

One and two processes simulate in turns; the ratio is the median of the turns, which contain the
start of the processes. Each has a core of its own where there are enough: what is measured is the
engine, so nothing else may run. Memory is that of the process that writes the bank.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.turns import rates_in_turns, ratios
from doa_tf.cli.program import program, run_program
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.pool import process_pool
from doa_tf.rooms.simulate import simulate_bank, simulate_rooms, split_shard

TURNS = 3


def measure_scaling(rooms: int) -> dict[str, float]:
    """Rooms a second of one and of two processes, and `workers_two_over_one`.

    Args:
        rooms: in each of the turns, of the default settings; 100 take half a minute.
    """
    task = partial(simulate_rooms, seed=0, settings=RoomSettings())

    def simulate(workers: int) -> int:
        parts = split_shard(range(rooms))
        with process_pool(workers) as pool:
            return sum(len(records) for _, records in pool.run(task, parts))

    tasks = {name: partial(simulate, workers) for name, workers in (("one", 1), ("two", 2))}
    rates = rates_in_turns(tasks, TURNS)
    return {
        "workers_two_over_one": statistics.median(ratios(rates["two"], rates["one"])),
        "workers_one_rooms_per_s": statistics.median(rates["one"]),
        "workers_two_rooms_per_s": statistics.median(rates["two"]),
    }


def measure_memory(rooms: int) -> dict[str, Any]:
    """Memory of the asking process, which hands out the rooms and writes the bank [MB].

    Args:
        rooms: small ones, of one source and 0.2 to 0.3 s: what is tested is who asks and writes.
            10,000 take two minutes of two idle cores.

    Returns:
        The largest resident size in each tenth of the run, and how much larger that of the last
        is than that of the second: in the first one everything is loaded and allocated.
    """
    import psutil

    process = psutil.Process()
    tenths = [0.0] * 10

    def sample(done: int, total: int) -> None:
        tenth = max(done - 1, 0) * 10 // total
        tenths[tenth] = max(tenths[tenth], process.memory_info().rss / 1e6)

    settings = RoomSettings(rt60=(0.2, 0.3), sources=1, microphone="ideal")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        simulate_bank(bank, rooms=rooms, settings=settings, workers=2, progress=sample)
        size = sum(path.stat().st_size for path in bank.iterdir())
    return {
        "memory_rooms": rooms,
        "memory_by_tenths_mb": [round(value, 1) for value in tenths],
        "memory_growth_mb": tenths[9] - tenths[1],
        "memory_run_s": time.perf_counter() - started,
        "bank_mb": size / 1e6,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print both as one JSON object."""
    parser = program("benchmarks.rooms.cluster", __doc__)
    count = {"type": int, "metavar": "N"}
    parser.add_argument("--rooms", **count, default=200, help="in each turn; 0 for none")
    parser.add_argument("--memory-rooms", **count, default=2000, help="at least 50; 0 for none")
    args = parser.parse_args(argv)
    figures: dict[str, Any] = {}
    if args.rooms:
        figures |= measure_scaling(args.rooms)
    if args.memory_rooms:
        figures |= measure_memory(args.memory_rooms)
    floats = {name: round(x, 3) for name, x in figures.items() if isinstance(x, float)}
    print(json.dumps({**figures, **floats}, indent=2))


if __name__ == "__main__":
    run_program(main)
