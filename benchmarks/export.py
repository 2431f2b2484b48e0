"""Every mode and every form of the LSTM: bytes, milliseconds, degrees.

    python -m benchmarks.export MODEL.keras --calibrate SCENES --check SCENES [--modes MODE ...]
        [--lstm FORM ...] [--calibration-windows N ...] [--runs 200] [--keep FOLDER] [--json FILE]

With --keep the files stay in a folder, as MODE-FORM.tflite, for edge/arm64/count_modes.py.
Milliseconds are those of one window of 25 frames on one thread, the network alone, lowest and
median of the runs. Degrees are `doa_export`'s own figures, on scenes that were not calibrated on;
its budget is lifted, so that a bad combination shows in the table instead of ending it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError
from doa_edge.tflite.network import TfliteModel
from doa_export import Budget, ExportSettings, export_model
from doa_export.convert.launch import ConversionError
from doa_export.convert.modes import MODES
from doa_export.judge.calibration import WINDOWS
from doa_export.windows import synthetic_clips
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json

COLUMNS = (
    ("mode", "mode"),
    ("LSTM", "lstm"),
    ("calibrated", "calibration_windows"),
    ("bytes", "bytes"),
    ("ms, lowest", "lowest_ms"),
    ("ms, median", "median_ms"),
    ("median deg", "median_deg"),
    ("p99 deg", "p99_deg"),
    ("max deg", "max_deg"),
    ("change of median error deg", "change_median_deg"),
    ("change of acc10", "change_acc10"),
)


def combinations(args: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """(mode, form, windows to calibrate on) of each row that can be converted."""
    for name in args.modes or MODES:
        mode = MODES[name]
        counts = args.calibration_windows if mode.needs_calibration else [0]
        for form in args.lstm or mode.forms:
            if form in mode.forms:
                for count in counts:
                    yield name, form, count


def measure(path: Path, runs: int) -> tuple[float, float]:
    """Lowest and median milliseconds of one window."""
    model = TfliteModel(path)
    (clip,) = synthetic_clips(model.spec.features, count=1)
    window = model.spec.features.compute(clip.samples[0])
    spent = []
    for _ in range(runs):
        started = time.perf_counter()
        outputs = model.predict(window)
        spent.append(1000.0 * (time.perf_counter() - started))
    if not np.all(np.isfinite(outputs)):
        raise ValueError(f"{path} must give finite numbers. Received: NaN or infinity")
    return min(spent), statistics.median(spent)


def row(args: argparse.Namespace, mode: str, form: str, count: int, folder: Path) -> dict[str, Any]:
    """The figures of one combination."""
    figures: dict[str, Any] = {"mode": mode, "lstm": form, "calibration_windows": count or None}
    several = len(args.calibration_windows) > 1 and count
    path = folder / (f"{mode}-{form}-{count}.tflite" if several else f"{mode}-{form}.tflite")
    try:
        settings = ExportSettings(
            quantize=mode,
            lstm=form,
            calibrate=args.calibrate if count else None,
            calibration_windows=count or 1,
            check=args.check,
            budget=Budget(median_deg=180.0, p99_deg=180.0),
        )
        made = export_model(args.model, path, settings)
    except ConversionError as error:
        return {**figures, "error": str(error)}
    lowest, median = (round(ms, 3) for ms in measure(path, args.runs))
    figures |= {"bytes": made["bytes"], "lowest_ms": lowest, "median_ms": median}
    return {**figures, **made["parity"]}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = program("benchmarks.export", __doc__)
    parser.add_argument("model", metavar="MODEL.keras", type=Path)
    parser.add_argument("--calibrate", metavar="SCENES", type=Path, required=True)
    parser.add_argument("--check", metavar="SCENES", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", metavar="MODE", help="default: all")
    parser.add_argument("--lstm", nargs="+", metavar="FORM", help="default: all of each mode")
    counts = {"nargs": "+", "type": int, "default": [WINDOWS], "metavar": "N"}
    said = "default: %(default)s, as doa_export"
    parser.add_argument("--calibration-windows", **counts, help=said)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an existing one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if args.keep is not None and not args.keep.is_dir():
        raise InputError(f"--keep must name a folder that exists. Received: {args.keep}")
    rows = []
    print(" | ".join(title for title, _ in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for mode, form, count in combinations(args):
            figures = row(args, mode, form, count, args.keep or Path(folder))
            rows.append(figures)
            cells = [str(figures.get(key, "")) for _, key in COLUMNS]
            print(" | ".join(cells), figures.get("error", ""), flush=True)
            if args.json:
                write_json(args.json, {"rows": rows})
    if all("error" in figures for figures in rows):
        sys.exit("nothing could be converted")


if __name__ == "__main__":
    run_program(main)
