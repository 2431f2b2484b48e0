"""Files that every room of the house writes or names: JSON, digests, versions."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doa_core.files import write_beside

HISTORY = "history.csv"  # of a run: a row an epoch
MONITOR = "val_median_angular_error"  # its column that chooses the best epoch
_PACKAGES = ("doa-tf", "keras", "tensorflow", "jax", "numpy", "pyroomacoustics", "librosa")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON beside `path`, then rename it."""
    with write_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def package_versions(names: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Versions of packages as far as they are installed, by default of what a training needs."""
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def sha256(path: str | Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
