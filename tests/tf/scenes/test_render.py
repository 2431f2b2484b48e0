"""Rendered scenes: what was mixed, with labels that say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_tf.cli import main as cli
from doa_tf.scenes.folder import read_scenes
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
    asked = ["--condition", "interferer", "--condition", "clean", "--out", str(tmp_path / "two")]
    assert cli.main([*command, *asked]) == 0
    assert len(read_scenes(tmp_path / "two")) == 2
    assert cli.main([*command, "--out", str(tmp_path / "two")]) == 2
    assert "new or an empty folder" in capsys.readouterr().err


def test_no_scenes_are_refused(tmp_path, mixer):
    with pytest.raises(InputError, match="at least 1"):
        render_scenes(tmp_path / "x", mixer=mixer, conditions=["clean"], scenes=0)
