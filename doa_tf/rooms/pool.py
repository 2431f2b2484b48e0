"""Running pure tasks with processes of this machine, which nobody else can reach.

The processes are children of this one and talk to it over unnamed pipes: no port is opened. They
end with it, whatever ends it. A task may run again in another process after its own has died; its
result is used once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from doa_core.errors import as_input_errors
from doa_tf.rooms.interrupts import InterruptPoints

TASKS_PER_PROCESS = 3  # in flight: one runs, the others hide the transfer to it
RETRIES = 2
_POLL_SECONDS = 0.1  # after which Ctrl-C takes effect

_interrupts = InterruptPoints()

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPool]:
    """Processes of this machine; they are gone at the end of the block.

    Within the block Ctrl-C takes effect where `ProcessPool.run` waits for results.

    Args:
        workers: how many processes, at least 1.
    """
    with _interrupts.listening():
        pool = ProcessPool(workers)
        try:
            with _interrupts.leaving_undisturbed():
                yield pool
        finally:
            pool.end()


class ProcessPool:
    """Processes that are started when there is something to do.

    Args:
        workers: how many, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._alive: Connection | None = None

    def run(
        self, task: Callable[[Part], Result], parts: Iterable[Part]
    ) -> Iterator[tuple[Part, Result]]:
        """Yield (part, task(part)) as processes finish them.

        A few tasks per process are in flight, so memory for results does not grow with the number
        of parts.

        Args:
            task: a pure function that a spawned process can import.
            parts: its arguments, hashable and all different.

        Raises:
            InputError: a task raised ValueError.
            OSError: no process could be started, or too many died over a task.
            KeyboardInterrupt: Ctrl-C was pressed since `process_pool` began.
        """
        todo, deaths = deque(parts), Counter[Part]()
        doubted: set[Part] = set()
        while todo:
            running: dict[Part, Future[Result]] = {}
            executor = self._start(len(todo))
            started = self._submit(executor, os.getpid)
            try:
                with as_input_errors():
                    yield from self._results(executor, task, todo, running, doubted)
            except BrokenProcessPool as error:
                if started.exception() is not None:
                    raise OSError(
                        "No worker process could be started. In a script, calls belong under "
                        '`if __name__ == "__main__":`, because processes import it'
                    ) from error
                lost = [part for part, future in running.items() if future.exception() is not None]
                if len(running) == 1:
                    deaths.update(lost)
                doubted.update(lost[: self._workers])  # which were being done; the others waited
                if max(deaths.values(), default=0) > RETRIES:
                    raise OSError(
                        f"{RETRIES + 1} worker processes in a row were killed over the same rooms: "
                        "is there enough memory? Fewer --workers need less. The same command goes "
                        "on from here"
                    ) from error
                todo.extendleft(reversed(running))
            finally:
                self.end()

    def end(self) -> None:
        """End the processes, whatever they are doing, and wait until they are gone."""
        if self._alive is not None:
            self._alive.close()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        self._alive = self._executor = None

    def _start(self, tasks: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # not a fork: libraries have threads
        inherited, self._alive = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            min(self._workers, tasks),
            mp_context=context,
            initializer=_end_with,
            initargs=(inherited,),
        )
        return self._executor

    def _results(
        self,
        executor: ProcessPoolExecutor,
        task: Callable[[Part], Result],
        todo: deque[Part],
        running: dict[Part, Future[Result]],
        doubted: set[Part],
    ) -> Iterator[tuple[Part, Result]]:
        """Results as they come; `running` holds the parts that have none yet.

        Parts of which one may have killed a process are done alone, which tells.

        Raises:
            BrokenProcessPool: a process died.
        """
        while todo or running:
            while todo and len(running) < TASKS_PER_PROCESS * self._workers:
                if running and not doubted.isdisjoint({todo[0], *running}):
                    break
                running[todo[0]] = self._submit(executor, task, todo[0])
                todo.popleft()
            _interrupts.check()
            wait(running.values(), timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for part in [part for part, future in running.items() if future.done()]:
                result = running[part].result()
                del running[part]
                doubted.discard(part)
                yield part, result

    @staticmethod
    def _submit(
        executor: ProcessPoolExecutor, call: Callable[..., Result], *arguments: Any
    ) -> Future[Result]:
        """Hand a call to a process, which is started if there are too few."""
        with _children_of_one_thread(), _deaf_to_interrupts():
            return executor.submit(call, *arguments)


def _end_with(parent: Connection) -> None:
    """End this process as soon as the one that started it closes its end of a pipe, or ends."""

    def watch() -> None:
        with suppress(OSError):
            parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _children_of_one_thread() -> Iterator[None]:
    """BLAS would start a thread for each core in each process, and use one."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started here ignore what a terminal sends to all: Ctrl-C, and SIGHUP.

    This process ends them. A signal within the block takes effect at its end.
    """
    resource_tracker.ensure_running()  # which unblocks SIGINT in the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
