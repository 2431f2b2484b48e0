"""Signals become exceptions once, at a moment that suits, and never inside an import."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from importlib import import_module

import pytest

from doa_core.errors import Terminated
from doa_core.process import signals
from doa_core.process.signals import Signals

ENDINGS = [
    (signal.SIGINT, KeyboardInterrupt, 130, "interrupted"),
    (signal.SIGTERM, Terminated, 143, "terminated"),
    (signal.SIGHUP, Terminated, 129, "hung up"),
]
RAISES_IN_ITS_IMPORT = """
import signal
try:
    signal.raise_signal(signal.SIGTERM)
    for _ in range(3):
        import json
except BaseException as error:
    raise ImportError("this installation is broken") from error
IMPORTED = True
"""


@pytest.fixture(autouse=True)
def handlers_stay():
    """Signals are handled as before in the end."""
    numbers = (*signals.ENDING, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(("number", "kind", "status", "word"), ENDINGS)
def test_each_signal_has_its_exception_status_and_word(number, kind, status, word):
    with Signals() as listening:
        assert listening.received is None
        with pytest.raises(KeyboardInterrupt) as raised:
            signal.raise_signal(number)
        assert type(raised.value) is kind
        assert type(listening.received) is kind
    assert signals.exit_status(raised.value) == status
    assert signals.word(raised.value) == word


def test_later_ones_let_files_be_closed_in_peace():
    with Signals():
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)


def test_the_third_ends_the_process():
    program = (
        "import signal; from doa_core.process.signals import Signals\n"
        "with Signals() as listening:\n"
        "    listening.deaf = True\n"
        "    for _ in range(3): signal.raise_signal(signal.SIGTERM)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGTERM


def test_one_in_the_last_moments_of_a_process_changes_nothing():
    program = (
        "import atexit, signal, sys\n"
        "from doa_core.process.signals import run_command\n"
        "atexit.register(signal.raise_signal, signal.SIGTERM)\n"
        "sys.exit(run_command('prog', lambda: signal.raise_signal(signal.SIGINT)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "prog: interrupted\n")


def held(*numbers, reached, patience_s=0.0):
    """Raise signals in a block that is held, and note how far it comes."""
    with (
        Signals(patience_s=patience_s) as listening,
        listening.held(lambda: reached.append("told")),
    ):
        for number in numbers:
            signal.raise_signal(number)
        reached.append("end")


def test_a_held_block_ends_first_and_a_second_signal_ends_it():
    reached = []
    with pytest.raises(Terminated):
        held(signal.SIGHUP, reached=reached)
    assert reached == ["told", "end"]
    with pytest.raises(KeyboardInterrupt):
        held(signal.SIGINT, signal.SIGTERM, reached=reached)
    assert reached == ["told", "end", "told"]


def test_a_check_raises_what_waits():
    with Signals() as listening, listening.held():
        listening.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Terminated) as raised:
            listening.check()
        assert raised.value.number == signal.SIGTERM
        with pytest.raises(Terminated):  # a second one, wherever
            signal.raise_signal(signal.SIGINT)


def test_keys_that_are_hit_often_count_once():
    reached = []
    with pytest.raises(KeyboardInterrupt):
        held(*[signal.SIGINT] * 5, reached=reached, patience_s=60.0)
    assert reached == ["told", "end"]


def test_the_outer_block_is_the_one_that_listens():
    with Signals() as outer:
        handler = signal.getsignal(signal.SIGINT)
        with Signals() as inner:
            assert inner is outer
        assert signal.getsignal(signal.SIGINT) == handler


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as listening:
            signal.raise_signal(signal.SIGHUP)
            assert listening.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_change_nothing():
    seen = []

    def listen():
        with Signals() as listening, listening.held():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_an_import_is_not_interrupted_nor_does_it_swallow_the_signal(tmp_path, monkeypatch):
    (tmp_path / "raises_in_its_import.py").write_text(RAISES_IN_ITS_IMPORT)
    monkeypatch.syspath_prepend(tmp_path)
    with Signals() as listening:
        import_module("raises_in_its_import")
        assert sys.modules.pop("raises_in_its_import").IMPORTED
        assert type(listening.received) is Terminated
        with pytest.raises(Terminated):
            signal.pause()  # until it is delivered
