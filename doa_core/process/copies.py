"""Work of a C library in a copy of this process first, which may crash or never end."""

from __future__ import annotations

import os
import select
import signal
import sys
import warnings
from collections.abc import Callable

MEMORY = 2**31  # bytes beyond what this process has
PATIENCE_S = 60.0  # by the clock; a copy that sleeps so long has met what its original had locked
NOT_ENDED = (signal.SIGXCPU, signal.SIGKILL) if sys.platform == "linux" else ()


def signal_in_copy(
    work: Callable[[], object], *, limit_s: int, patience_s: float = PATIENCE_S
) -> int:
    """Do some work in a forked process, and tell which signal ended it.

    What the work raises there is left to whoever does it here. Nothing tells whether it was done:
    where nothing can be forked, and where the copy sleeps for too long, it was not.

    Args:
        work: to be done; its result is dropped.
        limit_s: processor time that it may take [seconds].
        patience_s: after which a copy that sleeps is ended [seconds].

    Returns:
        Number of the signal that ended it by itself, one of `NOT_ENDED` where the limit did; else
        0.
    """
    if sys.platform != "linux":
        return 0
    reading, writing = os.pipe()  # which says that the process has ended
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which the copy does not have
            process = os.fork()
    except OSError:  # as many processes as may be
        os.close(reading)
        os.close(writing)
        return 0
    if process == 0:
        _work(work, limit_s)
    os.close(writing)
    ended = False
    try:
        ended = bool(select.select([reading], [], [], patience_s)[0])
    finally:
        os.close(reading)
        if not ended:
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return -status if ended and status < 0 else 0


def _work(work: Callable[[], object], limit_s: int) -> None:
    """Do the work and end this process: by a signal, or with status 0 whatever was raised."""
    try:
        _limit(limit_s)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # all is said once, where it is done again
        work()
    finally:
        os._exit(0)


def _limit(limit_s: int) -> None:
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
        (resource.RLIMIT_CPU, limit_s),
        (resource.RLIMIT_AS, size + MEMORY),
    ):
        highest = resource.getrlimit(limit)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(limit, (value, value))
