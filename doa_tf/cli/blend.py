"""`doa_tf blend`: a network between one and the same one trained further."""

from __future__ import annotations

import argparse
from pathlib import Path

from doa_core.errors import InputError
from doa_core.files import say_written
from doa_edge.options.command import Limited
from doa_edge.tflite.shipped import BUILT_IN, checkpoint_path
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.options import Commands, add_imports
from doa_tf.registration import import_modules


def add_parser(commands: Commands) -> None:
    """Add `blend` to the commands; its `run` is set."""
    parser = commands.add_parser(
        "blend",
        help="a network between two: gained here, not lost elsewhere",
        description=(
            "Write the mean of two checkpoints' weights: of a network, and of the same one trained "
            "further (train --init-from). Most of what was gained stays, and little is lost of "
            "what the first one knew (docs/tutorial-finetune.md). A calibration is left out."
        ),
    )
    begun = f"what the training began with; also the built-in {BUILT_IN}"
    parser.add_argument("first", metavar="MODEL.keras", type=checkpoint_path, help=begun)
    parser.add_argument(
        "second", metavar="TRAINED.keras", type=checkpoint_path, help="what it was trained to"
    )
    parser.add_argument(
        "--share",
        type=Limited("blend share"),
        default=0.5,
        metavar="SHARE",
        help="of TRAINED's weights: 0 is the first network, 1 the second (default: 0.5)",
    )
    parser.add_argument("--out", required=True, metavar="FILE.keras", help="write there")
    add_imports(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Blend and write.

    Raises:
        InputError: no checkpoints, or such that are not alike.
        OSError: the file cannot be written.
    """
    from doa_tf.checkpoint import check_checkpoint, save_model

    for model in (args.first, args.second):
        check_checkpoint(model)
    if Path(args.out).suffix != ".keras":
        raise InputError(f"--out must be a .keras file. Received: {args.out}")
    import_quietly("doa_tf.models", extra="train")
    import_modules(args.imports)
    from doa_tf.models import load_model
    from doa_tf.training.blend import blend_models

    first, second = load_model(args.first), load_model(args.second)
    save_model(Path(args.out), blend_models(first, second, share=args.share))
    say_written("doa_tf", args.out)
    return 0
