"""Count the instructions that model files take on Cortex-A72 and Cortex-A76, network alone.

    python edge/arm64/count_modes.py --qemu FOLDER FILE.tflite ... [--json FILE]

Millions of instructions per window of 25 frames, and of the halves, where a file has them, per
estimate of a stream, which moves by 5 frames. FOLDER is a build of qemu with plugins: `count.py`
has the commands. `python -m benchmarks.export MODEL.keras ... --keep FOLDER` makes a file of every
mode and every form of the LSTM.

An emulated Cortex-A76 has dot products of 8-bit integers, an A72 has not; the runtime chooses its
kernels accordingly. Two counts of the same file differ by some thousands. A file that cannot be run
has a word instead of figures; one whose scores differ from this machine's, an exclamation mark.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from check import describe_processor, why_not
from count import CPUS, counting_userland, counts

from doa_core.errors import InputError
from doa_edge.tflite.network import TfliteModel

WINDOWS = 2
LIMIT_S = 600.0  # of one file on one processor; the slowest, in reference kernels, takes a minute
# Scores of 8-bit files are rounded at other places by other kernels.
SCORES_APART = {"none": 1e-4, "float16": 1e-3}
SCORES_APART_8_BITS = 0.06


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", metavar="FILE.tflite", nargs="+", type=Path)
    parser.add_argument("--qemu", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures, too")
    options = parser.parse_args()
    for path in options.files:
        try:
            TfliteModel(path)
        except InputError as error:
            parser.error(str(error))
    if reason := why_not():
        print(f"not counted, {reason}")
        return 1
    rows = []
    with counting_userland(options.qemu, "one_network.py") as root:
        print(f"{'millions of instructions':32}{'bytes':>10}", *(f"{cpu:>14}" for cpu in CPUS))
        for path in options.files:
            figures = {cpu: count_file(root, cpu, path) for cpu in CPUS}
            rows.append({"file": path.name, "bytes": path.stat().st_size, **figures})
            report(rows[-1], "window")
            if any("halves" in of_cpu for of_cpu in figures.values()):
                report(rows[-1], "halves")
            if options.json:
                options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    return 0


def report(row: dict[str, Any], part: str) -> None:
    """One line of the table: whole windows, or the halves of a stream."""
    name = row["file"] if part == "window" else "  in halves, one estimate"
    cells = [cell(row[cpu], part) for cpu in CPUS]
    size = row["bytes"] if part == "window" else ""
    print(f"{name:32}{size:>10}", *(f"{text:>14}" for text in cells), flush=True)


def cell(figures: dict[str, Any], part: str) -> str:
    """A figure as the table has it."""
    if part not in figures:
        return figures.get("error", "")
    return f"{figures[part] / 1e6:.1f}{'' if figures['agrees'] else '!'}"


def count_file(root: Path, cpu: str, path: Path) -> dict[str, Any]:
    """Instructions of a window, of the halves, and whether the scores are those of this machine."""
    describe_processor(root, cpu)
    shutil.copy2(path, root / "network.tflite")
    program = ("/one_network.py", "/network.tflite", str(WINDOWS), "/scores.npy")
    try:
        # The last one is of the process itself.
        base, *parts, _ = counts(root, cpu, *program, limit_s=LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"error": "too long"}
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [str(error)]
        sys.stderr.write(f"{path.name}, {cpu}: {lines[-1]}\n")
        return {"error": "fails"}
    named = zip(("window", "halves"), parts, strict=False)
    figures = {name: (total - base) / WINDOWS for name, total in named}
    model = TfliteModel(path)
    window = np.random.default_rng(0).uniform(-0.5, 0.5, model.spec.window_shape)
    here = model.predict(window.astype(np.float32))
    apart = float(np.max(np.abs(here - np.load(root / "scores.npy"))))
    limit = SCORES_APART.get(model.spec.quantization, SCORES_APART_8_BITS)
    return {**figures, "largest_score_difference": apart, "agrees": apart <= limit}


if __name__ == "__main__":
    sys.exit(main())
