"""The networks that come with the package, by their names."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from doa_core.errors import check_choice
from doa_core.files import existing_path

SHIPPED = ("default", "lite")
BUILT_IN = "`default` or `lite`"  # for help
MODEL_HELP = (
    "a .tflite made by doa_export, or a built-in one: `default`, or `lite`, the same with weights "
    "of 8 bits (default: `default`)"
)


def shipped_model_path(name: str = "default") -> Path:
    """Path of a network that comes with the package.

    Raises:
        ValueError: another name than those in `SHIPPED`.
    """
    check_choice("name", name, SHIPPED)
    return Path(__file__).parents[1] / "models" / f"{name}.tflite"


def is_shipped(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a network that comes with the package."""
    return Path(path).absolute() in {shipped_model_path(name).absolute() for name in SHIPPED}


def shipped_checkpoint(name: str = "default") -> Path:
    """Path of the checkpoint that such a network was converted from, one for both names.

    Wheels are without it.
    """
    return shipped_model_path(name).with_name("default.keras")


def checkpoint_path(text: str) -> Path:
    """The path of a value of `MODEL.keras`: as `model_path`, of the checkpoint that was converted.

    Raises:
        argparse.ArgumentTypeError: a name whose checkpoint is not here: wheels are without them.
    """
    path = Path(text)
    if text not in SHIPPED or path.exists():
        return path
    shipped = shipped_checkpoint(text)
    if not shipped.exists():
        raise argparse.ArgumentTypeError(
            f"the checkpoint of {text!r} is not installed: name the one in a clone of the "
            f"repository, edge/doa_edge/models/{shipped.name}"
        )
    return shipped


def judged_model(text: str) -> str:
    """What a value of `MODEL` means to an evaluation: a name in `SHIPPED` becomes its path."""
    is_shipped = text in SHIPPED and not Path(text).exists()
    return str(shipped_model_path(text)) if is_shipped else text


def model_path(text: str) -> Path:
    """The path of a value of `--model`: a name in `SHIPPED`, unless a file has that name."""
    path = existing_path(text)
    return shipped_model_path(text) if text in SHIPPED and not path.exists() else path
