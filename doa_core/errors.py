r"""What can go wrong that is not a bug, and how it is said: in a line that no terminal obeys.

Names of files and devices, and the words of other programs, may hold anything: an escape sequence
in one would move the cursor, rename the window or clear the screen. They are shown as they are
written in a program, `\x1b` for instance.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

MESSAGE_LENGTH = 300  # characters of other software's messages that are shown
OWN_LENGTH = 4_000  # of ours, in which paths may be long
NOT_UTF8 = "a name or text that is not UTF-8 cannot be used here: rename it"

# Controls; what ends a line or turns the direction of a text around.
_OBEYED = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_IN_A_LINE = {code: chr(code).encode("unicode_escape").decode("ascii") for code in _OBEYED}
_IN_LINES = {code: text for code, text in _IN_A_LINE.items() if chr(code) not in "\t\n"}


class InputError(ValueError):
    """A file or an option that cannot be used; one line: what, what is allowed, what was given.

    Args:
        message: that line.
        options: advice by the option of a command that it is about, such as `channels`. Commands
            that have the option add it; to others it would be of no use.
    """

    def __init__(self, message: object = "", *, options: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.options = dict(options or {})

    def with_advice(self, known: object) -> str:
        """The line with the advice about options that `known` has as attributes."""
        advice = [text for option, text in self.options.items() if hasattr(known, option)]
        allowed, received, came = str(self).partition(". Received: ")
        return "; ".join([allowed, *advice]) + received + came


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise ValueError for a value of the argument `name` that is not among those allowed."""
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(str, allowed))}. Received: {name}={value!r}"
        )


class PackageError(ImportError):
    """A package that is needed now and cannot be used, with the line that mends it."""


class MissingPackageError(PackageError):
    """An optional package that is needed now, with the line that installs it."""

    def __init__(self, package: str, extra: str, reason: object) -> None:
        super().__init__(
            f"{package} is needed and cannot be imported ({one_line(reason)}). "
            f'Install it: pip install "doa-tf[{extra}]"'
        )


def one_line(message: object, *, length: int = MESSAGE_LENGTH) -> str:
    """A message without line breaks, by default other software's, cut to `length` characters.

    Control characters that it still has are escaped, see `visible`.
    """
    return visible(" ".join(str(message).split()))[:length]


def visible(text: object) -> str:
    """A text in one line, its control characters escaped; all others stay as they are."""
    return str(text).translate(_IN_A_LINE)


def visible_lines(text: object) -> str:
    """A text of several lines, such as a table: tabs and the ends of lines stay, too."""
    return str(text).translate(_IN_LINES)


def say(line: object) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{visible(line)}\n")


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Raise every ValueError of the block as an InputError: its values come from the user."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(one_line(error)) from error


def reason_of(error: BaseException) -> str:
    """What an error of other software says, in a line; what is missing, of a look-up; its kind."""
    if isinstance(error, KeyError):
        return f"it lacks {one_line(error)}"
    return one_line(error) or type(error).__name__


@contextmanager
def as_damage(what: str | Callable[[Exception], str]) -> Iterator[None]:
    """Raise whatever a library raises over the content of a file as an InputError.

    Libraries of HDF5, netCDF and Keras raise errors of all kinds where a file is damaged, and none
    says which. The block holds calls of such a library and as little else as can be.

    Args:
        what: begins the line, such as `FILE cannot be read as a SOFA file`; or gives the whole
            line of an error.
    """
    try:
        yield
    except (InputError, PackageError):
        raise
    except Exception as error:
        line = f"{what}: {reason_of(error)}" if isinstance(what, str) else what(error)
        raise InputError(line) from error


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what undoes an interruption undoes this one, too.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__("hung up" if number == signal.SIGHUP else "terminated")
        self.number = number

    @property
    def status(self) -> int:
        """The exit status of a command that it ended: 128 + the signal."""
        return 128 + self.number
