"""Which pipe is live: told by what comes between two moments at which all had been taken."""

from __future__ import annotations

import pytest

from doa_edge.input.pace import AHEAD_S, BACKLOG_S, FIRST_S, SPAN_S, Pace

BYTES_PER_S = 128_000  # 16 kHz, four channels of 16 bits


class Pipe:
    """Sound that comes in chunks, read by somebody who always waits for the next one."""

    def __init__(self):
        self.now_s = 1000.0
        self.pace = Pace(clock=lambda: self.now_s)
        self.pace.begin(BYTES_PER_S)
        self.dropping_s = 0.0  # of sound for which it has counted as live

    def give(self, seconds, *, speed=1.0, chunk_s=0.125):
        """Sound that is made `speed` times as fast as it is heard."""
        for _ in range(round(seconds / chunk_s)):
            self.pace.waits()
            self.now_s += chunk_s / speed
            self._come(chunk_s)

    def pour(self, seconds, *, chunk_s=0.5):
        """Sound that is there whenever it is asked for, and is taken 50 times as fast."""
        for _ in range(round(seconds / chunk_s)):
            self.now_s += chunk_s / 50.0
            self._come(chunk_s)

    def be_silent(self, seconds):
        for _ in range(round(seconds / 0.5)):
            self.pace.waits()
            self.now_s += 0.5
        self.pace.waits()

    def _come(self, chunk_s):
        self.pace.came(round(chunk_s * BYTES_PER_S))
        self.dropping_s = self.dropping_s + chunk_s if self.pace.live else 0.0

    @property
    def verdict(self):
        assert not (self.pace.live and self.pace.faster)
        return {(True, False): "live", (False, True): "faster"}.get(
            (self.pace.live, self.pace.faster), "unknown"
        )


def test_a_microphone_is_live_after_a_second():
    pipe = Pipe()
    pipe.give(FIRST_S)
    assert pipe.verdict == "unknown"
    pipe.give(0.25)
    assert pipe.verdict == "live"
    pipe.give(3600.0)
    assert pipe.verdict == "live"


@pytest.mark.parametrize("backlog_s", [0.5, 3.0, 18.0])
def test_what_waited_for_the_program_to_start_is_no_recording(backlog_s):
    pipe = Pipe()
    pipe.pour(backlog_s)
    assert pipe.verdict == "unknown"
    pipe.give(1.5)
    assert pipe.verdict == "live"


@pytest.mark.parametrize("speed", [1.3, 2.0, 5.0])
def test_a_busy_machine_may_catch_up_as_slowly_as_it_can(speed):
    """Reads find nothing again and again, though the other side still owes what it has recorded."""
    pipe = Pipe()
    pipe.give(15.0, speed=speed)
    assert not pipe.pace.faster
    pipe.give(3.0)
    assert pipe.verdict == "live"


def test_before_the_format_is_known_nothing_counts():
    pace = Pace()
    pace.came(10**9)
    pace.waits()
    assert not pace.live
    assert not pace.faster


@pytest.mark.parametrize("chunk_s", [0.01, 0.125, 0.5, 2.0])
@pytest.mark.parametrize("speed", [0.2, 0.9, 1.0, 1.001])
def test_real_time_and_slower_is_live(speed, chunk_s):
    pipe = Pipe()
    pipe.give(20.0, speed=speed, chunk_s=chunk_s)
    for _ in range(600):
        pipe.give(2.0, speed=speed, chunk_s=chunk_s)
        assert pipe.verdict == "live"


@pytest.mark.parametrize("chunk_s", [0.01, 0.125, 0.5])
@pytest.mark.parametrize("speed", [1.1, 1.5, 2.0, 5.0, 40.0])
def test_anything_faster_waits_before_a_line_is_lost(speed, chunk_s):
    """The queue holds half a minute of lines with --every 1."""
    pipe = Pipe()
    for _ in range(600):
        pipe.give(1.0, speed=speed, chunk_s=chunk_s)
        assert pipe.dropping_s < 30.0
    assert pipe.verdict == "faster"


def test_a_file_is_faster_once_more_has_come_than_a_microphone_can_owe():
    pipe = Pipe()
    pipe.pour(BACKLOG_S)
    assert pipe.verdict == "unknown"
    pipe.pour(AHEAD_S + 1.0)
    assert pipe.verdict == "faster"


def test_a_live_source_may_stand_still_and_catch_up():
    pipe = Pipe()
    pipe.give(34.0)
    pipe.be_silent(15.0)
    pipe.pour(15.0)
    assert pipe.verdict == "live"
    pipe.give(30.0)
    assert pipe.verdict == "live"
    # However slowly, as through a network that is only a little faster than the sound.
    pipe.be_silent(15.0)
    for _ in range(14):
        pipe.give(2.0, speed=2.0)
        assert pipe.verdict == "live"


def test_a_recording_after_a_microphone_waits_in_time_and_the_other_way_round():
    pipe = Pipe()
    pipe.give(30.0)
    pipe.be_silent(3600.0)
    pipe.pour(3600.0)
    assert pipe.verdict == "faster"
    pipe = Pipe()
    pipe.pour(3600.0)
    pipe.give(SPAN_S + 0.5)
    assert pipe.verdict == "live"
    pipe.pour(BACKLOG_S)
    assert pipe.verdict == "faster"


def test_a_reader_that_is_too_slow_says_nothing_about_the_sound():
    """It never finds the pipe empty: neither a microphone nor a file is known by that."""
    pipe = Pipe()
    for _ in range(1000):
        pipe.now_s += 1.0
        pipe.pace.came(BYTES_PER_S)
    assert pipe.verdict == "unknown"
