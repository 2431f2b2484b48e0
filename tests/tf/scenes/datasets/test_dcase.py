"""STARSS and TAU-NIGENS folders as they are published."""

import json
import logging

import numpy as np
import pytest

pytest.importorskip("soundfile")

from doa_core.errors import InputError
from doa_edge.input.format import InputFormat
from doa_edge.sinks.tables.dcase import DcaseSink
from doa_tf.cli.main import main
from doa_tf.evaluation.talkers.judge import evaluate_talkers
from doa_tf.scenes.datasets.dcase import NIGENS_2020, NIGENS_2021, STARSS
from doa_tf.scenes.folder import Stretch, read_scenes, write_scenes
from tests.tf.scenes.datasets.made import IntensityNetwork, sound, write_rows, write_sound

RATE = 24_000
LEFT, RIGHT = (60, 10), (-45, -20)


def labelled(number, source, first, last, place, *further):
    """Rows of the frames `first` to `last`, the last one included."""
    return [(frame, number, source, *place, *further) for frame in range(first, last + 1)]


def add(folder, name, rows, places, **options):
    """A recording of a second for each place, and its labels."""
    write_sound(folder / "foa_dev" / f"{name}.wav", sound(places, rate=RATE, **options), rate=RATE)
    write_rows(folder / "metadata_dev" / f"{name}.csv", rows)


def stretch(start_s, end_s, place):
    return Stretch(start_s=start_s, end_s=end_s, azimuth_deg=place[0], elevation_deg=place[1])


@pytest.fixture
def starss(tmp_path):
    """Two seconds from the left and two from the right, and a door; in the other nobody talks."""
    rows = labelled(0, 1, 0, 19, LEFT, 200) + labelled(1, 2, 20, 39, RIGHT, 155)
    rows += labelled(7, 0, 5, 7, (0, 0), 90)
    folder = tmp_path / "STARSS23"
    add(folder, "dev-train-sony/fold3_room21_mix001", rows, [LEFT, LEFT, RIGHT, RIGHT])
    add(folder, "dev-test-tau/fold4_room8_mix002", [], [None] * 3)
    # The same by a tetrahedron of capsules, which is another thing.
    write_sound(folder / "mic_dev/dev-test-tau/fold4_room8_mix002.wav", np.ones((9, 4)), rate=RATE)
    return folder


def test_starss(starss):
    scenes = read_scenes(starss)
    nobody, scene = scenes
    assert nobody.file == "foa_dev/dev-test-tau/fold4_room8_mix002.wav"
    assert nobody.talkers == ()
    assert nobody.columns["split"] == "dev-test-tau"
    assert scene.columns == {
        "talker": "",
        "split": "dev-train-sony",
        "fold": "fold3",
        "room": "room21",
    }
    assert scenes.columns == tuple(scene.columns)
    first, second = scene.talkers
    assert first.name == "female speech 1"
    assert first.stretches == (stretch(0.0, 2.0, LEFT),)
    assert second.name == "male speech 2"
    assert second.stretches == (stretch(2.0, 4.0, RIGHT),)
    assert len(scene.read()) == 4 * 16_000


def test_all_sounds_where_asked_for(starss):
    (_, scene) = read_scenes(starss, sounds="all")
    names = [talker.name for talker in scene.talkers]
    assert names == ["female speech 1", "door 0", "male speech 2"]
    assert scene.talkers[1].stretches == (stretch(0.5, 0.8, (0, 0)),)


