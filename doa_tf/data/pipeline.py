"""Scenes mixed while the network trains, as a `tf.data` pipeline of (inputs, directions).

All randomness derives from (seed, epoch, index), see `doa_tf.scenes.mixer`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import rotate_ambix
from doa_core.angles import FloatArray
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE, FeatureSpec
from doa_core.stft import HOP, WINDOW_LENGTH
from doa_tf.data.augment import check_augment, random_turns, turned
from doa_tf.data.features import highpassed, waveform_features
from doa_tf.data.recorded import RecordedScenes
from doa_tf.data.rehearsed import RehearsedScenes
from doa_tf.data.targets import without_head
from doa_tf.scenes.mixer import TURN_STREAM, SceneMixer

OUTPUTS = ("features", "waveforms")


def scene_keys(*, scenes: int, epochs: Sequence[int] = (0,), seed: int = 0) -> Any:
    """A `tf.data.Dataset` of (3,) int64 keys (seed, epoch, index), `scenes` of each epoch.

    Keys are small: `shuffle`, `shard`, `repeat` and `cache` them freely; a scene depends on its key
    alone.

    Args:
        scenes: length of an epoch.
        epochs: numbers of the epochs, in order.
        seed: of the draws.

    Raises:
        ValueError: no scene, or no epoch.
    """
    import tensorflow as tf

    if scenes < 1 or not len(epochs):
        raise ValueError(
            f"`scenes` and `epochs` must not be empty. Received: scenes={scenes}, epochs={epochs}"
        )
    numbers, first = tf.constant(list(epochs), tf.int64), tf.constant(seed, tf.int64)

    def key(position: Any) -> Any:
        return tf.stack([first, numbers[position // scenes], position % scenes])

    return tf.data.Dataset.range(scenes * len(epochs)).map(key)


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """What a data set yields of each scene, and how scenes are batched.

    Attributes:
        batch_size: B.
        features: of the network.
        augment: how scenes are rotated, see `doa_tf.data.augment.random_turns`.
        output: `features`, (B, T, F, K), or `waveforms`, (B, N, 4).
        highpass_hz: cutoff [Hz] of the high-pass that scenes go through first, as the network's
            spec names it; 0 for none. Each scene is the beginning of a stream to it.
        workers: scenes mixed in parallel; all cores by default.
        drop_remainder: whether an incomplete last batch is dropped.
    """

    batch_size: int = 64
    features: FeatureSpec = field(default_factory=FeatureSpec)
    augment: str = "vertical"
    output: str = "features"
    highpass_hz: float = 0.0
    workers: int | None = None
    drop_remainder: bool = False

    def __post_init__(self) -> None:
        check_augment(self.augment)
        if self.output not in OUTPUTS:
            raise ValueError(
                f"`output` must be one of {', '.join(OUTPUTS)}. Received: {self.output!r}"
            )


@without_head
def mixed_dataset(
    mixer: SceneMixer | RecordedScenes | RehearsedScenes,
    *,
    scenes: int | None = None,
    epochs: Sequence[int] = (0,),
    keys: Any = None,
    seed: int = 0,
    **batches: Any,
) -> Any:
    """A `tf.data.Dataset` of inputs and directions of their talkers, mixed live.

    Directions are (B, 1, 3); or, where the mixer draws how many talk, (B, T, V, 3), with rows of
    zeros for those who are silent in a frame.

    Every iteration yields the same: for new scenes in each epoch of `fit`, number the epochs,
    `epochs=range(60)`, and give `fit` `steps_per_epoch`. `tf.data`'s autotuning is off, also in
    data sets derived from this one; `with_options` turns it on.

    Args:
        mixer: mixes the scenes, in several threads.
        scenes: length of an epoch.
        epochs: numbers of the epochs, in order.
        keys: a dataset of keys instead of `scenes` and `epochs`, such as
            `scene_keys(scenes=4096).shard(2, 0)`.
        seed: of the draws.
        **batches: the fields of `BatchSettings`, such as `batch_size=32`.

    Raises:
        TypeError: an unknown option, or a head, which 0.1 took.
        ValueError: an unknown value, scenes shorter than the network's window, or not one of
            `scenes` and `keys`.
        InputError: features of another sample rate than the scenes'.
    """
    import tensorflow as tf

    settings = BatchSettings(**batches)
    features = settings.features
    check_rate(mixer, features)
    if (scenes is None) == (keys is None):
        raise ValueError("Either `scenes` or `keys` is needed. Received: both, or none")
    if isinstance(mixer, SceneMixer) and mixer.settings.samples < features.samples:
        raise ValueError(
            f"Scenes must be at least as long as the network's window, {features.samples} samples. "
            f"Received: {mixer.settings.samples}"
        )
    if keys is None:
        keys = scene_keys(scenes=scenes or 0, epochs=epochs, seed=seed)
    target_shape = targets_of_network(mixer, features)
    as_features = settings.output == "features"
    shape = features.input_shape if as_features else (features.samples, 4)

    def mix(key: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        words = tuple(int(word) for word in key)
        scene = mixer.mix(words)
        waveform, targets = scene.waveform[: features.samples], scene.targets[: target_shape[0]]
        waveform = highpassed(
            waveform, cutoff_hz=settings.highpass_hz, sample_rate=features.sample_rate
        )
        if settings.augment != "none" and not getattr(scene, "own", False):
            rng = np.random.default_rng((*words, TURN_STREAM))
            (turn,) = random_turns(rng, 1, settings.augment)
            waveform, targets = rotate_ambix(waveform, turn), turned(targets, turn)
        given = waveform_features(waveform, features) if as_features else waveform
        return np.ascontiguousarray(given), np.ascontiguousarray(targets)

    def to_tensors(key: Any) -> tuple[Any, Any]:
        given, target = tf.numpy_function(mix, [key], (tf.float32, tf.float32), stateful=False)
        return tf.ensure_shape(given, shape), tf.ensure_shape(target, target_shape)

    dataset = keys.map(to_tensors, num_parallel_calls=settings.workers or os.cpu_count())
    dataset = dataset.batch(settings.batch_size, drop_remainder=settings.drop_remainder)
    # There is nothing to tune, and the end of an iteration waits for the tuner's thread, which
    # sleeps for 10 ms, then twice as long each time: an epoch of 6 s took 10.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def check_rate(mixer: SceneMixer | RecordedScenes | RehearsedScenes, features: FeatureSpec) -> None:
    """Raise InputError unless scenes have the sample rate of the features.

    Args:
        mixer: of the scenes; one of another make that does not say its `sample_rate` counts as
            one of banks.
        features: of the network.
    """
    sample_rate = getattr(mixer, "sample_rate", SAMPLE_RATE)
    if sample_rate != features.sample_rate:
        raise InputError(
            f"`features` must have the sample rate of the scenes, {sample_rate} Hz: those mixed "
            f"from a bank have {SAMPLE_RATE} Hz, RecordedScenes(features=...) resamples. Received: "
            f"sample_rate={features.sample_rate}"
        )


def targets_of_network(
    mixer: SceneMixer | RecordedScenes | RehearsedScenes, features: FeatureSpec
) -> tuple[int, ...]:
    """Shape of a scene's targets: (1, 3), or (T, V, 3) with the frames of the network.

    Raises:
        ValueError: targets by frames that are not the network's.
    """
    shape = mixer.target_shape
    if len(shape) == 2 or isinstance(mixer, (RecordedScenes, RehearsedScenes)):
        return shape
    if (features.window_length, features.hop) != (WINDOW_LENGTH, HOP):
        raise ValueError(
            "In which frames somebody talks is known for windows of "
            f"{WINDOW_LENGTH} samples, {HOP} apart. Received: windows of "
            f"{features.window_length}, {features.hop} apart"
        )
    return (min(shape[0], features.frames), *shape[1:])
