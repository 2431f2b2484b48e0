"""A bank on disk: rooms come back as they were, and what is damaged is named."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.rooms.bank.bank import BankWriter, decode_room, encode_room, read_bank
from doa_tf.rooms.bank.records import decode_example, encode_example, find_records
from doa_tf.rooms.room import Room, simulate_room


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


@pytest.fixture
def small_bank(tmp_path):
    """A bank of 5 made-up rooms in 3 shards."""
    writer = BankWriter(tmp_path / "bank", made_with={"seed": 0}, rooms=5, rooms_per_shard=2)
    for numbers in writer.missing:
        writer.write(numbers, [encode_room(made_up_room(number)) for number in numbers])
    writer.finish()
    return writer.folder


def test_every_field_comes_back():
    room = made_up_room(7)
    stored = decode_room(encode_room(room))
    compared = {field.name for field in fields(Room)}
    for name in ("number", "microphone_kind", "microphone_draw"):
        assert getattr(stored, name) == getattr(room, name)
        compared.discard(name)
    for name in compared - {"srirs", "diffuse_response"}:
        np.testing.assert_allclose(getattr(stored, name), getattr(room, name), rtol=1e-6)
    assert len(stored.srirs) == 2
    pairs = [*zip(stored.srirs, room.srirs, strict=True)]
    pairs.append((stored.diffuse_response, room.diffuse_response))
    for found, original in pairs:
        assert found.dtype == np.float32
        # 16-bit floats: 11 bits of each sample, and 6e-8 of the peak below those.
        np.testing.assert_allclose(found, original, rtol=1e-3, atol=1e-7 * np.abs(original).max())
    assert [len(srir) for srir in stored.srirs[::-1]] == [310, 300]


def test_unknown_values_stay_unknown():
    room = replace(made_up_room(1), rt60=np.nan, size=np.full(3, np.nan), diffuse_response=None)
    stored = decode_room(encode_room(room))
    assert np.isnan(stored.rt60)
    assert np.isnan(stored.size).all()
    assert stored.diffuse_response is None


def test_a_silent_response_stays_silent():
    room = replace(made_up_room(1), srirs=[np.zeros((8, 4), np.float32)] * 2)
    assert not decode_room(encode_room(room)).srirs[0].any()


def test_rooms_come_back_as_they_were_simulated(bank, room_settings):
    rooms = read_bank(bank)
    assert [room.number for room in rooms] == list(range(6))
    original = simulate_room(4, seed=3, settings=room_settings)
    np.testing.assert_allclose(rooms[4].directions, original.directions, atol=1e-6)
    assert rooms[4].rt60 == pytest.approx(original.rt60)
    for stored, srir in zip(rooms[4].srirs, original.srirs, strict=True):
        np.testing.assert_allclose(stored, srir, rtol=2e-3, atol=1e-6 * np.abs(srir).max())


def test_a_bank_is_a_sequence_for_threads_and_other_processes(small_bank):
    bank = read_bank(small_bank)
    assert len(bank) == 5
    assert bank[-1].number == bank[np.int64(4)].number == 4
    assert [room.number for room in bank[1:4:2]] == [1, 3]
    with pytest.raises(IndexError):
        bank[5]
    assert pickle.loads(pickle.dumps(bank))[3].microphone_draw == bank[3].microphone_draw
    with ThreadPoolExecutor(4) as pool:
        peaks = list(pool.map(lambda index: np.abs(bank[index % 5].srirs[1]).max(), range(50)))
    assert peaks == [np.abs(room.srirs[1]).max() for room in bank] * 10


def test_tensorflow_reads_and_writes_the_same_records(small_bank, tmp_path):
    import tensorflow as tf

    shard = small_bank / "rooms-00000-of-00003.tfrecord"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    assert [decode_room(record).number for record in records] == [0, 1]
    feature = tf.train.Example.FromString(records[0]).features.feature
    assert feature["microphone_kind"].bytes_list.value[0] == b"tetrahedral"
    np.testing.assert_allclose(feature["distances"].float_list.value, [1.25, 2.5])
    written = tmp_path / "by_tensorflow.tfrecord"
    with tf.io.TFRecordWriter(str(written)) as writer:
        for record in records:
            writer.write(record)
    assert written.read_bytes() == shard.read_bytes()
    assert len(find_records(written)) == 2


def test_examples_keep_their_lists():
    values = {"words": [b"a", b""], "numbers": [-3, 2**40], "floats": [0.5, -1.0], "none": []}
    decoded = decode_example(encode_example(values))
    assert {name: list(found) for name, found in decoded.items()} == values


def test_a_bank_is_read_without_tensorflow(small_bank):
    program = (
        "import sys; from doa_tf.rooms import read_bank; room = read_bank(sys.argv[1])[0]; "
        "assert room.srirs[0].shape == (300, 4); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(small_bank)], check=True)


def damage(shard, how):
    content = bytearray(shard.read_bytes())
    if how == "missing":
        shard.unlink()
        return
    if how == "flipped":
        content[len(content) // 3] ^= 1
    elif how == "length":
        content[3] ^= 1
    else:
        second = find_records(shard)[1].offset - 12
        del content[{"in a record": -100, "in a header": second + 5, "at a record": second}[how] :]
    shard.write_bytes(content)


@pytest.mark.parametrize(
    "how", ["missing", "flipped", "length", "in a record", "in a header", "at a record"]
)
def test_a_broken_shard_is_named_skipped_when_asked_and_made_again(small_bank, how, caplog):
    whole = {path.name: path.read_bytes() for path in small_bank.iterdir()}
    shard = small_bank / "rooms-00001-of-00003.tfrecord"
    damage(shard, how)
    with pytest.raises(InputError, match=f"{shard.name}.*--skip-broken"):
        read_bank(small_bank)
    assert [room.number for room in read_bank(small_bank, skip_broken=True)] == [0, 1, 4]
    assert shard.name in caplog.text
    assert "2 rooms are left out" in caplog.text
    writer = BankWriter(small_bank, made_with={"seed": 0}, rooms=5, rooms_per_shard=2)
    assert writer.missing == [range(2, 4)]
    writer.write(range(2, 4), [encode_room(made_up_room(number)) for number in (2, 3)])
    assert {path.name: path.read_bytes() for path in small_bank.iterdir()} == whole


def test_a_shard_damaged_while_it_is_in_use_is_named(small_bank):
    bank = read_bank(small_bank)
    damage(small_bank / "rooms-00001-of-00003.tfrecord", "flipped")
    with pytest.raises(InputError, match="rooms-00001-of-00003"):
        [room.number for room in bank]


def test_a_bank_without_a_whole_shard_is_refused_even_when_skipping(small_bank):
    for shard in small_bank.glob("*.tfrecord"):
        damage(shard, "missing")
    with pytest.raises(InputError, match="no whole shard"):
        read_bank(small_bank, skip_broken=True)


def test_an_unfinished_bank_is_refused_or_taken_for_what_is_there(small_bank):
    index = json.loads((small_bank / "index.json").read_text())
    (small_bank / "index.json").write_text(json.dumps({**index, "complete": False}))
    (small_bank / "rooms-00002-of-00003.tfrecord").unlink()
    with pytest.raises(InputError, match="not finished"):
        read_bank(small_bank)
    assert len(read_bank(small_bank, skip_broken=True)) == 4


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"rooms": 2}, "not the index of a bank"),
        ([], "not the index of a bank"),
        ({"version": 1, "rooms": 2}, "version 2.*Received: version 1"),
        ({"version": 2, "rooms": 2}, "not the index of a bank"),
        ({"version": 2, "rooms": 2, "rooms_per_shard": 0}, "at least 1"),
    ],
)
def test_an_index_of_something_else_is_refused(tmp_path, index, message):
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=message):
        read_bank(tmp_path)


def test_no_bank_is_an_error(tmp_path):
    with pytest.raises(InputError, match="made by `doa_tf simulate`"):
        read_bank(tmp_path / "nowhere")


def test_a_record_of_something_else_is_named(small_bank):
    writer = BankWriter(small_bank, made_with={"seed": 0}, rooms=5, rooms_per_shard=2)
    writer.write(range(4, 5), [encode_example({"letter": [b"dear"]})])
    with pytest.raises(InputError, match=r"rooms-00002-of-00003.*no room"):
        read_bank(small_bank)[4]


def test_info_prints_what_a_bank_holds(bank, capsys):
    assert main(["bank", "info", str(bank)]) == 0
    info = json.loads(capsys.readouterr().out)
    rooms = list(read_bank(bank))
    distances = np.concatenate([room.distances for room in rooms])
    assert (info["rooms"], info["sources"], info["seed"]) == (6, 12, 3)
    assert info["size_bytes"] == sum(path.stat().st_size for path in bank.iterdir())
    assert info["distance_m"]["50"] == pytest.approx(np.median(distances), abs=1e-3)
    assert info["distance_m"]["100"] == pytest.approx(distances.max(), abs=1e-3)
    reverberant = [room.rt60 for room in rooms if room.rt60 > 0]
    assert info["rt60_s"]["0"] == pytest.approx(min(reverberant), abs=1e-3)
    assert info["dry_rooms"] == 6 - len(reverberant)
    assert sum(info["microphones"].values()) == 6
    assert info["settings"]["sources"] == 2


def test_info_of_a_broken_bank_says_so(small_bank, capsys):
    damage(small_bank / "rooms-00001-of-00003.tfrecord", "in a record")
    assert main(["bank", "info", str(small_bank)]) == 2
    assert "rooms-00001-of-00003" in capsys.readouterr().err
    assert main(["bank", "info", str(small_bank), "--skip-broken"]) == 0
    assert json.loads(capsys.readouterr().out)["rooms"] == 3
