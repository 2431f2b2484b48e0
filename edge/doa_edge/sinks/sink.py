"""The interface of a sink, and a queue in front of one that may be slow."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from doa_core.errors import one_line, say

if TYPE_CHECKING:
    from doa_edge.input.pace import Pace

Message = dict[str, Any]  # that `doa_edge run` prints as one line

QUEUE_LENGTH = 64  # messages: ten seconds of six estimates
CLOSE_SECONDS = 2.0  # how long a slow receiver may delay the end
MOST_REASONS = 16  # that are told of one sink: another program may word each one anew

_END = object()  # of the messages of a queue

Item = TypeVar("Item")
TakenItem = TypeVar("TakenItem", contravariant=True)


class Receiver(Protocol[TakenItem]):
    """A destination of what a run gives."""

    @property
    def name(self) -> str:
        """The option that asked for it, without its dashes."""
        ...

    @property
    def dropped(self) -> int:
        """Messages that were not delivered so far."""
        ...

    def send(self, item: TakenItem, /) -> None:
        """Take the next one; an OSError, such as that of a full disk, ends the run."""
        ...

    def close(self) -> None:
        """Deliver what can be delivered soon, and close."""
        ...


class Sink(Receiver[Message], Protocol):
    """A destination of messages."""


class Queued(Generic[Item]):
    """A bounded queue and a thread in front of a sink that may block.

    When the queue is full and the sound is live, the oldest message is dropped: a direction that is
    late is wrong. Sound that can wait does: `send` then waits for room, and once it is known that
    the sound comes faster than in real time, until the sink has taken the message. An error of the
    sink in its thread is raised by the next `send`.

    Args:
        sink: the sink, used in the thread only from now on.
        length: most messages that may wait.
        pace: of the sound, which may not be known yet; live if None.
    """

    def __init__(
        self, sink: Receiver[Item], *, length: int = QUEUE_LENGTH, pace: Pace | None = None
    ) -> None:
        self.name = sink.name
        self._sink = sink
        self._length = length
        self._pace = pace
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()  # guards what follows
        self._taken = 0  # messages that the sink was given and is done with
        self._busy = False  # with one now
        self._closing = self._ended = False
        self._lost = 0
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._deliver, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Messages that were not delivered so far."""
        return self._lost + self._sink.dropped

    def send(self, message: Item) -> None:
        """Put a message in the queue; waits for nothing where the sound is live."""
        with self._changed:
            if self._live:
                if len(self._items) >= self._length:
                    self._items.popleft()
                    self._lost += 1
            else:
                self._wait_until(lambda: len(self._items) < self._length)
            self._raise_error()
            self._items.append(message)
            self._changed.notify_all()
            if self._pace is not None and self._pace.faster:
                self._wait_until(self._is_idle)
                self._raise_error()

    def drain(self) -> None:
        """Wait until all is delivered, however long it takes, unless the sound is live.

        Raises:
            OSError: of the sink.
        """
        with self._changed:
            if not self._live:
                self._wait_until(self._is_idle)
            self._raise_error()

    def close(self) -> None:
        """Wait a little for the queue to empty, then close the sink.

        Where the sound can wait, so does this, as long as messages are taken.

        Raises:
            OSError: of the sink, if no `send` has raised it yet.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            begun = time.monotonic()
            while not self._ended:
                taken = self._taken
                self._changed.wait_for(
                    lambda taken=taken: self._ended or self._taken > taken,  # type: ignore[misc]
                    CLOSE_SECONDS,
                )
                stuck = self._taken == taken
                late = self._live and time.monotonic() - begun > CLOSE_SECONDS
                if not self._ended and (stuck or late):
                    # A daemon thread that is stuck in a write ends with the process.
                    self._lost += max(len(self._items), 1)
                    return
            self._raise_error()

    @property
    def _live(self) -> bool:
        return self._pace is None or self._pace.live

    def _is_idle(self) -> bool:
        return not self._items and not self._busy

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._ended or condition())

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _deliver(self) -> None:
        try:
            while (message := self._next()) is not _END:
                self._sink.send(cast("Item", message))
            self._sink.close()
        except OSError as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _next(self) -> Item | object:
        """The next message, when it has come; `_END` after the last one."""
        with self._changed:
            self._taken += self._busy
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._items or self._closing)
            if not self._items:
                return _END
            self._busy = True
            self._changed.notify_all()  # there is room
            return self._items.popleft()


class Reasons:
    """Why a receiver is not reached, on standard error: at once, and each reason once a run.

    After sixteen different ones it is silent: what was missed is counted all the same.

    Args:
        option: that asked for the sink, without its dashes.
    """

    def __init__(self, option: str) -> None:
        self._option = option
        self._told: set[str] = set()

    def tell(self, what: str, error: object) -> None:
        """Write a line, unless it has been written before.

        Args:
            what: does not work, such as `cannot reach 127.0.0.1:9000`.
            error: of the system or another program.
        """
        reason = one_line(getattr(error, "strerror", None) or error or type(error).__name__)
        line = f"doa_edge: --{self._option} {what}: {reason}"
        if line not in self._told and len(self._told) < MOST_REASONS:
            self._told.add(line)
            say(line)

    @property
    def told(self) -> bool:
        """Whether any reason was told so far."""
        return bool(self._told)


def json_line(message: Message) -> str:
    """One line of JSON, with its line break."""
    return json.dumps(message, allow_nan=False) + "\n"
