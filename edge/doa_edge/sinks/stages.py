"""What messages become on their way from the engine to the sinks, by the options of `run`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from doa_edge.sinks.sink import Message

Stage: TypeAlias = Callable[[Message], Iterable[Message]]
"""The messages that one becomes: itself with another key, or an event beside it.

One that remembers what it has seen has a method `restart`, called before another recording.
"""


def message_stages(options: argparse.Namespace) -> Sequence[Stage]:
    """The stages that every message passes, in this order.

    Args:
        options: of `doa_edge run`.
    """
    stages: list[Stage] = []
    if options.zones:
        from doa_edge.zones.occupancy import ZoneStage

        stages.append(ZoneStage(options.zones))
    if options.name:  # last, so that events of the others have it, too
        stages.append(partial(_named, options.name))
    return stages


def passed(message: Message, stages: Sequence[Stage]) -> Iterator[Message]:
    """The messages that one has become behind the last of its stages."""
    if not stages:
        yield message
        return
    for changed in stages[0](message):
        yield from passed(changed, stages[1:])


def _named(name: str, message: Message) -> Iterable[Message]:
    """The message with the name of its microphone."""
    yield {**message, "name": name}
