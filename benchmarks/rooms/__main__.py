"""What simulated rooms and mixed scenes cost, and how near they are to the full calculation.

    python -m benchmarks.rooms [--quick] [--json [FILE]] [--speech DIR] [--rooms N]

Each ratio is of two things in the same run. The reference is pyroomacoustics with every image
source that the decay needs, in the same rooms (walls of their own in seven octave bands, air, a
talker's directivity, four coincident microphones). Both run on two processes of one thread.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rooms.cluster import measure_scaling
from benchmarks.rooms.mixing import measure_fit, measure_mixing
from benchmarks.rooms.physics import measure_rooms
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.simulate import simulate_bank
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings

DEMO_SPEECH = Path(__file__).resolve().parents[2] / "demo" / "speech"
TARGETS = {
    "speedup_vs_reference": "at least 80",
    "t30_error_median_pct": "at most 10",
    "drr_error_median_db": "at most 1",
    "c50_error_median_db": "at most 1.5",
    "direct_error_median_deg": "at most 1",
    "diffuseness_error_median": "at most 0.1",
    "mix_sequences_per_s": "at least 300 on two cores",
    "fit_live_over_cached": "at least 0.8",
    "workers_two_over_one": "at least 1.8",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = program("benchmarks.rooms", __doc__)
    add, said = parser.add_argument, "one JSON object, to a file or stdout"
    add("--quick", action="store_true", help="under five minutes")
    add("--rooms", type=int, help="rooms traced in full (default: 100, quick 16)")
    add("--speech", type=Path, default=DEMO_SPEECH, help="folder of speech")
    add("--json", nargs="?", const="-", metavar="FILE", help=said)
    args = parser.parse_args(argv)
    rooms = args.rooms or (16 if args.quick else 100)
    results = measure(rooms=rooms, speech=args.speech, quick=args.quick)
    if args.json == "-":
        print(json.dumps(results))
        return 0
    print(table(results))
    if args.json:
        write_json(Path(args.json), results)


def measure(*, rooms: int, speech: Path, quick: bool) -> dict[str, Any]:
    """Everything, as one flat object with the distributions inside."""
    recordings = read_recordings(speech)
    say("rooms traced in full, and the same as hybrids")
    results = measure_rooms(rooms)
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        simulate_bank(bank, rooms=100 if quick else 500, seed=1)
        mixer = SceneMixer(read_bank(bank), recordings)
        say("mixing and features")
        results |= measure_mixing(mixer, scenes=1000 if quick else 6000)
        say("fit, mixed live and cached")
        results |= measure_fit(mixer, scenes=512 if quick else 2048)
    say("one process and two")
    results |= measure_scaling(200 if quick else 1000)
    return results


def table(results: dict[str, Any]) -> str:
    """Markdown: the figures with their targets, then the distributions."""
    lines = ["| figure | measured | target |", "|---|---|---|"]
    lines += [f"| `{name}` | {results[name]:.3g} | {TARGETS[name]} |" for name in TARGETS]
    numbers = {name: value for name, value in results.items() if isinstance(value, int | float)}
    lines += [f"| `{name}` | {numbers[name]:.3g} | |" for name in numbers if name not in TARGETS]
    lines += ["", "| hybrid against reference | 5 % | 25 % | 50 % | 75 % | 95 % | largest |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, values in results["distributions"].items():
        cells = [f"{values[key]:.2f}" for key in ("p5", "p25", "p50", "p75", "p95", "largest")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def say(what: str) -> None:
    """Progress, on standard error."""
    print(f"rooms: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_program(main)