@pytest.mark.parametrize(
    ("year", "name", "speech"),
    [
        (STARSS, "dev-train-sony/fold3_room21_mix001", (0, 1)),
        (STARSS, "dev-train-synth/fold1_room1_mix001", (0, 1)),
        (NIGENS_2021, "dev-val/fold5_room1_mix001", (5, 9)),
        (NIGENS_2020, "fold1_room1_mix001_ov1", (6, 11)),
        (NIGENS_2020, "dev-train/fold1_room1_mix001_ov2", (6, 11)),  # as some sort them
    ],
)
def test_the_classes_that_are_speech_differ_by_year(tmp_path, year, name, speech):
    assert year.speech == speech
    count = len(year.classes)
    assert count == {STARSS: 13, NIGENS_2021: 12, NIGENS_2020: 14}[year]
    add(tmp_path, name, [(0, n, n, n, 0) for n in range(count)], [LEFT])
    (scene,) = read_scenes(tmp_path)
    assert [t.stretches[0].azimuth_deg for t in scene.talkers] == list(speech)
    (scene,) = read_scenes(tmp_path, sounds="all")
    assert len(scene.talkers) == count
    name = f"metadata_dev/{name}.csv"
    write_rows(tmp_path / name, [(0, count, 0, 0, 0)])
    with pytest.raises(InputError, match=rf"line 1: the class must be one of {year.name}, 0 to"):
        read_scenes(tmp_path)


def test_movers_pauses_and_two_of_one_name(tmp_path):
    rows = [(0, 0, 1, -179, 0), (1, 0, 1, -180, 0), (2, 0, 1, 179, 0), (5, 0, 1, 179, 0)]
    rows += [(5, 0, 1, 179, 0), (5, 0, 1, 20, 0)]  # once more, and somewhere else
    add(tmp_path, "dev-test-sony/fold4_room23_mix001", rows, [LEFT])
    (scene,) = read_scenes(tmp_path)
    first, second = scene.talkers
    assert first.stretches == (
        stretch(0.0, 0.1, (-179, 0)),
        stretch(0.1, 0.2, (180, 0)),
        stretch(0.2, 0.3, (179, 0)),
        stretch(0.5, 0.6, (179, 0)),
    )
    assert second.name == "female speech 1 (2)"
    assert second.stretches == (stretch(0.5, 0.6, (20, 0)),)


def test_what_a_person_says_of_format_and_azimuths(starss):
    read = read_scenes(starss, InputFormat(audio_format="fuma"), clockwise=True)
    assert read[1].input_format.audio_format == "fuma"
    assert [t.stretches[0].azimuth_deg for t in read[1].talkers] == [-60, 45]
    assert read.digest != read_scenes(starss).digest


def test_labels_csv_comes_first(starss):
    (starss / "labels.csv").write_text(
        "file,azimuth_deg,elevation_deg\nfoa_dev/dev-test-tau/fold4_room8_mix002.wav,5,0\n"
    )
    (scene,) = read_scenes(starss)
    assert scene.azimuth_deg == 5.0
    with pytest.raises(InputError, match="`sounds` and `clockwise` are for published data sets"):
        read_scenes(starss, sounds="speech")


def test_a_part_of_the_recordings(starss, caplog):
    (starss / "foa_dev/dev-test-tau/fold4_room8_mix002.wav").unlink()
    with caplog.at_level(logging.WARNING):
        (scene,) = read_scenes(starss)
    assert scene.columns["room"] == "room21"
    (record,) = caplog.records
    assert "1 of 2 labelled recordings are not there and are left out" in record.getMessage()
    scene.path.unlink()
    with pytest.raises(InputError, match="none of 2 labelled recordings, foa_dev/dev-test-tau"):
        read_scenes(starss)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("frame,class,source,azimuth,elevation", "numbers, with or without the distance"),
        ("0,0,1,60", "a row must be frame,class,source,azimuth,elevation"),
        ("0,0,1,60,10,2,3", "a row must be frame,class,source,azimuth,elevation"),
        ("0.5,0,1,60,10", "a row must be frame,class,source"),
        ("-1,0,1,60,10", "lie within its recording, which has 40, from 0 on"),
        ("41,0,1,60,10", "lie within its recording, which has 40, from 0 on"),
        ("0,13,1,60,10", "0 to 12 .speech is 0 and 1."),
        ("0,0,1,181,10", "azimuths must lie within -180 and 180 degrees"),
        ("0,0,1,nan,10", "azimuths must lie within -180 and 180 degrees"),
        ("0,0,1,60,-91", "elevations within -90 and 90"),
    ],
)
def test_bad_rows_are_named(starss, row, message):
    path = starss / "metadata_dev/dev-train-sony/fold3_room21_mix001.csv"
    path.write_text(f"40,0,1,60,10\n\n{row}\n")  # one frame behind the end is rounding
    with pytest.raises(InputError, match=message) as refused:
        read_scenes(starss)
    assert str(refused.value).startswith(f"{path}, line 3: ")
    assert str(refused.value).endswith(f"Received: {row}")


