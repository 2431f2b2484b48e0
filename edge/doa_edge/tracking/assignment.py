"""Which peak belongs to which track: all of them at once, at the least cost (global nearest
neighbour).

References:
    Y. Bar-Shalom, X. R. Li, "Multitarget-multisensor tracking: principles and techniques", 1995,
    ch. 2. Of a handful of peaks every assignment is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def assign(costs: Sequence[Mapping[int, float]]) -> list[int | None]:
    """The track of each peak, none twice; None for a peak without one.

    As few peaks as possible are left without a track; of the ways to do that, the cheapest.

    Args:
        costs: of each peak, by the tracks that it may belong to; finite.
    """
    # The other peaks can't take more than the cheapest of a peak's tracks: the rest is never used.
    count = len(costs)
    cheapest = [dict(sorted(each.items(), key=lambda item: item[1])[:count]) for each in costs]
    return _assign(cheapest, 0, frozenset())[2]


def _assign(
    costs: Sequence[Mapping[int, float]], peak: int, taken: frozenset[int]
) -> tuple[int, float, list[int | None]]:
    """(peaks without a track, cost, tracks) from a peak on."""
    if peak == len(costs):
        return 0, 0.0, []
    best: tuple[int, float, list[int | None]] | None = None
    for track, cost in costs[peak].items():
        if track not in taken:
            left, rest, tracks = _assign(costs, peak + 1, taken | {track})
            if best is None or (left, cost + rest) < best[:2]:
                best = (left, cost + rest, [track, *tracks])
    left, rest, tracks = _assign(costs, peak + 1, taken)
    if best is None or (left + 1, rest) < best[:2]:
        best = (left + 1, rest, [None, *tracks])
    return best
