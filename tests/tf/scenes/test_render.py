"""Rendered scenes: what was mixed, with labels that say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.cli import main as cli
from doa_tf.data.recorded import frame_times
from doa_tf.scenes.folder import read_scenes
from doa_tf.scenes.labels.rows import scene_rows
from doa_tf.scenes.mixer import RENDER_STREAM
from doa_tf.scenes.render import render_scenes, scene_row


def test_rendered_scenes_hold_what_was_mixed(tmp_path, mixer):
    folder = tmp_path / "scenes"
    render_scenes(folder, mixer=mixer, conditions=["clean", "interferer"], scenes=2, seed=4)
    scenes = read_scenes(folder)
    conditions = [scene.columns["condition"] for scene in scenes]
    assert conditions == 2 * ["clean"] + 2 * ["interferer"]
    original = mixer.mix((4, 1, 0, RENDER_STREAM), condition="interferer")
    np.testing.assert_array_equal(scenes[2].read(), original.waveform)
    np.testing.assert_allclose(scenes[2].direction, original.direction, atol=1e-4)
    columns = scenes[2].columns
    room, source = original.room, original.source
    assert float(columns["snr_db"]) == pytest.approx(original.snr_db, abs=0.01)
    assert float(columns["sir_db"]) == pytest.approx(original.sir_db, abs=0.01)
    assert float(columns["distance_m"]) == pytest.approx(room.distances[source], abs=1e-3)
    assert int(columns["room"]) == room.number
    assert columns["microphone"] == room.microphone_kind
    interferer = angles_to_vector(
        np.radians(float(columns["interferer_azimuth_deg"])),
        np.radians(float(columns["interferer_elevation_deg"])),
    )
    np.testing.assert_allclose(interferer, room.directions[original.interferer], atol=1e-4)
    for column in ("snr_db", "sir_db", "interferer_azimuth_deg"):
        assert scenes[0].columns[column] == ""  # a clean scene has none


def test_rooms_that_know_less_have_empty_cells(mixer):
    scene = mixer.mix((1, 1, 1), condition="clean")
    unknown = replace(scene.room, rt60=float("nan"), rt60_measured=0.4, drr_db=np.zeros(0))
    row = scene_row(replace(scene, room=unknown))
    assert (row["rt60_s"], row["drr_db"]) == (0.4, "")


def test_the_command_renders_all_conditions_or_those_asked_for(tmp_path, bank, speech, capsys):
    command = ["render", "--bank", str(bank), "--speech", str(speech), "--scenes", "1"]
    assert cli.main([*command, "--condition", "all", "--out", str(tmp_path / "all")]) == 0
    found = [scene.columns["condition"] for scene in read_scenes(tmp_path / "all")]
    assert found == ["clean", "diffuse", "interferer"]
    assert not {"talker", "start_s"} & set(read_scenes(tmp_path / "all").columns)
    asked = ["--condition", "interferer", "--condition", "clean", "--out", str(tmp_path / "two")]
    assert cli.main([*command, *asked]) == 0
    assert len(read_scenes(tmp_path / "two")) == 2
    assert cli.main([*command, "--out", str(tmp_path / "two")]) == 2
    assert "new or an empty folder" in capsys.readouterr().err


def test_no_scenes_are_refused(tmp_path, mixer):
    with pytest.raises(InputError, match="`scenes` must be an integer between 1 and 1000000"):
        render_scenes(tmp_path / "x", mixer=mixer, conditions=["clean"], scenes=0)


@pytest.fixture(scope="module")
def several(tmp_path_factory, mixer):
    """A folder of scenes of two and of nobody, beside one of a single talker."""
    folder = tmp_path_factory.mktemp("several") / "s"
    conditions = ["clean", "talkers", "nobody"]
    render_scenes(folder, mixer=mixer, conditions=conditions, scenes=6, seed=4)
    return read_scenes(folder)


def test_scenes_of_several_have_the_targets_they_were_mixed_with(several, mixer):
    paused = 0
    for index in range(6):
        scene = several[6 + index]
        original = mixer.mix((4, 1, index, RENDER_STREAM), condition="talkers")
        np.testing.assert_array_equal(scene.read(), original.waveform)
        assert scene.columns["condition"] == "talkers"
        assert [talker.name for talker in scene.talkers] == list(original.names)
        times = frame_times(FeatureSpec())
        expected = original.activity.T[:, :, np.newaxis] * original.directions
        np.testing.assert_allclose(scene.directions_at(times), expected, atol=1e-4)
        paused += scene.timed
    assert paused  # some of them have pauses


def test_scenes_of_one_and_of_nobody_beside_them(several):
    one, nobody = several[0], several[12]
    assert one.single
    assert one.talkers[0].name == "1"
    assert (nobody.talkers, nobody.columns["condition"]) == ((), "nobody")
    assert nobody.columns["distance_m"] == ""
    assert several.voices == 2


def test_talkers_who_never_pause_have_no_times(mixer):
    scene = mixer.mix((4, 0, 1, RENDER_STREAM), condition="talkers")
    always = replace(scene, activity=np.ones_like(scene.activity))
    rows = scene_rows(always)
    assert [row["talker"] for row in rows] == ["1", "2"]
    assert {row["start_s"] for row in rows} == {row["end_s"] for row in rows} == {""}


def test_the_command_renders_meetings_with_their_images(tmp_path, bank, speech):
    command = ["render", "--bank", str(bank), "--speech", str(speech), "--scenes", "2"]
    meeting = ["--condition", "meeting", "--people", "2", "--seconds", "5", "--images"]
    assert cli.main([*command, *meeting, "--out", str(tmp_path / "m")]) == 0
    scenes = read_scenes(tmp_path / "m")
    assert [scene.file for scene in scenes] == ["meeting_0000.wav", "meeting_0001.wav"]
    for scene in scenes:
        mixture = scene.read()
        assert mixture.shape == (5 * 16_000, 4)
        images = sorted((tmp_path / "m" / "images").glob(f"{scene.path.stem}_*.wav"))
        names = [path.stem.rpartition("_")[2] for path in images]
        assert set(names) == {*(talker.name for talker in scene.talkers), "noise"}
        total = sum(soundfile.read(path, dtype="float32")[0] for path in images)
        np.testing.assert_allclose(mixture, total, atol=1e-6 * np.abs(mixture).max())
    again = tmp_path / "again"
    assert cli.main([*command, *meeting[:-1], "--out", str(again)]) == 0
    assert (again / "labels.csv").read_bytes() == (tmp_path / "m" / "labels.csv").read_bytes()
    np.testing.assert_array_equal(read_scenes(again)[1].read(), scenes[1].read())
    assert not (again / "images").exists()


def test_the_command_renders_walks_in_rooms_of_the_bank(tmp_path, bank, speech):
    command = ["render", "--bank", str(bank), "--speech", str(speech), "--scenes", "1"]
    out = ["--condition", "moving", "--seconds", "1.5", "--out", str(tmp_path / "m")]
    assert cli.main([*command, *out]) == 0
    (scene,) = read_scenes(tmp_path / "m")
    assert scene.columns["microphone"] == "ideal"  # of the bank's settings
    assert 0.1 < float(scene.columns["rt60_s"]) < 0.5 or scene.columns["rt60_s"] == "0.0"
    assert len({each.azimuth_deg for each in scene.talkers[0].stretches}) > 5
    assert len(scene.read()) == 24_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "3"], "--people needs --condition meeting. Received: clean"),
        (["--condition", "moving", "--people", "3"], "--people needs --condition meeting"),
        (["--condition", "meeting", "--walkers", "2"], "--walkers needs --condition moving"),
        (["--seconds", "9"], "--seconds needs --condition meeting or --condition moving"),
        (["--images"], "--images needs --condition meeting or"),
        (
            ["--condition", "meeting", "--people", "9"],
            "--people must be an integer between 2 and 4. Received: 9",
        ),
        (["--condition", "meeting", "--seconds", "0"], "--seconds must lie between 1 and 14400"),
        (["--condition", "meeting"], "A meeting of 3 people needs a room with as many sources"),
    ],
)
def test_bad_options_are_refused_and_leave_nothing(
    tmp_path, bank, speech, capsys, options, message
):
    command = ["render", "--bank", str(bank), "--speech", str(speech), "--scenes", "1"]
    assert cli.main([*command, *options, "--out", str(tmp_path / "m")]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
