"""The first window of a network, in a process of its own, which may crash.

A runtime's operators trust their options and each other's shapes: a file that was made to, or that
a converter got wrong, can crash the process that runs it, or never end. Where the system can fork,
a copy of this process tries the network first, with bounds on its time and memory. One window does
not prove that none will crash; docs/security.md says what that means.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

LIMIT_S = 5  # processor time of loading and one window, of which the slowest board takes a second
PATIENCE_S = 60.0  # by the clock; a copy that sleeps so long has met what its original had locked
MEMORY = 2**31  # bytes beyond what this process has
_NOT_FINISHED = (signal.SIGXCPU, signal.SIGKILL) if sys.platform == "linux" else ()


def try_network(load: Callable[[], Any]) -> None:
    """Load a network and run one window of noise in a forked process.

    What it raises there is left to whoever loads it here. Where nothing can be forked, nothing is
    tried.

    Args:
        load: makes a runtime's interpreter, with its tensors allocated.

    Raises:
        ValueError: the process crashed, or used the processor for `LIMIT_S` and did not end.
    """
    if sys.platform != "linux":
        return
    reading, writing = os.pipe()  # which says that the process has ended
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which the copy does not have
            process = os.fork()
    except OSError:  # as many processes as may be: the network is run untried
        os.close(reading)
        os.close(writing)
        return
    if process == 0:
        _try(load)
    os.close(writing)
    ended = False
    try:
        ended = bool(select.select([reading], [], [], PATIENCE_S)[0])
    finally:
        os.close(reading)
        if not ended:
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status >= 0 or not ended:
        return
    if -status in _NOT_FINISHED:
        raise ValueError(
            f"loading it and one window must take {LIMIT_S} s of processor time at most. Received: "
            "a network that has not ended by then"
        )
    raise ValueError(
        f"it must run without a fault. Received: {signal.Signals(-status).name} in a trial"
    )


def _try(load: Callable[[], Any]) -> None:
    """Run one window and end this process: by a signal, or with status 0 whatever was raised."""
    try:
        _limit()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # all is said once, when it is loaded here
        _run_window(load())
        gc.collect()  # what was written beyond its end shows when memory is given back
    finally:
        os._exit(0)


def _run_window(interpreter: Any) -> None:
    rng = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        values = rng.uniform(-1.0, 1.0, tensor["shape"])
        interpreter.set_tensor(tensor["index"], values.astype(tensor["dtype"]))
    interpreter.invoke()
    for tensor in interpreter.get_output_details():
        interpreter.get_tensor(tensor["index"])


def _limit() -> None:
    """Bound the time and the memory of this process, which leaves no core file and says nothing."""
    import faulthandler
    import resource

    faulthandler.disable()  # where it is on, it would tell people of a fault that is foreseen
    for number in (signal.SIGINT, signal.SIGTERM):  # those that are sent to all are not for a copy
        signal.signal(number, signal.SIG_IGN)
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, LIMIT_S),
        (resource.RLIMIT_AS, size + MEMORY),
    ):
        highest = resource.getrlimit(limit)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(limit, (value, value))
