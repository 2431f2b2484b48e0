"""Labels of several talkers: who talks when and where, and what no row may say."""

import argparse
import os
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_edge.input.format import AMBIX, InputFormat
from doa_tf.scenes.folder import read_scenes, write_scenes
from doa_tf.scenes.labels.scene import Scene, SceneTalker, Stretch
from doa_tf.scenes.plot import plot_scenes

soundfile = pytest.importorskip("soundfile")

TIMED = "file,talker,start_s,end_s,azimuth_deg,elevation_deg\n"
FORWARD, LEFT, UP = np.eye(3)


@pytest.fixture
def read(tmp_path):
    """Reads a folder whose labels.csv is the text; a.wav and b.wav last two seconds."""

    def scenes(labels):
        for name in ("a.wav", "b.wav"):
            samples = np.random.default_rng(0).standard_normal((32_000, 4))
            soundfile.write(tmp_path / name, 0.1 * samples, 16_000)
        (tmp_path / "labels.csv").write_text(labels)
        return read_scenes(tmp_path)

    return scenes


def row(azimuth_deg=10.0, elevation_deg=-5.0, **further):
    return {"azimuth_deg": azimuth_deg, "elevation_deg": elevation_deg, **further}


def test_several_talkers_of_a_file_talk_all_through(read):
    scenes = read(
        "file,condition,talker,azimuth_deg,elevation_deg,below_db\n"
        "a.wav,two,anna,0,0,0.0\nb.wav,one,carl,0,90,0.0\na.wav,two,ben,90,0,5.1\n"
    )
    assert [scene.file for scene in scenes] == ["a.wav", "b.wav"]
    assert scenes.voices == 2
    both, alone = scenes
    assert [talker.name for talker in both.talkers] == ["anna", "ben"]
    assert not both.single
    assert not both.timed
    np.testing.assert_allclose(both.directions_at([0.0, 99.0]), 2 * [[FORWARD, LEFT]], atol=1e-15)
    # What the rows of a file agree on is a column of the file.
    assert both.columns == {"condition": "two", "talker": "", "below_db": ""}
    assert np.isnan(both.azimuth_deg)
    assert np.isnan(both.number("elevation_deg"))
    assert alone.single
    assert alone.columns == {"condition": "one", "talker": "carl", "below_db": "0.0"}
    np.testing.assert_allclose(alone.direction, UP, atol=1e-15)
    np.testing.assert_allclose(alone.directions_at([1.0]), [[UP]], atol=1e-15)


def test_stretches_are_heard_from_start_until_end(read):
    (scene,) = read(
        f"{TIMED}a.wav,anna,1.5,2,90,0\na.wav,ben,0.4,0.8,0,90\na.wav,anna,0.25,0.5,0,0\n"
    )
    assert scene.timed
    assert not scene.single
    anna, _ = scene.talkers
    assert [stretch.start_s for stretch in anna.stretches] == [0.25, 1.5]  # in order
    times = [0.0, 0.25, 0.45, 0.5, 0.7, 0.8, 1.5, 1.99, 2.0]
    silent = np.zeros(3)
    found = scene.directions_at(times)
    expected = [silent, FORWARD, FORWARD, silent, silent, silent, LEFT, LEFT, silent]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-15)
    heard = [False, False, True, True, True, False, False, False, False]
    np.testing.assert_array_equal(found[:, 1].any(axis=1), heard)
    with pytest.raises(InputError, match=r"one talker who talks all .*a\.wav with 2 talkers, with"):
        _ = scene.direction


def test_a_talker_who_moves_has_a_direction_each_moment(read):
    rows = [f"a.wav,anna,{k / 10},{(k + 1) / 10},{9 * k},0\n" for k in range(20)]
    (scene,) = read(TIMED + "".join(rows))
    times = 0.05 + 0.1 * np.arange(20)
    expected = angles_to_vector(np.radians(9.0 * np.arange(20)), 0.0)
    np.testing.assert_allclose(scene.directions_at(times)[:, 0], expected, atol=1e-12)


