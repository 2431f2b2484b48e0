"""Writing JSON, hashing files, comparing settings, reporting progress: what every package needs."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doa_core.files import write_beside

HISTORY = "history.csv"  # of a run: a row an epoch
MONITOR = "val_median_angular_error"  # its column that chooses the best epoch
_PACKAGES = ("doa-tf", "keras", "tensorflow", "jax", "numpy", "pyroomacoustics", "librosa")

_DIGEST = "_sha256"  # ends the names of digests

Progress = Callable[[int, int], None]  # called with how many are done, and how many there are


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
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def known_by_digest(
    asked: dict[str, Any], found: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both without what need not be the same where a digest says what something holds.

    Beside `NAME`, its path, stands `NAME_sha256`. Where both have the digest, the path is left out;
    where one is from before there were digests, or has lost the thing, the digest is.

    Args:
        asked: JSON values.
        found: JSON values.
    """
    left_out = set()
    for name in asked.keys() & found.keys():
        digest = f"{name}{_DIGEST}"
        left_out.add(name if digest in asked and digest in found else digest)
    first, second = ({k: v for k, v in d.items() if k not in left_out} for d in (asked, found))
    return first, second


def difference_words(differing: dict[str, tuple[Any, Any]]) -> str:
    """`differences` in words."""
    words = []
    for path, (new, old) in differing.items():
        name = path.rpartition(".")[2]
        if name.endswith(_DIGEST) and new and old:
            words.append(f"{name.removesuffix(_DIGEST)} holds something else than it did")
        else:
            words.append(f"{name} was {old!r}, not {new!r}")
    return "; ".join(words)


def differences(
    asked: dict[str, Any], found: dict[str, Any], *, shared_only: bool = False
) -> dict[str, tuple[Any, Any]]:
    """(asked, found) of each value that is not the same, by names such as `settings.rt60`.

    Args:
        asked: JSON values.
        found: JSON values; None stands for one that is missing here or there.
        shared_only: skip names that only one of the two has.
    """
    differing: dict[str, tuple[Any, Any]] = {}
    for name in [*asked, *sorted(found.keys() - asked.keys())]:
        if shared_only and not (name in asked and name in found):
            continue
        new, old = asked.get(name), found.get(name)
        if isinstance(new, dict) and isinstance(old, dict):
            nested = differences(new, old, shared_only=shared_only)
            differing |= {f"{name}.{inner}": pair for inner, pair in nested.items()}
        elif new != old:
            differing[name] = (new, old)
    return differing
