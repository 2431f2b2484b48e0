"""Options that the programs of this folder share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

MODEL: dict[str, Any] = {"metavar": "MODEL", "help": ".tflite, .keras or baseline:NAME"}
JSON: dict[str, Any] = {"type": Path, "metavar": "FILE", "help": "write the figures, too"}


def add_scenes(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add --scenes, folders of them, and --work, where answers are kept."""
    parser.add_argument(
        "--scenes", nargs="+", type=Path, required=required, default=[], metavar="DIR"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps answers")
