"""Rooms and banks that were not simulated, and what damages them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from doa_tf.rooms.bank.bank import BankWriter
from doa_tf.rooms.bank.records import find_rooms
from doa_tf.rooms.bank.room_record import encode_room
from doa_tf.rooms.room import Room


def made_up_room(number: int) -> Room:
    """A room with something in every field, the last bits of which are not zero."""
    rng = np.random.default_rng(number)
    directions = rng.standard_normal((2, 3))
    return Room(
        number=number,
        rt60=0.4,
        size=np.array([5.0, 4.0, 3.0]),
        microphone=np.array([2.0, 1.0, 1.5]),
        directions=directions / np.linalg.norm(directions, axis=-1, keepdims=True),
        distances=np.array([1.25, 2.5]),
        srirs=[rng.standard_normal((300 + 10 * n, 4)).astype(np.float32) for n in range(2)],
        rt60_measured=0.43,
        drr_db=np.array([3.0, np.inf]),
        microphone_kind="tetrahedral",
        microphone_draw={"radius": 0.0123456789, "gains": [0.5, -0.25], "name": "Ö"},
        diffuse_response=rng.standard_normal((16, 4, 4)).astype(np.float32),
        noise_gains=np.array([1.0, 2.0, 3.0, 4.5]),
    )


def made_up_bank(folder: Path) -> Path:
    """A bank of 5 made-up rooms in 3 shards."""
    writer = BankWriter(folder, made_with={"seed": 0}, rooms=5, rooms_per_shard=2)
    for numbers in writer.missing:
        writer.write(numbers, [encode_room(made_up_room(number)) for number in numbers])
    writer.finish()
    return writer.folder


def damage(shard: Path, how: str) -> None:
    """Damages a shard where `how` says, or deletes it."""
    content = bytearray(shard.read_bytes())
    if how == "missing":
        shard.unlink()
        return
    if how == "flipped":
        content[len(content) // 3] ^= 1
    elif how == "header":
        content[3] ^= 1
    elif how == "directory":
        content[content.rindex(b"PK\1\2") + 16] ^= 1
    else:
        second = find_rooms(shard, [3])[0].members[0].offset
        del content[{"in the directory": -30, "in a room": second + 5}[how] :]
    shard.write_bytes(content)
