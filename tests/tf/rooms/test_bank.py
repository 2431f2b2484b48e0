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
from doa_tf.rooms.bank.bank import BankWriter, bank_digest, read_bank
from doa_tf.rooms.bank.dataset import bank_dataset
from doa_tf.rooms.bank.records import BrokenShardError, find_rooms, write_shard
from doa_tf.rooms.bank.room_record import decode_room, encode_room
from doa_tf.rooms.room import simulate_room

from .made_up import damage, made_up_bank, made_up_room

INDEX = {"version": 3, "rooms": 2, "rooms_per_shard": 2, "complete": True}


@pytest.fixture
def small_bank(tmp_path):
    return made_up_bank(tmp_path / "bank")


def test_banks_can_be_added(small_bank, tmp_path):
    writer = BankWriter(tmp_path / "more", made_with={"seed": 1}, rooms=2, rooms_per_shard=2)
    writer.write(range(2), [encode_room(made_up_room(number)) for number in (10, 11)])
    writer.finish()
    one, other = read_bank(small_bank), read_bank(writer.folder)
    both = one + other
    assert [room.number for room in both] == [0, 1, 2, 3, 4, 10, 11]
    assert both.folder == small_bank
    assert both.digest not in (one.digest, other.digest)
    with pytest.raises(TypeError):
        one + list(other)


def test_every_field_comes_back():
    room = made_up_room(7)
    stored = decode_room(encode_room(room))
    compared = {field.name for field in fields(room)}
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


def test_a_bank_has_a_digest_of_what_it_holds(small_bank, tmp_path):
    digest = bank_digest(small_bank)
    assert digest == read_bank(small_bank).digest == bank_digest(small_bank, skip_broken=True)
    moved = small_bank.rename(tmp_path / "moved")
    assert bank_digest(moved) == digest
    last = sorted(moved.glob("*.npz"))[-1]
    write_shard(last, [4], [encode_room(replace(made_up_room(4), rt60=0.5))])
    assert bank_digest(moved) != digest
    last.unlink()
    with pytest.raises(InputError, match="is missing"):
        bank_digest(moved)
    assert bank_digest(moved, skip_broken=True) == read_bank(moved, skip_broken=True).digest


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


def test_numpy_and_the_standard_library_read_a_shard(small_bank):
    with np.load(small_bank / "rooms-00000-of-00003.npz") as shard:
        assert shard.files == ["room-00000.json", "room-00000", "room-00001.json", "room-00001"]
        values = json.loads(shard["room-00001.json"])
        stored = shard["room-00001"]
    assert values["distances"] == [1.25, 2.5]
    assert values["microphone_draw"]["name"] == "Ö"
    assert (stored.dtype, stored.shape) == (np.float16, (300 + 310 + 64, 4))
    second = stored[300:610].astype(np.float32) * np.float32(values["scales"][1])
    np.testing.assert_array_equal(second, read_bank(small_bank)[1].srirs[1])


def test_responses_may_lie_in_memory_in_any_order():
    room = made_up_room(3)
    columns = replace(room, srirs=[np.asfortranarray(srir) for srir in room.srirs])
    assert encode_room(columns) == encode_room(room)


def test_a_dataset_has_every_room_and_its_responses(small_bank):
    bank = read_bank(small_bank)
    dataset = bank_dataset(bank)
    assert len(dataset) == 5
    for room, element in zip(bank, dataset.as_numpy_iterator(), strict=True):
        assert element["number"] == room.number
        np.testing.assert_allclose(element["directions"], room.directions, atol=1e-6)
        np.testing.assert_array_equal(element["noise_gains"], room.noise_gains)
        assert element["srirs"].shape == (2, 310, 4)
        for padded, srir in zip(element["srirs"], room.srirs, strict=True):
            np.testing.assert_array_equal(padded[: len(srir)], srir)
            assert not padded[len(srir) :].any()
    batches = list(dataset.padded_batch(2))
    assert [len(batch["number"]) for batch in batches] == [2, 2, 1]


