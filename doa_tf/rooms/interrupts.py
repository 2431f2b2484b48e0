"""Interruptions at chosen points only, for code that calls a library which they would upset."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from doa_core.process.signals import PATIENCE_S, Signals


class InterruptPoints:
    """A signal that ends a command raises in `check` only, however early it came.

    Args:
        loggers: names of loggers that are silenced once there was one.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = [logging.getLogger(name) for name in loggers]
        self._signals = Signals()
        self._listening = False

    def check(self) -> None:
        """Raise KeyboardInterrupt, or Terminated, if a signal came."""
        self._signals.check()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block a signal waits for `check`; another after a second raises at once.

        One that no `check` has raised is raised at the end. Does nothing outside of the main
        thread, which alone gets signals, nor for those that are ignored. Blocks may be nested.
        """
        if self._listening:
            yield
            return
        levels = [logger.level for logger in self._loggers]
        self._listening = True
        try:
            with Signals(patience_s=PATIENCE_S) as self._signals:
                try:
                    with self._signals.held(self._silence):
                        yield
                finally:
                    self._signals.deaf = False
        finally:
            self._listening, self._signals = False, Signals()
            for logger, level in zip(self._loggers, levels, strict=True):
                logger.setLevel(level)

    @contextmanager
    def leaving_undisturbed(self) -> Iterator[None]:
        """No signal interrupts between the end of this block and that of `listening`."""
        try:
            yield
        finally:
            self._signals.deaf = True

    def _silence(self) -> None:
        for logger in self._loggers:
            logger.setLevel(logging.CRITICAL)
