"""Processes that do not outlive the one that started them, whatever ends it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_START_FIELD = 19  # of /proc/PID/stat behind the program's name: ticks from the boot to its start


def end_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, by SIGKILL as well.

    To be called early in a process: one whose parent is gone already ends here. The parent's
    thread that started it must live as long as it is needed. Linux alone can do it; elsewhere
    nothing is done.

    Args:
        parent: process number of the parent.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def may_have_written(process: int, written: float) -> bool:
    """Whether a process that runs can be the one that wrote something.

    Not if it began later: its number was another's before. Nor if it is the system's first one,
    unless that is this one: the only process of a container has its number.

    Args:
        process: its number.
        written: when something was last written [seconds since 1970].
    """
    if process == 1 != os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's, and alive
        pass
    started = _start_of(process)
    return started is None or started <= written


def _start_of(process: int) -> float | None:
    """When a process began, with a second to spare [seconds since 1970]; None if unknown."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2]
        system = Path("/proc/stat").read_text("ascii").splitlines()
        booted = next(int(line.split()[1]) for line in system if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    return booted + int(fields.split()[_START_FIELD]) / os.sysconf("SC_CLK_TCK") - 1.0
