"""A bank of simulated rooms on disk: TFRecord shards and a JSON index.

One record a room. A shard is written beside and renamed when it is whole, so a killed run leaves
whole shards only, and the same command goes on from there. The settings are in the index: rooms
made with others are never mixed in.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from doa_edge.errors import InputError
from doa_edge.output import write_beside
from doa_tf.rooms import Room, RoomSettings, simulate_room

logger = logging.getLogger(__name__)

INDEX = "index.json"
ROOMS_PER_SHARD = 50
_VERSION = 1


def simulate_bank(
    folder: str | Path,
    *,
    rooms: int,
    seed: int = 0,
    settings: RoomSettings | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a bank of `rooms` rooms, or the shards of it that are still missing.

    Args:
        folder: the bank; made if it is not there.
        rooms: how many, at least 1.
        seed: of the bank; room k is a function of (seed, k).
        settings: what rooms are drawn from.
        workers: processes; all cores by default.
        progress: called with rooms done and rooms in all.

    Raises:
        InputError: the folder holds a bank of another seed or other settings, or something else.
    """
    settings = settings or RoomSettings()
    folder = Path(folder)
    if rooms < 1:
        raise InputError(f"`rooms` must be at least 1. Received: rooms={rooms}")
    _claim(folder, {"version": _VERSION, "seed": seed, "settings": asdict(settings)}, rooms)
    starts = range(0, rooms, ROOMS_PER_SHARD)
    missing = [start for start in starts if not _shard(folder, start, rooms).exists()]
    done = rooms - sum(min(ROOMS_PER_SHARD, rooms - start) for start in missing)
    if progress:
        progress(done, rooms)
    workers = workers or os.cpu_count() or 1
    simulate = partial(simulate_room, seed=seed, settings=settings)
    # `spawn`: a forked child would inherit TensorFlow's threads in an unknown state.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in missing:
            numbers = range(start, min(start + ROOMS_PER_SHARD, rooms))
            simulated = []
            for room in pool.map(simulate, numbers):
                simulated.append(room)
                done += 1
                if progress:
                    progress(done, rooms)
            _write_shard(_shard(folder, start, rooms), simulated)
    write_json(folder / INDEX, {**_read_index(folder), "rooms": rooms, "complete": True})


def read_bank(folder: str | Path) -> list[Room]:
    """All rooms of a bank, in order.

    Raises:
        InputError: no bank, one that was not finished, or a shard that is cut short.
    """
    import tensorflow as tf

    folder = Path(folder)
    index = _read_index(folder)
    if not index.get("complete"):
        raise InputError(
            f"The bank {folder} was not finished: run the `doa_tf simulate` that began it again"
        )
    rooms: list[Room] = []
    for start in range(0, index["rooms"], ROOMS_PER_SHARD):
        path = _shard(folder, start, index["rooms"])
        try:
            rooms += [_parse(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            raise InputError(
                f"The shard {path} is missing or cut short: delete it and run the `doa_tf "
                f"simulate` that made it again ({type(error).__name__})"
            ) from error
    return rooms


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON beside `path`, then rename it."""
    with write_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _claim(folder: Path, made_with: dict[str, Any], rooms: int) -> None:
    """Write the index of a new bank, or check that the one there was made the same way."""
    if not (folder / INDEX).exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"A bank is written to a new or empty folder. Received: {folder}, which holds "
                "something else"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / INDEX, {**made_with, "rooms": rooms, "complete": False})
    index = _read_index(folder)
    made_with = json.loads(json.dumps(made_with))
    others = [key for key in made_with if index.get(key) != made_with[key]]
    others += ["rooms"] if index["rooms"] != rooms else []
    if others:
        raise InputError(
            f"The bank {folder} was made with other values of {', '.join(others)}: use the same, "
            "or another folder"
        )


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        index["rooms"], index["settings"]
    except OSError as error:
        raise InputError(
            f"A bank is a folder with an {INDEX}, made by `doa_tf simulate`. Received: {folder}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the index of a bank: {error}") from error
    return index


def _shard(folder: Path, start: int, rooms: int) -> Path:
    shards = -(-rooms // ROOMS_PER_SHARD)
    return folder / f"rooms-{start // ROOMS_PER_SHARD:05d}-of-{shards:05d}.tfrecord"


def _write_shard(path: Path, rooms: list[Room]) -> None:
    import tensorflow as tf

    with write_beside(path) as beside, tf.io.TFRecordWriter(str(beside)) as writer:
        for room in rooms:
            writer.write(_serialise(room))


def _floats(values: Any) -> Any:
    import tensorflow as tf

    flat = np.asarray(values, np.float32).ravel()
    return tf.train.Feature(float_list=tf.train.FloatList(value=flat))


def _serialise(room: Room) -> bytes:
    import tensorflow as tf

    # 16 bits a sample, relative to the response's peak: 66 dB below each sample's own value.
    scales = [float(np.abs(srir).max()) for srir in room.srirs]
    blobs = [
        (srir / scale).astype("<f2").tobytes()
        for srir, scale in zip(room.srirs, scales, strict=True)
    ]
    feature = {
        "number": tf.train.Feature(int64_list=tf.train.Int64List(value=[room.number])),
        "rt60": _floats([room.rt60]),
        "size": _floats(room.size),
        "microphone": _floats(room.microphone),
        "directions": _floats(room.directions),
        "distances": _floats(room.distances),
        "scales": _floats(scales),
        "srirs": tf.train.Feature(bytes_list=tf.train.BytesList(value=blobs)),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def _parse(record: bytes) -> Room:
    import tensorflow as tf

    feature = tf.train.Example.FromString(record).features.feature

    def floats(name: str) -> np.ndarray:
        return np.array(feature[name].float_list.value)

    directions = floats("directions").reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    srirs = [
        np.frombuffer(blob, "<f2").reshape(-1, 4).astype(np.float32) * np.float32(scale)
        for blob, scale in zip(feature["srirs"].bytes_list.value, floats("scales"), strict=True)
    ]
    return Room(
        int(feature["number"].int64_list.value[0]),
        float(floats("rt60")[0]),
        floats("size"),
        floats("microphone"),
        directions,
        floats("distances"),
        srirs,
    )
