"""What a step of `--engine jax` takes: mixing, features, the whole step, on whatever JAX finds.

python -m benchmarks.accelerator --bank BANK --speech DIR [--batch 256] [--runs 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", required=True)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    from doa_tf.cli.imports import use_engine

    use_engine("jax")
    import jax

    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
    from doa_tf import heads
    from doa_tf.layers import IntensityFeatures
    from doa_tf.rooms.bank.bank import read_bank
    from doa_tf.scenes.draw import MixSettings
    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings
    from doa_tf.training.jax_engine.draws import draw_batch
    from doa_tf.training.jax_engine.mixing import mix_scenes, scene_arrays
    from doa_tf.training.jax_engine.train import new_carry, step_program
    from doa_tf.training.settings import TrainSettings
    from doa_tf.training.start import build_network

    mixing = MixSettings(diffuse_fields=8, synthetic_noises=8)
    mixer = SceneMixer(read_bank(args.bank), read_recordings(args.speech), settings=mixing)
    settings = TrainSettings(
        head="gibbs-softmax", batch_size=args.batch, sequences=args.batch, augment="upright"
    )
    features = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    head = heads.get(settings.head)
    begun = time.monotonic()
    batch = draw_batch(mixer, settings, 0, 0)
    drawing_s = time.monotonic() - begun
    arrays, batch = jax.device_put(scene_arrays(mixer)), jax.device_put(batch)

    network = build_network(head, features, settings)
    carry, optimizer = new_carry(network, settings)
    mix = jax.jit(lambda a, b: mix_scenes(a, b, samples=features.samples)[0])
    hear = jax.jit(lambda a, b: IntensityFeatures(features)(mix(a, b)))
    step = jax.jit(step_program(network, optimizer, head, features, settings))
    rate = np.float32(1e-3)
    stages: dict[str, Callable[[], Any]] = {
        "mixing": lambda: mix(arrays, batch),
        "mixing and features": lambda: hear(arrays, batch),
        "the whole step": lambda: step(carry, arrays, batch, rate),
    }
    device = jax.devices()[0].device_kind
    rows = [
        {"stage": name, "ms": 1e3 * median_s(stage, args.runs)} for name, stage in stages.items()
    ]
    print(
        f"{device}, batches of {args.batch}; drawing {1e3 * drawing_s / args.batch:.2f} ms a scene"
    )
    for row in rows:
        row["scenes_per_s"] = 1e3 * args.batch / row["ms"]
        print(f"{row['stage']:22} {row['ms']:9.2f} ms {row['scenes_per_s']:10.0f} scenes/s")
    if args.json:
        values = {"device": device, "batch": args.batch, "rows": rows}
        args.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def median_s(stage: Callable[[], Any], runs: int) -> float:
    """Median time of a call [seconds], after one that compiles."""
    import jax

    jax.block_until_ready(stage())
    times = []
    for _ in range(runs):
        begun = time.monotonic()
        jax.block_until_ready(stage())
        times.append(time.monotonic() - begun)
    return float(np.median(times))


if __name__ == "__main__":
    main()