def test_nobody(read):
    scenes = read("file,talker,azimuth_deg,elevation_deg\na.wav,,,\n")
    (scene,) = scenes
    assert scene.talkers == ()
    assert scenes.voices == 0
    assert not scene.single
    assert not scene.timed
    assert scene.directions_at([0.0, 1.0]).shape == (2, 0, 3)
    with pytest.raises(InputError, match="with 0 talkers"):
        _ = scene.direction


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            "file,azimuth_deg,elevation_deg\na.wav,0,0\na.wav,9,9\n",
            r"line 3: a\.wav is named a second time, first in line 2; rows for several talkers need"
            r" the column talker",
        ),
        (
            "file,talker,azimuth_deg,elevation_deg\na.wav,1,0,0\na.wav,1,9,9\n",
            r"line 3: talker '1' of a\.wav is named a second time, first in line 2; several rows",
        ),
        (
            f"{TIMED}a.wav,1,0.2,1,0,0\na.wav,2,0.5,0.7,0,0\na.wav,1,0.9,1.5,9,9\n",
            r"line 4: rows of talker '1' of a\.wav must not overlap.*0\.2 to 1 s in line 2, and "
            r"0\.9 to 1\.5 s",
        ),
        (
            f"{TIMED}a.wav,1,0.2,1,0,0\na.wav,2,,,0,0\n",
            r"line 3: all rows of a\.wav need times, or none.*some in line 2, none in line 3",
        ),
        (
            f"{TIMED}a.wav,1,,,0,0\na.wav,2,0,1,0,0\n",
            r"line 3: all rows .*some in line 3, none in line 2",
        ),
        (f"{TIMED}a.wav,1,0.2,,0,0\n", r"line 2: .*go together.*start_s=0\.2 without end_s"),
        (f"{TIMED}a.wav,1,,1,0,0\n", r"line 2: .*go together.*end_s=1 without start_s"),
        (f"{TIMED}a.wav,1,1,1,0,0\n", r"line 2: .*0 <= start_s < end_s.*start_s=1, end_s=1"),
        (f"{TIMED}a.wav,1,-0.1,1,0,0\n", r"0 <= start_s < end_s.*start_s=-0\.1"),
        (f"{TIMED}a.wav,1,nan,1,0,0\n", r"0 <= start_s < end_s.*start_s=nan"),
        (f"{TIMED}a.wav,1,0,inf,0,0\n", r"0 <= start_s < end_s.*end_s=inf"),
        (f"{TIMED}a.wav,1,now,1,0,0\n", r"0 <= start_s < end_s.*start_s=now"),
        (
            f"{TIMED}b.wav,1,0,2,0,0\na.wav,1,1,2.02,0,0\n",
            r"line 3: times must lie within a\.wav, which lasts 2\.000 s\. Received: end_s=2\.02",
        ),
        (f"{TIMED}a.wav,,,,0,0\n", r"line 2: `talker` must name who talks; where nobody does"),
        (f"{TIMED}a.wav,,,,,0\n", r"line 2: `talker` must name who talks"),
        (f"{TIMED}a.wav,1,,,,\n", r"line 2: `azimuth_deg` must be a number between"),
        (f"{TIMED}a.wav,,0,1,,\n", r"line 2: nobody talks in all of a\.wav.*leave start_s and end"),
        (
            f"{TIMED}a.wav,1,,,0,0\na.wav,,,,,\n",
            r"line 3: a row without talker and angles .* must be its only one.*another in line 2",
        ),
        (
            "file,azimuth_deg,elevation_deg,start_s,end_s\na.wav,0,0,0,1\n",
            r"labels\.csv has the columns start_s, end_s: they need the column talker",
        ),
        (
            "file,azimuth_deg,elevation_deg,talker,end_s\na.wav,0,0,1,1\n",
            r"labels\.csv has the column end_s without start_s",
        ),
    ],
)
def test_rows_that_cannot_be_are_named(read, labels, message):
    with pytest.raises(InputError, match=message) as caught:
        read(labels)
    assert "\n" not in str(caught.value)


def test_a_time_rounded_up_at_the_end_is_taken(read):
    (scene,) = read(f"{TIMED}a.wav,1,1,2.005,0,0\n")
    assert scene.talkers[0].stretches[0].end_s == 2.005


def test_a_scene_cannot_be_made_with_two_opinions():
    talkers = (SceneTalker(name="", stretches=(Stretch(azimuth_deg=9.0, elevation_deg=0.0),)),)
    assert Scene(file="a", path="a", talkers=talkers).azimuth_deg == 9.0
    assert Scene(file="a", path="a", azimuth_deg=9.0, elevation_deg=0.0).talkers == talkers
    with pytest.raises(ValueError, match="must agree with the angles"):
        Scene(file="a", path="a", azimuth_deg=8.0, elevation_deg=0.0, talkers=talkers)


