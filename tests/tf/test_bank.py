"""The bank on disk: whole, repeatable, resumable, never mixed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from doa_edge.errors import InputError
from doa_tf import bank as bank_module
from doa_tf.bank import read_bank, simulate_bank
from doa_tf.rooms import simulate_room


def test_rooms_come_back_as_they_were_simulated(bank, room_settings):
    rooms = read_bank(bank)
    assert [room.number for room in rooms] == list(range(6))
    original = simulate_room(4, seed=3, settings=room_settings)
    np.testing.assert_allclose(rooms[4].directions, original.directions, atol=1e-6)
    assert rooms[4].rt60 == pytest.approx(original.rt60)
    for stored, srir in zip(rooms[4].srirs, original.srirs, strict=True):
        # 16-bit floats: 11 bits of each sample, and 6e-8 of the peak below those.
        np.testing.assert_allclose(stored, srir, rtol=1e-3, atol=1e-7 * np.abs(srir).max())


def test_an_interrupted_bank_goes_on_to_the_same_bytes(tmp_path, monkeypatch, room_settings):
    monkeypatch.setattr(bank_module, "ROOMS_PER_SHARD", 2)
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    simulate_bank(unbroken, rooms=6, seed=1, settings=room_settings, workers=1)

    def stop_after_three(done, _total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_bank(
            broken, rooms=6, seed=1, settings=room_settings, workers=1, progress=stop_after_three
        )
    assert len(list(broken.glob("*.tfrecord"))) == 1
    with pytest.raises(InputError, match="not finished"):
        read_bank(broken)
    simulate_bank(broken, rooms=6, seed=1, settings=room_settings, workers=1)
    files = sorted(path.name for path in unbroken.iterdir())
    assert files == sorted(path.name for path in broken.iterdir())
    for name in files:
        assert (unbroken / name).read_bytes() == (broken / name).read_bytes()


@pytest.mark.parametrize(
    ("other", "message"),
    [({"seed": 4}, "seed"), ({"rooms": 7}, "rooms"), ({"settings": None}, "settings")],
)
def test_a_bank_made_otherwise_is_refused(bank, room_settings, other, message):
    made = {"rooms": 6, "seed": 3, "settings": room_settings}
    with pytest.raises(InputError, match=f"other values of {message}"):
        simulate_bank(bank, **{**made, **other})


def test_a_folder_of_something_else_is_refused(tmp_path, room_settings):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="new or empty folder"):
        simulate_bank(tmp_path, rooms=1, settings=room_settings)


def test_a_shard_cut_short_is_named(tmp_path, room_settings):
    folder = tmp_path / "bank"
    simulate_bank(folder, rooms=2, settings=replace(room_settings, dry_share=1.0), workers=1)
    shard = next(folder.glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(InputError, match=shard.name):
        read_bank(folder)
    shard.unlink()
    with pytest.raises(InputError, match=shard.name):
        read_bank(folder)


def test_no_bank_is_an_error(tmp_path):
    with pytest.raises(InputError, match="made by `doa_tf simulate`"):
        read_bank(tmp_path / "nowhere")
    (tmp_path / "index.json").write_text(json.dumps({"rooms": 2}))
    with pytest.raises(InputError, match="not the index of a bank"):
        read_bank(tmp_path)


def test_no_rooms_are_refused(tmp_path, room_settings):
    with pytest.raises(InputError, match="rooms"):
        simulate_bank(tmp_path / "bank", rooms=0, settings=room_settings)
