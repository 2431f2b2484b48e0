"""The interface of a sink, and a queue in front of one that may be slow."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from typing import Any, Generic, Protocol, TypeVar

from doa_core.errors import one_line, say

Message = dict[str, Any]  # that `doa_edge run` prints as one line

QUEUE_LENGTH = 64  # messages: ten seconds of six estimates
CLOSE_SECONDS = 2.0  # how long a slow receiver may delay the end
MOST_REASONS = 16  # that are told of one sink: another program may word each one anew


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

    When the queue is full the oldest message is dropped: a direction that is late is wrong. An
    error of the sink in its thread is raised by the next `send`.

    Args:
        sink: the sink, used in the thread only from now on.
        length: most messages that may wait.
    """

    def __init__(self, sink: Receiver[Item], *, length: int = QUEUE_LENGTH) -> None:
        self.name = sink.name
        self._sink = sink
        self._queue: queue.Queue[Item | None] = queue.Queue(length)
        self._lost = 0
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._deliver, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Messages that were not delivered so far."""
        return self._lost + self._sink.dropped

    def send(self, message: Item) -> None:
        """Put a message in the queue; never waits."""
        if self._error is not None:
            raise self._error
        self._put(message)

    def close(self) -> None:
        """Wait a little for the queue to empty, then close the sink.

        Raises:
            OSError: of the sink, if no `send` has raised it yet.
        """
        waiting = self._queue.qsize()
        self._put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            # A daemon thread that is stuck in a write ends with the process.
            self._lost += max(waiting, 1)
            return
        if self._error is not None:
            raise self._error

    def _put(self, message: Item | None) -> None:
        while True:
            try:
                self._queue.put_nowait(message)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):  # the thread was faster
                    self._queue.get_nowait()
                    self._lost += 1

    def _deliver(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                self._sink.send(message)
            self._sink.close()
        except OSError as error:
            self._error = error


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
