"""Trains a small network on random scenes; tests start it as processes of their own.

python training_program.py RUN SCENES [--epochs N] [--strategy NAME] [--slow SECONDS]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

# Keras and TensorFlow import these where they find them, which takes seconds.
sys.modules.update(dict.fromkeys(("sklearn", "matplotlib", "jax")))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("scenes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--strategy", default="none")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--dropout", type=float, default=0.2)
    args = parser.parse_args()
    # A shell's background processes, and what they start, are born deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from doa_tf.training import RunOptions, TrainingData, TrainSettings, train

    settings = TrainSettings(
        head="cartesian",
        epochs=args.epochs,
        sequences=24,
        batch_size=4,
        warmup_steps=2,
        seed=5,
        filters=(2, 2, 2),
        lstm_units=4,
        dense_units=8,
        dropout=args.dropout,
    )

    def data(epoch, step):
        def batches():
            for number in range(epoch, args.epochs):
                first = step if number == epoch else 0
                for batch in range(first, settings.steps_per_epoch):
                    rng = np.random.default_rng((number, batch))
                    directions = rng.standard_normal((4, 3))
                    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
                    noise = rng.normal(0, 0.3, (4, 25, 513, 6))
                    features = np.tile(directions, 2)[:, None, None] + noise
                    time.sleep(args.slow)
                    yield features.astype(np.float32), directions[:, None]

        signature = (
            tf.TensorSpec((4, 25, 513, 6), tf.float32),
            tf.TensorSpec((4, 1, 3), tf.float32),
        )
        return tf.data.Dataset.from_generator(batches, output_signature=signature)

    try:
        train(
            args.run,
            TrainingData(batches=data, sources={"data": "random"}, valid=args.scenes),
            settings=settings,
            options=RunOptions(strategy=args.strategy, backup_s=0.0),
        )
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
