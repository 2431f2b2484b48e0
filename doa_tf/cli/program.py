"""How a command or a program ends: its exit status, and one line about what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from doa_core.errors import NOT_UTF8, OWN_LENGTH, InputError, PackageError, one_line
from doa_edge.options import command
from doa_edge.options.command import CommandParser
from doa_edge.options.streams import open_standard_streams

GOES_ON, NOTHING = "the same command goes on from here", "nothing was written"


def status_of(
    work: Callable[[], int | None], prog: str, *, interrupted: str, options: object = None
) -> int:
    """The exit status of some work: 0 done, 1 failed, 2 bad input, 130 interrupted.

    Args:
        work: gives a status, or None for 0.
        prog: begins the line about what went wrong.
        interrupted: what is said after Ctrl-C.
        options: of the command, for advice about those that it has.
    """
    try:
        status = work() or 0
        sys.stdout.flush()
        return status
    except InputError as error:
        sys.stderr.write(f"{prog}: {one_line(error.with_advice(options), length=OWN_LENGTH)}\n")
        return command.EXIT_MISUSE
    except UnicodeEncodeError as error:
        sys.stderr.write(f"{prog}: {NOT_UTF8} ({one_line(error)})\n")
        return command.EXIT_MISUSE
    except (OSError, PackageError, FloatingPointError) as error:
        sys.stderr.write(f"{prog}: {one_line(error, length=OWN_LENGTH)}\n")
        return command.EXIT_FAILED
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("doa_"):
            raise  # ours: a bug
        sys.stderr.write(f'{prog}: {one_line(error)}. Install it: pip install "doa-tf[train]"\n')
        return command.EXIT_FAILED
    except MemoryError as error:
        sys.stderr.write(f"{prog}: {one_line(error) or 'there is not enough memory'}\n")
        return command.EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: interrupted; {interrupted}\n")
        return command.EXIT_INTERRUPTED


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
