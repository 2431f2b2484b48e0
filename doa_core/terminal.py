r"""Talk for people: one line at a time, with no character in it that a terminal would obey.

Names of files and devices, and the words of other programs, may hold anything: an escape sequence
in one would move the cursor, rename the window or clear the screen. They are shown as they are
written in a program, `\x1b` for instance.
"""

from __future__ import annotations

import logging
import sys

# Controls; what ends a line or turns the direction of a text around.
_OBEYED = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_IN_A_LINE = {code: chr(code).encode("unicode_escape").decode("ascii") for code in _OBEYED}
_IN_LINES = {code: text for code, text in _IN_A_LINE.items() if chr(code) not in "\t\n"}


def visible(text: object) -> str:
    """A text in one line, its control characters escaped; all others stay as they are."""
    return str(text).translate(_IN_A_LINE)


def visible_lines(text: object) -> str:
    """A text of several lines, such as a table: tabs and the ends of lines stay, too."""
    return str(text).translate(_IN_LINES)


def say(line: object) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{visible(line)}\n")


class VisibleFormatter(logging.Formatter):
    """Formats log records so that they can be written to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, whose traceback keeps its lines."""
        return visible_lines(super().format(record))
