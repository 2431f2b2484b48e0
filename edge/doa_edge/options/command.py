"""What commands share: kinds of values, one line about misuse, exit statuses, peak memory."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

EXIT_FAILED, EXIT_MISUSE = 1, 2
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143  # 128 + the signal

Kind = Callable[[str], Any]  # what makes an option's value of its text


class CommandParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End with the status of misuse."""
        self.exit(EXIT_MISUSE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_options(
    group: argparse._ActionsContainer, texts: Mapping[str, str], kinds: Mapping[str, Kind]
) -> None:
    """Add an option for each `--name VALUE`; one without a VALUE is a switch.

    Args:
        group: of the parser, or the parser itself.
        texts: help of each option.
        kinds: type of an option, by the name of its VALUE; a text where there is none.
    """
    for option, text in texts.items():
        name, _, value = option.partition(" ")
        if value:
            group.add_argument(name, metavar=value, type=kinds.get(value, str), help=text)
        else:
            group.add_argument(name, action=argparse.BooleanOptionalAction, help=text)


def number(lowest: float, highest: float, unit: str) -> Callable[[str], float]:
    """The type of an option: a number between two limits, both included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(
                f"must be {lowest:g} to {highest:g} {unit}. Received: {text!r}"
            )
        return value

    return parse


def integer(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """The type of an option: an integer from `lowest` on, 0 or more, up to `highest` if given."""
    allowed = f"{lowest} or more" if highest is None else f"{lowest} to {highest}"

    def parse(text: str) -> int:
        value = int(text) if text.isdecimal() else -1
        if value < lowest or (highest is not None and value > highest):
            raise argparse.ArgumentTypeError(f"must be an integer, {allowed}. Received: {text!r}")
        return value

    return parse


def exit_status(stop: SystemExit) -> int:
    """The status with which a parser ended."""
    return stop.code if isinstance(stop.code, int) else EXIT_FAILED


def peak_memory_kib() -> int:
    """Peak resident memory of this process so far [KiB].

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
