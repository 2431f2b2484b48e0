"""How much of `fit` is the training step: sequences a second from a cache, against a bare loop.

    python -m benchmarks.training [--batch-size B] [--steps N] [--json FILE]

The bare loop calls the compiled training step on one random batch in memory, without data,
callbacks or backups. `fit` is what `doa_tf train` does: scenes from a cache on disk, turned,
encoded, with all callbacks. Both run in turns, several times; the medians count, and their ratio
is the share of `fit` that is the training step. Other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

WARM = 2  # batches of each fit before its clock starts: an epoch has hundreds


class RandomScenes:
    """Noise from a direction, in place of a mixer."""

    def mix(self, key):
        """A scene of white noise."""
        from types import SimpleNamespace

        rng = np.random.default_rng(key)
        direction = rng.standard_normal(3)
        waveform = 0.1 * rng.standard_normal((13_312, 4)).astype(np.float32)
        return SimpleNamespace(waveform=waveform, direction=direction / np.linalg.norm(direction))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--head", default="gibbs-softmax")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(args, Path(folder))
    print(f"{'':24}sequences/s")
    for name in ("bare_loop", "fit"):
        print(f"{name:24}{figures[name]:11.1f}")
    print(f"training step's share of fit: {100 * figures['share']:.0f} %")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Sequences a second of both, and their ratio."""
    import keras
    import tensorflow as tf

    import doa_tf
    from doa_tf.data.cache import FeatureCache, cached_dataset
    from doa_tf.training.callbacks import CosineLearningRate, KeepState, StopOnNaN
    from doa_tf.training.run_folder import RunFolder, TrainingState

    class Watch(keras.callbacks.Callback):
        """Seconds from the end of the second batch to the end of the last."""

        def on_train_batch_end(self, batch, logs=None):
            self.ended = time.perf_counter()
            if batch == WARM - 1:
                self.started = self.ended

    class Backups(KeepState):
        """An epoch is a few steps here, and there is nothing to validate on."""

        def on_epoch_end(self, epoch, logs=None):
            pass

    head = doa_tf.heads.get(args.head)
    features = doa_tf.FeatureSpec()
    scenes = args.batch_size * args.steps
    cache = FeatureCache(folder / "cache", mixer=RandomScenes, made_with={}, scenes=scenes)
    model = doa_tf.build_crnn(head, features=features)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss(), metrics=head.metrics())
    dataset = cached_dataset(
        cache, features=features, batch_size=args.batch_size, seed=0, epochs=range(10_000)
    )
    batch = next(iter(dataset))
    endless = tf.data.Dataset.from_tensors(batch).repeat()

    def callbacks():
        run = RunFolder(path=folder, state=TrainingState())
        return [
            CosineLearningRate(highest=1e-3, warmup_steps=10, steps=100_000),
            StopOnNaN(),
            keras.callbacks.CSVLogger(str(folder / "history.csv")),
            keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False),
            Backups(run, steps_per_epoch=args.steps, patience=9),
        ]

    model.fit(endless, steps_per_epoch=2, verbose=0, shuffle=False)  # compiles
    rates: dict[str, list[float]] = {"bare_loop": [], "fit": []}
    for _ in range(args.repeats):
        iterator = iter(endless)
        started = time.perf_counter()
        for _ in range(args.steps):
            model.train_function(iterator)
        rates["bare_loop"].append(scenes / (time.perf_counter() - started))
        started = time.perf_counter()
        model.fit(
            dataset, steps_per_epoch=args.steps, verbose=0, shuffle=False, callbacks=callbacks()
        )
        rates["fit"].append(scenes / (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    shares = [fit / bare for fit, bare in zip(rates["fit"], rates["bare_loop"], strict=True)]
    return {
        **medians,
        "share": statistics.median(shares),
        "batch_size": args.batch_size,
        "steps": args.steps,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "tensorflow": tf.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    sys.exit(main())
