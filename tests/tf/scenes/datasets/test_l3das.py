"""L3DAS folders of task 2 as they are published, and labels that are held against the sound."""

import logging

import numpy as np
import pytest

pytest.importorskip("soundfile")

from doa_core.errors import InputError
from doa_edge.input.format import InputFormat
from doa_tf.cli.main import main
from doa_tf.evaluation.talkers.judge import evaluate_talkers
from doa_tf.scenes.datasets.label_check import label_advice, warn_of_labels
from doa_tf.scenes.folder import read_scenes
from tests.tf.scenes.datasets.made import IntensityNetwork, sound, write_rows, write_sound

RATE = 32_000
HEAD = ("File", "Start", "End", "Class", "X", "Y", "Z")
WOMAN, MAN = "Female_speech_and_woman_speaking", "Male_speech_and_man_speaking"
PLACE_M = (1.0, 1.0, 0.5)  # 45 degrees to the left of microphone A


def angles_deg(x, y, z):
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def make(folder, *, audio_format="fuma", aside=(0.0, 0.2, 0.0), place_m=PLACE_M, part=None):
    """Three seconds of a woman at a place, heard by two microphones; keys lie elsewhere."""
    part = part or f"{folder.name}_Task2_train"
    name = "split1_ov1_7"
    for microphone, off in (("A", (0.0, 0.0, 0.0)), ("B", aside)):
        seen = angles_deg(*(np.array(place_m) - off))
        path = folder / part / "data" / f"{name}_{microphone}.wav"
        samples = sound([seen] * 3 + [None], rate=RATE)
        write_sound(path, samples, rate=RATE, audio_format=audio_format)
    rows = [HEAD, ("a.wav", 0.0, 3.0, WOMAN, *PLACE_M), ("b", 3.1, 3.9, "Keys_jangling", -1, 0, 0)]
    write_rows(folder / part / "labels" / f"label_{name}.csv", rows)
    return folder


def test_both_microphones_have_directions_of_their_own(tmp_path):
    folder = make(tmp_path / "L3DAS22")
    first, second = scenes = read_scenes(folder)
    assert scenes.published == "L3DAS, task 2"
    assert first.file == "L3DAS22_Task2_train/data/split1_ov1_7_A.wav"
    split = "L3DAS22_Task2_train"
    columns = {"talker": "", "split": split, "microphone": "A", "overlap": "ov1"}
    assert first.columns == columns
    assert second.columns == {**columns, "microphone": "B"}
    (talker,) = first.talkers
    (stretch,) = talker.stretches
    assert talker.name == "female speech 1"
    assert (stretch.start_s, stretch.end_s) == (0.0, 3.0)
    assert stretch.azimuth_deg == pytest.approx(45.0)
    assert stretch.elevation_deg == pytest.approx(np.degrees(np.arctan2(0.5, np.sqrt(2.0))))
    assert second.talkers[0].stretches[0].azimuth_deg == pytest.approx(angles_deg(1, 0.8, 0.5)[0])
    every = read_scenes(folder, sounds="all")[0].talkers
    assert [each.name for each in every] == ["female speech 1", "Keys_jangling 1"]
    (alone,) = read_scenes(folder / split)[:1]  # the part by itself
    assert alone.file == "data/split1_ov1_7_A.wav"


def test_formats_differ_by_year(tmp_path):
    for year, audio_format in (("L3DAS21", "fuma"), ("L3DAS22", "fuma"), ("L3DAS23", "ambix")):
        folder = make(tmp_path / year, audio_format=audio_format)
        assert {scene.input_format.audio_format for scene in read_scenes(folder)} == {audio_format}
    asked = read_scenes(folder, InputFormat(audio_format="n3d"))
    assert asked[0].input_format.audio_format == "n3d"
    # In 2023 microphone B stands along X.
    seen = read_scenes(folder)[1].talkers[0].stretches[0].azimuth_deg
    assert seen == pytest.approx(angles_deg(0.8, 1.0, 0.5)[0])


