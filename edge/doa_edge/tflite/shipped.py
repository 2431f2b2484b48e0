"""The networks that come with the package, by their names."""

from __future__ import annotations

from pathlib import Path

from doa_core.errors import check_choice
from doa_core.files import existing_path

SHIPPED = ("default", "lite")
MODEL_HELP = "a .tflite made by doa_export, or `lite`, the light built-in one (default: `default`)"


def shipped_model_path(name: str = "default") -> Path:
    """Path of a network that comes with the package.

    Raises:
        ValueError: another name than those in `SHIPPED`.
    """
    check_choice("name", name, SHIPPED)
    return Path(__file__).parents[1] / "models" / f"{name}.tflite"


def model_path(text: str) -> Path:
    """The path of a value of `--model`: a name in `SHIPPED`, unless a file has that name."""
    path = existing_path(text)
    return shipped_model_path(text) if text in SHIPPED and not path.exists() else path
