"""How simulation scales over Dask workers, and whether its memory stays flat.

    python benchmarks/rooms_cluster.py [--rooms 200] [--memory-rooms 2000]

One and two workers simulate in turns, in a cluster that is already up; the ratio is the median of
the turns. Each has a core of its own where there are enough: what is measured is the engine, so
nothing else may run. Memory is that of the process that writes the bank.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

TURNS = 3


def measure_dask_scaling(rooms: int) -> dict[str, float]:
    """Rooms a second of one and of two workers, and `dask_two_over_one`.

    Args:
        rooms: in each of the turns, of the default settings; 100 take half a minute.
    """
    from doa_tf.cluster import dask_client, run_on_dask
    from doa_tf.rooms import RoomSettings
    from doa_tf.simulation import simulate_rooms, split_shard

    task = partial(simulate_rooms, seed=0, settings=RoomSettings())
    parts = split_shard(range(rooms))
    rates: dict[int, list[float]] = {1: [], 2: []}
    with dask_client(1, None) as one, dask_client(2, None) as two:
        clients = {1: one, 2: two}
        for workers, client in clients.items():  # imports and caches, on every worker
            list(run_on_dask(client, task, split_shard(range(10 * workers))))
        for _ in range(TURNS):
            for workers, client in clients.items():
                started = time.perf_counter()
                done = sum(len(records) for _, records in run_on_dask(client, task, parts))
                rates[workers].append(done / (time.perf_counter() - started))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "dask_two_over_one": statistics.median(ratios),
        "dask_one_rooms_per_s": statistics.median(rates[1]),
        "dask_two_rooms_per_s": statistics.median(rates[2]),
    }


def measure_memory(rooms: int) -> dict[str, float]:
    """Memory of the writing process after a tenth of a run, and at most after that [MB].

    Args:
        rooms: small ones, of one source; 2,000 take a minute or two.
    """
    import psutil

    from doa_tf.rooms import RoomSettings
    from doa_tf.simulation import simulate_bank

    process = psutil.Process()
    samples: list[tuple[int, float]] = []

    def sample(done: int, _total: int) -> None:
        samples.append((done, process.memory_info().rss / 1e6))

    settings = RoomSettings(rt60=(0.2, 0.3), sources=1, microphone="ideal")
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        simulate_bank(bank, rooms=rooms, settings=settings, workers=2, progress=sample)
        size = sum(path.stat().st_size for path in bank.iterdir())
    early = max(memory for done, memory in samples if done <= rooms / 10)
    late = max(memory for done, memory in samples if done > rooms / 10)
    return {
        "memory_rooms": float(rooms),
        "memory_early_mb": early,
        "memory_late_mb": late,
        "memory_growth_mb": late - early,
        "bank_mb": size / 1e6,
    }


def main() -> None:
    """Print both as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=200, metavar="N", help="in each turn")
    parser.add_argument("--memory-rooms", type=int, default=2000, metavar="N")
    args = parser.parse_args()
    figures: dict[str, Any] = measure_dask_scaling(args.rooms)
    figures.update(measure_memory(args.memory_rooms))
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
