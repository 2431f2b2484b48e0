"""What `doa_edge run` costs on one core, beside MUSIC on the same sound in the same run.

    python benchmarks/edge.py [--model FILE.tflite] [--minutes 1] [--runs 5] [--json FILE]

Whole processes are timed for the real-time factor and peak memory; stages come from the engine.
MUSIC is this package's own baseline (wideband, 2.5-degree search grid), at the same rate of
estimates. Medians with the range over the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ESTIMATES_PER_SECOND = 6.25  # every 5 frames of 32 ms


def synthetic_minutes(minutes: float) -> np.ndarray:
    """(N, 4) a wave of coloured noise from one direction, with diffuse noise."""
    from doa_core.ambisonics import encode_plane_wave
    from doa_core.angles import angles_to_vector

    rng = np.random.default_rng(0)
    samples = int(minutes * 60 * 16_000)
    wave = np.convolve(rng.standard_normal(samples), np.ones(8) / 8, mode="same")
    sound = encode_plane_wave(wave, angles_to_vector(0.7, 0.3))
    return (0.05 * (sound + 0.1 * rng.standard_normal(sound.shape))).astype(np.float32)


def time_process(command: list[str]) -> tuple[float, float]:
    """Wall seconds of a command, and the peak memory [MB] that it reports of itself."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - started
    (memory,) = re.findall(r"peak memory +(\d+) MB", done.stderr)
    return wall, float(memory)


def measure_stages(model: str | None, sound: np.ndarray) -> dict[str, float]:
    """Milliseconds per second of sound of each stage of the engine."""
    from doa_edge.engine import DirectionEngine
    from doa_edge.model import TfliteModel, default_model_path

    engine = DirectionEngine(TfliteModel(model or default_model_path()))
    for start in range(0, len(sound), 1600):
        engine.push(sound[start : start + 1600])
    seconds = len(sound) / 16_000
    return {name: 1000 * spent / seconds for name, spent in engine.seconds.items()}


def measure_music(sound: np.ndarray) -> float:
    """Milliseconds per second of sound of MUSIC at the same rate of estimates."""
    from doa_core.stft import stft
    from doa_tf.baselines import music

    window = stft(sound[:13_312])
    music(window)  # makes its search grid
    started = time.perf_counter()
    count = 20
    for _ in range(count):
        music(window)
    return 1000 * (time.perf_counter() - started) / count * ESTIMATES_PER_SECOND


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", metavar="FILE.tflite", help="default: the shipped one")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, children too
    sound = synthetic_minutes(args.minutes)
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        import soundfile

        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound, 16_000, subtype="PCM_16")
        short = Path(folder) / "short.wav"
        soundfile.write(short, sound[:13_312], 16_000, subtype="PCM_16")
        command = [sys.executable, "-m", "doa_edge", "run", "--json", "--verbose", "--input"]
        model = ["--model", args.model] if args.model else []
        for _ in range(args.runs):
            wall, memory = time_process([*command, str(path), *model])
            first, _ = time_process([*command, str(short), *model])
            row = {
                "real_time_factor": wall / (60 * args.minutes),
                "peak_memory_mb": memory,
                "start_to_first_direction_s": first,
            }
            stages = measure_stages(args.model, sound)
            row |= {f"{name}_ms_per_s": value for name, value in stages.items()}
            row["music_ms_per_s"] = measure_music(sound)
            row["music_over_engine"] = row["music_ms_per_s"] / sum(stages.values())
            for name, value in row.items():
                figures.setdefault(name, []).append(value)
    print(f"one core, {args.minutes:g} min of sound, {args.runs} runs: median (lowest to highest)")
    for name, values in figures.items():
        spread = f"({min(values):.4g} to {max(values):.4g})"
        print(f"{name:<30}{statistics.median(values):>10.4g}  {spread}")
    if args.json:
        medians = {name: statistics.median(values) for name, values in figures.items()}
        args.json.write_text(json.dumps({"medians": medians, "runs": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
