"""Banks of version 2, whose shards were TFRecord files, as banks of this version."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import MissingPackageError, one_line
from doa_core.reading.json_text import parse_json
from doa_tf.files import Progress
from doa_tf.rooms.bank.bank import BankWriter, read_index, shards
from doa_tf.rooms.bank.records import BrokenShardError
from doa_tf.rooms.bank.room_record import encode_room
from doa_tf.rooms.room import Room

logger = logging.getLogger(__name__)

_ARRAYS = ("size", "microphone", "distances", "drr_db", "noise_gains")


def convert_bank(
    folder: str | Path, target: str | Path, *, progress: Progress | None = None
) -> None:
    """Write the rooms of a bank of version 2 into a new bank, with the same values.

    Shards that are missing or damaged are left out, with a warning for each. The new bank is
    unfinished then, and the `doa_tf simulate` that made the old one completes it.

    Args:
        folder: the bank of version 2.
        target: the new one; an interrupted conversion is continued.
        progress: called with rooms done and rooms in all.

    Raises:
        InputError: `folder` is no such bank, or `target` holds something else.
        OSError: a file cannot be read or written.
        MissingPackageError: TensorFlow, which reads the old shards, is not installed.
    """
    index = read_index(Path(folder), version=2)
    old_shards = list(shards(Path(folder), index))
    complete = index.pop("complete", False)
    del index["version"]
    rooms, rooms_per_shard = index.pop("rooms"), index.pop("rooms_per_shard")
    bank = BankWriter(target, made_with=index, rooms=rooms, rooms_per_shard=rooms_per_shard)
    with bank as writer:
        for path, numbers in old_shards:
            if numbers in writer.missing:
                try:
                    found = _read_shard(path.with_suffix(".tfrecord"), len(numbers))
                except BrokenShardError as error:
                    logger.warning("%s: %d rooms are left out", error, len(numbers))
                    complete = False
                else:
                    writer.write(numbers, map(encode_room, found))
            if progress:
                progress(numbers.stop, rooms)
        if complete:
            writer.finish()


def _read_shard(path: Path, count: int) -> list[Room]:
    """The rooms of a TFRecord file."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingPackageError("TensorFlow", "train", error) from error
    try:
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    except (tf.errors.NotFoundError, tf.errors.DataLossError) as error:
        raise BrokenShardError(f"{path} is missing or damaged: {one_line(error)}") from error
    if len(records) != count:
        raise BrokenShardError(f"{path} is cut short: {len(records)} of {count} rooms")
    return [_room(tf.train.Example.FromString(record).features.feature) for record in records]


def _room(feature: Any) -> Room:
    """The room of an old record."""

    def numbers(name: str) -> np.ndarray:
        return np.array(feature[name].float_list.value, np.float32)

    def responses(scales: str, name: str) -> list[np.ndarray]:
        blobs = feature[name].bytes_list.value
        halves = [np.frombuffer(blob, "<f2").reshape(-1, 4) for blob in blobs]
        pairs = zip(numbers(scales), halves, strict=True)
        return [scale * half.astype(np.float32) for scale, half in pairs]

    diffuse = responses("diffuse_scale", "diffuse_response")
    return Room(
        number=feature["number"].int64_list.value[0],
        rt60=float(numbers("rt60")[0]),
        directions=numbers("directions").reshape(-1, 3),
        srirs=responses("scales", "srirs"),
        rt60_measured=float(numbers("rt60_measured")[0]),
        microphone_kind=feature["microphone_kind"].bytes_list.value[0].decode(),
        microphone_draw=parse_json(feature["microphone_draw"].bytes_list.value[0]),
        diffuse_response=diffuse[0].reshape(-1, 4, 4) if diffuse else None,
        **{name: numbers(name) for name in _ARRAYS},
    )
