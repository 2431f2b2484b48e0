"""A key of a configuration anew: everything else stays, to the byte."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from doa_core.errors import InputError
from doa_edge.options.config_edit import check_editable, write_numbers

pytest.importorskip("tomlkit")
VALUE = [12.5, -3.0, 180.0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "mount = [12.5, -3.0, 180.0]\n"),
        ("# only a comment", "# only a comment\nmount = [12.5, -3.0, 180.0]\n"),
        (
            "# head\n\n[zones]\nb = [1, 2]\n",
            "# head\n\nmount = [12.5, -3.0, 180.0]\n\n[zones]\nb = [1, 2]\n",
        ),
        (
            "# head\r\n# more\r\n\r\n# places\r\n[zones]\r\n",
            "# head\r\n# more\r\n\r\nmount = [12.5, -3.0, 180.0]\r\n\r\n# places\r\n[zones]\r\n",
        ),
        ("# places\n[zones]\n", "mount = [12.5, -3.0, 180.0]\n\n# places\n[zones]\n"),
        ("[zones]\n", "mount = [12.5, -3.0, 180.0]\n\n[zones]\n"),
        ("[[zone]]\n[[zone]]\n", "mount = [12.5, -3.0, 180.0]\n\n[[zone]]\n[[zone]]\n"),
        ("\ufeff# head\n\n[zones]\n", "\ufeff# head\n\nmount = [12.5, -3.0, 180.0]\n\n[zones]\n"),
        ("a = 1", "a = 1\nmount = [12.5, -3.0, 180.0]\n"),
        ("a.b = 1\n", "mount = [12.5, -3.0, 180.0]\na.b = 1\n"),
        ('a = 1 # x\nmount = "0,0,180" # y\n', "a = 1 # x\nmount = [12.5, -3.0, 180.0] # y\n"),
        (
            "mount = [\n  0, # yaw\n  0, # pitch\n  180, # roll\n]\n",
            "mount = [\n  12.5, # yaw\n  -3.0, # pitch\n  180.0, # roll\n]\n",
        ),
        (
            'a = "A"\n\n# places\n[zones]\ndesk = [-30, 30]  # left\n',
            'a = "A"\nmount = [12.5, -3.0, 180.0]\n\n# places\n[zones]\ndesk = [-30, 30]  # left\n',
        ),
        (
            "# a\r\nc = 1\r\n\r\n# b\r\n[zones]\r\nb = [1, 2]\r\n",
            "# a\r\nc = 1\r\nmount = [12.5, -3.0, 180.0]\r\n\r\n# b\r\n[zones]\r\nb = [1, 2]\r\n",
        ),
        ("\ufeffgate = -50\n", "\ufeffgate = -50\nmount = [12.5, -3.0, 180.0]\n"),
    ],
)
def test_all_else_stays(tmp_path, before, after):
    path = tmp_path / "doa.toml"
    path.write_bytes(before.encode())
    write_numbers(path, "mount", VALUE)
    assert path.read_bytes().decode() == after
    write_numbers(path, "mount", VALUE)  # once more
    assert path.read_bytes().decode() == after


def test_a_file_that_is_not_there_is_made(tmp_path):
    path = tmp_path / "new.toml"
    assert check_editable(path, "mount") == path
    assert not path.exists()
    write_numbers(path, "mount", VALUE)
    assert path.read_text() == "mount = [12.5, -3.0, 180.0]\n"


def test_a_link_stays_a_link(tmp_path):
    path, link = tmp_path / "real.toml", tmp_path / "link.toml"
    path.write_text("every = 10\n")
    link.symlink_to(path)
    write_numbers(link, "mount", VALUE)
    assert link.is_symlink()
    assert path.read_text() == "every = 10\nmount = [12.5, -3.0, 180.0]\n"


def test_what_is_no_toml_is_refused_and_stays(tmp_path):
    path = tmp_path / "doa.toml"
    path.write_bytes(b"a = \xff\n")
    with pytest.raises(InputError, match="must be a TOML file in UTF-8"):
        check_editable(path, "mount")
    path.write_text("a = [1\n")
    for call in (
        lambda file: check_editable(file, "mount"),
        lambda file: write_numbers(file, "mount", VALUE),
    ):
        with pytest.raises(InputError, match="must be a TOML file"):
            call(path)
    assert path.read_text() == "a = [1\n"


def test_what_would_change_more_than_the_key_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "doa.toml"
    path.write_text("a = 1\n")
    monkeypatch.setattr("doa_edge.options.config_edit._edited", lambda *_: "mount = [1.0]\n")
    with pytest.raises(InputError, match=r"by hand.*Add mount = \[12.5, -3.0, 180.0\]"):
        write_numbers(path, "mount", VALUE)
    assert path.read_text() == "a = 1\n"


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    path = tmp_path / "doa.toml"
    path.write_text("a = 1\n")
    with pytest.raises(OSError, match=r"a.toml cannot be written: No such file"):
        check_editable(tmp_path / "none" / "a.toml", "mount")
    with pytest.raises(OSError, match="it is no ordinary file"):
        check_editable(tmp_path, "mount")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(OSError, match=r"doa.toml cannot be written: it is read-only"):
        check_editable(path, "mount")


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "doa.toml"
    path.write_text("a = 1\n" + "# comment\n" * 100)
    before = path.read_bytes()
    code = (
        "import sys; from pathlib import Path; from doa_edge.options.config_edit import *\n"
        "write_numbers(Path(sys.argv[1]), 'mount', [1.0, 2.0, 3.0])"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
