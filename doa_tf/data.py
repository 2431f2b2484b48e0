"""`tf.data` pipelines of (features, targets), and scenes frozen to disk.

    mixed_dataset      mixes scenes while the network trains
    FeatureCache       mixes once, keeps the features on disk; `cached_dataset` turns the scenes
    scenes_arrays      a folder of scenes, for validation

A rotation (or mirror image) of a scene rotates (mirrors) both intensity vectors, so augmentation
is exact on the features. Every draw derives from (seed, epoch, index).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL, intensity_features
from doa_core.spec import FeatureSpec
from doa_core.stft import stft
from doa_edge.errors import InputError
from doa_tf.bank import write_json
from doa_tf.heads import Head
from doa_tf.mixing import MixedScene, SceneMixer

_CACHED_CHANNELS = (*INTENSITY_CHANNELS, LEVEL_CHANNEL)
_CHUNK = 256  # scenes between two notes of how far a cache is


def waveform_features(waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """(..., T, F, K) float32 features of (..., N, 4) AmbiX, by `doa_core`."""
    transform = stft(waveform, window_length=spec.window_length, hop=spec.hop)
    return intensity_features(transform, channels=spec.channels, energy_floor=spec.energy_floor)


def mixed_dataset(
    mixer: SceneMixer,
    head: Head,
    *,
    features: FeatureSpec | None = None,
    scenes: int,
    batch_size: int = 64,
    seed: int = 0,
) -> Any:
    """A `tf.data.Dataset` of (B, T, F, K) features and (B, T, outputs) targets, mixed live.

    Args:
        mixer: what scenes are mixed from.
        head: encodes the targets.
        features: of the network.
        scenes: length of one pass; every pass is the same.
        batch_size: B.
        seed: of the draws.
    """
    import tensorflow as tf

    from doa_tf.layers import features_of_waveform

    features = features or FeatureSpec()

    def mix(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scene = mixer.mix((seed, int(index)))
        return scene.waveform[: features.samples], head.encode(scene.direction)

    def to_tensors(index: Any) -> tuple[Any, Any]:
        waveform, target = tf.numpy_function(mix, [index], (tf.float32, tf.float32))
        waveform = tf.ensure_shape(waveform, (features.samples, 4))
        target = tf.ensure_shape(target, (head.outputs,))
        return waveform, tf.repeat(target[tf.newaxis], features.frames, axis=0)

    dataset = tf.data.Dataset.range(scenes).map(to_tensors, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size)
    dataset = dataset.map(
        lambda waveform, target: (features_of_waveform(waveform, features), target),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return dataset.prefetch(2)


class FeatureCache:
    """Features of mixed scenes on disk, 16 bits a value: 180 KB a scene.

    Made in pieces: a killed run goes on where it was. Always holds the level channel; a network
    of six channels leaves it out.

    Args:
        folder: made if it is not there.
        mixer: called for a mixer when scenes are still missing.
        made_with: what the scenes depend on, JSON values; a cache made with other is refused.
        scenes: how many.
        seed: of the draws.
        progress: called with scenes done and scenes in all.

    Raises:
        InputError: the folder holds a cache made otherwise.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        mixer: Callable[[], SceneMixer],
        made_with: dict[str, Any],
        scenes: int,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.spec = FeatureSpec(channels=_CACHED_CHANNELS)
        made_with = {**made_with, "seed": seed, "scenes": scenes, **self.spec.to_dict()}
        digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
        index_path = folder / "cache.json"
        done = 0
        if index_path.exists():
            index = json.loads(index_path.read_text(encoding="utf-8"))
            if index["digest"] != digest:
                raise InputError(
                    f"The cache {folder} was made with other settings or data: name another "
                    "folder, or delete it"
                )
            done = index["done"]
        mode = "r+" if done else "w+"
        shape = (scenes, *self.spec.input_shape)
        self.features = _open_array(folder / "features.npy", mode, np.float16, shape)
        self.directions = _open_array(folder / "directions.npy", mode, np.float32, (scenes, 3))
        if done < scenes:
            mix = mixer()
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for start in range(done, scenes, _CHUNK):
                    indices = range(start, min(start + _CHUNK, scenes))
                    keys = [(seed, index) for index in indices]
                    for index, scene in zip(indices, pool.map(mix.mix, keys), strict=True):
                        self.features[index] = waveform_features(scene.waveform, self.spec)
                        self.directions[index] = scene.direction
                    self.features.flush()
                    self.directions.flush()
                    write_json(index_path, {"digest": digest, "done": indices.stop, **made_with})
                    if progress:
                        progress(indices.stop, scenes)

    def __len__(self) -> int:
        return len(self.directions)


