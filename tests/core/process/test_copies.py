"""Work in a copy of the process: what ends it is told, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from doa_core.process.copies import NOT_ENDED, signal_in_copy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def turn():
    while True:
        pass


def refuse():
    raise ValueError


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_copy_that_crashes_is_told_by_its_signal(number):
    assert signal_in_copy(lambda: os.kill(os.getpid(), number), limit_s=10) == number


@pytest.mark.parametrize("work", [lambda: None, refuse, sys.exit])
def test_a_copy_that_ends_or_raises_is_not(work, capfd):
    assert signal_in_copy(work, limit_s=10) == 0
    assert capfd.readouterr() == ("", "")


def test_a_copy_that_does_not_end_is_ended():
    assert signal_in_copy(turn, limit_s=1) in NOT_ENDED


def test_a_copy_that_sleeps_proves_nothing(monkeypatch):
    processes, fork = [], os.fork
    monkeypatch.setattr(os, "fork", lambda: processes.append(fork()) or processes[-1])
    assert signal_in_copy(signal.pause, limit_s=10, patience_s=0.1) == 0
    with pytest.raises(ChildProcessError):  # it is gone
        os.waitpid(processes[0], os.WNOHANG)


def test_where_nothing_can_be_forked_nothing_is_done(monkeypatch):
    def no_fork():
        raise BlockingIOError("as many processes as may be")

    monkeypatch.setattr(os, "fork", no_fork)
    assert signal_in_copy(turn, limit_s=10) == 0
