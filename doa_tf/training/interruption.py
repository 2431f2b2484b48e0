"""Ctrl-C takes effect between two batches."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras

logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises KeyboardInterrupt at the end of the batch in which a signal came.

    An interrupt anywhere else might leave a half-written file, or be swallowed by a library. After
    the last batch of an epoch the epoch ends first, with its validation and its checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop if a signal has come."""
        if self._asked and batch + 1 < self.params["steps"]:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block Ctrl-C and SIGTERM request a stop; a second one interrupts at once.

        Does nothing outside the main thread, which alone receives signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # Signals that the parent process ignores stay ignored.
        ours = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
        for number in ours:
            signal.signal(number, self._ask)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        logger.info("stopping as soon as this batch is done; once more stops at once")
