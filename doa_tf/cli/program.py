"""How a command or a program ends: its exit status, and one line about what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from doa_core.errors import NOT_UTF8, OWN_LENGTH, InputError, PackageError, one_line
from doa_core.files import own_temporary_files
from doa_core.process import signals
from doa_core.process.signals import Signals
from doa_edge.options import command
from doa_edge.options.command import CommandParser
from doa_edge.options.streams import open_standard_streams

GOES_ON, NOTHING = "the same command goes on from here", "nothing was written"


def status_of(
    work: Callable[[], int | None], prog: str, *, interrupted: str, options: object = None
) -> int:
    """The exit status of some work: 0 done, 1 failed, 2 bad input; 130, 143 or 129 for a signal.

    A signal ends the work with an exception, so that its children and temporary files end as well.

    Args:
        work: gives a status, or None for 0.
        prog: begins the line about what went wrong.
        interrupted: what is said after a signal.
        options: of the command, for advice about those that it has.
    """
    with Signals(patience_s=signals.PATIENCE_S) as listening:
        try:
            try:
                with own_temporary_files(prog.split()[-1]):
                    status = work() or 0
                    sys.stdout.flush()
                    return status
            except Exception as error:
                # What a library makes of an interruption, or fails with on the way out.
                if (stop := listening.received) is not None:
                    raise stop from error
                raise
        except KeyboardInterrupt as stop:
            with suppress(OSError):  # a terminal that hung up
                sys.stderr.write(f"{prog}: {signals.word(stop)}; {interrupted}\n")
            return signals.exit_status(stop)
        except Exception as error:
            failure = _failure(error, options)
            if failure is None:
                raise  # a bug
            status, line = failure
            sys.stderr.write(f"{prog}: {line}\n")
            return status


def _failure(error: Exception, options: object) -> tuple[int, str] | None:
    """The exit status and the line of an error; None for one that nobody expected."""
    if isinstance(error, InputError):
        return command.EXIT_MISUSE, one_line(error.with_advice(options), length=OWN_LENGTH)
    if isinstance(error, UnicodeEncodeError):
        return command.EXIT_MISUSE, f"{NOT_UTF8} ({one_line(error)})"
    if isinstance(error, (OSError, PackageError, FloatingPointError)):
        return command.EXIT_FAILED, one_line(error, length=OWN_LENGTH)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("doa_"):
        return command.EXIT_FAILED, f'{one_line(error)}. Install it: pip install "doa-tf[train]"'
    if isinstance(error, MemoryError):
        return command.EXIT_FAILED, one_line(error) or "there is not enough memory"
    return None


def program(module: str, doc: str | None) -> CommandParser:
    """A parser for a program that is no command: `python -m MODULE`.

    Args:
        module: its name.
        doc: its docstring, of which the first line is shown.
    """
    description = (doc or "").partition("\n")[0]
    return CommandParser(prog=f"python -m {module}", description=description)


def run_program(main: Callable[[], int | None], *, interrupted: str = NOTHING) -> NoReturn:
    """End this process with the status of its program."""
    open_standard_streams()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    spec = sys.modules["__main__"].__spec__
    module = "" if spec is None else spec.name.removesuffix(".__main__")
    sys.exit(status_of(main, f"python -m {module}", interrupted=interrupted))
