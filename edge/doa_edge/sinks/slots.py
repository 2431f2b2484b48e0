"""The fixed places of several talkers: which message holds whom, and the colour of each place.

A talker keeps their slot while their track lives, so addresses and colours are made of it; the id
tells whether it is still the same person.
"""

from __future__ import annotations

from doa_edge.sinks.sink import Message

SLOTS = 4  # the most voices at once, and the places in the layout of ODAS
# Distinct for colour-blind readers (M. Okabe, K. Ito, 2008): on white, and on a dark ground.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
DARK_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")


def talkers_by_slot(message: Message) -> dict[int, Message] | None:
    """The talkers of an estimate by slot, 1 to 4; None of a run of one voice and of an event."""
    talkers = message.get("talkers")
    if talkers is None:
        return None
    return {talker["slot"]: talker for talker in talkers}
