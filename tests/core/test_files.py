"""Paths as the disk has them, and names that are printed."""

import os
import unicodedata

import pytest

from doa_core.files import existing_path, printable

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "\u00e9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("stored", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["NFD", "NFC"]
)
def test_a_path_is_found_in_either_normal_form(tmp_path, stored, asked):
    (tmp_path / stored).mkdir()
    file = tmp_path / stored / f"{stored}.wav"
    file.touch()
    listed = {}
    assert existing_path(tmp_path / asked / f"{asked}.wav", listed=listed) == file
    assert set(listed) == {tmp_path, tmp_path / stored}  # each folder is read once
    assert existing_path(tmp_path / asked / "other.wav") == tmp_path / stored / "other.wav"
    (tmp_path / asked).mkdir()
    (tmp_path / asked / f"{asked}.wav").touch()
    assert existing_path(tmp_path / asked / f"{asked}.wav") != file  # both are there


def test_other_paths_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "E.wav").touch()
    for path in ("e.wav", COMPOSED, f"none/{COMPOSED}", "", ".", "/", os.fsdecode(b"\xff")):
        assert str(existing_path(path)) == (path or ".")


def test_what_is_not_utf8_is_marked():
    assert printable(os.fsdecode(b"b\xfcro.wav")) == "b\ufffdro.wav"
    assert printable("b\u00fcro.wav") == "b\u00fcro.wav"
