"""The rooms of a bank as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from doa_tf.rooms.room import Room

if TYPE_CHECKING:
    import tensorflow as tf


def bank_dataset(rooms: Sequence[Room]) -> tf.data.Dataset:
    """A dataset of rooms, in their order.

    Each element is a dictionary:

        number          () int64
        rt60            () float32 [seconds] asked for; 0 for a dry room, nan where nobody asked
        rt60_measured   () float32 [seconds]
        directions      (S, 3) float32 unit vectors from the microphone to the sources
        distances       (S,) float32 [metres]
        srirs           (S, N, 4) float32 AmbiX at 16 kHz; shorter ones end with zeros
        noise_gains     (4,) float32 of the microphone's channels

    S and N differ between rooms, so use `padded_batch` or one room at a time.

    Args:
        rooms: from `doa_tf.rooms.read_bank`; rooms are read as the dataset comes to them.
    """
    import tensorflow as tf

    shapes = {
        "number": (),
        "rt60": (),
        "rt60_measured": (),
        "directions": (None, 3),
        "distances": (None,),
        "srirs": (None, None, 4),
        "noise_gains": (4,),
    }
    signature = {
        name: tf.TensorSpec(shape, tf.int64 if name == "number" else tf.float32)
        for name, shape in shapes.items()
    }

    def elements() -> Iterator[dict[str, Any]]:
        for room in rooms:
            longest = max(len(srir) for srir in room.srirs)
            padded = [np.pad(srir, ((0, longest - len(srir)), (0, 0))) for srir in room.srirs]
            yield {**{name: getattr(room, name) for name in shapes}, "srirs": np.stack(padded)}

    dataset = tf.data.Dataset.from_generator(elements, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(rooms)))
