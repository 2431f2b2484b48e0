"""What it costs to decode several voices, and how near they are, beside simpler ways.

    python -m benchmarks.decoding [--windows 300] [--runs 15] [--json FILE]

Windows are 25 frames of scores on 429 cells: three talkers anywhere, 25 degrees apart or more, each
with a lobe as a network of `gibbs-weighted` has it and in a share of the frames, over weak noise.
Three ways decode the same windows, in turns and in processor time:

- `peaks`: `doa_core.spec.ModelSpec.peaks`, three voices with calibrated confidences;
- `masking`: the three cells of highest score, none within 20 degrees of another, each refined by
  the centroid of the scores within 15 degrees;
- `centroid`: `doa_core.spec.ModelSpec.directions`, one voice.

Milliseconds of a window: the median over the runs with their range.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.turns import median_and_range, ratios
from doa_core.angles import FloatArray, great_circle_distance
from doa_core.errors import InputError
from doa_core.grid import sphere_grid
from doa_core.spec import ModelSpec
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json

COUNT = 3
APART_DEG = 25.0  # of the talkers
_LOBE_DEG = 12.5
_FRAMES = 25
_MASK_DEG, _REFINE_DEG = 20.0, 15.0

Decode = Callable[[FloatArray], FloatArray]


def draw_talkers(rng: np.random.Generator) -> FloatArray:
    """(3, 3) unit vectors, 25 degrees apart or more."""
    while True:
        talkers = rng.standard_normal((COUNT, 3))
        talkers /= np.linalg.norm(talkers, axis=1, keepdims=True)
        pairs = itertools.combinations(talkers, 2)
        if all(np.degrees(great_circle_distance(*pair)) >= APART_DEG for pair in pairs):
            return talkers


def draw_window(rng: np.random.Generator, talkers: FloatArray) -> FloatArray:
    """(T, G) float32 scores of a network that hears the talkers."""
    cells = sphere_grid(10.0).vectors
    distance_deg = np.degrees(great_circle_distance(talkers[:, np.newaxis], cells))
    lobes = np.exp(-((distance_deg / _LOBE_DEG) ** 2))
    heights = rng.uniform(0.3, 0.9, (COUNT, 1)) * (rng.random((COUNT, _FRAMES)) < 0.7)
    scores = (heights[:, :, np.newaxis] * lobes[:, np.newaxis]).max(axis=0)
    return np.clip(scores + 0.02 * rng.random(scores.shape), 0.0, 1.0).astype(np.float32)


def masking(outputs: FloatArray) -> FloatArray:
    """(3, 3) unit vectors of the cells of highest score, each masking those around it."""
    cells = sphere_grid(10.0).vectors
    scores = outputs.mean(axis=0, dtype=np.float64)
    left, found = scores.copy(), []
    for _ in range(COUNT):
        cosines = cells @ cells[int(np.argmax(left))]
        centroid = (scores * (cosines >= np.cos(np.radians(_REFINE_DEG)))) @ cells
        found.append(centroid / np.linalg.norm(centroid))
        left[cosines >= np.cos(np.radians(_MASK_DEG))] = -1.0
    return np.array(found)


def errors_deg(found: FloatArray, talkers: FloatArray) -> FloatArray:
    """(3,) errors of the talkers, in the best order of the answers; 180 for one not found."""
    distances = np.full((COUNT, COUNT), 180.0)
    distances[:, : len(found)] = np.degrees(great_circle_distance(talkers[:, np.newaxis], found))
    rows = np.arange(COUNT)
    return min((distances[rows, order] for order in itertools.permutations(rows)), key=np.sum)


def milliseconds(decode: Decode, windows: Sequence[FloatArray]) -> float:
    """Processor time of a window."""
    started = time.process_time()
    for window in windows:
        decode(window)
    return 1000.0 * (time.process_time() - started) / len(windows)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = program("benchmarks.decoding", __doc__)
    parser.add_argument("--windows", type=int, default=300)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if args.windows < 1 or args.runs < 1:
        raise InputError("--windows and --runs must be 1 or more")
    table = tuple((raw, 0.9 * raw) for raw in np.linspace(0.0, 1.0, 20))
    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=COUNT, calibration=table)
    ways: dict[str, Decode] = {
        "peaks": lambda outputs: spec.peaks(outputs)[0],
        "masking": masking,
        "centroid": lambda outputs: spec.directions(outputs, method="centroid")[0],
    }
    rng = np.random.default_rng(0)
    talkers = [draw_talkers(rng) for _ in range(args.windows)]
    windows = [draw_window(rng, those) for those in talkers]
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.runs + 1):
        for name, decode in ways.items():
            spent[name].append(milliseconds(decode, windows))
    spent = {name: values[1:] for name, values in spent.items()}  # the first makes the tables
    figures: dict[str, object] = {}
    for name in ways:
        figures |= median_and_range(f"{name}_ms", spent[name])
    for name in ("masking", "centroid"):
        figures |= median_and_range(f"peaks_over_{name}", ratios(spent["peaks"], spent[name]))
    for name in ("peaks", "masking"):
        pairs = zip(windows, talkers, strict=True)
        errors = np.concatenate([errors_deg(ways[name](window), those) for window, those in pairs])
        figures[f"{name}_median_deg"] = float(np.median(errors))
        figures[f"{name}_within_5_deg"] = float(np.mean(errors <= 5.0))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    run_program(main)
