"""A small training by JAX, for test_jax_training: bank, speech, validation scenes, run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

# This engine needs no TensorFlow; Keras imports these where it finds them, which takes seconds.
sys.modules.update(dict.fromkeys(("tensorflow", "sklearn", "matplotlib")))


def main() -> int:
    """Train; 0 done, 1 failed, 2 bad input, 130 stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs=4)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--nan", action="store_true", help="recordings of no numbers")
    parser.add_argument("--nan-weight", action="store_true", help="a step spoils a weight")
    args = parser.parse_args()
    bank, speech, valid, run = args.paths

    from doa_core.errors import InputError
    from doa_tf.rooms.bank.bank import read_bank
    from doa_tf.scenes.draw import MixSettings
    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings
    from doa_tf.training import RunOptions, TrainingData, TrainSettings, train
    from doa_tf.training.jax_engine import train as jax_training
    from doa_tf.training.jax_engine.mixing import scene_arrays

    settings = MixSettings(diffuse_fields=2, synthetic_noises=2)
    mixer = SceneMixer(read_bank(bank), read_recordings(speech), settings=settings)
    arrays = scene_arrays(mixer)
    if args.nan:
        arrays["hiss"] = np.full_like(arrays["hiss"], np.nan)

    if args.nan_weight:
        jax_training.step_program = spoiling(jax_training.step_program)

    def on_epoch(epoch: int, figures: dict[str, float]) -> None:
        if epoch == args.stop_after:
            raise KeyboardInterrupt

    try:
        train(
            run,
            TrainingData(mixer=lambda: mixer, arrays=arrays, sources={"bank": "b"}, valid=valid),
            engine="jax",
            settings=TrainSettings(
                head="gibbs-harmonic",
                epochs=args.epochs,
                sequences=16,
                batch_size=8,
                learning_rate=0.01,
                warmup_steps=1,
                seed=args.seed,
                filters=(2, 3, 4),
                lstm_units=3,
                dense_units=5,
                average=0.5,
            ),
            options=RunOptions(workers=1, on_epoch=on_epoch),
        )
    except InputError as error:
        sys.stderr.write(str(error))
        return 2
    except FloatingPointError as error:
        sys.stderr.write(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def spoiling(step_program: Callable[..., Any]) -> Callable[..., Any]:
    """The same steps, with a loss that looks well and a first weight that is no number."""

    import jax.numpy as jnp

    def program(*made_of: Any) -> Any:
        step = step_program(*made_of)

        def spoiled(*given: Any) -> Any:
            carry, loss = step(*given)
            first, *others = carry["weights"]
            return {**carry, "weights": [first * np.nan, *others]}, jnp.ones_like(loss)

        return spoiled

    return program


if __name__ == "__main__":
    sys.exit(main())
