"""`tf.data` pipelines of (features or waveforms, targets).

    mixed_dataset                       mixes scenes while the network trains
    doa_tf.data.cache                mixes once, keeps the features on disk
    scenes_arrays                       a folder of scenes, for validation

A rotation (or mirror image) of a scene rotates (mirrors) both intensity vectors, so augmentation
is exact on the features. Every draw derives from (seed, epoch, index), see `doa_tf.scenes.mixer`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.ambisonics import rotate_ambix
from doa_core.spec import FeatureSpec
from doa_tf.data.augment import check_augment, random_turns
from doa_tf.data.features import waveform_features
from doa_tf.heads import Head
from doa_tf.scenes.mixer import TURN_STREAM, SceneMixer

OUTPUTS = ("features", "waveforms")


def scene_keys(*, scenes: int, epochs: Sequence[int] = (0,), seed: int = 0) -> Any:
    """A `tf.data.Dataset` of (3,) int64 keys (seed, epoch, index), `scenes` of each epoch.

    Keys are light: `shuffle`, `shard`, `repeat` and `cache` them as you like, a scene is the same
    however its key is reached.

    Args:
        scenes: length of an epoch.
        epochs: numbers of the epochs, one after the other. A later run goes on with later ones.
        seed: of the draws.

    Raises:
        ValueError: no scene, or no epoch.
    """
    import tensorflow as tf

    if scenes < 1 or not len(epochs):
        raise ValueError(
            f"`scenes` and `epochs` must not be empty. Received: scenes={scenes}, epochs={epochs}"
        )
    numbers = tf.constant(list(epochs), tf.int64)

    def key(position: Any) -> Any:
        return tf.stack(
            [tf.constant(seed, tf.int64), numbers[position // scenes], position % scenes]
        )

    return tf.data.Dataset.range(scenes * len(epochs)).map(key)


def mixed_dataset(
    mixer: SceneMixer,
    head: Head,
    *,
    features: FeatureSpec | None = None,
    scenes: int | None = None,
    epochs: Sequence[int] = (0,),
    keys: Any = None,
    batch_size: int = 64,
    seed: int = 0,
    augment: str = "vertical",
    output: str = "features",
    workers: int | None = None,
    drop_remainder: bool = False,
) -> Any:
    """A `tf.data.Dataset` of inputs and (B, T, outputs) targets, mixed live.

    Iterated again it gives the same again: for new scenes in each epoch of `fit` name them,
    `epochs=range(60)`, and give `fit` `steps_per_epoch`. `tf.data.AUTOTUNE` is off, also for what
    is made of it; `with_options` turns it on.

    Args:
        mixer: what scenes are mixed from; threads share it.
        head: encodes the targets.
        features: of the network.
        scenes: length of an epoch.
        epochs: numbers of the epochs, one after the other.
        keys: a dataset of keys instead of `scenes` and `epochs`, such as
            `scene_keys(scenes=4096).shard(2, 0)`.
        batch_size: B.
        seed: of the draws.
        augment: how scenes are turned, see `doa_tf.data.augment.random_turns`.
        output: `features`, (B, T, F, K), or `waveforms`, (B, N, 4).
        workers: scenes mixed at once; all cores by default.
        drop_remainder: whether an incomplete last batch is left out.

    Raises:
        ValueError: an unknown word, scenes shorter than the network's window, or not one of
            `scenes` and `keys`.
    """
    import tensorflow as tf

    features = features or FeatureSpec()
    check_augment(augment)
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {', '.join(OUTPUTS)}. Received: {output!r}")
    if (scenes is None) == (keys is None):
        raise ValueError("Either `scenes` or `keys` is needed. Received: both, or none")
    if mixer.settings.samples < features.samples:
        raise ValueError(
            f"Scenes must be at least as long as the network's window, {features.samples} samples. "
            f"Received: {mixer.settings.samples}"
        )
    if keys is None:
        keys = scene_keys(scenes=scenes or 0, epochs=epochs, seed=seed)
    shape = features.input_shape if output == "features" else (features.samples, 4)

    def mix(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        words = tuple(int(word) for word in key)
        scene = mixer.mix(words)
        waveform, direction = scene.waveform[: features.samples], scene.direction
        if augment != "none":
            rng = np.random.default_rng((*words, TURN_STREAM))
            (turn,) = random_turns(rng, 1, augment)
            waveform, direction = rotate_ambix(waveform, turn), turn @ direction
            direction /= np.linalg.norm(direction)
        given = waveform_features(waveform, features) if output == "features" else waveform
        return np.ascontiguousarray(given), head.encode(direction)

    def to_tensors(key: Any) -> tuple[Any, Any]:
        given, target = tf.numpy_function(mix, [key], (tf.float32, tf.float32), stateful=False)
        target = tf.ensure_shape(target, (head.outputs,))
        return tf.ensure_shape(given, shape), tf.repeat(target[tf.newaxis], features.frames, axis=0)

    dataset = keys.map(to_tensors, num_parallel_calls=workers or os.cpu_count())
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder).prefetch(2)
    # Nothing here is left to tune, and the end of an iteration waits for the tuner's thread, which
    # sleeps for 10 ms and then twice as long each time: an epoch of 6 s took 10.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def refuse_nan(dataset: Any, *, first_batch: int = 0) -> Any:
    """The same (inputs, targets) batches; an error that names the batch where one is not finite.

    Rectifiers turn NaN into zero, so that a network can learn from NaN without a sign of it.

    Args:
        dataset: of batches.
        first_batch: number of its first one, for the message.

    Raises:
        tf.errors.InvalidArgumentError: when such a batch is reached.
    """
    import tensorflow as tf

    def check(number: Any, batch: Any) -> Any:
        for part, name in zip(batch[:2], ("features", "targets"), strict=True):
            finite = tf.reduce_all(tf.math.is_finite(part))
            tf.debugging.Assert(finite, [f"{name} are not finite in batch", number])
        return batch

    return dataset.enumerate(first_batch).map(lambda number, *batch: check(number, batch[0]))


def scenes_arrays(
    folder: str | Path, head: Head, *, features: FeatureSpec
) -> tuple[np.ndarray, np.ndarray]:
    """(S, T, F, K) features and (S, T, outputs) targets of the first window of every scene."""
    from doa_tf.data.features import feature_windows
    from doa_tf.scenes.folder import read_scenes

    inputs, directions = [], []
    for scene in read_scenes(folder):
        inputs.append(feature_windows(scene.read(), features, name=str(scene.path))[0])
        directions.append(scene.direction)
    targets = head.encode(np.stack(directions))
    return np.stack(inputs), np.repeat(targets[:, np.newaxis], features.frames, axis=1)
