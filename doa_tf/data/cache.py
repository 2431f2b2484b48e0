"""Features of mixed scenes on disk: mixed once, augmented anew in every epoch."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from doa_core.angles import FloatArray
from doa_core.errors import InputError, as_damage
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.reading.json_text import read_json
from doa_core.reading.npy_array import npy_header
from doa_core.spec import FeatureSpec
from doa_tf.data.augment import check_augment, feature_blocks, random_turns, turned
from doa_tf.data.features import highpassed, waveform_features
from doa_tf.data.pipeline import check_rate
from doa_tf.data.recorded import RecordedScenes
from doa_tf.data.rehearsed import RehearsedScenes, own_number
from doa_tf.data.targets import without_head
from doa_tf.files import Progress, difference_words, differences, known_by_digest, write_json
from doa_tf.scenes.mixer import ORDER_STREAM, SceneMixer

logger = logging.getLogger(__name__)

_CACHED_CHANNELS = (*INTENSITY_CHANNELS, LEVEL_CHANNEL)
MakeMixer = Callable[[], SceneMixer | RecordedScenes | RehearsedScenes]
_STATE = ("digest", "done", "target_shape")  # in cache.json, beside what it was made with
_LONGEST = 1 << 16  # frames or voices of a scene
_CHUNK = 256  # scenes between two notes of how far a cache is


class FeatureCache:
    """Features of mixed scenes on disk, 16 bits a value: 180 KB a scene.

    Filled in chunks, so that a killed process resumes. The level channel is always stored; networks
    of six channels leave it out.

    Args:
        folder: created if it does not exist.
        mixer: called for a mixer if scenes are missing.
        made_with: what the scenes depend on, JSON values; must equal that of an existing cache,
            whose `NAME` may differ where the digest `NAME_sha256` is the same.
        scenes: number of scenes.
        seed: of the draws; scene k has the key (seed, 0, k).
        highpass_hz: cutoff [Hz] of the high-pass that scenes go through first, as the network's
            spec names it; 0 for none.
        progress: called with scenes done and scenes in all.

    Raises:
        InputError: the folder holds a cache of other settings or data.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        mixer: MakeMixer,
        made_with: dict[str, Any],
        scenes: int,
        seed: int = 0,
        highpass_hz: float = 0.0,
        progress: Progress | None = None,
    ) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.spec = FeatureSpec(channels=_CACHED_CHANNELS)
        made_with = {**made_with, "seed": seed, "scenes": scenes, **self.spec.to_dict()}
        if highpass_hz:  # a cache without one has the digest that it always had
            made_with["highpass_hz"] = highpass_hz
        self._own_share = made_with.get("own_share", 0.0)
        # One process fills it at a time; others wait, and find it full or of other settings.
        with (folder / "cache.lock").open("w") as lock:
            _wait_for(lock, folder)
            self._fill(folder, mixer, made_with, progress)

    def _fill(
        self, folder: Path, mixer: MakeMixer, made_with: dict[str, Any], progress: Progress | None
    ) -> None:
        """Open the arrays and mix the scenes that are missing."""
        scenes, seed = made_with["scenes"], made_with["seed"]
        digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
        index_path = folder / "cache.json"
        done, target_shape = 0, [1, 3]
        if index_path.exists():
            index = read_json(index_path, what="the index of a cache")
            _check_made_with(made_with, index, folder)
            if not made_with.keys() <= index.keys():  # made before it knew its bank by a digest
                write_json(index_path, {**index, **made_with, "digest": digest})
            done, target_shape = _state(index, scenes, index_path)
        mode = "r+" if done else "w+"
        shape = (scenes, *self.spec.input_shape)
        self.features = _open_array(folder / "features.npy", mode, np.float16, shape)
        mix = None if done == scenes else mixer()
        if mix is not None:
            check_rate(mix, self.spec)
        cutoff_hz, rate = made_with.get("highpass_hz", 0.0), self.spec.sample_rate
        if mix is not None and not done:
            target_shape = list(mix.target_shape)
        # (S, 3), or (S, T, V, 3) where any number talks.
        shape = (scenes, *(target_shape[1:] if len(target_shape) == 2 else target_shape))
        self.directions = _open_array(folder / "directions.npy", mode, np.float32, shape)
        if mix is not None:
            several = {} if len(target_shape) == 2 else {"target_shape": target_shape}

            def store(index: int) -> None:
                scene = mix.mix((seed, 0, index))
                waveform = highpassed(scene.waveform, cutoff_hz=cutoff_hz, sample_rate=rate)
                self.features[index] = waveform_features(waveform, self.spec)
                self.directions[index] = scene.targets.reshape(shape[1:])

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for start in range(done, scenes, _CHUNK):
                    indices = range(start, min(start + _CHUNK, scenes))
                    list(pool.map(store, indices))  # raises the error of any of them
                    self.features.flush()
                    self.directions.flush()
                    state = {"digest": digest, "done": indices.stop, **several, **made_with}
                    write_json(index_path, state)
                    if progress:
                        progress(indices.stop, scenes)

    def __len__(self) -> int:
        return len(self.directions)

    def is_own(self, index: int) -> bool:
        """Whether a scene is a recording among mixed ones, which is not turned."""
        return own_number(index, self._own_share) is not None

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of a scene's targets: (1, 3), or (T, V, 3) of any number of talkers."""
        stored = self.directions.shape[1:]
        return stored if len(stored) == 3 else (1, 3)


