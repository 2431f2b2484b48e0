"""Run a network a given number of times, under an instruction counter.

    python one_network.py FILE.tflite WINDOWS SCORES.npy

Loads the file, writes the scores of one window, and forks copies of itself, one after the other:
the first ends at once, the second runs the network WINDOWS more times, and a third, if the file has
the network in two halves as well, runs the halves as often, moving by five frames. The counts of
two of them differ by these runs alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import numpy as np

from doa_edge.engine_settings import DEFAULT_EVERY
from doa_edge.tflite import network
from doa_edge.tflite.bounded import BoundedInterpreter
from doa_edge.tflite.network import TfliteModel


def counted(run: Callable[[], object], times: int) -> None:
    """Run it in a fork of this process, whose count is reported when it ends."""
    child = os.fork()
    if child == 0:
        for _ in range(times):
            run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"the network ended with status {status}")


def main() -> None:
    """Run what the command line asks for."""
    # The trial of a file would be one count more, and qemu cannot count a thread of a fork.
    network.try_network = lambda _: None
    BoundedInterpreter.invoke = lambda self: self._interpreter.invoke()
    path, windows, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    model = TfliteModel(path)
    window = np.random.default_rng(0).uniform(-0.5, 0.5, model.spec.window_shape)
    window = window.astype(np.float32)
    np.save(out, model.predict(window))
    stream = model.stream()
    if stream is not None:  # the first window of a stream is convolved whole
        stream.predict(window, len(window))
        stream.predict(window, DEFAULT_EVERY)
    counted(lambda: None, 0)
    counted(lambda: model.predict(window), windows)
    if stream is not None:
        counted(lambda: stream.predict(window, DEFAULT_EVERY), windows)


main()
