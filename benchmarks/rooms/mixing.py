"""What mixing costs: scenes and features alone, and beside a network that trains.

Threads share one mixer, as `mixed_dataset` does. Every figure is the median over windows, with
the lowest and the highest; live and cached `fit` take turns.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import doa_tf
from benchmarks.turns import median_and_range, rates_in_turns, ratios
from doa_core.spec import FeatureSpec
from doa_tf import heads
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.data.pipeline import mixed_dataset
from doa_tf.scenes.mixer import SceneMixer


def measure_mixing(mixer: SceneMixer, *, scenes: int, windows: int = 5) -> dict[str, Any]:
    """Scenes and their features per second on all cores, network apart.

    Args:
        mixer: of the scenes.
        scenes: mixed in all.
        windows: that they are timed in.
    """
    each = max(64, scenes // windows)
    dataset = mixed_dataset(mixer, scenes=each, epochs=range(windows + 1), batch_size=32)
    batches = iter(dataset.unbatch().batch(each))

    def mix() -> int:
        next(batches)
        return each

    mix()  # makes the diffuse fields
    return median_and_range("mix_sequences_per_s", rates_in_turns({"mix": mix}, windows)["mix"])


def measure_fit(
    mixer: SceneMixer, *, scenes: int = 512, batch_size: int = 64, rounds: int = 3
) -> dict[str, Any]:
    """Sequences per second of `fit` with live mixing, over those of `fit` on cached features.

    Args:
        mixer: of the scenes.
        scenes: of an epoch, the same in both.
        batch_size: of a step.
        rounds: epochs of each, in turn.
    """
    import keras

    head = heads.get("cartesian")
    model = doa_tf.build_crnn(head)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss())

    def fit(dataset: Any) -> Callable[[], int]:
        def epoch() -> int:
            model.fit(dataset, verbose=0)
            return scenes // batch_size * batch_size

        return epoch

    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(folder, mixer=lambda: mixer, made_with={}, scenes=scenes)
        options: dict[str, Any] = {
            "features": FeatureSpec(),
            "batch_size": batch_size,
            "seed": 0,
            "epochs": (0,),
        }
        datasets = {
            "live": mixed_dataset(mixer, scenes=scenes, drop_remainder=True, **options),
            "cached": cached_dataset(cache, **options),
        }
        tasks = {name: fit(dataset) for name, dataset in datasets.items()}
        rates_in_turns(tasks, 1)  # compiles
        rates = rates_in_turns(tasks, rounds)
    return {
        **median_and_range("fit_live_over_cached", ratios(rates["live"], rates["cached"])),
        "fit_live_sequences_per_s": statistics.median(rates["live"]),
        "fit_cached_sequences_per_s": statistics.median(rates["cached"]),
    }
