"""What `doa_edge run` costs on one core, beside what one would take instead, in the same run.

    python -m benchmarks.edge [--model FILE] [--minutes 1] [--runs 5] [--live 20] [--json FILE]

Whole processes are timed for the real-time factor, the processor's share and peak memory; stages
come from the engine. `live` is the processor time of `doa_edge run --realtime` over the time of the
sound, without its start. Others, at the same rate of estimates, one window of 0.832 s each:

- this package's own MUSIC (wideband, 2.5-degree search grid);
- MUSIC and SRP-PHAT of pyroomacoustics, if installed, for four omnidirectional microphones 5 cm
  from their centre, with its own settings: 256-point transforms as in its examples, its default
  band (500 to 4000 Hz) and its default grid of the sphere.

They and the engine are compared in processor time, which other programs do not disturb as much.

Medians with the range over the runs.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.stft import stft
from doa_edge.commands.bench import synthetic_sound
from doa_edge.engine import DirectionEngine
from doa_edge.tflite.network import TfliteModel, default_model_path
from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.baselines import music
from doa_tf.files import write_json

ESTIMATES_PER_SECOND = 6.25  # every 5 frames of 32 ms
RATE = 16_000  # hertz
WINDOW = 13_312  # samples
_AZIMUTH, _ELEVATION = 0.7, 0.3  # radians, of the synthetic talker
_SOUND_SPEED = 343.0  # metres per second
_RADIUS = 0.05  # metres, of the array of omnidirectional microphones


def time_process(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds of a command, and the peak memory [MB] that it reports."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - started
    if done.returncode:
        raise ChildProcessError(done.stderr.strip())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (memory,) = re.findall(r"peak memory +(\d+) MB", done.stderr)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "processor": used, "memory": float(memory)}


def measure_stages(model: str | None, sound: np.ndarray) -> dict[str, float]:
    """Milliseconds per second of sound of each stage of the engine."""
    engine = DirectionEngine(TfliteModel(model or default_model_path()))
    engine.push(sound[: 5 * RATE])  # warm-up
    engine.reset()
    started = time.process_time()
    for start in range(0, len(sound), 320):
        engine.push(sound[start : start + 320])
    used = time.process_time() - started
    per_second = 1000 / (len(sound) / RATE)
    return {
        **{f"{name}_ms_per_s": spent * per_second for name, spent in engine.seconds.items()},
        "engine_processor_ms_per_s": used * per_second,
    }


def time_estimates(estimate: Callable[[], Any], *, count: int) -> float:
    """Processor milliseconds per second of sound of something that is done for each window."""
    estimate()  # makes what is made once
    times = []
    for _ in range(count):
        started = time.process_time()
        estimate()
        times.append(time.process_time() - started)
    return 1000 * statistics.median(times) * ESTIMATES_PER_SECOND


def peers() -> dict[str, Callable[[], Any]]:
    """MUSIC and SRP-PHAT of pyroomacoustics on a window, transform included; none without it."""
    try:
        import pyroomacoustics as pra
    except ImportError as error:
        sys.stderr.write(f"without pyroomacoustics: {error}\n")
        return {}
    direction = angles_to_vector(_AZIMUTH, _ELEVATION)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).T / np.sqrt(3)
    places = _RADIUS * corners
    wave = np.fft.rfft(np.random.default_rng(0).standard_normal(WINDOW))
    frequency = np.fft.rfftfreq(WINDOW, 1 / RATE)
    advance = places.T @ direction / _SOUND_SPEED  # seconds
    signals = np.fft.irfft(wave * np.exp(2j * np.pi * frequency * advance[:, None]), WINDOW)
    size = 256

    def located(name: str) -> Callable[[], Any]:
        algorithm = pra.doa.algorithms[name](places, RATE, size, c=_SOUND_SPEED, dim=3)
        analysis, window = pra.transform.stft.analysis, pra.hann(size)

        def estimate() -> Any:
            transforms = [analysis(signal, size, size // 2, win=window).T for signal in signals]
            algorithm.locate_sources(np.array(transforms))
            return algorithm

        answer = estimate()
        vector = angles_to_vector(answer.azimuth_recon[0], np.pi / 2 - answer.colatitude_recon[0])
        error_deg = np.degrees(great_circle_distance(vector, direction))
        if error_deg > 15.0:
            raise RuntimeError(f"{name} of pyroomacoustics is {error_deg:.0f} degrees off: misused")
        return estimate

    return {f"pyroomacoustics_{name.lower()}": located(name) for name in ("MUSIC", "SRP")}


def measure_processes(
    model: str | None, paths: dict[str, Path], *, minutes: float, live: float
) -> dict[str, float]:
    """Figures of whole processes of `doa_edge run`."""
    command = [sys.executable, "-m", "doa_edge", "run", "--json", "--verbose", "--input"]
    options = ["--model", model] if model else []
    long = time_process([*command, str(paths["sound"]), *options])
    first = time_process([*command, str(paths["window"]), *options])
    row = {
        "real_time_factor": long["wall"] / (60 * minutes),
        "processor_share": long["processor"] / (60 * minutes),
        "peak_memory_mb": long["memory"],
        "start_to_first_direction_s": first["wall"],
    }
    if live > 0.0:
        paced = time_process([*command, str(paths["live"]), *options, "--realtime"])
        row["live_processor_share"] = (paced["processor"] - first["processor"]) / live
        row["live_peak_memory_mb"] = paced["memory"]
    return row


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = program("benchmarks.edge", __doc__)
    parser.add_argument("--model", metavar="FILE.tflite", help="default: the shipped one")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--live", type=float, default=20.0, help="seconds at real pace; 0: none")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, children too
    import soundfile

    sound = synthetic_sound(60 * args.minutes, RATE)
    # MUSIC of this package, transform included, and what is beside it.
    others = {"own_music": lambda: music(stft(sound[:WINDOW])), **peers()}
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.wav" for name in ("sound", "window", "live")}
        lengths = (len(sound), WINDOW, WINDOW + round(args.live * RATE))
        for path, length in zip(paths.values(), lengths, strict=True):
            soundfile.write(path, np.resize(sound, (length, 4)), RATE, subtype="PCM_16")
        for _ in range(args.runs):
            row = measure_processes(args.model, paths, minutes=args.minutes, live=args.live)
            row |= measure_stages(args.model, sound)
            for name, estimate in others.items():
                cost = time_estimates(estimate, count=20 if name == "own_music" else 3)
                row[f"{name}_processor_ms_per_s"] = cost
                row[f"{name}_over_engine"] = cost / row["engine_processor_ms_per_s"]
            for name, value in row.items():
                figures.setdefault(name, []).append(value)
    print(f"one core, {args.minutes:g} min of sound, {args.runs} runs: median (lowest to highest)")
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, values in figures.items():
        spread = f"({min(values):.4g} to {max(values):.4g})"
        print(f"{name:<40}{medians[name]:>10.4g}  {spread}")
    if args.json:
        write_json(args.json, {"medians": medians, "runs": figures})


if __name__ == "__main__":
    run_program(main)
