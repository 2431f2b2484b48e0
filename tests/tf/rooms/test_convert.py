"""Banks of version 2 are converted to what would be made now."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.rooms.bank.bank import BankWriter, read_bank
from doa_tf.rooms.bank.convert import convert_bank

from .made_up import damage, made_up_bank, made_up_room


def old_bank(folder, rooms):
    """A bank as version 2 had it: TFRecords of `tf.train.Example`."""
    import tensorflow as tf

    def floats(values):
        values = np.ravel(values).astype(np.float32)
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def blobs(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def packed(responses):
        scales = [float(np.abs(response).max()) for response in responses]
        halves = [(r / s).astype("<f2").tobytes() for r, s in zip(responses, scales, strict=True)]
        return floats(scales), blobs(halves)

    folder.mkdir()
    index = {"version": 2, "seed": 0, "rooms": len(rooms), "rooms_per_shard": 2, "complete": True}
    (folder / "index.json").write_text(json.dumps(index))
    for start in range(0, len(rooms), 2):
        shard = folder / f"rooms-{start // 2:05d}-of-{(len(rooms) + 1) // 2:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for room in rooms[start : start + 2]:
                feature = {name: floats(getattr(room, name)) for name in FLOATS}
                feature["scales"], feature["srirs"] = packed(room.srirs)
                diffuse = [] if room.diffuse_response is None else [room.diffuse_response]
                feature["diffuse_scale"], feature["diffuse_response"] = packed(diffuse)
                numbers = tf.train.Int64List(value=[room.number])
                feature["number"] = tf.train.Feature(int64_list=numbers)
                feature["microphone_kind"] = blobs([room.microphone_kind.encode()])
                feature["microphone_draw"] = blobs([json.dumps(room.microphone_draw).encode()])
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


FLOATS = (
    *("rt60", "rt60_measured", "size", "microphone"),
    *("directions", "distances", "drr_db", "noise_gains"),
)


def test_a_bank_of_version_2_is_converted_to_what_would_be_made_now(tmp_path, capsys):
    now = made_up_bank(tmp_path / "bank")
    old = tmp_path / "old"
    old_bank(old, [made_up_room(number) for number in range(5)])
    with pytest.raises(InputError, match=f"`doa_tf bank convert {old} --out NEW`"):
        read_bank(old)
    with pytest.raises(InputError, match=f"`doa_tf bank convert {old} --out NEW`"):
        BankWriter(old, made_with={"seed": 0}, rooms=5, rooms_per_shard=2)
    assert main(["bank", "convert", str(old), "--out", str(tmp_path / "new")]) == 0
    for path in now.iterdir():
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes()
    assert main(["bank", "convert", str(now), "--out", str(tmp_path / "again")]) == 2
    assert "must have version 2. Received: version 3" in capsys.readouterr().err


def test_a_damaged_bank_of_version_2_is_converted_as_far_as_it_goes(tmp_path, caplog):
    old, new = tmp_path / "old", tmp_path / "new"
    old_bank(old, [made_up_room(number) for number in range(7)])
    damage(old / "rooms-00000-of-00004.tfrecord", "missing")
    damage(old / "rooms-00001-of-00004.tfrecord", "flipped")
    shard = old / "rooms-00002-of-00004.tfrecord"
    shard.write_bytes(b"")
    seen = []
    convert_bank(old, new, progress=lambda done, rooms: seen.append((done, rooms)))
    assert seen == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert [room.number for room in read_bank(new, skip_broken=True)] == [6]
    for number in range(3):
        assert f"rooms-0000{number}-of-00004.tfrecord" in caplog.text
    with pytest.raises(InputError, match="not finished"):
        read_bank(new)
    old_bank(tmp_path / "whole", [made_up_room(number) for number in range(7)])
    convert_bank(tmp_path / "whole", new)
    assert len(read_bank(new)) == 7
