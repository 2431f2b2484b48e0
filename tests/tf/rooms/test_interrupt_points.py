"""Ctrl-C comes where it is waited for, is never lost, and gets through when nobody waits."""

from __future__ import annotations

import logging
import signal
import threading

import pytest

from doa_tf.rooms import interrupts as interrupt_points
from doa_tf.rooms.interrupts import InterruptPoints

LIBRARY = logging.getLogger("a.library")


@pytest.fixture
def points():
    """Silences nobody but one library; afterwards signals are handled as before."""
    before = signal.getsignal(signal.SIGINT)
    points = InterruptPoints(LIBRARY.name)
    yield points
    assert signal.getsignal(signal.SIGINT) is before
    assert LIBRARY.level == logging.NOTSET
    points.check()  # what was delivered is over


def press():
    signal.raise_signal(signal.SIGINT)


def listen(points, *steps):
    """The steps one after the other, while listening."""
    with points.listening():
        for step in steps:
            step()


def test_it_waits_for_a_check_and_silences_the_library(points):
    heard = []

    def speak():
        heard.append(LIBRARY.isEnabledFor(logging.ERROR))

    with pytest.raises(KeyboardInterrupt):
        listen(points, points.check, speak, press, press, speak, points.check, speak)
    assert heard == [True, False]


def test_what_no_check_meets_is_handed_on(points):
    with pytest.raises(KeyboardInterrupt):
        listen(points, press)


def test_an_error_comes_first(points):
    def fail():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        listen(points, press, fail)


def test_one_more_after_a_second_interrupts_at_once(points, monkeypatch):
    monkeypatch.setattr(interrupt_points, "PATIENCE_S", 0.0)
    reached = []
    with pytest.raises(KeyboardInterrupt):
        listen(points, press, press, lambda: reached.append(True))
    assert not reached


def test_nothing_interrupts_the_way_out(points, monkeypatch):
    monkeypatch.setattr(interrupt_points, "PATIENCE_S", 0.0)
    reached = []

    def press_and_leave():
        with points.leaving_undisturbed():
            press()

    with pytest.raises(KeyboardInterrupt):
        listen(points, press_and_leave, press, lambda: reached.append(True))
    assert reached


def test_inner_blocks_leave_it_to_the_outer_one(points):
    reached = []
    with pytest.raises(KeyboardInterrupt):
        listen(points, lambda: listen(points, press), lambda: reached.append(True), points.check)
    assert reached


def test_where_signals_are_ignored_they_stay_so(points):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        listen(points, press, points.check)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_nothing(points):
    handlers = []

    def look():
        handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen, args=(points, look))
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
