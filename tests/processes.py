"""What tests ask of processes that may end at any moment."""

from __future__ import annotations

from pathlib import Path


def gone(process: int) -> bool:
    """Whether `process` has ended, waited for or not (Linux)."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
