"""Rooms and shards of a bank that are damaged or forged in a sound archive."""

import json

import pytest

from doa_core.errors import InputError
from doa_tf.rooms.bank.bank import BankWriter, read_bank
from doa_tf.rooms.bank.records import BrokenShardError, find_rooms, write_shard
from doa_tf.rooms.bank.room_record import encode_room

from .made_up import made_up_room


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": [-5, 941]}, "`samples`"),
        ({"samples": [10**18, 1]}, "`samples`"),
        ({"samples": [300, 310]}, "`samples`"),
        ({"scales": [1.0, float("nan"), 1.0]}, "`scales`"),
        ({"scales": [1.0]}, "`scales`"),
        ({"directions": [[1.0, 0.0]]}, "`directions`"),
        ({"directions": [[float("inf")] * 3] * 2}, "`directions`"),
        ({"directions": [[0.0] * 3] * 2}, "`directions`"),
        ({"distances": [1.0]}, "`distances`"),
        ({"noise_gains": 1.0}, "`noise_gains`"),
        ({"number": "4"}, "`number`"),
        ({"rt60": "long"}, "could not convert"),
    ],
)
def test_a_record_with_values_of_no_room_is_named(tmp_path, changes, message):
    text, responses = encode_room(made_up_room(0))
    text = json.dumps({**json.loads(text), **changes}).encode()
    with BankWriter(tmp_path / "bank", made_with={"seed": 0}, rooms=1) as writer:
        writer.write(range(1), [(text, responses)])
        writer.finish()
    bank = read_bank(tmp_path / "bank")
    with pytest.raises(InputError, match=f"rooms-00000-of-00001.*no room: .*{message}"):
        bank[0]


def test_members_that_lie_on_top_of_one_another_are_not_read(tmp_path):
    path = tmp_path / "shard.npz"
    write_shard(path, [0, 1], [(b"{}", bytes(1 << 20)), (b"{}", b"")])
    data = path.read_bytes()
    first, second = (data.rindex(b"room-0000%d.npy" % number) - 46 for number in (0, 1))
    entry = bytearray(data[first : first + 46])
    entry[28:34] = data[second + 28 : second + 34]
    path.write_bytes(data[:second] + bytes(entry) + data[second + 46 :])
    with pytest.raises(BrokenShardError, match=r"its members have \d+ bytes, and it has"):
        find_rooms(path, [0, 1])
