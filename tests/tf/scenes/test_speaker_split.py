"""Recordings by part: folders that are there are taken, and no speaker is in two parts."""

import pytest

from doa_core.errors import InputError
from doa_tf.scenes.speaker_split import PARTS, split_folder


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("train-clean-100", "dev-clean", "test-clean")]
)
def test_parts_that_are_there_are_taken(tmp_path, names):
    for name in names:
        (tmp_path / "s" / name).mkdir(parents=True)
    parts = split_folder(tmp_path / "s", tmp_path / "out")
    assert [parts[part].name for part in PARTS] == list(names)
    assert not (tmp_path / "out").exists()
    (tmp_path / "s" / "train-other-500").mkdir()
    with pytest.raises(InputError, match="one sub-folder each for train, valid and test"):
        split_folder(tmp_path / "s", tmp_path / "out")


def test_speakers_are_in_one_part_only(tmp_path):
    for speaker in range(20):
        folder = tmp_path / "s" / f"p{speaker}"
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.flac").touch()
    parts = split_folder(tmp_path / "s", tmp_path / "out", seed=1)
    speakers = {part: {p.name for p in folder.iterdir()} for part, folder in parts.items()}
    assert [len(speakers[part]) for part in PARTS] == [16, 2, 2]
    assert len(set.union(*speakers.values())) == 20
    files = list((tmp_path / "out").rglob("*.flac"))
    assert len(files) == 60
    assert all(file.is_file() for file in files)
    assert split_folder(tmp_path / "s", tmp_path / "out", seed=9) == parts  # as it was


def test_too_few_speakers_are_refused(tmp_path):
    for name in ("a-1.wav", "a-2.wav", "b-1.wav"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"at least 3 speakers\. Received: 2 \(a, b\)"):
        split_folder(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="A folder of recordings is needed"):
        split_folder(tmp_path / "nowhere", tmp_path / "out")
