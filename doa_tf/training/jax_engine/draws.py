"""Random choices of scenes, drawn in batches by processes while an accelerator learns.

This module imports neither Keras nor JAX, and neither do the processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.process.children import end_with
from doa_tf.data.augment import random_turns, turned
from doa_tf.scenes.mixer import TURN_STREAM, SceneMixer
from doa_tf.training.jax_engine.mixing import Arrays, draw_arrays
from doa_tf.training.settings import TrainSettings

_AHEAD = 3  # batches that each process draws in advance


class DrawnBatches:
    """The batches of all epochs, in order.

    A context manager whose value is their iterator, which raises OSError when a process was
    killed. A batch holds what `draw_arrays` says, `turn`, the (B, 4, 4) matrices that scenes are
    turned by, and `targets`, (B, 1, 3), or (B, T, V, 3) where talkers may be silent.

    Args:
        mixer: draws the scenes; scene k of an epoch has the key (seed, epoch, k).
        settings: seed, batches, augmentation.
        first_epoch: number of the first epoch.
        workers: processes; half of the cores by default.
    """

    def __init__(
        self,
        mixer: SceneMixer,
        settings: TrainSettings,
        *,
        first_epoch: int = 0,
        workers: int | None = None,
    ) -> None:
        self._mixer, self._settings, self._first_epoch = mixer, settings, first_epoch
        self._workers = workers or max(1, (os.cpu_count() or 2) // 2)

    def __enter__(self) -> Iterator[Arrays]:
        self._pool = ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),  # not a fork: JAX has threads
            initializer=_begin,
            initargs=(os.getpid(), self._mixer, self._settings),
        )
        return self._batches()

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _batches(self) -> Iterator[Arrays]:
        waiting: deque[Future[Arrays]] = deque()
        try:
            for epoch in range(self._first_epoch, self._settings.epochs):
                for step in range(self._settings.steps_per_epoch):
                    waiting.append(self._pool.submit(_draw, epoch, step))
                    if len(waiting) > _AHEAD * self._workers:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "A process that draws scenes was killed: is there enough memory? The same command "
                "goes on from the last whole epoch"
            ) from error


def draw_batch(mixer: SceneMixer, settings: TrainSettings, epoch: int, step: int) -> Arrays:
    """One batch, see `DrawnBatches`."""
    first = step * settings.batch_size
    keys = [(settings.seed, epoch, first + k) for k in range(settings.batch_size)]
    draws = [mixer.draw(key) for key in keys]
    generators = (np.random.default_rng((*key, TURN_STREAM)) for key in keys)
    turns = np.concatenate([random_turns(rng, 1, settings.augment) for rng in generators])
    numbers = draw_arrays(
        draws, voices=mixer.voices, synthetic_noises=mixer.settings.synthetic_noises
    )
    targets = [turned(mixer.targets(draw), turn) for draw, turn in zip(draws, turns, strict=True)]
    return {
        **numbers,
        "turn": np.stack([rotation_to_ambix_matrix(turn) for turn in turns]).astype(np.float32),
        "targets": np.stack(targets),
    }


_task: tuple[SceneMixer, TrainSettings] | None = None


def _begin(parent: int, mixer: SceneMixer, settings: TrainSettings) -> None:
    global _task
    _task = mixer, settings
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends it to all: the parent ends us
        signal.signal(number, signal.SIG_IGN)
    end_with(parent)


def _draw(epoch: int, step: int) -> Arrays:
    if _task is None:
        raise RuntimeError("This process was not started by DrawnBatches")
    return draw_batch(*_task, epoch, step)
