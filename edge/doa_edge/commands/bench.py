"""`doa_edge bench`: processing time per second of sound on this computer, stage by stage."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import as_input_errors, visible_lines
from doa_core.files import temporary_folder
from doa_edge import limits
from doa_edge.options.command import (
    Kind,
    Limited,
    add_options,
    frames_or_seconds,
    in_frames,
    peak_memory_kib,
)
from doa_edge.tflite.shipped import MODEL_HELP, model_path

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from doa_edge.tflite.network import TfliteModel

DEFAULT_SECONDS = 10.0
DEFAULT_RATE = 48_000  # hertz, what most microphones have
ROUNDS = 5
_STARTS = 3
_BLOCK_S = 0.02  # seconds of sound in a block


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "bench",
        help="processing time per second of sound on this computer, stage by stage",
        description="Time the stages of `run` on synthetic sound in blocks of 20 ms, as a device "
        f"gives them, in {ROUNDS} rounds: medians, and the range over the rounds. Nothing is "
        "recorded and nothing leaves the computer.",
        allow_abbrev=False,
    )
    texts = {
        "--model FILE": MODEL_HELP,
        "--seconds SECONDS": "of sound in each round (default: %(default)g)",
        "--rate HZ": "of the sound before it is resampled (default: %(default)d)",
        "--every FRAMES": "frames of 32 ms between two directions, or seconds such as 0.5s "
        "(default: %(default)d)",
        "--threads N": "of the network (default: %(default)d)",
    }
    kinds: dict[str, Kind] = {"FILE": model_path, "SECONDS": Limited("bench seconds")}
    kinds |= {"HZ": Limited("rate"), "N": Limited("threads"), "FRAMES": frames_or_seconds("every")}
    add_options(parser, texts, kinds)
    parser.set_defaults(run=run, seconds=DEFAULT_SECONDS, rate=DEFAULT_RATE, every=5, threads=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(options: argparse.Namespace) -> int:
    """Print the figures.

    Raises:
        InputError: a model or an option that cannot be used.
    """
    asked = {name: getattr(options, name) for name in ("seconds", "rate", "every", "threads")}
    figures = measure(options.model, **asked)
    sys.stdout.write(json.dumps(figures) + "\n" if options.json else visible_lines(_table(figures)))
    return 0


def measure(
    model_path: Path | None,
    *,
    seconds: float = DEFAULT_SECONDS,
    rate: int = DEFAULT_RATE,
    every: int | float = 5,
    threads: int = 1,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """All figures, ready for JSON.

    Args:
        model_path: a `.tflite`; the built-in one if None.
        seconds: of sound in each round, rounded to whole ones.
        rate: of the sound before it is resampled [hertz].
        every: frames between two directions as an integer, or seconds as a float.
        threads: of the network.
        rounds: how often everything is measured.

    Returns:
        `model`, `machine`, `settings`, and under `figures` for each name a `median`, `lowest` and
        `highest` over the rounds: `resample`, `features`, `network`, `decode` and `all` [ms per
        second of sound], `real_time_factor`, `processor_share` (processor time over the time of
        the sound: other programs do not count), `estimate_ms` (all work of one estimate),
        `slowest_estimate_ms`, `start_s` (of a process, to its first direction) and
        `peak_memory_mb`.

    Raises:
        InputError: a model or an option that cannot be used.
    """
    from doa_edge.input.live.portaudio import quiet_descriptor
    from doa_edge.tflite.network import TfliteModel, default_model_path

    with as_input_errors():
        limits.check("bench seconds", seconds)
        limits.check("rate", rate)
        limits.check("threads", threads)
    path = default_model_path() if model_path is None else model_path
    with quiet_descriptor():
        model = TfliteModel(path, threads=threads)
    every = in_frames(every, model.spec.features.hop / model.spec.features.sample_rate)
    with as_input_errors():
        limits.check("every", every)
    sound = synthetic_sound(1.0, rate)
    times = round(seconds)
    _round(model, sound, 2, rate, every)  # warm-up: caches, first allocations
    rows = [_round(model, sound, times, rate, every) for _ in range(rounds)]
    figures = {name: [row[name] for row in rows] for name in rows[0]}
    figures["peak_memory_mb"] = [peak_memory_kib() / 1024]
    figures["start_s"] = _start_times(path)
    return {
        "model": {
            "file": path.name,
            "head": model.spec.head,
            "quantization": model.spec.quantization,
            "split": model.is_split,
            "runtime": model.runtime,
        },
        "machine": _machine(),
        "settings": {
            "seconds": seconds,
            "rate": rate,
            "every": every,
            "threads": threads,
            "rounds": rounds,
        },
        "figures": {
            name: {
                "median": _rounded(statistics.median(values)),
                "lowest": _rounded(min(values)),
                "highest": _rounded(max(values)),
            }
            for name, values in figures.items()
        },
    }


def synthetic_sound(seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """(N, 4) AmbiX noise at -26 dBFS from one direction, with diffuse noise 20 dB below."""
    import numpy as np

    from doa_core.ambisonics import encode_plane_wave
    from doa_core.angles import angles_to_vector

    rng = np.random.default_rng(0)
    wave = rng.standard_normal(round(seconds * rate))
    sound = encode_plane_wave(wave, angles_to_vector(0.7, 0.3))
    sound = sound + 0.1 * rng.standard_normal(sound.shape)
    return (0.05 * sound).astype(np.float32)


def _round(
    model: TfliteModel, sound: npt.NDArray[np.float32], times: int, rate: int, every: int
) -> dict[str, float]:
    """Milliseconds per second of sound of each stage, over a second of sound that is repeated."""
    from doa_edge.engine import DirectionEngine, EngineSettings
    from doa_edge.input.conversion import AmbixConverter

    model_rate = model.spec.features.sample_rate
    converter = AmbixConverter(from_rate=rate, to_rate=model_rate)
    engine = DirectionEngine(model, EngineSettings(every=every))
    size = round(_BLOCK_S * rate)
    resample = 0.0
    estimates: list[float] = []
    used = time.process_time()
    for start in range(0, times * len(sound), size):
        block = sound[start % len(sound) : start % len(sound) + size]
        started = time.perf_counter()
        block = converter.push(block)
        resampled = time.perf_counter()
        resample += resampled - started
        if engine.push(block):
            estimates.append(time.perf_counter() - resampled)
    used = time.process_time() - used
    per_second = 1e3 / (times * len(sound) / rate)
    stages = {"resample": resample, **engine.seconds}
    row = {name: spent * per_second for name, spent in stages.items()}
    total = sum(row.values())
    return {
        **row,
        "all": total,
        "real_time_factor": total / 1e3,
        "processor_share": used * per_second / 1e3,
        # In the first one all frames of the window are new.
        "estimate_ms": 1e3 * statistics.median(estimates[1:] or estimates),
        "slowest_estimate_ms": 1e3 * max(estimates),
    }


def _start_times(model_path: Path) -> list[float]:
    """Seconds that processes take from their start to the direction of one window."""
    times = []
    with temporary_folder("doa_edge") as folder:
        path = folder / "second.wav"
        _write_wave(path, synthetic_sound(1.0, 16_000))
        command = [sys.executable, "-m", "doa_edge", "run", "--json", "--input", str(path)]
        for _ in range(_STARTS):
            started = time.perf_counter()
            with subprocess.Popen(
                [*command, "--model", str(model_path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                line = process.stdout.readline() if process.stdout else b""
                times.append(time.perf_counter() - started)
                _, said = process.communicate()
            if process.returncode != 0 or not line.startswith(b"{"):
                last = said.decode(errors="replace").strip().splitlines()[-1:]
                raise OSError(f"doa_edge run failed on a second of noise: {' '.join(last)}")
    return times


def _write_wave(path: Path, samples: npt.NDArray[np.float32]) -> None:
    """A 16-bit WAV at 16 kHz, by the standard library."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def _machine() -> dict[str, Any]:
    import os
    import platform

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": cores,
    }


