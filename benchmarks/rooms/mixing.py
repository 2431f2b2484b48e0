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

WINDOWS = 5  # that mixing is timed in
BATCH_SIZE, ROUNDS = 64, 3  # of `fit`; rounds are epochs, live and cached in turn


def measure_mixing(mixer: SceneMixer, *, scenes: int) -> dict[str, Any]:
    """Scenes and their features per second on all cores, network apart; `scenes` in all."""
    each = max(64, scenes // WINDOWS)
    dataset = mixed_dataset(mixer, scenes=each, epochs=range(WINDOWS + 1), batch_size=32)
    batches = iter(dataset.unbatch().batch(each))

    def mix() -> int:
        next(batches)
        return each

    mix()  # makes the diffuse fields
    return median_and_range("mix_sequences_per_s", rates_in_turns({"mix": mix}, WINDOWS)["mix"])


def measure_fit(mixer: SceneMixer, *, scenes: int) -> dict[str, Any]:
    """Sequences per second of `fit` with live mixing, over those of `fit` on cached features.

    Args:
        mixer: of the scenes.
        scenes: of an epoch, the same in both.
    """
    import keras

    head = heads.get("cartesian")
    model = doa_tf.build_crnn(head)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss())

    def fit(dataset: Any) -> Callable[[], int]:
        def epoch() -> int:
            model.fit(dataset, verbose=0)
            return scenes // BATCH_SIZE * BATCH_SIZE

        return epoch

    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(folder, mixer=lambda: mixer, made_with={}, scenes=scenes)
        options: dict[str, Any] = {"features": FeatureSpec(), "batch_size": BATCH_SIZE}
        options |= {"seed": 0, "epochs": (0,)}
        datasets = {
            "live": mixed_dataset(mixer, scenes=scenes, drop_remainder=True, **options),
            "cached": cached_dataset(cache, **options),
        }
        tasks = {name: fit(dataset) for name, dataset in datasets.items()}
        rates_in_turns(tasks, 1)  # compiles
        rates = rates_in_turns(tasks, ROUNDS)
    return {
        **median_and_range("fit_live_over_cached", ratios(rates["live"], rates["cached"])),
        "fit_live_sequences_per_s": statistics.median(rates["live"]),
        "fit_cached_sequences_per_s": statistics.median(rates["cached"]),
    }
