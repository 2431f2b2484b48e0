"""A signal that ends a training takes effect between two batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from doa_core.process.signals import Signals

logger = logging.getLogger(__name__)


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises KeyboardInterrupt, or Terminated, at the end of the batch in which a signal came.

    An interrupt anywhere else might leave a half-written file, or be swallowed by a library. After
    the last batch of an epoch the epoch ends first, with its validation and its checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self._signals = Signals()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop if a signal has come."""
        if batch + 1 < self.params["steps"]:
            self._signals.check()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block signals request a stop; a second one interrupts at once.

        Does nothing outside the main thread, which alone receives signals.
        """
        with Signals() as self._signals, self._signals.held(_say):
            yield


def _say() -> None:
    logger.info("stopping as soon as this batch is done; once more stops at once")
