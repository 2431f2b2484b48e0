"""Hours of sound through the engine, faster than real time: flat memory, true time.

    python -m benchmarks.soak [--hours 12] [--rate 48000] [--model FILE.tflite] [--json FILE]

What a live microphone gives, without one: blocks of 20 ms, resampled, with a gap every ten minutes
or so; the sound, the averages and the smoother are kept as a user may. Every estimate's time is
compared with the samples that were given, and memory is read every minute of sound. Ends with
status 1 if memory grew by more than 1 MB after the warm-up, or a time was wrong. Ctrl-C ends it
early, with the figures of what was heard.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

MODEL_RATE = 16_000  # hertz
WARM_UP_S = 300.0  # seconds of sound until memory should be level
GROWTH_LIMIT_MB = 1.0
BLOCK_S = 0.02


def memory_mb() -> tuple[float, float]:
    """Memory of this process now: its own, and all that is resident.

    Its own is what it has written, in memory or swapped out. Resident memory counts pages of
    libraries as well, which the kernel may drop and read again at any time.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        lines = [line.split() for line in file]
    kib = {words[0]: int(words[1]) for words in lines if words[-1] == "kB"}
    return (kib["RssAnon:"] + kib["VmSwap:"]) / 1024, kib["VmRSS:"] / 1024


stopping: list[int] = []  # the signal that asked for an end


def soak(*, hours: float, rate: int, model_path: str | None, progress: bool) -> dict[str, Any]:
    """Figures of one run."""
    from doa_edge.commands.bench import synthetic_sound
    from doa_edge.engine import DirectionEngine, EngineSettings
    from doa_edge.input.conversion import AmbixConverter
    from doa_edge.input.stream import Gap
    from doa_edge.tflite.network import TfliteModel, default_model_path

    model = TfliteModel(model_path or default_model_path())
    window, step = model.spec.features.samples, 5 * model.spec.features.hop
    settings = EngineSettings(average=50, smooth_s=1.0, keep_audio=True, keep_outputs=True)
    engine = DirectionEngine(model, settings)
    converter = AmbixConverter(from_rate=rate, to_rate=MODEL_RATE)
    rng = np.random.default_rng(12)
    sound = synthetic_sound(1.0, rate)
    size = round(BLOCK_S * rate)
    total = round(hours * 3600)  # seconds
    # Reserved now: this program's own notes are not to grow.
    memory = np.zeros((total // 60 + 2, 3))  # seconds of sound, own and resident memory [MB]
    notes = 0
    started = time.perf_counter()
    given = missed = in_a_row = estimates = wrong_times = 0
    until_gap = int(rng.integers(300, 900))
    second = 0
    while second < total and not stopping:
        louder = np.float32(10.0 ** rng.uniform(-2.0, 0.0))
        for start in range(0, rate, size):
            block = converter.push(louder * sound[start : start + size])
            given += len(block)
            in_a_row += len(block)
            for estimate in engine.push(block):
                estimates += 1
                # The latest window that is complete ends there, counted from the last gap.
                due = window + (in_a_row - window) // step * step
                expected = (given - in_a_row + missed + due) / MODEL_RATE
                wrong_times += estimate.time_s != expected
                if estimate.audio is None or len(estimate.audio) not in (window, step):
                    wrong_times += 1
        until_gap -= 1
        if until_gap == 0:
            until_gap = int(rng.integers(300, 900))
            rest = converter.finish()
            engine.push(rest)
            given += len(rest)
            gap = Gap(samples=int(rng.integers(0, 100_000)), reason="lost")
            engine.skip(gap)
            missed += gap.samples
            in_a_row = 0
        second += 1
        if second % 60 == 0:
            memory[notes] = (second, *memory_mb())
            notes += 1
            if progress and second % 3600 == 0:
                sys.stderr.write(
                    f"{second // 3600} h of {hours:g}, {memory[notes - 1, 1]:.2f} MB\n"
                )
    memory[notes] = (second, *memory_mb())
    memory = memory[: notes + 1]
    own, resident = memory[memory[:, 0] >= min(WARM_UP_S, second / 2), 1:].T
    wall = time.perf_counter() - started
    return {
        "hours": round(second / 3600, 3),
        "rate": rate,
        "estimates": estimates,
        "samples_given": given,
        "samples_missed": missed,
        "stream_time_error_samples": engine.samples - given - missed,
        "wrong_times": wrong_times,
        "memory_after_warm_up_mb": round(own[0], 3),
        "memory_at_end_mb": round(own[-1], 3),
        "growth_mb": round(own.max() - own[0], 3),
        "resident_after_warm_up_mb": round(resident[0], 3),
        "resident_highest_mb": round(resident.max(), 3),
        "wall_s": round(wall, 1),
        "processor_s": round(time.process_time(), 1),
        "real_time_factor": round(wall / max(second, 1), 4),
        "curve_mb": memory.round(3).tolist(),
    }


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--rate", type=int, default=48_000, help="of the sound [hertz]")
    parser.add_argument("--model", metavar="FILE.tflite", help="default: the shipped one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, lambda number, _: stopping.append(number))
    figures = soak(
        hours=args.hours, rate=args.rate, model_path=args.model, progress=sys.stderr.isatty()
    )
    for name, value in figures.items():
        if name == "curve_mb":  # every minute of sound, in the JSON
            continue
        print(f"{name:<28}{value:>16}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    passed = (
        figures["growth_mb"] <= GROWTH_LIMIT_MB
        and figures["stream_time_error_samples"] == 0
        and figures["wrong_times"] == 0
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
