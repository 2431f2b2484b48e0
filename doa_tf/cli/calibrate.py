"""`doa_tf calibrate`: make a model's confidence a probability."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from doa_core.errors import InputError
from doa_core.files import say_written
from doa_edge.options.command import Limited
from doa_edge.tflite.shipped import BUILT_IN, SHIPPED, checkpoint_path, shipped_checkpoint
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import Commands, add_format, add_imports, read_folder
from doa_tf.cli.progress import progress_bar
from doa_tf.registration import import_modules

REFINEMENTS = ("none", "intensity")  # those of doa_core.refine, which a help does not import


def add_parser(commands: Commands) -> None:
    """Add `calibrate` to the commands; its `run` is set."""
    parser = commands.add_parser(
        "calibrate",
        help="make a model's confidence a probability",
        description=(
            "Fit the confidence of a checkpoint on validation scenes, so that it is the "
            "probability of being within 10 degrees, and write the fit into the checkpoint. Files "
            "exported from it have it too. Of a network that knows several voices all peaks are "
            "judged, which needs scenes of nobody, of one and of several talkers."
        ),
    )
    text = f"a checkpoint; a built-in one, {BUILT_IN}, needs --out"
    parser.add_argument("model", metavar="MODEL.keras", type=checkpoint_path, help=text)
    parser.add_argument("--data", required=True, metavar="SCENES", help="validation scenes")
    parser.add_argument("--out", metavar="FILE.keras", help="write there (default: over MODEL)")
    parser.add_argument(
        "--apart",
        type=Limited("apart"),
        metavar="DEG",
        help="least distance of two voices from now on (default: as MODEL has it, 20 when trained)",
    )
    parser.add_argument(
        "--refine",
        choices=REFINEMENTS,
        help="how directions are refined from now on (default: as MODEL has it, none when trained)",
    )
    add_format(parser)
    add_imports(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit and write.

    Raises:
        InputError: a model or scenes that cannot be used.
        OSError: the file cannot be written.
    """
    from doa_tf.checkpoint import check_checkpoint

    check_checkpoint(args.model)
    if args.out is None and args.model in map(shipped_checkpoint, SHIPPED):
        raise InputError(f"--out must be given for a built-in network. Received: {args.model}")
    if args.out is not None and Path(args.out).suffix != ".keras":
        raise InputError(f"--out must be a .keras file. Received: {args.out}")
    scenes = read_folder(args, args.data)
    import_quietly("doa_tf.models", extra="train")
    import_modules(args.imports)
    from doa_tf.evaluation.calibration import calibrate_model

    with progress_bar("scenes") as progress:
        figures = calibrate_model(
            args.model,
            scenes,
            out=args.out,
            apart_deg=args.apart,
            refine=args.refine,
            progress=progress,
        )
    peaks = f"{figures['peaks']:.0f} peaks of " if "peaks" in figures else ""
    sys.stdout.write(
        f"calibrated on {peaks}{figures['scenes']:.0f} scenes: confidence was off by "
        f"{100 * figures['before']:.1f} points, now by {100 * figures['after']:.1f}\n"
    )
    say_written("doa_tf", args.out or args.model)
    return 0
