"""What a document of text may hold, TOML and JSON alike."""

from __future__ import annotations

import math
from typing import Any

DEEPEST = 100  # tables and lists inside one another
LONGEST_INTEGER = 20  # digits with the sign: more are no 64 bits, and cost time to convert
_LEAST, _MOST = -(2**63), 2**64 - 1  # what fits into 64 bits, with or without a sign


def check_values(document: Any, *, finite: bool) -> None:
    """Raise ValueError for values that no program here can use.

    These are tables and lists nested too deeply, integers of more than 64 bits, and texts with NUL
    or with half a character. Half characters that stand for bytes of a name that is not UTF-8 are
    allowed, as Python writes them.

    Args:
        document: dictionaries, lists, texts and numbers.
        finite: whether infinity and NaN are refused too.
    """
    level = [document]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                for name in value:
                    _check_text(name)
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            else:
                _check_value(value, finite=finite)
        if not inner:
            return
        level = inner
    raise ValueError(f"it must not be nested more deeply than {DEEPEST} times")


def _check_value(value: Any, *, finite: bool) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise ValueError("its integers must fit into 64 bits")
    elif finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"its numbers must be finite. Received: {value}")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("its texts must not hold NUL")
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError("its texts must be whole characters of Unicode") from error