def _table(result: dict[str, Any]) -> str:
    model, settings, figures = result["model"], result["settings"], result["figures"]
    kind = "in two halves" if model["split"] else "in one piece"
    lines = [
        f"{model['file']}: {model['head']}, {model['quantization']}, {kind}, run by "
        f"{model['runtime']}",
        f"{settings['seconds']:g} s of sound at {settings['rate']} Hz, a direction every "
        f"{settings['every']} frames, {settings['rounds']} rounds: median (lowest to highest)",
        "",
    ]
    stages = ("resample", "features", "network", "decode", "all")
    rows = [
        *((stage, stage, "ms per second of sound") for stage in stages),
        ("real_time_factor", "real-time factor", ""),
        ("processor_share", "processor time", "of one core, live"),
        ("estimate_ms", "one estimate", "ms"),
        ("slowest_estimate_ms", "slowest estimate", "ms"),
        ("start_s", "start to first direction", "s"),
        ("peak_memory_mb", "peak memory", "MB"),
    ]
    for name, title, unit in rows:
        median, lowest, highest = figures[name].values()
        spread = "" if lowest == highest else f"({lowest:g} to {highest:g})"
        lines.append(f"{title:<26}{median:>9g}  {spread:<22} {unit}".rstrip())
    return "\n".join(lines) + "\n"


def _rounded(value: float) -> float:
    """Rounded to four digits: the others are noise."""
    return float(f"{value:.4g}")
