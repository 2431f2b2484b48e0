"""What commands share: kinds of values, one line about misuse, exit statuses, peak memory."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from doa_core.errors import one_line, say, visible
from doa_edge.limits import LIMITS, Limits
from doa_edge.wall_clock.zone import read_zone

EXIT_FAILED, EXIT_MISUSE = 1, 2
EXIT_BROKEN_PIPE = 141  # 128 + the signal

DISTRIBUTION = "doa-tf"

Kind = Callable[[str], Any]  # what makes an option's value of its text
_FRAME_S = 0.032  # seconds
_NAME_WITH_DASH = re.compile(r"-[^-].*\.[A-Za-z]\w*", re.DOTALL)  # -x.wav, but no number


class _HelpWithDefaults(argparse.HelpFormatter):
    """Names the default of every option that has one and whose help does not."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        has_none = default is None or default is False or default in (argparse.SUPPRESS, [], ())
        if has_none or not action.option_strings or "default:" in text:
            return text
        shown = "%(default)g" if isinstance(default, float) else "%(default)s"
        return f"{text} (default: {shown})"


class CommandParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line, and its version when asked.

    Its help names defaults. The parsers of its sub-commands are of this class, too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _HelpWithDefaults, **settings})
        text = "show the version and end"
        self.add_argument("--version", action=_ShowVersion, nargs=0, help=text)
        self._given: list[str] = []

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """A verb refuses what it does not know itself, so that its own help is named."""
        self._given = list(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write a help or a version; one that cannot be written is told, with status 1."""
        file = sys.stderr if file is None else file
        try:
            file.write(message)
            file.flush()
        except BrokenPipeError:
            raise SystemExit(EXIT_BROKEN_PIPE) from None
        except OSError as error:
            if file is not sys.stderr:
                say(f"{self.prog}: standard output cannot be written: {one_line(error)}")
            raise SystemExit(EXIT_FAILED) from None

    def error(self, message: str) -> NoReturn:
        """End with the status of misuse; what is wrong with an option begins with its name."""
        message = re.sub(r"^argument (\S+): must ", r"\1 must ", message)
        if (name := next(filter(_looks_like_a_file, self._given), None)) is not None:
            message += f"; a file whose name begins with - is written ./{name}"
        told = visible(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(EXIT_MISUSE, f"{told}\n")


def _looks_like_a_file(argument: str) -> bool:
    """Whether argparse takes an argument for an option that is meant as the name of a file."""
    if not argument.startswith("-") or argument in ("-", "--"):
        return False
    return _NAME_WITH_DASH.fullmatch(argument) is not None or os.path.lexists(argument)


class _ShowVersion(argparse.Action):
    """Print the version of the installed package, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        program = parser.prog if parser.prog.startswith("python") else parser.prog.split()[0]
        parser._print_message(f"{program} {installed_version()}\n", sys.stdout)
        parser.exit()


def installed_version() -> str:
    """The version of this distribution, `unknown` where its packages lie without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def add_options(
    group: argparse._ActionsContainer, texts: Mapping[str, str], kinds: Mapping[str, Kind]
) -> None:
    """Add an option for each `--name VALUE`; one without a VALUE is a switch.

    Args:
        group: of the parser, or the parser itself.
        texts: help of each option.
        kinds: type of an option, by its own name or by that of its VALUE; a text where there is
            none.
    """
    for option, text in texts.items():
        name, _, value = option.partition(" ")
        if value:
            kind = kinds.get(name, kinds.get(value, str))
            group.add_argument(name, metavar=value, type=kind, help=text)
        else:
            group.add_argument(name, action=argparse.BooleanOptionalAction, help=text)


class Limited:
    """The type of an option that takes a number, or some: within the limits of the one table.

    Attributes:
        limits: of the number, or of each of them.

    Args:
        name: in `doa_edge.limits.LIMITS`.
        read: makes the value of a text, and raises ValueError where it is not within the limits; by
            default an integer or a float, as the table says.
    """

    def __init__(self, name: str, read: Callable[[str, Limits], Any] | None = None) -> None:
        self.limits: Limits = LIMITS[name]
        self._read = read

    def __call__(self, text: str) -> Any:
        """The value of a text. Raises ArgumentTypeError, which says what is allowed."""
        try:
            return self._read(text, self.limits) if self._read else self.limits.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(self.limits.refusal(text)) from error


def frames_or_seconds(name: str) -> Limited:
    """The type of an option: frames as an integer, or seconds such as 0.5s as a float.

    Seconds may be those of as many frames of 32 ms, which the shipped networks have.
    """
    return Limited(name, _frames_or_seconds)


def _frames_or_seconds(text: str, limits: Limits) -> int | float:
    if text.isdecimal():
        return limits.read(text)
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(m?)s", text.strip().lower())
    seconds = float(match[1]) / (1000.0 if match[2] else 1.0) if match else 0.0
    if not 0.0 < seconds <= limits.highest * _FRAME_S:
        raise ValueError(text)
    return seconds


def in_frames(span: int | float, hop_s: float) -> int:
    """A value of `frames_or_seconds` in frames: the nearest number of them, at least one.

    Args:
        span: frames as an integer, or seconds as a float.
        hop_s: from one frame to the next [seconds].
    """
    return span if isinstance(span, int) else max(1, round(span / hop_s))


def time_zone(text: str) -> datetime.tzinfo:
    """The type of an option that names a time zone. Raises ArgumentTypeError."""
    try:
        return read_zone(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
