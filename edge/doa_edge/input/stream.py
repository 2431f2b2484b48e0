"""What a source of sound yields: blocks of samples, and gaps where samples are missing."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doa_core.errors import check_choice

if TYPE_CHECKING:
    from typing_extensions import Self

    from doa_edge.input.containers.broadcast import Broadcast
    from doa_edge.input.pace import Pace

Samples = npt.NDArray[np.float32]

CHANNELS = 4
GAP_REASONS = ("lost", "stalled", "recovered", "overrun", "invalid")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Samples that are missing from a stream, counted so that stream time stays true.

    Attributes:
        samples: number missing per channel at the model's rate, zero or more.
        reason: `lost` (the device went away), `stalled` (it delivers nothing), `recovered` (it is
            back: the rest of what was missed), `overrun` (sound came faster than it was
            processed) or `invalid` (samples that are not finite, or absurdly large).
        detail: a sentence for people.
    """

    samples: int
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"`samples` must be 0 or more. Received: samples={self.samples}")
        check_choice("reason", self.reason, GAP_REASONS)


StreamItem = Samples | Gap


class Source:
    """Base of every source: AmbiX blocks at the model's rate in the room's axes, and gaps.

    Use it as a context manager and iterate over it once. A live source yields an empty block at
    least once a second while it has nothing to give, so that the caller can do other work.

    Attributes:
        name: to show to people.
        live: whether it may run in real time; a file does not.
        pace: whether its sound cannot wait for who takes what it becomes; None of a file, whose
            sound waits.
        sample_rate: of the input [hertz]; None as long as it is not known.
        declared: the format of its channels that a file or stream declares; None where it does
            not, or as long as that is not known.
        began: when its first sample was taken, by the clock of its recorder, in local time without
            a zone; None where it does not say, or as long as that is not known.
        broadcast: what a Broadcast Wave file or stream says of that; None of any other, or as long
            as that is not known.
    """

    name: str
    live = True
    pace: Pace | None = None
    sample_rate: int | None = None
    declared: str | None = None
    began: datetime.datetime | None = None
    broadcast: Broadcast | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[StreamItem]:
        raise NotImplementedError

    def close(self) -> None:
        """Release what the source holds open."""

    def statistics(self) -> dict[str, float]:
        """Counts of what was lost so far, by name; empty for a file or a pipe."""
        return {}


def no_sound() -> Samples:
    """(0, 4) block: the source is alive and has nothing to give."""
    return np.zeros((0, CHANNELS), np.float32)
