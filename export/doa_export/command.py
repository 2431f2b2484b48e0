"""What the command `doa_export` does. Only light imports at the top: help answers at once."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, say
from doa_core.files import say_written
from doa_edge.options.command import EXIT_FAILED, CommandParser, Limited, exit_status
from doa_edge.options.streams import open_standard_streams
from doa_edge.tflite.shipped import BUILT_IN, checkpoint_path
from doa_export.budget import BUDGETS
from doa_export.convert.launch import ConversionError
from doa_export.convert.modes import AUTO, LSTM_FORMS, QUANTIZE
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import add_imports
from doa_tf.cli.program import status_of

_EPILOG = """\
The file is compared with the checkpoint, window by window, and is written only if the angles
between the two answers are within the budget. They are judged over the windows that a runner would
report, which are confident enough and have no two equal peaks; where these are fewer than 100, over
all. The answers of a grid head are compared by their centroid, because its peak jumps a whole grid
step between cells with nearly equal scores; the share of windows with the same peak is reported
beside it. Of a network of several voices the peaks are compared as sets, and the share of windows
in which the file names another number of voices is limited as well. The default budgets are meant
for trained networks."""


def run(argv: Sequence[str] | None) -> int:
    """Export one model.

    Args:
        argv: the arguments; those of the process if None.

    Returns:
        The exit status.
    """
    open_standard_streams()
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as stop:
        return exit_status(stop)
    try:
        return status_of(partial(_export, args), "doa_export", interrupted="no file written")
    except (ConversionError, ImportError, MemoryError) as error:
        line = " ".join(str(error).split())  # whole: it ends with what to do
        say(f"doa_export: {line}")
        return EXIT_FAILED


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = CommandParser(
        prog="doa_export",
        description="Turn a .keras checkpoint into a verified .tflite file for doa_edge.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    text = f"made by doa_tf train; or a built-in one, {BUILT_IN}"
    parser.add_argument("model", metavar="MODEL.keras", type=checkpoint_path, help=text)
    text = "the file to make, or to replace"
    parser.add_argument("--out", required=True, metavar="FILE.tflite", type=Path, help=text)
    add_imports(parser)
    _add_conversion(parser)
    _add_judging(parser)
    return parser


def _add_conversion(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--quantize",
        required=True,
        choices=QUANTIZE,
        help="none: float32. float16: half the size. dynamic: 8-bit weights. int8: integer "
        "convolutions as well, floats in and out. int8-full: nothing but integers, for "
        "accelerators. int16x8: 16-bit activations, for hardware that wants them",
    )
    add(
        "--calibrate",
        metavar="SCENES",
        type=Path,
        help="recordings to calibrate the ranges of the integer modes on",
    )
    add(
        "--calibration-windows",
        metavar="N",
        type=Limited("calibration-windows"),
        default=300,
        help="use at most this many of them, evenly over their conditions (default: 300)",
    )
    add(
        "--lstm",
        choices=(AUTO, *LSTM_FORMS),
        default=AUTO,
        help="form of the recurrences (default: auto, the best for the mode)",
    )
    add(
        "--frontend",
        action="store_true",
        help="compute the features inside the file, from the high-pass on: its input is 13,312 x 4 "
        "samples as they were recorded",
    )
    add(
        "--stream-highpass",
        action="store_true",
        help="with --frontend: leave the high-pass to the program that runs the file and filters "
        "the stream, as doa_edge does; a file that filters each window by itself is a little off",
    )
    add(
        "--decode",
        choices=("peak", "centroid"),
        help="how a grid head is to be decoded (default: as the checkpoint says)",
    )
    add(
        "--split",
        action="store_true",
        help="add the network in two halves, with which doa_edge convolves each frame once (none "
        "and dynamic): half the time, two thirds more bytes",
    )


def _add_judging(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--check",
        "--data",
        metavar="SCENES",
        type=Path,
        help="compare on the windows of these recordings, a hundred or more (default: built-in "
        "synthetic windows)",
    )
    add(
        "--max-median-deg",
        metavar="X",
        type=Limited("max-median-deg"),
        help=f"largest median angle to the checkpoint (default: {_defaults('median_deg')})",
    )
    add(
        "--max-p99-deg",
        metavar="X",
        type=Limited("max-p99-deg"),
        help=f"largest 99th percentile of it (default: {_defaults('p99_deg')})",
    )
    add(
        "--report",
        metavar="FILE",
        type=Path,
        help="write a JSON object: how many degrees each layer costs in this mode",
    )
    add("--json", metavar="FILE", type=Path, help="write the JSON object to this file as well")


def _export(args: argparse.Namespace) -> int:
    from doa_core.files import write_beside
    from doa_export.export import check_output, check_paths, export_model
    from doa_export.settings import ExportSettings

    limits = {"median_deg": args.max_median_deg, "p99_deg": args.max_p99_deg}
    limits = {name: value for name, value in limits.items() if value is not None}
    settings = ExportSettings(
        quantize=args.quantize,
        lstm=args.lstm,
        calibrate=args.calibrate,
        calibration_windows=args.calibration_windows,
        frontend=args.frontend,
        stream_highpass=args.stream_highpass,
        decode=args.decode,
        split=args.split,
        check=args.check,
        budget=replace(BUDGETS[args.quantize], **limits),
        imports=tuple(args.imports),
    )
    check_paths(args.model, args.out, args.report)
    if args.json is not None:
        check_output(args.json, "--json")
        if args.json.resolve() == args.out.resolve():
            raise InputError(f"--json and --out must be two files. Received: {args.json} for both")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU's TF32 is no reference for float32
    import_quietly("doa_tf.models", extra="export")
    with ExitStack() as files:
        json_file = None if args.json is None else files.enter_context(write_beside(args.json))
        with _spinner() as progress:
            options = {"report": args.report, "progress": progress}
            made = export_model(args.model, args.out, settings, **options)
        text = json.dumps(made)
        if json_file is not None:
            json_file.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    say(f"doa_export: {_summary(made)}")
    say_written("doa_export", args.json, args.report)
    return 0


def _defaults(name: str) -> str:
    return ", ".join(f"{mode} {getattr(BUDGETS[mode], name):g}" for mode in QUANTIZE)


def _summary(made: dict[str, Any]) -> str:
    figures = made["parity"]
    voices = f", {made['voices']} voices" if "voices" in made else ""
    text = (
        f"{made['out']}, {made['bytes'] / 1e6:.2f} MB, {made['quantization']}{voices}: "
        f"{figures['median_deg']:g} degrees from the checkpoint (median; 99th percentile "
        f"{figures['p99_deg']:g}) over {figures['n']} windows{_reported(figures)}"
    )
    if figures["equal_peaks"] is not None:
        text += f", {100.0 * figures['equal_peaks']:.1f} % with the same peak"
    if "different_counts" in figures:
        text += f", {100.0 * figures['different_counts']:.1f} % with another number of voices"
    return text


def _reported(figures: dict[str, Any]) -> str:
    reported = figures["reported"]
    if not reported["n"]:
        return ", none of which a runner would report"
    what = "peaks" if "different_counts" in figures else "windows"
    return (
        f", {reported['median_deg']:g} (99th percentile {reported['p99_deg']:g}) over the "
        f"{reported['n']} {what} that a runner would report"
    )


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """A progress callback, shown on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update
