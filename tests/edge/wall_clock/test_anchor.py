"""The begin of a live stream, by a clock that jumps and blocks that come when they like."""

from __future__ import annotations

import numpy as np
import pytest

from doa_edge.wall_clock.anchor import LARGEST_DRIFT, STEP_S, STILL_S, WINDOW_S, Anchor

BLOCK_S = 0.032
EPOCH_S = 1_800_000_000.0  # of the system's clock when the stream began


class Machine:
    """A system's clock that is set, a monotonic one, and a device whose blocks come late."""

    def __init__(self, *, drift=0.0, jitter_s=0.05, seed=0):
        self.true_s = 0.0  # since the stream began
        self.set_by_s = 0.0
        self.stream_s = 0.0
        self.drift, self.jitter_s = drift, jitter_s
        self.rng = np.random.default_rng(seed)
        self.anchor = Anchor(wall=self.wall, monotonic=lambda: 5000.0 + self.true_s)
        self.told = []  # (stream time, time told less stream time, less the epoch)

    def wall(self):
        return EPOCH_S + self.true_s + self.set_by_s

    def run(self, seconds, *, late_s=0.0):
        """Blocks and an estimate with each fifth; the events of these seconds."""
        steps = []
        for number in range(round(seconds / BLOCK_S)):
            self.stream_s += BLOCK_S
            taken_s = self.stream_s * (1.0 + self.drift) + late_s
            self.true_s = max(self.true_s, taken_s + self.jitter_s * self.rng.random())
            self.anchor.observe(self.stream_s)
            if number % 5 == 4:
                begin_s = self.anchor.time_s(self.stream_s) - self.stream_s - EPOCH_S
                steps += [step for step in [self.anchor.stepped_s()] if step]
                self.told.append((self.stream_s, begin_s))
        return steps

    @property
    def begins(self):
        """Begin of the stream, as each estimate told it [seconds after the epoch]."""
        return np.array([begin_s for _, begin_s in self.told])


def test_late_blocks_do_not_make_times_jitter():
    machine = Machine()
    assert machine.run(120.0) == []
    assert np.abs(machine.begins).max() < STILL_S  # the first blocks told it
    assert np.abs(np.diff(machine.begins)).max() <= 1.01 * LARGEST_DRIFT * 5 * BLOCK_S


def test_a_busy_minute_moves_times_by_no_more_than_drift_may():
    machine = Machine()
    machine.run(30.0)
    before_s = machine.begins[-1]
    machine.run(20.0, late_s=0.7)
    assert np.abs(machine.begins - before_s).max() < 0.05
    assert machine.run(60.0) == []
    assert abs(machine.begins[-1]) < 2 * STILL_S


@pytest.mark.parametrize("drift", [5e-5, -5e-5, 5e-4])
def test_the_drift_of_a_crystal_is_followed_slowly(drift):
    """A minute and a half at 5e-5 makes 4.5 ms, and an hour 180 ms without it."""
    machine = Machine(drift=drift, jitter_s=0.004)
    assert machine.run(1800.0) == []
    true_s = drift * np.array([stream_s for stream_s, _ in machine.told])
    assert abs(true_s[-1]) > 0.08
    assert np.abs(machine.begins - true_s).max() < STILL_S + abs(drift) * 2 * WINDOW_S + 0.005
    assert np.abs(np.diff(machine.begins)).max() <= 1.01 * LARGEST_DRIFT * 5 * BLOCK_S


@pytest.mark.parametrize("by_s", [3600.0, -7200.25, STEP_S + 0.01, -STEP_S - 0.01])
def test_a_step_of_the_clock_is_followed_once(by_s):
    machine = Machine(jitter_s=0.0)
    machine.run(33.0)
    machine.set_by_s = by_s
    assert machine.run(60.0) == [pytest.approx(by_s)]
    begins = machine.begins
    assert np.flatnonzero(np.abs(np.diff(begins)) > 0.01).size == 1
    assert begins[-1] == pytest.approx(by_s, abs=1e-6)


def test_a_small_step_is_followed_as_drift_is():
    machine = Machine(jitter_s=0.0)
    machine.run(20.0)
    machine.set_by_s = 0.06
    assert machine.run(120.0) == []
    assert np.abs(np.diff(machine.begins)).max() <= 1.01 * LARGEST_DRIFT * 5 * BLOCK_S
    assert machine.begins[-1] == pytest.approx(0.06, abs=1.1 * STILL_S)


def test_steps_between_two_messages_are_one():
    machine = Machine(jitter_s=0.0)
    machine.run(5.0)
    for by_s in (10.0, 10.5):
        machine.set_by_s = by_s
        machine.anchor.observe(machine.stream_s, new=False)
    assert machine.anchor.stepped_s() == pytest.approx(10.5)
    assert machine.anchor.stepped_s() == 0.0


def test_a_step_before_the_first_estimate_is_no_event():
    machine = Machine(jitter_s=0.0)
    machine.anchor.observe(0.0)
    machine.set_by_s = 100.0
    assert machine.run(1.0) == []
    assert machine.begins[0] == pytest.approx(100.0)


def test_sound_that_was_lost_unseen_is_found_within_a_minute():
    """A pipe whose writer was too slow: from then on the stream is five seconds behind."""
    machine = Machine()
    machine.run(60.0)
    (step,) = machine.run(90.0, late_s=5.0)
    assert step == pytest.approx(5.0, abs=0.1)
    assert machine.begins[-1] == pytest.approx(5.0, abs=0.05)


def test_a_look_that_took_long_tells_nothing():
    """Between the two clocks the process stood still: that is no step of either."""
    times = iter([0.0, 0.0, 1.0, 1.5, 2.0, 2.0])
    walls = iter([100.0, 101.0, 102.0])
    anchor = Anchor(wall=lambda: next(walls), monotonic=lambda: next(times))
    anchor.observe(0.0)
    anchor.observe(1.0)
    anchor.observe(2.0)
    assert anchor.time_s(2.0) == 102.0
    assert anchor.stepped_s() == 0.0


def test_nothing_is_known_before_sound_has_come():
    anchor = Anchor(wall=lambda: 100.0, monotonic=lambda: 0.0)
    assert not anchor.known
    anchor.observe(0.0, new=False)
    assert not anchor.known
    anchor.observe(0.5)
    assert anchor.known
    assert anchor.time_s(0.5) == 100.0
