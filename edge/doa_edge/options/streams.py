"""Standard input, output and error of a command, which its caller may have closed.

Python has None for a stream that was closed before it started (`>&-`, `2>&-`, `<&-`), and the
system gives its descriptor to the next file that is opened: what libraries write to descriptor 2
would go into somebody's recording.
"""

from __future__ import annotations

import logging
import os
import sys

from doa_core.errors import visible_lines

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by descriptor


class VisibleFormatter(logging.Formatter):
    """Formats log records so that they can be written to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, whose traceback keeps its lines."""
        return visible_lines(super().format(record))


def open_standard_streams() -> None:
    """Open closed standard streams to the null device, and let names of any encoding be printed.

    To be called by a command before it opens files. A name that is not UTF-8 is printed as the
    bytes that it has; a character that the terminal's encoding lacks is printed as its number.
    Warnings of a program that sets up no logging are written with their control characters escaped.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor)
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            null = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, null)
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a test's stream may have none
    if reconfigure is not None:
        unicode = sys.stdout.encoding.lower().replace("-", "").startswith("utf")
        reconfigure(errors="surrogateescape" if unicode else "backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(VisibleFormatter())


def _open_null(descriptor: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    os.set_inheritable(descriptor, True)
