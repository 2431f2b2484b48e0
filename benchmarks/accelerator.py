"""What a step of `--engine jax` takes: mixing, features, the whole step, on whatever JAX finds.

python -m benchmarks.accelerator --bank BANK --speech DIR [--batch 256] [--runs 20] [--json FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import rates_in_turns
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf import heads
from doa_tf.cli.imports import use_engine
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings
from doa_tf.training.jax_engine.mixing import mix_scenes, scene_arrays


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = program("benchmarks.accelerator", __doc__)
    parser.add_argument("--bank", required=True)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    use_engine("jax")
    import jax

    mixing = MixSettings(diffuse_fields=8, synthetic_noises=8)
    mixer = SceneMixer(read_bank(args.bank), read_recordings(args.speech), settings=mixing)
    tasks, drawing_s = stages(mixer, args.batch)
    rates_in_turns(tasks, 1)  # compiles
    device = jax.devices()[0].device_kind
    each_ms = 1e3 * drawing_s / args.batch
    print(f"{device}, batches of {args.batch}; drawing {each_ms:.2f} ms a scene")
    rows = []
    for name, rates in rates_in_turns(tasks, args.runs).items():
        rate = statistics.median(rates)
        rows.append({"stage": name, "ms": 1e3 * args.batch / rate, "scenes_per_s": rate})
        print(f"{name:22} {rows[-1]['ms']:9.2f} ms {rate:10.0f} scenes/s")
    if args.json:
        write_json(args.json, {"device": device, "batch": args.batch, "rows": rows})


def stages(mixer: SceneMixer, batch_size: int) -> tuple[dict[str, Callable[[], int]], float]:
    """Tasks that give how many scenes they did, and the seconds that drawing a batch took."""
    import jax

    from doa_tf.layers import IntensityFeatures
    from doa_tf.training.jax_engine.draws import draw_batch
    from doa_tf.training.jax_engine.train import new_carry, step_program
    from doa_tf.training.settings import TrainSettings
    from doa_tf.training.start import build_network

    sizes = {"batch_size": batch_size, "sequences": batch_size}
    settings = TrainSettings(head="gibbs-softmax", augment="upright", **sizes)
    features = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    head = heads.get(settings.head)
    begun = time.monotonic()
    batch = draw_batch(mixer, settings, 0, 0)
    drawing_s = time.monotonic() - begun
    arrays, batch = jax.device_put(scene_arrays(mixer)), jax.device_put(batch)

    network = build_network(head, features, settings)
    carry, optimizer = new_carry(network, settings)
    mix = jax.jit(lambda a, b: mix_scenes(a, b, samples=features.samples))
    hear = jax.jit(lambda a, b: IntensityFeatures(features)(mix(a, b)))
    step = jax.jit(step_program(network, optimizer, head, features, settings))
    rate = np.float32(1e-3)
    calls: dict[str, Callable[[], Any]] = {
        "mixing": lambda: mix(arrays, batch),
        "mixing and features": lambda: hear(arrays, batch),
        "the whole step": lambda: step(carry, arrays, batch, rate),
    }

    def scenes_of(call: Callable[[], Any]) -> int:
        jax.block_until_ready(call())
        return batch_size

    return {name: partial(scenes_of, call) for name, call in calls.items()}, drawing_s


if __name__ == "__main__":
    run_program(main)
