"""An interpreter whose network is somebody's: what it raises is bad input, and its time is bounded.

A network with a loop may never end, and a call into a runtime cannot be interrupted. So networks
run in a thread of their own, and who waits for one gives up: the thread ends with the process.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import numpy.typing as npt

from doa_core.errors import InputError, one_line

LIMIT_S = 5.0  # processor time of one window, all threads; the slowest board takes a fifth of it
_LOOK_S = 0.5  # seconds between two looks at the processor time

_Call = tuple[Callable[[], object], "SimpleQueue[BaseException | None]"]


class BoundedInterpreter:
    """What is used of a runtime's interpreter, for one network of a file.

    Args:
        interpreter: with its tensors allocated.
        name: of file and runtime, for messages: `FILE cannot be run by RUNTIME`.
        limit_s: of one `invoke` [seconds of processor time].

    Raises:
        ValueError: names of its inputs and outputs that are no text.
    """

    def __init__(self, interpreter: Any, name: str, *, limit_s: float = LIMIT_S) -> None:
        self._details: tuple[list[dict[str, Any]], ...] = (
            interpreter.get_input_details(),
            interpreter.get_output_details(),
        )
        self.reset_all_variables = interpreter.reset_all_variables
        self._interpreter = interpreter
        self._name = name
        self._worker = _Worker(limit_s)

    def get_input_details(self) -> list[dict[str, Any]]:
        """What the runtime says of the inputs."""
        return self._details[0]

    def get_output_details(self) -> list[dict[str, Any]]:
        """What the runtime says of the outputs."""
        return self._details[1]

    def invoke(self) -> None:
        """Run the network.

        Raises:
            InputError: the runtime refuses to, or the network does not end.
        """
        try:
            with self._refused():
                self._worker.run(self._interpreter.invoke)
        except TimeoutError as error:
            raise InputError(
                f"{self._name}: a window must take {self._worker.limit_s:g} s of processor time at "
                "most. Received: one that has not ended by then"
            ) from error

    def set_tensor(self, index: int, values: npt.NDArray[Any]) -> None:
        """Give an input its values. Raises InputError where the runtime refuses them."""
        with self._refused():
            self._interpreter.set_tensor(index, values)

    def get_tensor(self, tensor: dict[str, Any]) -> npt.NDArray[Any]:
        """Values of an output, of the shape that its details promise.

        Raises:
            InputError: there are none, or of another shape, as they may depend on the input.
        """
        with self._refused():
            values: npt.NDArray[Any] = self._interpreter.get_tensor(tensor["index"])
        shape = tuple(tensor["shape"])
        if values.shape != shape:
            raise InputError(
                f"{self._name}: an output must have its shape {tuple(map(int, shape))} for every "
                f"window. Received: {values.shape}"
            )
        return values

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """Raise what the runtime raises in the block as InputError."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self._name}: {one_line(error)}") from error


class _Worker:
    """A thread that makes calls, one after the other, for as long as this object lives."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._calls = SimpleQueue[_Call | None]()
        self._process = 0

    def run(self, call: Callable[[], object]) -> None:
        """Make a call, raising what it raises.

        Raises:
            TimeoutError: it has used the processor for `limit_s` and has not ended.
        """
        if self._process != os.getpid():  # not begun, or forked: threads stay behind
            self._begin()
        answer = SimpleQueue[BaseException | None]()
        self._calls.put((call, answer))
        began = time.process_time()  # stands still while others have the processor, or all sleep
        while True:
            try:
                error = answer.get(timeout=_LOOK_S)
                break
            except Empty:
                if time.process_time() - began > self.limit_s:
                    raise TimeoutError from None
        if error is not None:
            raise error

    def _begin(self) -> None:
        self._process = os.getpid()
        calls = self._calls = SimpleQueue[_Call | None]()
        threading.Thread(target=_work, args=(calls,), name="network", daemon=True).start()
        weakref.finalize(self, calls.put, None)


def _work(calls: SimpleQueue[_Call | None]) -> None:
    while (item := calls.get()) is not None:
        call, answer = item
        error: BaseException | None = None
        try:
            call()
        except (RuntimeError, ValueError, SystemError, MemoryError) as raised:
            error = raised
        finally:
            answer.put(error)
        del item, call, answer, error  # or the network would live until the next call