def test_sets_of_several_talkers_are_written_and_read(tmp_path):
    sound = np.random.default_rng(0).standard_normal((16_000, 4)).astype(np.float32)
    timed = {"start_s": None, "end_s": None}
    two = [row(talker="1", **timed), row(-90.0, 0.0, talker="2", **timed)]
    turns = [
        row(talker="1", start_s=0.25, end_s=0.5),
        row(20.0, 0.0, talker="1", start_s=0.5, end_s=1.0),
    ]
    nobody = row("", "", talker="", **timed)
    write_scenes(
        tmp_path / "s", [("two", sound, two), ("turns", sound, turns), ("no", sound, nobody)]
    )
    first, second, third = read_scenes(tmp_path / "s")
    assert [talker.name for talker in first.talkers] == ["1", "2"]
    assert second.talkers[0].stretches[1] == Stretch(
        start_s=0.5, end_s=1.0, azimuth_deg=20.0, elevation_deg=0.0
    )
    assert third.talkers == ()
    np.testing.assert_array_equal(third.read(), sound)


def test_blocks_of_images_add_up_to_the_scene(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.standard_normal((3_000, 4)).astype(np.float32) for name in ("1", "noise")}

    def blocks():
        for start in (0, 1_000):
            stop = 1_000 if not start else 3_000
            yield {name: image[start:stop] for name, image in images.items()}

    write_scenes(tmp_path / "with", [("a", blocks(), row())], images=True)
    write_scenes(tmp_path / "without", [("a", blocks(), row())])
    assert sorted(os.listdir(tmp_path / "with" / "images")) == ["a_1.wav", "a_noise.wav"]
    assert sorted(os.listdir(tmp_path / "without")) == ["a.wav", "labels.csv"]
    (scene,) = read_scenes(tmp_path / "with")
    np.testing.assert_array_equal(scene.read(), images["1"] + images["noise"])
    kept, _ = soundfile.read(tmp_path / "with" / "images" / "a_noise.wav", dtype="float32")
    np.testing.assert_array_equal(kept, images["noise"])


def test_a_scene_that_is_interrupted_leaves_nothing(tmp_path):
    def blocks():
        yield {"1": np.ones((1_000, 4), np.float32)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "s", [("a", blocks(), row())], images=True)
    assert os.listdir(tmp_path) == []


def test_a_picture_of_scenes_of_several_and_of_nobody(read, tmp_path):
    pytest.importorskip("matplotlib")
    text = "file,talker,azimuth_deg,elevation_deg,snr_db\na.wav,1,0,0,3\na.wav,2,9,9,3\nb.wav,,,,\n"
    plot_scenes(tmp_path / "scenes.png", read(text))
    assert (tmp_path / "scenes.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "needs at least one row of labels"),
        ([row(), row()], r"a\.wav is named a second time, first in row 1"),
        (row("", "", talker="", start_s=0.0, end_s=1.0), "nobody talks in all of"),
        (row(talker="1", start_s=0.0, end_s=1.5), r"within a\.wav, which lasts 1\.000 s"),
        ([row(talker="1"), row(talker="")], r"a\.wav, row 2: `talker` must name who talks"),
    ],
)
def test_rows_that_would_not_be_read_are_not_written(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        write_scenes(tmp_path / "s", [("a", np.ones((16_000, 4)), rows)])
    assert os.listdir(tmp_path) == []


def test_the_development_recordings_of_several_are_read(shared_data):
    talkers = read_scenes(shared_data / "talkers")
    assert talkers.voices == 3
    assert not any(scene.single for scene in talkers)
    meetings = [scene for scene in talkers if scene.columns["condition"].startswith("meeting")]
    assert all(scene.timed and len(scene.talkers) == 3 for scene in meetings)
    valid = read_scenes(shared_data / "valid-real")
    assert valid.voices == 2
    halls = [scene for scene in valid if scene.columns["condition"] == "hall"]
    assert all(scene.single for scene in halls)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "b\u00fcro") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("stored", "labelled"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["NFD", "NFC"]
)
def test_labels_may_name_files_in_another_normal_form(tmp_path, stored, labelled):
    folder = tmp_path / stored
    (folder / stored).mkdir(parents=True)
    samples = np.random.default_rng(0).standard_normal((32_000, 4))
    soundfile.write(folder / stored / f"{stored}.wav", 0.1 * samples, 16_000)
    row = f"{labelled}/{labelled}.wav,10,-5\n"
    labels = folder / "labels.csv"
    labels.write_text(f"file,azimuth_deg,elevation_deg\n{row}", encoding="utf-8-sig")
    (scene,) = read_scenes(tmp_path / labelled)
    assert scene.file == f"{labelled}/{labelled}.wav"
    assert scene.read().shape == (32_000, 4)
    # One file under two names is one file.
    with labels.open("a", encoding="utf-8") as file:
        file.write(f"{stored}/{stored}.wav,20,0\n")
    with pytest.raises(InputError, match="named a second time"):
        read_scenes(folder)