def _check_made_with(made_with: dict[str, Any], index: dict[str, Any], folder: Path) -> None:
    """Raise InputError unless a cache holds the scenes that are asked for."""
    asked = json.loads(json.dumps(made_with))
    found = {name: value for name, value in index.items() if name not in _STATE}
    others = differences(*known_by_digest(asked, found))
    if others:
        raise InputError(
            f"The cache {folder} was made with other settings or data: {difference_words(others)}. "
            "Name another folder, or delete it"
        )


def _state(values: dict[str, Any], scenes: int, index: Path) -> tuple[int, list[int]]:
    """How many scenes a cache holds, and the shape of one's targets.

    Raises:
        InputError: the index of the cache does not say it.
    """
    done, target_shape = values.get("done"), values.get("target_shape", [1, 3])
    sizes = target_shape if isinstance(target_shape, list) else []
    sound = len(sizes) in (2, 3) and all(type(n) is int and 0 < n < _LONGEST for n in sizes)
    if type(done) is not int or not 0 <= done <= scenes or not sound or sizes[-1] != 3:
        raise InputError(
            f"{index} is damaged: delete its folder. Received: done={done!r}, "
            f"target_shape={target_shape!r}"
        )
    return done, sizes


def _wait_for(lock: IO[str], folder: Path) -> None:
    """Acquire a lock that is released with its file or process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("Another process fills the cache %s: waiting for it", folder)
        fcntl.flock(lock, fcntl.LOCK_EX)


@without_head
def cached_dataset(
    cache: FeatureCache,
    *,
    features: FeatureSpec,
    batch_size: int,
    seed: int,
    epochs: Sequence[int],
    augment: str = "vertical",
) -> Any:
    """A `tf.data.Dataset` of (B, T, F, K) features and directions, as `mixed_dataset` has them.

    Each epoch is shuffled and augmented anew, as a function of (seed, epoch): a resumed run sees
    the batches of an uninterrupted one.

    Args:
        cache: the scenes.
        features: of the network; the level channel is left out if it has none.
        batch_size: B; the remainder of an epoch is dropped.
        seed: of the draws.
        epochs: numbers of the epochs, in order.
        augment: how scenes are rotated, see `doa_tf.data.augment.random_turns`.

    Raises:
        TypeError: a head, which 0.1 took.
        ValueError: unknown augmentation, or features of other frames than the cache's.
    """
    import tensorflow as tf

    check_augment(augment)
    if replace(features, channels=cache.spec.channels) != cache.spec:
        raise ValueError(
            "`features` must be those of the cache, with or without the level channel: "
            f"{cache.spec}. Received: {features}"
        )
    channels = len(features.channels)
    batches = len(cache) // batch_size
    shape = (batch_size, *cache.target_shape)

    def epoch_batches() -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        for epoch in epochs:
            rng = np.random.default_rng((seed, epoch, 0, ORDER_STREAM))
            order = rng.permutation(len(cache))
            for batch in range(batches):
                chosen = np.sort(order[batch * batch_size : (batch + 1) * batch_size])
                turns = random_turns(rng, batch_size, augment)
                turns[[cache.is_own(int(index)) for index in chosen]] = np.eye(3)
                stored = zip(cache.directions[chosen], turns, strict=True)
                targets = np.stack([turned(directions, turn) for directions, turn in stored])
                blocks = feature_blocks(turns, channels)
                yield cache.features[chosen], blocks, targets.reshape(shape)

    def turn(stored: Any, blocks: Any, target: Any) -> tuple[Any, Any]:
        stored = tf.cast(stored[..., :channels], tf.float32)
        flat = tf.reshape(stored, (batch_size, -1, channels))
        turned = tf.reshape(tf.matmul(flat, blocks), (batch_size, *features.input_shape))
        return turned, target

    signature = (
        tf.TensorSpec((batch_size, *cache.spec.input_shape), tf.float16),
        tf.TensorSpec((batch_size, channels, channels), tf.float32),
        tf.TensorSpec(shape, tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(epoch_batches, output_signature=signature)
    return dataset.map(turn, num_parallel_calls=1).prefetch(2)


def _open_array(path: Path, mode: Any, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """An array in a file, its disk space reserved: a full disk would crash the process later."""
    if mode != "w+":
        # A header that says more would make the file as large.
        with as_damage(f"{path} is damaged: delete its folder"):
            with path.open("rb") as file:
                found, _, kind = npy_header(file)
                size = file.tell() + math.prod(shape) * kind.itemsize
            if (found, kind) != (shape, dtype) or path.stat().st_size != size:
                raise ValueError(f"it must be of shape {shape}, and whole. Received: {found}")
            stored: np.memmap[Any, Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
            return stored
    array = np.lib.format.open_memmap(path, mode, dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError:
                path.unlink()
                raise
    return array
