"""Running pure tasks on a cluster, with Dask distributed.

Whoever reaches a scheduler can run code on its workers, and answers of workers are unpickled here:
one without TLS belongs in a network of its own. So none is started here; the cores of this machine
are used by `doa_tf.rooms.pool`.

A task may run twice, or again on another worker after its own has died; its result is used once.
"""

from __future__ import annotations

import logging
import pickle
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_tf.rooms.interrupts import InterruptPoints

logger = logging.getLogger(__name__)

TASKS_PER_CORE = 3  # in flight: one runs, the others hide the transfer to the worker
RETRIES = 2
CONNECT_SECONDS = 5.0
_NOTICE_SECONDS = 5.0  # without any result, before looking whether there are workers
_POLL_SECONDS = 0.02  # the other tasks in flight hide it

# An exception inside of Dask's calls leaves callbacks behind that fail and log it.
_interrupts = InterruptPoints("asyncio", "tornado.application")

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def dask_client(scheduler: str) -> Iterator[Any]:
    """A Dask client of a scheduler.

    Within the block Ctrl-C takes effect where `run_on_dask` waits for results.

    Args:
        scheduler: tcp://HOST:PORT, or tls://HOST:PORT with certificates of Dask's configuration.

    Raises:
        InputError: not an address, or one that Dask's configuration has no certificates for.
        OSError: nothing answers there.
        MissingPackageError: Dask is not installed.
    """
    address = re.fullmatch(r"(?:tcp|tls)://[^\s/]+:(\d{1,5})", scheduler)
    if address is None or not 1 <= int(address[1]) <= 65_535:
        raise InputError(
            "`scheduler` must be tcp://HOST:PORT or tls://HOST:PORT, its port between 1 and 65535. "
            f"Received: {scheduler!r}"
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingPackageError("Dask distributed", "cluster", error) from error
    _check_encryption(scheduler)
    # It would log what we report in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with _interrupts.listening():
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise OSError(
                f"No Dask scheduler answers at {scheduler} ({one_line(error)}): start one with "
                "`dask scheduler`, or leave --scheduler out"
            ) from error
        with client, _interrupts.leaving_undisturbed():
            yield client


def _check_encryption(scheduler: str) -> None:
    """Raise InputError unless Dask's configuration allows the address and has what it needs."""
    import dask

    tls, needed = scheduler.startswith("tls:"), ("ca-file", "client.cert")
    values = {name: dask.config.get(f"distributed.comm.tls.{name}", None) for name in needed}
    if tls and not all(values.values()):
        raise InputError(
            "A scheduler at tls://HOST:PORT needs certificates in Dask's configuration, see "
            f"docs/cluster.md. Received: {', '.join(f'{k} {v}' for k, v in values.items())}"
        )
    if not tls and dask.config.get("distributed.comm.require-encryption", None):
        raise InputError(
            "Dask's configuration requires encryption: --scheduler must be tls://HOST:PORT. "
            f"Received: {scheduler}"
        )


def run_on_dask(
    client: Any, task: Callable[[Part], Result], parts: Iterable[Part]
) -> Iterator[tuple[Part, Result]]:
    """Yield (part, task(part)) as workers finish them.

    A few tasks per core are in flight, and a worker drops a result as soon as it is here, so
    memory does not grow with the number of parts.

    Args:
        client: from `dask_client`.
        task: a pure function that workers can import.
        parts: its arguments.

    Raises:
        InputError: a task raised ValueError.
        OSError: the scheduler went away, a worker cannot run the task, or too many died over one.
        KeyboardInterrupt: Ctrl-C was pressed since `dask_client` began.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    remaining = iter(parts)
    running: dict[Any, Part] = {}
    warned = False
    try:
        while True:
            cores = sum(client.nthreads().values())
            missing = TASKS_PER_CORE * max(cores, 1) - len(running)
            for part in islice(remaining, max(missing, 0)):
                call, key = pickle.dumps(_Call(task, part)), f"{__package__}-{uuid4().hex}"
                running[client.submit(pickle.loads, call, key=key, retries=RETRIES)] = part
            if not running:
                return
            done = _wait_for_some(running)
            if not done:
                if not cores and not warned:
                    logger.warning("The scheduler has no workers: waiting for one")
                warned = not cores
                continue
            for future, result in zip(done, client.gather(done), strict=True):
                future.release()
                yield running.pop(future), result
    except (CancelledError, CommClosedError) as error:
        raise OSError(
            "The Dask scheduler went away. What was written is whole: run the same command again"
        ) from error
    except KilledWorker as error:
        raise OSError(
            f"Worker after worker died over the same rooms ({one_line(error)}): is there enough "
            "memory?"
        ) from error
    except ImportError as error:
        raise OSError(
            f'A worker cannot run the task ({one_line(error)}): pip install "doa-tf[cluster]" there'
        ) from error
    except ValueError as error:
        raise InputError(str(error)) from error


def _wait_for_some(futures: Iterable[Any]) -> list[Any]:
    """Those that are done, as soon as there are some; none after `_NOTICE_SECONDS`.

    Dask's own `wait` must not be interrupted, and leaves tasks behind when its time is over.
    """
    deadline = time.monotonic() + _NOTICE_SECONDS
    while True:
        _interrupts.check()
        done = [future for future in futures if future.done()]
        if done or time.monotonic() > deadline:
            return done
        time.sleep(_POLL_SECONDS)


class _Call:
    """A call that is made where it is unpickled.

    A worker dies if it receives a task that it cannot import. It receives bytes instead, and its
    task is to unpickle them, so that it answers with an error.
    """

    def __init__(self, task: Callable[[Part], Result], part: Part) -> None:
        self._call = task, (part,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call