def cached_dataset(
    cache: FeatureCache,
    head: Head,
    *,
    features: FeatureSpec,
    batch_size: int,
    seed: int,
    epochs: Sequence[int],
) -> Any:
    """A `tf.data.Dataset` over a cache, each epoch shuffled and turned anew.

    Every scene is turned by a rotation drawn from all of them, and mirrored or not. An epoch is
    a function of (seed, epoch), so a resumed run sees what an unbroken one would have.

    Args:
        cache: the scenes.
        head: encodes the targets.
        features: of the network; the level channel is left out if it has none.
        batch_size: B; the remainder of an epoch is dropped.
        seed: of the draws.
        epochs: numbers of the epochs to give, one after the other.
    """
    import tensorflow as tf

    channels = len(features.channels)
    batches = len(cache) // batch_size
    turns_level = np.zeros((channels, channels), np.float32)
    turns_level[6:, 6:] = np.eye(channels - 6)

    def epoch_batches() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for epoch in epochs:
            rng = np.random.default_rng((seed, epoch))
            order = rng.permutation(len(cache))
            for batch in range(batches):
                chosen = np.sort(order[batch * batch_size : (batch + 1) * batch_size])
                turns = _random_orthogonal(rng, batch_size)
                directions = np.einsum("bij,bj->bi", turns, cache.directions[chosen])
                directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
                blocks = np.tile(turns_level, (batch_size, 1, 1))
                blocks[:, :3, :3] = blocks[:, 3:6, 3:6] = np.swapaxes(turns, 1, 2)
                yield cache.features[chosen], blocks, head.encode(directions)

    def turn(stored: Any, blocks: Any, target: Any) -> tuple[Any, Any]:
        stored = tf.cast(stored[..., :channels], tf.float32)
        flat = tf.reshape(stored, (batch_size, -1, channels))
        turned = tf.reshape(tf.matmul(flat, blocks), (batch_size, *features.input_shape))
        return turned, tf.repeat(target[:, tf.newaxis], features.frames, axis=1)

    signature = (
        tf.TensorSpec((batch_size, *cache.spec.input_shape), tf.float16),
        tf.TensorSpec((batch_size, channels, channels), tf.float32),
        tf.TensorSpec((batch_size, head.outputs), tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(epoch_batches, output_signature=signature)
    return dataset.map(turn, num_parallel_calls=1).prefetch(2)


def scenes_arrays(
    folder: str | Path, head: Head, *, features: FeatureSpec
) -> tuple[np.ndarray, np.ndarray]:
    """(S, T, F, K) features and (S, T, outputs) targets of the first window of every scene."""
    from doa_tf.evaluation import feature_windows
    from doa_tf.scenes import read_scenes

    inputs, directions = [], []
    for scene in read_scenes(folder):
        inputs.append(feature_windows(scene.read(), features, name=str(scene.path))[0])
        directions.append(scene.direction)
    targets = head.encode(np.stack(directions))
    return np.stack(inputs), np.repeat(targets[:, np.newaxis], features.frames, axis=1)


def render_scenes(
    folder: str | Path,
    *,
    mixer: SceneMixer,
    conditions: Sequence[str],
    scenes: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Freeze `scenes` scenes of each condition in the scenes format.

    Raises:
        InputError: the folder is not new, or no scene is asked for.
    """
    from doa_tf.scenes import write_scenes

    if scenes < 1:
        raise InputError(f"`scenes` must be at least 1. Received: scenes={scenes}")

    def rows() -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
        for number, condition in enumerate(conditions):
            for index in range(scenes):
                scene = mixer.mix((seed, number, index), condition=condition)
                yield f"{condition}_{index:04d}.wav", scene.waveform, _row(scene)
                if progress:
                    progress(number * scenes + index + 1, len(conditions) * scenes)

    write_scenes(folder, rows())


def _row(scene: MixedScene) -> dict[str, Any]:
    azimuth, elevation = vector_to_angles(scene.direction)
    return {
        "azimuth_deg": round(float(np.degrees(azimuth)), 3),
        "elevation_deg": round(float(np.degrees(elevation)), 3),
        "condition": scene.condition,
        "rt60_s": round(scene.rt60, 3),
        "snr_db": round(scene.snr_db, 2),
        "sir_db": round(scene.sir_db, 2),
    }


def _random_orthogonal(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3, 3) float32 rotations and mirror images, uniform over both."""
    q, r = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    return (q * signs[:, np.newaxis, :]).astype(np.float32)


def _open_array(path: Path, mode: Any, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array in a file. Its disk space is reserved now: a full disk later would be a crash."""
    if mode != "w+":
        return np.load(path, mmap_mode=mode)
    array = np.lib.format.open_memmap(path, mode, dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError:
                path.unlink()
                raise
    return array
