"""What the programs of this folder share: options, and one thread for numpy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from doa_edge.tflite.shipped import BUILT_IN, judged_model

MODEL: dict[str, Any] = {
    "metavar": "MODEL",
    "type": judged_model,
    "help": f".tflite, .keras, baseline:NAME, or the built-in {BUILT_IN}",
}
JSON: dict[str, Any] = {"type": Path, "metavar": "FILE", "help": "write the figures, too"}
one_thread = threadpool_limits.wrap(limits=1)  # a decorator: numpy's matrices here are small


def add_scenes(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add --scenes, folders of them, and --work, where answers are kept."""
    folders: dict[str, Any] = {"nargs": "+", "type": Path, "default": [], "metavar": "DIR"}
    parser.add_argument("--scenes", required=required, **folders)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps answers")