def test_labels_agree_with_what_is_heard(tmp_path):
    model = IntensityNetwork()
    folder = make(tmp_path / "L3DAS22")
    found = evaluate_talkers(model, read_scenes(folder)).to_dict()["all"]["recordings"]
    assert found["recall"] > 80.0
    assert found["median_deg"] < 3.0
    turned = make(tmp_path / "L3DAS21", place_m=(-1.0, 1.0, 0.5))  # heard a quarter further left
    found = evaluate_talkers(model, read_scenes(turned)).to_dict()["all"]["recordings"]
    assert found["recall"] == 0.0
    assert found["wrong"] > 90.0


def test_labels_that_do_not_fit_the_sound_are_told(tmp_path, caplog):
    right = read_scenes(make(tmp_path / "right" / "L3DAS22"))
    assert label_advice(right.scenes) is None
    ambix = read_scenes(make(tmp_path / "ambix" / "L3DAS22", audio_format="ambix"))
    assert label_advice(ambix.scenes).endswith("with --format ambix")
    mirrored = read_scenes(
        make(tmp_path / "m" / "L3DAS22", place_m=(1, -1, 0.5), aside=(0, -0.2, 0))
    )
    assert label_advice(mirrored.scenes).endswith("with --clockwise")
    turned = read_scenes(make(tmp_path / "turned" / "L3DAS22", place_m=(-1.0, 0.9, 0.5)))
    assert label_advice(turned.scenes) is None  # nothing that is known would fit
    with caplog.at_level(logging.WARNING):
        warn_of_labels(ambix.scenes, where=ambix.folder, clockwise=False)
        warn_of_labels(right.scenes, where=right.folder, clockwise=False)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{ambix.folder}: the direct sound is ")


def test_commands_check_labels(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.setattr(
        "doa_tf.evaluation.talkers.judge.direction_model", lambda model: IntensityNetwork()
    )
    model = tmp_path / "model.tflite"
    model.write_bytes(b"not read")
    folder = make(tmp_path / "L3DAS22", audio_format="ambix")
    command = ["evaluate", str(model), "--data", str(folder), "--group-by", "microphone"]
    with caplog.at_level(logging.WARNING):
        assert main(command) == 0
    text = capsys.readouterr().err + caplog.text
    assert "with --format ambix" in text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert main([*command, "--format", "ambix"]) == 0
    assert "--format" not in capsys.readouterr().err + caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", 0.0, 3.0, "Whistle", 1, 1, 1), "the class must be one of Chink_and_clink"),
        (("a", 2.0, 1.0, WOMAN, 1, 1, 1), "Start first"),
        (("a", 0.0, 5.0, WOMAN, 1, 1, 1), "within its recording of 4.000 s"),
        (("a", 0.0, "x", MAN, 1, 1, 1), "Start and End .seconds."),
        (("a", 0.0, 1.0, MAN, 1, "nan", 1), "X, Y, Z .metres."),
        (("a", 0.0, 1.0, MAN, 1, 1), "X, Y, Z .metres."),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    folder = make(tmp_path / "L3DAS22")
    (labels,) = folder.glob("*/labels/*.csv")
    write_rows(labels, [HEAD, row])
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        read_scenes(folder)


def test_bad_folders(tmp_path):
    folder = make(tmp_path / "L3DAS22")
    (labels,) = folder.glob("*/labels/*.csv")
    write_rows(labels, [HEAD[:4], ("a", 0, 1, WOMAN)])
    with pytest.raises(InputError, match="must have the columns Start, End, Class, X, Y, Z"):
        read_scenes(folder)
    for path in folder.glob("*/data/*_?.wav"):
        path.unlink()
    with pytest.raises(InputError, match="none of 1 labelled recordings"):
        read_scenes(folder)
    write_rows(folder / "metadata_dev" / "fold1_room1_mix001_ov1.csv", [])
    (folder / "foa_dev").mkdir()
    with pytest.raises(InputError, match=r"TAU-NIGENS Spatial Sound Events 2020 .* and L3DAS"):
        read_scenes(folder)
