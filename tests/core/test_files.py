"""Paths as the disk has them, and names that are printed."""

import os
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import pytest

from doa_core.errors import Terminated
from doa_core.files import (
    INTERRUPTIONS,
    as_disk_errors,
    existing_path,
    own_temporary_files,
    printable,
    remove_leftovers,
    shared_temporary_folder,
    temporary_folder,
    write_beside,
    write_folder_beside,
)

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


# --- whole or not at all


@pytest.fixture
def dead():
    """The number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(path, error, *, text="half", **options):
    """Write a file, and fail."""
    with write_beside(path, **options) as part:
        part.write_text(text)
        raise error() if error is Terminated else error(part.name)


def fail_in_folder(path, error):
    with write_folder_beside(path) as part:
        (part / "half.wav").touch()
        raise error


def test_a_file_is_replaced_by_a_whole_one_or_not_at_all(tmp_path):
    path = tmp_path / "figures.json"
    with write_beside(path) as part:
        part.write_text("old")
        assert names(tmp_path) == [f".figures.json.{os.getpid()}.part"]
    for error in (OSError, KeyboardInterrupt, Terminated):
        with pytest.raises(error):
            fail(path, error)
    assert path.read_text() == "old"
    with pytest.raises(Terminated):
        fail(path, Terminated, text="lines", keep_on=INTERRUPTIONS)
    assert path.read_text() == "lines"
    assert names(tmp_path) == ["figures.json"]


def test_a_library_that_wants_a_suffix_leaves_nothing_either(tmp_path):
    path = tmp_path / "last.keras"
    with pytest.raises(OSError, match=r"\.keras"):
        fail(path, OSError, suffix=".keras")
    assert names(tmp_path) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "figures.json", []
    sync = os.fsync

    def watch(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", watch)
    with write_beside(path) as part:
        part.write_text("whole")
    assert synced == [(str(part), False), (str(tmp_path), True)]


def test_a_disk_that_fails_in_the_end_leaves_the_old_file(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    path = tmp_path / "figures.json"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="Input/output"), write_beside(path) as part:
        part.write_text("new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["figures.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "scenes"
    for error in (OSError, Terminated):
        with pytest.raises(error):
            fail_in_folder(path, error)
    assert names(path.parent) == []
    with write_folder_beside(path) as part:
        (part / "a.wav").touch()
        (part / "link").symlink_to("nowhere")
        assert not path.exists()
    assert names(path) == ["a.wav", "link"]
    assert names(path.parent) == ["scenes"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda wave: OSError(28, "Full", str(wave)), "[Errno 28] Full: 'scenes/a.wav'"),
        (lambda wave: OSError(f"{wave}: full"), "scenes/a.wav: full"),
    ],
)
def test_an_error_names_the_folder_that_was_asked_for(tmp_path, monkeypatch, make, told):
    def fail():
        with write_folder_beside("scenes") as part:
            raise make(part / "a.wav")

    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        fail()
    assert str(caught.value) == told


def test_a_folder_cannot_take_the_place_of_a_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path)
    with pytest.raises(OSError, match="a folder on a disk, not all of it"):
        fail_in_folder(tmp_path, AssertionError)


def test_what_killed_processes_left_is_removed_and_no_more(tmp_path, dead):
    live = os.getppid()
    left = (
        f".run.{dead}.part",
        f".run.{dead}.part.keras",
        f".run.{dead}.keras",  # as 0.1 named it
        f"..run.{dead}.part.{dead}.part",
        f"run.partial-{dead}",
        ".run.1.part",  # of a container
    )
    stays = (
        f".run.{live}.part",
        f".run.{live}.part.keras",
        f"run.partial-{live}",
        f".other.{dead}.part",  # of another file
        f"run.{dead}.part",
        ".run.part",
        "run",
    )
    for name in (*left, *stays):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    remove_leftovers(tmp_path, "run")
    assert names(tmp_path) == sorted(stays)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted({*stays} - {f".other.{dead}.part"})
    remove_leftovers(tmp_path / "not there")


def test_writing_a_file_again_removes_what_a_killed_process_left_of_it(tmp_path, dead):
    (tmp_path / f".track.jsonl.{dead}.part").touch()
    (tmp_path / f".other.jsonl.{dead}.part").touch()
    with write_beside(tmp_path / "track.jsonl") as part:
        part.touch()
    assert names(tmp_path) == [f".other.jsonl.{dead}.part", "track.jsonl"]


def test_a_temporary_folder_ends_with_its_block_and_removes_those_of_the_killed(
    tmp_path, monkeypatch, dead
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in (f"program-{dead}-x", f"program-{os.getppid()}-x", f"other-{dead}-x"):
        (tmp_path / name).mkdir()
    stays = [f"other-{dead}-x", f"program-{os.getppid()}-x"]
    with temporary_folder("program") as folder:
        (folder / "file").touch()
        assert names(tmp_path) == sorted([*stays, folder.name])
    assert names(tmp_path) == stays


def test_a_library_that_cannot_write_is_given_the_reason_of_the_system(tmp_path):
    path = tmp_path / "a.wav"
    reason = r"a\.wav cannot be written: no luck"
    with pytest.raises(OSError, match=reason), as_disk_errors(path, RuntimeError):
        raise RuntimeError("no\nluck")
    full, reason = Path("/dev/full"), "/dev/full cannot be written: No space left on device"
    with pytest.raises(OSError, match=reason), as_disk_errors(full, AssertionError):
        raise AssertionError


def test_what_libraries_put_into_the_temporary_folder_ends_with_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with own_temporary_files("program"):
        made = Path(tempfile.mkdtemp())
        assert made.parent.name.startswith(f"program-{os.getpid()}-")
        assert shared_temporary_folder() == tmp_path
        with own_temporary_files("inner"):
            assert shared_temporary_folder() == tmp_path
    assert tempfile.tempdir == str(tmp_path)
    assert shared_temporary_folder() == tmp_path
    assert names(tmp_path) == []


def test_a_program_that_needs_no_temporary_folder_goes_on_without(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with own_temporary_files("program"):
        assert tempfile.tempdir == str(tmp_path / "not there")
