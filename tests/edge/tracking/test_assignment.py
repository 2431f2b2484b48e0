"""Peaks and tracks are matched all at once."""

import itertools

import numpy as np
import pytest

from doa_edge.tracking.assignment import assign


def test_nothing_to_match():
    assert assign([]) == []
    assert assign([{}, {}]) == [None, None]


def test_all_at_once_and_not_one_after_the_other():
    """The first peak's best track is the only one of the second."""
    assert assign([{0: 1.0, 1: 2.0}, {0: 3.0}]) == [1, 0]


def test_the_cheaper_of_two_ways():
    assert assign([{0: 1.0, 1: 5.0}, {0: 4.0, 1: 1.0}]) == [0, 1]
    assert assign([{0: 5.0, 1: 1.0}, {0: 1.0, 1: 4.0}]) == [1, 0]


def test_costs_may_be_negative_and_do_not_leave_a_peak_out():
    assert assign([{0: -9.0, 1: 100.0}, {0: -10.0}]) == [1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_best_of_all_assignments(seed):
    rng = np.random.default_rng(seed)
    costs = [{n: float(rng.normal()) for n in range(7) if rng.random() < 0.6} for _ in range(4)]
    choices = [(*each, None) for each in costs]

    def price(tracks):
        taken = [track for track in tracks if track is not None]
        total = sum(costs[peak][track] for peak, track in enumerate(tracks) if track is not None)
        return (len(taken) < len(set(taken)), len(tracks) - len(taken), total)

    def valid(tracks):
        taken = [track for track in tracks if track is not None]
        return len(taken) == len(set(taken))

    best = min(filter(valid, itertools.product(*choices)), key=price)
    assert price(assign(costs)) == pytest.approx(price(best))
