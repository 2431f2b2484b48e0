"""What mixing costs: scenes and features alone, and beside a network that trains.

Threads share one mixer, as `mixed_dataset` does. Every figure is the median over windows, with
the lowest and the highest; live and cached `fit` take turns, so that other work on the machine
disturbs both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any


def measure_mixing(bank: Any, speech: Any, *, scenes: int, windows: int = 5) -> dict[str, Any]:
    """Scenes and their features per second on all cores, network apart.

    Args:
        bank: rooms, from `doa_tf.rooms.bank.bank.read_bank`.
        speech: a folder, or recordings.
        scenes: mixed in all.
        windows: that they are timed in.
    """
    from doa_tf.data.pipeline import mixed_dataset

    mixer = _mixer(bank, speech)
    each = max(64, scenes // windows)
    dataset = mixed_dataset(mixer, scenes=each, epochs=range(windows + 1), batch_size=32)
    batches = iter(dataset.unbatch().batch(each))
    next(batches)  # makes the diffuse fields
    rates = []
    for _ in range(windows):
        started = time.perf_counter()
        next(batches)
        rates.append(each / (time.perf_counter() - started))
    return {
        "mix_sequences_per_s": statistics.median(rates),
        "mix_sequences_per_s_range": [min(rates), max(rates)],
    }


def measure_fit(
    bank: Any, speech: Any, *, scenes: int = 512, batch_size: int = 64, rounds: int = 3
) -> dict[str, Any]:
    """Sequences per second of `fit` with live mixing, over those of `fit` on cached features.

    Args:
        bank: rooms, from `doa_tf.rooms.bank.bank.read_bank`.
        speech: a folder, or recordings.
        scenes: of an epoch, the same in both.
        batch_size: of a step.
        rounds: epochs of each, in turn.
    """
    import keras

    import doa_tf
    from doa_core.spec import FeatureSpec
    from doa_tf import heads
    from doa_tf.data.cache import FeatureCache, cached_dataset
    from doa_tf.data.pipeline import mixed_dataset

    mixer = _mixer(bank, speech)
    head = heads.get("cartesian")
    model = doa_tf.build_crnn(head)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss())
    rates: dict[str, list[float]] = {"live": [], "cached": []}
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
        for number in range(rounds + 1):  # the first compiles
            for name, dataset in datasets.items():
                started = time.perf_counter()
                model.fit(dataset, verbose=0)
                if number:
                    steps = scenes // batch_size
                    rates[name].append(steps * batch_size / (time.perf_counter() - started))
    ratios = [live / cached for live, cached in zip(rates["live"], rates["cached"], strict=True)]
    return {
        "fit_live_over_cached": statistics.median(ratios),
        "fit_live_over_cached_range": [min(ratios), max(ratios)],
        "fit_live_sequences_per_s": statistics.median(rates["live"]),
        "fit_cached_sequences_per_s": statistics.median(rates["cached"]),
    }


def _mixer(bank: Any, speech: Any) -> Any:
    from pathlib import Path

    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings

    recordings = read_recordings(speech) if isinstance(speech, str | Path) else speech
    return SceneMixer(bank, recordings)