def test_folders_that_are_none_or_two(starss, tmp_path):
    with pytest.raises(InputError, match=r"is named by the folder above: .*STARSS23"):
        read_scenes(starss / "foa_dev")
    add(starss, "fold1_room1_mix001_ov1", [], [LEFT])
    with pytest.raises(InputError, match="must hold one data set") as refused:
        read_scenes(starss)
    for year in (STARSS, NIGENS_2020):
        assert f"{year.name} (foa_dev and metadata_dev/{year.example})" in str(refused.value)
    other = tmp_path / "other"
    write_rows(other / "metadata_dev/mix001.csv", [])
    (other / "mic_dev").mkdir()
    with pytest.raises(InputError, match=r"lacks foa_dev .mic_dev holds capsules"):
        read_scenes(other)
    (other / "foa_dev").mkdir()
    with pytest.raises(InputError, match="tell the year, and its classes, by names such as"):
        read_scenes(other)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="nor is it one of STARSS22 or STARSS23"):
        read_scenes(empty)


def test_what_the_runner_writes_is_read(starss):
    labels = starss / "metadata_dev/dev-train-sony/fold3_room21_mix001.csv"
    sink = DcaseSink(labels, window_s=0.832, class_number=1)
    for of_s in (0.45, 0.61, 0.77):
        talker = {"id": 4, "azimuth_deg": 60.4, "elevation_deg": -10.2}
        sink.send({"time_s": of_s + 0.3, "of_s": of_s, "active": True, "talkers": [talker]})
    sink.close()
    (talker,) = read_scenes(starss)[1].talkers
    assert talker.name == "male speech 4"
    assert talker.stretches == (stretch(0.0, 1.1, (60, -10)),)


def figures(folder, **options):
    evaluation = evaluate_talkers(IntensityNetwork(), read_scenes(folder, **options))
    return evaluation.to_dict()["all"]["recordings"]


def test_labels_agree_with_what_is_heard(starss):
    found = figures(starss)
    assert found["n"] == 2
    assert found["recall"] > 80.0
    assert found["median_deg"] < 3.0
    assert found["silence_answered"] == 0.0
    assert found["recall_moving"] is None
    assert found["recall_overlap"] is None
    assert figures(starss, clockwise=True)["recall"] == 0.0  # the comparison is not empty


def test_a_set_that_is_turned_is_not_found(tmp_path):
    rows = labelled(0, 1, 0, 39, LEFT)
    add(tmp_path, "dev-test-sony/fold4_room1_mix1", rows, [LEFT] * 4, turned_deg=90.0)
    found = figures(tmp_path)
    assert found["recall"] == 0.0
    assert found["wrong"] > 90.0
    assert found["LE_deg"] == pytest.approx(90.0, abs=5.0)


def test_evaluate(starss, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "doa_tf.evaluation.talkers.judge.direction_model", lambda model: IntensityNetwork()
    )
    model, out = tmp_path / "model.tflite", tmp_path / "figures.json"
    model.write_bytes(b"not read")
    command = ["evaluate", str(model), "--data", str(starss), "--group-by", "split"]
    assert main([*command, "--json", str(out)]) == 0
    assert "dev-train-sony" in capsys.readouterr().out
    values = json.loads(out.read_text())
    assert list(values["groups"]) == ["dev-test-tau", "dev-train-sony"]
    assert values["groups"]["dev-train-sony"]["recordings"]["minutes"] == 0.07
    assert main([*command, "--sounds", "all", "--json", str(out)]) == 0
    own = tmp_path / "own"
    write_scenes(own, [("a", sound([LEFT], rate=16_000), {"azimuth_deg": 60, "elevation_deg": 10})])
    capsys.readouterr()
    assert main(["evaluate", str(model), "--data", str(own), "--sounds", "all"]) == 2
    assert "are for published data sets" in capsys.readouterr().err
