"""What a run was begun with: by the digest of a source where there is one, else by its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from doa_core.errors import InputError
from doa_tf.training import run_folder
from doa_tf.training.run_folder import claim_run


def claim(folder, **sources):
    return claim_run(folder, {"settings": {"seed": 0}, "sources": sources})


def recorded(folder):
    return json.loads((folder / "settings.json").read_text())["sources"]


def test_a_run_knows_its_bank_by_the_digest(tmp_path):
    claim(tmp_path, bank="rooms", bank_sha256="aa", speech="s")
    claim(tmp_path, bank="moved/rooms", bank_sha256="aa", speech="s")
    assert recorded(tmp_path)["bank"] == "moved/rooms"
    with pytest.raises(InputError, match=r"sources: bank holds something else than it did\. Use"):
        claim(tmp_path, bank="moved/rooms", bank_sha256="bb", speech="s")
    with pytest.raises(InputError, match="speech was 's', not 't'"):
        claim(tmp_path, bank="moved/rooms", bank_sha256="aa", speech="t")


def test_a_run_from_before_the_digest_goes_on_by_the_path(tmp_path):
    claim(tmp_path, bank="rooms")
    with pytest.raises(InputError, match="bank was 'rooms', not 'moved'"):
        claim(tmp_path, bank="moved", bank_sha256="aa")
    claim(tmp_path, bank="rooms", bank_sha256="aa")
    assert recorded(tmp_path)["bank_sha256"] == "aa"


def test_the_checkpoint_to_start_from_is_part_of_a_run(tmp_path):
    claim(tmp_path, bank="rooms", init_from_sha256="aa")
    for others in ({}, {"init_from_sha256": "bb"}):
        with pytest.raises(InputError, match="init_from"):
            claim(tmp_path, bank="rooms", **others)


def test_what_a_killed_process_left_of_a_checkpoint_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    dead, live = process.pid, os.getppid()
    left = [f".last.keras.{dead}.keras", f".model.keras.{dead}.part.keras"]
    for name in (*left, f".last.keras.{live}.part.keras"):
        (tmp_path / name).touch()
    claim(tmp_path, bank="rooms")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f".last.keras.{live}.part.keras",
        "settings.json",
    ]


def test_a_row_of_the_history_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    run_folder._append_row(path, {"epoch": 0, "loss": 0.5})
    run_folder._append_row(path, {"epoch": 1, "loss": 0.25})
    assert path.read_bytes() == b"epoch,loss\r\n0,0.5\r\n1,0.25\r\n"

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        run_folder._append_row(path, {"epoch": 2, "loss": 0.125})
    assert path.read_bytes() == b"epoch,loss\r\n0,0.5\r\n1,0.25\r\n"