def test_a_bank_is_read_without_tensorflow(small_bank):
    program = (
        "import sys; from doa_tf.rooms import read_bank; room = read_bank(sys.argv[1])[0]; "
        "assert room.srirs[0].shape == (300, 4); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(small_bank)], check=True)


@pytest.mark.parametrize(
    "how", ["missing", "flipped", "header", "directory", "in the directory", "in a room"]
)
def test_a_broken_shard_is_named_skipped_when_asked_and_made_again(small_bank, how, caplog):
    whole = {path.name: path.read_bytes() for path in small_bank.iterdir()}
    shard = small_bank / "rooms-00001-of-00003.npz"
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
    damage(small_bank / "rooms-00001-of-00003.npz", "flipped")
    with pytest.raises(InputError, match="rooms-00001-of-00003"):
        [room.number for room in bank]


def test_a_bank_without_a_whole_shard_is_refused_even_when_skipping(small_bank):
    for shard in small_bank.glob("*.npz"):
        damage(shard, "missing")
    with pytest.raises(InputError, match="no whole shard"):
        read_bank(small_bank, skip_broken=True)


def test_an_unfinished_bank_is_refused_or_taken_for_what_is_there(small_bank):
    index = json.loads((small_bank / "index.json").read_text())
    (small_bank / "index.json").write_text(json.dumps({**index, "complete": False}))
    (small_bank / "rooms-00002-of-00003.npz").unlink()
    with pytest.raises(InputError, match="not finished"):
        read_bank(small_bank)
    assert len(read_bank(small_bank, skip_broken=True)) == 4


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"rooms": 2}, "not the index of a bank"),
        ([], "not the index of a bank"),
        ({"version": 1, "rooms": 2}, "version 3.*Received: version 1.* made again"),
        ({"version": 2, "rooms": 2}, "`doa_tf bank convert .* --out NEW`"),
        ({"version": 3, "rooms": 2}, "not the index of a bank"),
        ({"version": 3, "rooms": 2, "rooms_per_shard": 0}, "at least 1"),
        ({"version": 3, "rooms": "2", "rooms_per_shard": 2}, "Received: rooms='2'"),
        ({"version": 3, "rooms": 2.0, "rooms_per_shard": 2}, r"Received: rooms=2\.0"),
        ({"version": 3, "rooms": True, "rooms_per_shard": 2}, "Received: rooms=True"),
        ({"version": 3, "rooms": 10**9, "rooms_per_shard": 2}, "at most 1000000"),
        ({"version": 3, "rooms": 2, "rooms_per_shard": 10**9}, "at most 1000000"),
        ({"version": 3, "rooms": 10**400, "rooms_per_shard": 2}, "64 bits"),
        ({"version": 3, "rooms": float("inf"), "rooms_per_shard": 2}, "finite"),
        ({"version": 3, "rooms": None, "rooms_per_shard": 2}, "Received: rooms=None"),
        ({"version": [3], "rooms": 2, "rooms_per_shard": 2}, "it has no version"),
        ({**INDEX}, "must have the seed of its rooms, or a list of SOFA files"),
        ({**INDEX, "sofa": []}, "or a list of SOFA files"),
        ({**INDEX, "sofa": "a.sofa"}, "or a list of SOFA files"),
        ({**INDEX, "seed": None}, "`seed` must be an integer .* Received: None"),
        ({**INDEX, "seed": ""}, "`seed` must be an integer .* Received: ''"),
        ({**INDEX, "seed": []}, r"`seed` must be an integer .* Received: \[\]"),
        ({**INDEX, "seed": [1]}, "`seed` must be an integer"),
        ({**INDEX, "seed": -1}, "`seed` must be an integer .* Received: -1"),
        ({**INDEX, "seed": 1.0}, "`seed` must be an integer"),
        ({**INDEX, "seed": True}, "`seed` must be an integer"),
        ({**INDEX, "seed": 0, "settings": {}}, r"`settings` must be .* Received: \{\}"),
        ({**INDEX, "seed": 0, "settings": None}, "`settings` must be .* Received: None"),
        ({**INDEX, "seed": 0, "settings": ""}, "`settings` must be .* Received: ''"),
        ({**INDEX, "seed": 0, "settings": [1]}, r"`settings` must be .* Received: \[1\]"),
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
    writer.write(range(4, 5), [(b'{"letter": "dear"}', encode_room(made_up_room(4))[1])])
    with pytest.raises(InputError, match=r"rooms-00002-of-00003.*no room"):
        read_bank(small_bank)[4]


def test_no_change_of_a_shard_goes_unnoticed(tmp_path):
    rng = np.random.default_rng(0)
    room = replace(made_up_room(0), srirs=[np.ones((2, 4), np.float32)] * 2, diffuse_response=None)
    records = [encode_room(replace(room, number=number)) for number in range(2)]
    write_shard(tmp_path / "whole.npz", range(2), records)
    whole = (tmp_path / "whole.npz").read_bytes()
    shard = tmp_path / "changed.npz"
    for _ in range(1000):
        content = bytearray(whole)
        if rng.random() < 0.3:
            del content[rng.integers(len(content)) :]
        else:
            content[rng.integers(len(content))] = rng.integers(256)
        shard.write_bytes(content)
        try:
            found = [place.read() for place in find_rooms(shard, range(2))]
        except BrokenShardError:
            continue
        assert found == records  # a date, a version: nothing that a room is made of


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
    damage(small_bank / "rooms-00001-of-00003.npz", "in a room")
    assert main(["bank", "info", str(small_bank)]) == 2
    assert "rooms-00001-of-00003" in capsys.readouterr().err
    assert main(["bank", "info", str(small_bank), "--skip-broken"]) == 0
    assert json.loads(capsys.readouterr().out)["rooms"] == 3
