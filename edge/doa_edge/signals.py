"""SIGINT, SIGTERM and SIGHUP end a run at once, but never in the middle of a line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from doa_core.errors import Terminated

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: a terminal that is closed


class Signals:
    """Turns the first signal to end into an exception, at once or after a block that is held.

    An exception is the only thing that gets a program out of a read that waits for sound. In a
    `with signals.held():` block it is raised at the block's end, or at a second signal, as a write
    may hang. Later signals are ignored, so that files are closed in peace; the third ends the
    process.

    Use it as a context manager; outside of the main thread it does nothing.
    """

    def __init__(self) -> None:
        self._held = 0
        self._waiting: int | None = None
        self._count = 0
        self._first: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, a shell's background
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    @property
    def received(self) -> BaseException | None:
        """The exception of the first signal; None if none came."""
        return None if self._first is None else _exception(self._first)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay signals until the block has ended."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._held == 0 and self._waiting is not None:
            number, self._waiting = self._waiting, None
            raise _exception(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        self._first = self._first or number
        if self._count >= 3:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif self._count == 2 and self._waiting is None:
            return
        elif self._count == 1 and self._held:
            self._waiting = number
        else:
            self._waiting = None
            raise _exception(number)


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
