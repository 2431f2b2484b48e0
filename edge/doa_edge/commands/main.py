"""The command `doa_edge`. Only the standard library is imported at the top: help answers at once.

Standard output carries data, standard error carries talk. Exit status: 0 done, 1 failed,
2 misuse or bad input, 129 hung up, 130 interrupted, 141 the reader of standard output went away,
143 terminated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        from doa_core.process.signals import Signals

        with Signals():
            return _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt as stop:
        # As little as possible in here: the signal may come while the rest is imported.
        sys.stderr.write(f"doa_edge: {str(stop) or 'interrupted'}\n")
        return getattr(stop, "status", 130)


def _main(arguments: list[str]) -> int:
    from doa_core.errors import NOT_UTF8, InputError, Terminated
    from doa_edge.commands.parser import parse_options
    from doa_edge.options import command
    from doa_edge.options.streams import open_standard_streams

    open_standard_streams()
    options = None
    try:
        options = parse_options(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
    except SystemExit as stop:
        return command.exit_status(stop)
    except InputError as error:
        return _complain(error.with_advice(options), command.EXIT_MISUSE)
    except UnicodeEncodeError as error:
        return _complain(f"{NOT_UTF8} ({error})", command.EXIT_MISUSE)
    except BrokenPipeError:
        _let_go_of_stdout()
        return command.EXIT_BROKEN_PIPE
    except Terminated as stop:
        return _complain(stop, stop.status)
    except (OSError, ImportError, MemoryError) as error:
        _let_go_of_stdout()
        return _complain(error, command.EXIT_FAILED)
    return status


def _complain(message: object, status: int) -> int:
    from doa_core.errors import OWN_LENGTH, one_line

    sys.stderr.write(f"doa_edge: {one_line(message, length=OWN_LENGTH)}\n")
    return status


def _let_go_of_stdout() -> None:
    """Drop what cannot be written, or the interpreter complains about it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
