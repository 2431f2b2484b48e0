"""What a run was begun with: by the digest of a source where there is one, else by its name."""

from __future__ import annotations

import json

import pytest

from doa_core.errors import InputError
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
