"""How much of `fit` is the training step: sequences a second from a cache, against a bare loop.

    python -m benchmarks.training [--batch-size B] [--steps N] [--json FILE]

The bare loop calls the compiled training step on one random batch in memory, without data,
callbacks or backups. `fit` is what `doa_tf train` does: scenes from a cache on disk, turned,
encoded, with all callbacks. Both run in turns, several times; the medians count, and their ratio
is the share of `fit` that is the training step. Other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import doa_tf
from benchmarks.turns import machine, rates_in_turns, ratios
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.program import program, run_program
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.files import write_json


class RandomScenes:
    """Noise from a direction, in place of a mixer."""

    def mix(self, key):
        """A scene of white noise."""
        rng = np.random.default_rng(key)
        direction = rng.standard_normal(3)
        waveform = 0.1 * rng.standard_normal((13_312, 4)).astype(np.float32)
        return SimpleNamespace(waveform=waveform, direction=direction / np.linalg.norm(direction))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = program("benchmarks.training", __doc__)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--head", default="gibbs-softmax")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    import_quietly("keras", extra="train")
    with tempfile.TemporaryDirectory() as folder:
        rates = rates_in_turns(training_loops(args, Path(folder)), args.repeats)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    share = statistics.median(ratios(rates["fit"], rates["bare_loop"]))
    print(f"{'':24}sequences/s")
    for name, median in medians.items():
        print(f"{name:24}{median:11.1f}")
    print(f"training step's share of fit: {100 * share:.0f} %")
    if args.json:
        import tensorflow as tf

        figures = {
            **medians,
            "share": share,
            "batch_size": args.batch_size,
            "steps": args.steps,
            "machine": machine(),
            "tensorflow": tf.__version__,
            "date": time.strftime("%Y-%m-%d"),
        }
        write_json(args.json, figures)


def training_loops(args: argparse.Namespace, folder: Path) -> dict[str, Callable[[], int]]:
    """The bare loop and `fit`; each trains for the steps asked for and gives its sequences."""
    import keras
    import tensorflow as tf

    head = doa_tf.heads.get(args.head)
    features = doa_tf.FeatureSpec()
    scenes = args.batch_size * args.steps
    cache = FeatureCache(folder / "cache", mixer=RandomScenes, made_with={}, scenes=scenes)
    model = doa_tf.build_crnn(head, features=features)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss(), metrics=head.metrics())
    options = {"batch_size": args.batch_size, "seed": 0, "epochs": range(10_000)}
    dataset = cached_dataset(cache, features=features, **options)
    endless = tf.data.Dataset.from_tensors(next(iter(dataset))).repeat()
    quiet = {"verbose": 0, "shuffle": False}
    model.fit(endless, steps_per_epoch=2, **quiet)  # compiles

    def bare_loop() -> int:
        iterator = iter(endless)
        for _ in range(args.steps):
            model.train_function(iterator)
        return scenes

    def fit() -> int:
        callbacks = training_callbacks(folder, steps=args.steps)
        model.fit(dataset, steps_per_epoch=args.steps, **quiet, callbacks=callbacks)
        return scenes

    return {"bare_loop": bare_loop, "fit": fit}


def training_callbacks(folder: Path, *, steps: int) -> list[Any]:
    """What `doa_tf train` gives to `fit`, judging apart."""
    import keras

    from doa_tf.training.callbacks import CosineLearningRate, KeepState, StopOnNaN
    from doa_tf.training.run_folder import RunFolder, TrainingState

    class Backups(KeepState):
        """An epoch is a few steps here, and there is nothing to validate on."""

        def on_epoch_end(self, epoch, logs=None):
            pass

    return [
        CosineLearningRate(highest=1e-3, warmup_steps=10, steps=100_000),
        StopOnNaN(),
        keras.callbacks.CSVLogger(str(folder / "history.csv")),
        keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False),
        Backups(RunFolder(path=folder, state=TrainingState()), steps_per_epoch=steps, patience=9),
    ]


if __name__ == "__main__":
    run_program(main)
