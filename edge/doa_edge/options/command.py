"""What commands share: one line about misuse, an exit status, and what memory they took."""

from __future__ import annotations

import argparse
from typing import NoReturn

EXIT_FAILED, EXIT_MISUSE = 1, 2
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143  # 128 + the signal


class CommandParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End with the status of misuse."""
        self.exit(EXIT_MISUSE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def exit_status(stop: SystemExit) -> int:
    """The status that a parser wants to end with."""
    return stop.code if isinstance(stop.code, int) else EXIT_FAILED


def peak_memory_kib() -> int:
    """Most resident memory of this process so far [KiB].

    Linux keeps `ru_maxrss` over an exec: a program that was started by a larger one would report
    its parent's. VmHWM is the program's own.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            lines = [line.split() for line in status if line.startswith("VmHWM:")]
    except OSError:
        lines = []
    if lines:
        return int(lines[0][1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
