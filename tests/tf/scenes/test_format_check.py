"""Folders of recordings that are not AmbiX are noticed, once, before they are judged or learned."""

import logging

import pytest

from doa_core.ambisonics import from_ambix
from doa_edge.input.audio import read_recording
from doa_edge.input.format import InputFormat
from doa_tf.cli.main import main
from doa_tf.scenes import format_check
from doa_tf.scenes.folder import Scene, read_scenes, write_scenes
from doa_tf.scenes.format_check import warn_of_formats
from tests.places import PROJECT

LONG = sorted((PROJECT / "demo" / "recordings").glob("*.wav"))
ROW = {"azimuth_deg": 0, "elevation_deg": 0}
CONTRARY = "by the energies this is no AmbiX"


def pieces(samples=13_312):
    """Windows of the recordings, each too short to be judged alone."""
    for path in LONG:
        sound = read_recording(path)
        for start in range(0, len(sound) - samples, samples):
            yield sound[start : start + samples]


def folder_of(folder, sounds, audio_format):
    """Scenes whose channels are of that format."""
    sounds = [from_ambix(sound, audio_format) for sound in sounds]
    names = [f"{number}.wav" for number in range(len(sounds))]
    write_scenes(folder, [(n, s, ROW) for n, s in zip(names, sounds, strict=True)])
    return read_scenes(folder)


@pytest.mark.parametrize("audio_format", ["fuma", "n3d", "tetrahedral"])
def test_short_recordings_tell_together(tmp_path, caplog, audio_format):
    warn_of_formats(folder_of(tmp_path / "s", list(pieces()), audio_format))
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith(f"the recordings of {tmp_path / 's'}: {CONTRARY}")
    assert audio_format in text


def test_ambix_says_nothing(tmp_path, caplog):
    warn_of_formats(folder_of(tmp_path / "short", list(pieces()), "ambix"))
    warn_of_formats(folder_of(tmp_path / "long", map(read_recording, LONG), "ambix"))
    assert not caplog.records


def test_one_among_others_is_named(tmp_path, caplog):
    sounds = [read_recording(path) for path in LONG]
    sounds += [sounds[0], from_ambix(sounds[1], "fuma")]
    scenes = folder_of(tmp_path / "s", sounds, "ambix")
    warn_of_formats(scenes)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{scenes[4].path}: {CONTRARY}")


def test_what_cannot_be_read_is_left_to_others(tmp_path, caplog):
    scenes = folder_of(tmp_path / "s", [read_recording(LONG[0])], "ambix")
    scenes[0].path.write_bytes(b"no sound")
    warn_of_formats(scenes)
    assert not caplog.records


def test_of_many_recordings_some_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(format_check, "MOST", 4)
    scenes = [Scene(file=name, path=tmp_path / name) for name in "abcdefghi"]
    assert format_check._spread([*scenes, scenes[0]]) == [scenes[k] for k in (0, 2, 4, 6)]
    assert format_check._spread(scenes[:3]) == scenes[:3]


def test_what_was_asked_for_or_declared_is_held_against_the_sound(tmp_path, caplog):
    scenes = folder_of(tmp_path / "fuma", list(pieces()), "fuma")
    warn_of_formats(read_scenes(scenes.folder, InputFormat(audio_format="fuma")))
    assert not caplog.records
    ambix = folder_of(tmp_path / "ambix", map(read_recording, LONG), "ambix")
    for scene in ambix:
        scene.path.rename(scene.path.with_suffix(".amb"))  # declares FuMa
    labels = ambix.folder / "labels.csv"
    labels.write_text(labels.read_text().replace(".wav", ".amb"))
    warn_of_formats(read_scenes(ambix.folder))
    (record,) = caplog.records
    assert "by the energies this is no fuma" in record.getMessage()
    assert "--format ambix" in record.getMessage()


LESS_THAN_A_BATCH = ["--batch-size", "1000"]


@pytest.mark.parametrize("command", ["evaluate", "compare", "train"])
def test_commands_say_it_once_on_stderr(tmp_path, caplog, capsys, command):
    folder_of(tmp_path / "fuma", [read_recording(path) for path in LONG], "fuma")
    scenes, out = str(tmp_path / "fuma"), str(tmp_path / "out")
    arguments = {
        "evaluate": ["baseline:intensity", "--data", scenes],
        "compare": ["baseline:intensity", "baseline:music", "--data", scenes, "--out", out],
        # Ends where the settings are read: no training is needed to see what comes before.
        "train": ["--scenes", scenes, "--valid", scenes, "--out", out, *LESS_THAN_A_BATCH],
    }[command]
    with caplog.at_level(logging.WARNING):
        assert main([command, *arguments]) == (2 if command == "train" else 0)
    told = [record.getMessage() for record in caplog.records if CONTRARY in record.getMessage()]
    assert len(told) == 1
    assert CONTRARY not in capsys.readouterr().out


def test_what_is_known_to_be_ambix_says_nothing(shared_data, caplog):
    for name in ("scenes", "scenes-real", "valid-real", "talkers"):
        warn_of_formats(read_scenes(shared_data / name))
    assert not caplog.records