def test_a_folder_of_any_name_is_read(tmp_path):
    folder = tmp_path / os.fsdecode(b"b\xfcro")
    samples = np.random.default_rng(0).standard_normal((16_000, 4)).astype(np.float32)
    write_scenes(folder, [("a", samples, row())])
    (scene,) = read_scenes(folder)
    np.testing.assert_array_equal(scene.read(), samples)


def test_advice_about_an_option_is_for_commands_that_have_it(tmp_path, capsys):
    from doa_edge.commands.main import main as doa_edge
    from doa_tf.cli.main import main as doa_tf

    soundfile.write(tmp_path / "third-order.wav", np.full((32_000, 16), 0.1), 16_000)
    labels = "file,azimuth_deg,elevation_deg\nthird-order.wav,0,0\n"
    (tmp_path / "labels.csv").write_text(labels)
    # AmbiX of a higher order is judged by its first four channels.
    assert doa_tf(["evaluate", "baseline:intensity", "--data", str(tmp_path)]) == 0
    assert "--channels" not in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text(labels.replace("third-order", "five"))
    soundfile.write(tmp_path / "five.wav", np.full((32_000, 5), 0.1), 16_000)
    assert doa_tf(["evaluate", "baseline:intensity", "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "microphone); --channels says which, such as --channels 1,2,3,4. Received: " in told
    with pytest.raises(InputError) as raised:
        read_scenes(tmp_path)[0].read()
    told = str(raised.value.with_advice(argparse.Namespace(data=tmp_path)))
    assert told.endswith("with 5 channels")
    assert "--" not in told
    assert doa_edge(["run", "--input", str(tmp_path / "third-order.wav")]) == 2
    told = capsys.readouterr().err
    assert "microphone); --channels says which, such as --channels 1,2,3,4. Received: " in told


def many(tmp_path, rooms):
    """A folder of scenes, one in each of the rooms named."""
    rows = ({**row(azimuth), "room": room} for azimuth, room in enumerate(rooms))
    names = map(str, range(len(rooms)))
    sound = np.ones((100, 4))
    write_scenes(tmp_path / "s", [(n, sound, r) for n, r in zip(names, rows, strict=True)])
    return read_scenes(tmp_path / "s")


def test_scenes_are_split_by_file_or_by_a_column(tmp_path):
    scenes = many(tmp_path, "aabbccddee")
    rest, held = scenes.split(0.2, seed=3)
    assert (len(rest), len(held)) == (8, 2)
    assert {s.file for s in (*rest, *held)} == {s.file for s in scenes}
    assert scenes.split(0.2, seed=3)[1].scenes == held.scenes
    assert scenes.split(0.2, seed=4)[1].scenes != held.scenes
    rest, held = scenes.split(0.2, by="room")
    assert (len(rest), len(held)) == (8, 2)
    assert len({scene.columns["room"] for scene in held}) == 1
    assert rest.digest != held.digest != scenes.digest
    assert len(scenes.split(0.001)[1]) == len(scenes.split(0.999)[0]) == 1


def test_what_cannot_be_split(tmp_path):
    scenes = many(tmp_path, "aa")
    with pytest.raises(InputError, match=r"two or more values of 'room'. Received: 1 in"):
        scenes.split(0.5, by="room")
    with pytest.raises(InputError, match=r"no column 'day' to split by. Received columns: room"):
        scenes.split(0.5, by="day")
    with pytest.raises(InputError, match=r"two or more files. Received: 1 in"):
        replace(scenes, scenes=scenes.scenes[:1]).split(0.5)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        scenes.split(1.0)


def test_a_format_belongs_to_all_scenes_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    fuma = rng.standard_normal((32_000, 4)).astype(np.float32)
    write_scenes(tmp_path / "s", [("a", fuma, row())])
    fuma_format = InputFormat(audio_format="fuma", mount=(0.3, 0.0, np.pi))
    (scene,) = read_scenes(tmp_path / "s", fuma_format)
    np.testing.assert_allclose(scene.read(), fuma @ fuma_format.to_ambix.T, atol=1e-5)
    (plain,) = read_scenes(tmp_path / "s")
    assert plain.input_format == AMBIX


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,azimuth_deg,elevation_deg\na.wav\0,0,0\n", "NUL"),
        ("file,azimuth_deg,elevation_deg\n" + "a" * 200_000 + ",0,0\n", "field limit"),
        ("file,azimuth_deg,elevation_deg\n" + "," * (1 << 21), "more than 1048576 characters"),
        ('file,azimuth_deg,elevation_deg\n"a.wav,0,0\n', "unexpected end"),
    ],
)
def test_a_hostile_table_is_refused_in_one_line(read, labels, message):
    with pytest.raises(InputError, match=f"labels.csv must be UTF-8 text.*{message}") as caught:
        read(labels)
    assert "\n" not in str(caught.value)
