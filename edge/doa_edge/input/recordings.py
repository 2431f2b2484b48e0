"""Several recordings: on one time line where all of them carry a clock."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from doa_core.errors import InputError, say
from doa_edge.input.stream import Source, StreamItem


class UnreadableError(InputError):
    """The system refuses to go on with a recording: another one may be read all the same."""


def in_order(
    paths: Iterable[str],
    open_one: Callable[[str], Source],
    refusal: Callable[[str], AbstractContextManager[None]],
) -> list[str]:
    """The recordings that can be opened: by their clocks where all have one, else as they came.

    Args:
        paths: of recordings.
        open_one: opens one of them.
        refusal: what takes the errors of one that cannot be opened.
    """
    began: list[tuple[str, datetime.datetime | None]] = []
    for path in paths:
        with refusal(path), open_one(path) as source:
            began.append((path, source.began))
    known = [(moment, path) for path, moment in began if moment is not None]
    if len(known) == len(began):
        return [path for _, path in sorted(known, key=lambda pair: pair[0])]
    if known:
        without = next(path for path, moment in began if moment is None)
        say(
            f"doa_edge: {without} carries no clock: the recordings are taken in the order in which "
            "they are named"
        )
    return [path for path, _ in began]


def reading(items: Iterable[StreamItem]) -> Iterator[StreamItem]:
    """The items of a source, whose errors are told from those of whoever takes them.

    Raises:
        UnreadableError: the system cannot read on.
    """
    try:
        yield from items
    except OSError as error:
        raise UnreadableError(str(error)) from error
