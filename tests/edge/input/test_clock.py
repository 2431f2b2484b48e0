"""Time of a live stream, with devices that are late, slow, or lose sound without a word."""

import numpy as np
import pytest

from doa_edge.input.live.clock import SampleClock
from doa_edge.input.live.handover import Handover

BLOCK_S = 0.016


class Device:
    """Feeds a clock with blocks of a device that captures in real time and delivers late."""

    def __init__(self, clock, *, latency_s=0.05, drift=0.0, seed=0):
        self.clock = clock
        self.latency_s = latency_s
        self.drift = drift  # seconds a second that the device is slow
        self.now_s = 100.0
        self.rng = np.random.default_rng(seed)
        self.found = []

    def run(self, seconds, *, jitter_s=0.005):
        """Deliver blocks; return what the clock said was missing, with the time when."""
        for _ in range(round(seconds / BLOCK_S)):
            self.now_s += BLOCK_S * (1.0 + self.drift)
            late_s = self.latency_s + jitter_s * self.rng.random()
            missing_s = self.clock.advance(BLOCK_S, arrival_s=self.now_s + late_s)
            if missing_s:
                self.found.append((self.now_s, missing_s))
        return self.found

    def wait(self, seconds):
        """Sound comes, but is delivered later, all at once."""
        deliver_s = self.now_s + seconds
        for _ in range(round(seconds / BLOCK_S)):
            self.now_s += BLOCK_S
            missing_s = self.clock.advance(BLOCK_S, arrival_s=deliver_s)
            if missing_s:
                self.found.append((self.now_s, missing_s))

    def lose(self, seconds):
        """Sound goes by that is never delivered."""
        self.now_s += seconds


def test_steady_device_misses_nothing():
    clock = SampleClock()
    assert Device(clock).run(120.0, jitter_s=0.1) == []
    assert clock.position_s == pytest.approx(120.0)
    assert abs(clock.drift_ppm) < 100.0


@pytest.mark.parametrize("lost_s", [0.3, 1.0, 14.0])
def test_sound_that_vanishes_silently_is_found_and_counted(lost_s):
    clock = SampleClock()
    device = Device(clock)
    device.run(20.0)
    lost_at_s = device.now_s
    device.lose(lost_s)
    ((found_at_s, missing_s),) = device.run(20.0)
    assert missing_s == pytest.approx(lost_s, abs=0.01)
    # The window in which it happened still holds sound from before, the next one does not.
    assert found_at_s - (lost_at_s + lost_s) < 2 * clock.window_s + BLOCK_S
    assert clock.position_s == pytest.approx(40.0 + lost_s, abs=0.03)


def test_sound_that_waits_and_catches_up_is_not_missing():
    clock = SampleClock()
    device = Device(clock)
    device.run(10.0)
    device.wait(1.5)
    assert device.run(10.0) == []
    assert clock.position_s == pytest.approx(21.5, abs=0.03)


@pytest.mark.parametrize("ppm", [-300.0, 50.0, 300.0])
def test_crystals_drift_without_gaps_and_the_drift_is_told(ppm):
    clock = SampleClock()
    device = Device(clock, drift=1e-6 * ppm)
    assert clock.drift_ppm is None
    assert device.run(3600.0) == []
    assert clock.drift_ppm == pytest.approx(ppm, abs=10.0)


def test_device_that_is_slower_than_any_crystal_is_kept_on_time():
    """1 % slow: a wrong rate. Stream time must not fall behind by more than the tolerance."""
    clock = SampleClock()
    device = Device(clock, drift=0.01)
    began_s = device.now_s
    assert len(device.run(600.0)) > 10
    assert (
        device.now_s - began_s - clock.position_s < clock.tolerance_s + 0.02 * clock.window_s + 0.6
    )


def test_a_gap_that_was_none_is_not_counted_twice():
    clock = SampleClock()
    device = Device(clock)
    device.run(10.0)
    # So long without a chance to deliver that it looks like a loss, and then everything comes.
    device.latency_s = 3.0
    device.run(6.0)
    assert len(device.found) == 1
    device.latency_s = 0.05
    device.run(10.0)
    device.lose(5.0)
    device.run(10.0)
    assert clock.position_s == pytest.approx(41.0, abs=0.1)


def test_time_of_an_absence_is_taken_from_the_clock():
    clock = SampleClock()
    device = Device(clock)
    device.run(10.0)
    device.lose(7.5)
    missing_s = clock.missing_s(now_s=device.now_s + device.latency_s)
    assert missing_s == pytest.approx(7.5, abs=0.01)
    clock.skip(missing_s)
    clock.resume()
    assert device.run(10.0) == []
    assert clock.position_s == pytest.approx(27.5, abs=0.03)


def test_nothing_is_missing_before_anything_came():
    assert SampleClock().missing_s(now_s=1e6) == 0.0


def block(samples, value=0.0):
    return np.full((samples, 4), value, np.float32)


def test_handover_is_bounded_and_counts_what_it_drops():
    handover = Handover(capacity=1000)
    for value in range(100):
        handover.put(block(100, value), arrival_s=float(value))
    first = [handover.get(timeout_s=0.0) for _ in range(10)]
    assert [chunk.samples[0, 0] for chunk in first] == list(range(10))
    assert all(chunk.dropped == 0 for chunk in first)
    assert handover.get(timeout_s=0.0) is None
    handover.put(block(100, 100.0), arrival_s=100.0)
    chunk = handover.get(timeout_s=0.0)
    assert (chunk.samples[0, 0], chunk.dropped) == (100.0, 9000)


def test_slow_reader_hears_whole_stretches():
    """Three times too slow: whatever is heard between two gaps must be long enough for a window."""
    handover = Handover(capacity=4 * 16_000)
    stretches, length = [], 0
    for turn in range(6000):
        handover.put(block(256), arrival_s=0.0)
        if turn % 3 == 0 and (chunk := handover.get(timeout_s=0.0)):
            if chunk.dropped:
                stretches.append(length)
                length = 0
            length += len(chunk.samples)
    assert len(stretches) >= 3
    assert min(stretches) > 13_312
    assert min(stretches) >= handover.capacity - 256


def test_overflow_is_told_once_even_if_its_block_is_dropped():
    handover = Handover(capacity=100)
    handover.put(block(100), arrival_s=0.0)
    handover.put(block(100), arrival_s=0.0, overflowed=True)
    assert handover.get(timeout_s=0.0).overflowed is False
    handover.put(block(100), arrival_s=0.0)
    handover.put(block(100), arrival_s=0.0)
    chunk = handover.get(timeout_s=0.0)
    assert (chunk.overflowed, chunk.dropped) == (True, 100)


def test_a_block_larger_than_the_capacity_passes_an_empty_queue():
    handover = Handover(capacity=10)
    handover.put(block(100), arrival_s=0.0)
    assert len(handover.get(timeout_s=0.0).samples) == 100
