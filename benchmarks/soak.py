"""Hours of sound through the engine, faster than real time: flat memory, true time.

    python -m benchmarks.soak [--hours 12] [--rate 48000] [--model FILE.tflite] [--json FILE]

What a live microphone gives, without one: blocks of 20 ms, resampled, with a gap every ten minutes
or so; the sound, the averages and the smoother are kept as a user may. Every estimate's time is
compared with the samples that were given, and memory is read every minute of sound. Ends with
status 1 if memory grew by more than 1 MB after the warm-up, or a time was wrong. Ctrl-C ends it
early, with the figures of what was heard.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_edge.commands.bench import synthetic_sound
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.input.conversion import AmbixConverter
from doa_edge.input.stream import Gap
from doa_edge.tflite.network import TfliteModel, default_model_path
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json

MODEL_RATE = 16_000  # hertz
WARM_UP_S = 300.0  # seconds of sound until memory should be level
GROWTH_LIMIT_MB = 1.0
BLOCK_S = 0.02


def memory_mb(process: int | str = "self") -> tuple[float, float]:
    """Memory of a process now: its own, and all that is resident.

    Its own is what it has written, in memory or swapped out. Resident memory counts pages of
    libraries as well, which the kernel may drop and read again at any time.
    """
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        lines = [line.split() for line in file]
    kib = {words[0]: int(words[1]) for words in lines if words[-1] == "kB"}
    return (kib["RssAnon:"] + kib["VmSwap:"]) / 1024, kib["VmRSS:"] / 1024


class Listener:
    """An engine that is given what a live microphone gives, and its estimates' times checked.

    Args:
        model: the network.
        rate: of the sound [hertz].
    """

    def __init__(self, model: TfliteModel, *, rate: int) -> None:
        features = model.spec.features
        self.window, self.step = features.samples, 5 * features.hop
        settings = EngineSettings(average=50, smooth_s=1.0, keep_audio=True, keep_outputs=True)
        self.engine = DirectionEngine(model, settings)
        self.converter = AmbixConverter(from_rate=rate, to_rate=MODEL_RATE)
        # Samples at the network's rate: all, lost ones, and those since the last gap.
        self.given = self.missed = self.in_a_row = 0
        self.estimates = self.wrong_times = 0

    def hear(self, sound: np.ndarray, size: int) -> None:
        """Give a second of sound in blocks, and compare the times of what comes back."""
        for start in range(0, len(sound), size):
            block = self.converter.push(sound[start : start + size])
            self.given += len(block)
            self.in_a_row += len(block)
            for estimate in self.engine.push(block):
                self.estimates += 1
                # The latest window that is complete ends there, counted from the last gap.
                due = self.window + (self.in_a_row - self.window) // self.step * self.step
                expected = (self.given - self.in_a_row + self.missed + due) / MODEL_RATE
                self.wrong_times += estimate.time_s != expected
                if estimate.audio is None or len(estimate.audio) not in (self.window, self.step):
                    self.wrong_times += 1

    def lose(self, samples: int) -> None:
        """End the stretch of sound with a gap."""
        rest = self.converter.finish()
        self.engine.push(rest)
        self.given += len(rest)
        self.engine.skip(Gap(samples=samples, reason="lost"))
        self.missed += samples
        self.in_a_row = 0

    def figures(self) -> dict[str, int]:
        """What was given and what came back."""
        return {
            "estimates": self.estimates,
            "samples_given": self.given,
            "samples_missed": self.missed,
            "stream_time_error_samples": self.engine.samples - self.given - self.missed,
            "wrong_times": self.wrong_times,
        }


def soak(listener: Listener, *, hours: float, rate: int, stopping: Sequence[int]) -> dict[str, Any]:
    """Figures of one run, which ends early once there is a signal in `stopping`."""
    rng = np.random.default_rng(12)
    sound = synthetic_sound(1.0, rate)
    total = round(hours * 3600)  # seconds
    # Reserved now: this program's own notes are not to grow.
    memory = np.zeros((total // 60 + 2, 3))  # seconds of sound, own and resident memory [MB]
    notes = 0
    started = time.perf_counter()
    second, next_gap = 0, int(rng.integers(300, 900))
    while second < total and not stopping:
        louder = np.float32(10.0 ** rng.uniform(-2.0, 0.0))
        listener.hear(louder * sound, round(BLOCK_S * rate))
        second += 1
        if second == next_gap:
            next_gap += int(rng.integers(300, 900))
            listener.lose(int(rng.integers(0, 100_000)))
        if second % 60 == 0:
            memory[notes] = (second, *memory_mb())
            notes += 1
            if second % 3600 == 0 and sys.stderr.isatty():
                own = memory[notes - 1, 1]
                sys.stderr.write(f"{second // 3600} h of {hours:g}, {own:.2f} MB\n")
    memory[notes] = (second, *memory_mb())
    memory = memory[: notes + 1]
    own, resident = memory[memory[:, 0] >= min(WARM_UP_S, second / 2), 1:].T
    wall = time.perf_counter() - started
    return {
        "hours": round(second / 3600, 3),
        "rate": rate,
        **listener.figures(),
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


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = program("benchmarks.soak", __doc__)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--rate", type=int, default=48_000, help="of the sound [hertz]")
    parser.add_argument("--model", metavar="FILE.tflite", help="default: the shipped one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    stopping: list[int] = []  # signals that asked for an end
    signal.signal(signal.SIGINT, lambda number, _: stopping.append(number))
    listener = Listener(TfliteModel(args.model or default_model_path()), rate=args.rate)
    figures = soak(listener, hours=args.hours, rate=args.rate, stopping=stopping)
    for name, value in figures.items():
        if name != "curve_mb":  # every minute of sound, in the JSON
            print(f"{name:<28}{value:>16}")
    if args.json:
        write_json(args.json, figures)
    wrong = figures["stream_time_error_samples"] or figures["wrong_times"]
    return int(figures["growth_mb"] > GROWTH_LIMIT_MB or bool(wrong))


if __name__ == "__main__":
    run_program(main)
