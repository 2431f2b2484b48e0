"""The first window of a network, in a process of its own, which may crash.

A runtime's operators trust their options and each other's shapes: a file that was made to, or that
a converter got wrong, can crash the process that runs it, or never end. Where the system can fork,
a copy of this process tries the network first, with bounds on its time and memory. One window does
not prove that none will crash; docs/security.md says what that means.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from typing import Any

import numpy as np

from doa_core.process import copies

LIMIT_S = 5  # processor time of loading and one window, of which the slowest board takes a second
PATIENCE_S = copies.PATIENCE_S


def try_network(load: Callable[[], Any]) -> None:
    """Load a network and run one window of noise in a forked process.

    What it raises there is left to whoever loads it here. Where nothing can be forked, nothing is
    tried.

    Args:
        load: makes a runtime's interpreter, with its tensors allocated.

    Raises:
        ValueError: the process crashed, or used the processor for `LIMIT_S` and did not end.
    """

    def work() -> None:
        _run_window(load())
        gc.collect()  # what was written beyond its end shows when memory is given back

    number = copies.signal_in_copy(work, limit_s=LIMIT_S, patience_s=PATIENCE_S)
    if number in copies.NOT_ENDED:
        raise ValueError(
            f"loading it and one window must take {LIMIT_S} s of processor time at most. Received: "
            "a network that has not ended by then"
        )
    if number:
        raise ValueError(
            f"it must run without a fault. Received: {signal.Signals(number).name} in a trial"
        )


def _run_window(interpreter: Any) -> None:
    rng = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        values = rng.uniform(-1.0, 1.0, tensor["shape"])
        interpreter.set_tensor(tensor["index"], values.astype(tensor["dtype"]))
    interpreter.invoke()
    for tensor in interpreter.get_output_details():
        interpreter.get_tensor(tensor["index"])
