"""Ctrl-C at chosen points only, for code that calls a library which it would upset."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PATIENCE_SECONDS = 1.0  # keys are often hit twice


class InterruptPoints:
    """Ctrl-C raises KeyboardInterrupt in `check` only, however early it came.

    Args:
        loggers: names of loggers that are silenced once Ctrl-C was pressed.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = [logging.getLogger(name) for name in loggers]
        self._listening = self._asked = self._leaving = False
        self._first_time = 0.0  # of the clock, when it was asked for [s]

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block Ctrl-C waits for `check`; another after a second interrupts at once.

        One that no `check` has raised is raised at the end. Does nothing outside of the main
        thread, which alone gets signals, nor where SIGINT is ignored. Blocks may be nested.
        """
        before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if self._listening or not main or before in (signal.SIG_IGN, None):
            yield
            return
        levels = [logger.level for logger in self._loggers]
        self._listening = True
        signal.signal(signal.SIGINT, self._ask)
        late = False
        try:
            yield
            late = self._asked
        finally:
            signal.signal(signal.SIGINT, before)
            for logger, level in zip(self._loggers, levels, strict=True):
                logger.setLevel(level)
            self._listening = self._asked = self._leaving = False
        if late:
            signal.raise_signal(signal.SIGINT)

    @contextmanager
    def leaving_undisturbed(self) -> Iterator[None]:
        """No Ctrl-C interrupts between the end of this block and that of `listening`."""
        try:
            yield
        finally:
            self._leaving = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            if not self._leaving and time.monotonic() - self._first_time > _PATIENCE_SECONDS:
                raise KeyboardInterrupt
            return
        self._asked, self._first_time = True, time.monotonic()
        for logger in self._loggers:
            logger.setLevel(logging.CRITICAL)
