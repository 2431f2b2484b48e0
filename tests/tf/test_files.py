"""Comparing settings, and hashing files."""

import hashlib

from doa_tf.files import differences, sha256

ASKED = {"seed": 1, "settings": {"rt60": [0.2, 0.8], "sources": 3, "new": True}, "rooms": 6}
FOUND = {"seed": 1, "settings": {"rt60": [0.3, 0.8], "sources": 3, "old": 5}, "rooms": 7}


def test_differences_have_names_and_both_values():
    assert differences(ASKED, ASKED) == {}
    assert differences(ASKED, FOUND) == {
        "settings.rt60": ([0.2, 0.8], [0.3, 0.8]),
        "settings.new": (True, None),
        "settings.old": (None, 5),
        "rooms": (6, 7),
    }
    assert list(differences(ASKED, FOUND, shared_only=True)) == ["settings.rt60", "rooms"]
    assert differences({"settings": {"a": 1}}, {"settings": None}) == {"settings": ({"a": 1}, None)}


def test_digest_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"some bytes")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"some bytes").hexdigest()
