"""SIGINT, SIGTERM and SIGHUP end a command: at once, but never in the middle of a line.

They become exceptions, so that children and temporary files end in the blocks that made them.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from doa_core.errors import Terminated

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 1.0  # keys are often hit twice [seconds]
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
_IMPORT_POLL_S = 0.05  # between looks whether an import has ended [seconds]

_listening: Signals | None = None  # a process has one, in its main thread


def exit_status(stop: KeyboardInterrupt) -> int:
    """The status with which a signal ends a command: 130, 143 or 129, 128 and its number."""
    return stop.status if isinstance(stop, Terminated) else 128 + signal.SIGINT


def word(stop: KeyboardInterrupt) -> str:
    """What happened to a command, in a word."""
    return str(stop) if isinstance(stop, Terminated) else "interrupted"


def run_command(prog: str, work: Callable[[], int]) -> int:
    """The exit status of a command, which signals end from its first moment on.

    To be called before anything is imported that takes time. What the work does not say of a
    signal itself is said in a line.

    Args:
        prog: begins that line.
        work: gives the exit status.
    """
    with Signals(patience_s=PATIENCE_S):
        try:
            return work()
        except KeyboardInterrupt as stop:
            with suppress(OSError):  # a terminal that hung up
                sys.stderr.write(f"{prog}: {word(stop)}\n")
            return exit_status(stop)


class Signals:
    """Turns the first SIGINT, SIGTERM or SIGHUP into an exception, or after a block that is held.

    An exception is the only thing that gets a program out of a read that waits for sound. In a
    `with signals.held():` block it is raised at the block's end or by `check`, or at a second
    signal, as a write may hang. Later signals are ignored, so that files are closed in peace; the
    third ends the process.

    While a package is imported the first one waits as well, as packages swallow it or call
    themselves broken. Signals that the parent process has ignored (nohup) stay ignored.

    Use it as a context manager. Within another one's block it is that one; outside of the main
    thread it does nothing.

    Args:
        patience_s: for how long after the first one others are taken for the same [seconds].

    Attributes:
        deaf: set it where nothing may interrupt any more, up to the third signal: a first one
            waits for the end of the block that is held.
    """

    def __init__(self, *, patience_s: float = 0.0) -> None:
        self.deaf = False
        self._patience_s = patience_s
        self._held = self._count = self._imports = 0
        self._waiting: signal.Signals | None = None
        self._first: signal.Signals | None = None
        self._first_time = 0.0  # of the clock [s]
        self._on_first: Callable[[], object] = lambda: None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Signals:
        global _listening
        if threading.current_thread() is not threading.main_thread():
            return self
        if _listening is not None:
            return _listening
        self._imports = _imports_under_way(sys._getframe())
        for number in ENDING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._previous[number] = signal.signal(number, self._handle)
        _listening = self
        return self

    def __exit__(self, *_: object) -> None:
        global _listening
        if _listening is not self:
            return
        _listening = None
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    @property
    def received(self) -> KeyboardInterrupt | None:
        """The exception of the first signal; None if none came."""
        return None if self._first is None else _exception(self._first)

    def check(self) -> None:
        """Raise the exception of a signal that waits."""
        if self._waiting is not None:
            raise _exception(self._waiting)

    @contextmanager
    def held(self, on_first: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Delay signals until the block has ended; an exception of the block comes first.

        Args:
            on_first: called when the first one comes.
        """
        before, self._on_first = self._on_first, on_first
        self._held += 1
        try:
            yield
        except KeyboardInterrupt:
            if self._held == 1:
                self._waiting = None  # it is under way
            raise
        finally:
            self._held -= 1
            self._on_first = before
        if self._held == 0:
            self._deliver()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._count and now - self._first_time < self._patience_s:
            return
        self._count += 1
        if self._count == 1:
            self._first = self._waiting = signal.Signals(number)
            self._first_time = now
            atexit.register(_ignore_signals)
            self._on_first()
        if self._count >= 3:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not self.deaf and (self._count == 2 or not self._held):
            self._deliver_after_imports(frame)

    def _deliver_after_imports(self, frame: FrameType | None) -> None:
        if self._count == 1 and _imports_under_way(frame) > self._imports:
            self._previous.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, self._look))
            signal.setitimer(signal.ITIMER_REAL, _IMPORT_POLL_S)
        else:
            self._deliver()

    def _look(self, number: int, frame: FrameType | None) -> None:
        if self._waiting is not None and not self._held:  # else the end of the block delivers
            self._deliver_after_imports(frame)

    def _deliver(self) -> None:
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            raise _exception(number)


def _ignore_signals() -> None:
    """For the interpreter's last moments, in which a second signal would change the exit status."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _exception(number: signal.Signals) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number is signal.SIGINT else Terminated(number)


def _imports_under_way(frame: FrameType | None) -> int:
    """How many frames of the import system there are on the way to a frame."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == _IMPORT_SYSTEM
        frame = frame.f_back
    return count
