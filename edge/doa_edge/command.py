"""What the commands of all packages share: one line about misuse, and an exit status."""

from __future__ import annotations

import argparse
from typing import NoReturn

EXIT_FAILED, EXIT_MISUSE, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141


class CommandParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End with the status of misuse."""
        self.exit(EXIT_MISUSE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def exit_status(stop: SystemExit) -> int:
    """The status that a parser wants to end with."""
    return stop.code if isinstance(stop.code, int) else EXIT_FAILED
