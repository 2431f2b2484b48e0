"""Spatial LibriSpeech as it is published: one reader in each recording, angles in radians."""

import logging
import sys

import numpy as np
import pytest

pytest.importorskip("soundfile")

from doa_core.errors import InputError, MissingPackageError
from doa_tf.scenes.datasets import spatial_librispeech
from doa_tf.scenes.datasets.label_check import label_advice
from doa_tf.scenes.folder import read_scenes
from tests.tf.scenes.datasets.made import sound, write_sound

RATE = 16_000
AZIMUTHS_DEG = (30.0, -100.0, 200.0)  # the third is beyond the half circle
ELEVATION_DEG = -10.0


def columns(**changed):
    table = {
        "sample_id": [0, 1, 2],
        "speech/azimuth": list(np.radians(AZIMUTHS_DEG)),
        "speech/elevation": list(np.radians([ELEVATION_DEG] * 3)),
        "split": ["train", "test", "test"],
        "room/room_id": [7, 8, 9],
    }
    return {**table, **changed}


def make(folder, *, sign=1.0):
    for number, azimuth_deg in enumerate(AZIMUTHS_DEG):
        samples = sound([(sign * azimuth_deg, ELEVATION_DEG)] * 3, rate=RATE)
        write_sound(folder / "ambisonics" / f"{number:06}.flac", samples, rate=RATE)
    (folder / "metadata.parquet").write_bytes(b"not read")
    return folder


@pytest.fixture
def table(monkeypatch):
    """Stands in for the table, whatever its file holds."""

    def use(**changed):
        values = {k: v for k, v in columns(**changed).items() if v is not None}
        monkeypatch.setattr(spatial_librispeech, "read_columns", lambda path, names: values)

    use()
    return use


def test_one_reader_all_through(tmp_path, table):
    scenes = read_scenes(make(tmp_path / "sls"))
    assert [scene.file for scene in scenes] == [f"ambisonics/{n:06}.flac" for n in range(3)]
    assert all(scene.single for scene in scenes)
    found = [scene.azimuth_deg for scene in scenes]
    assert found == pytest.approx([30.0, -100.0, -160.0])
    assert [scene.elevation_deg for scene in scenes] == pytest.approx([ELEVATION_DEG] * 3)
    assert [scene.columns["split"] for scene in scenes] == ["train", "test", "test"]
    assert [scene.columns["room"] for scene in scenes] == ["7", "8", "9"]
    assert scenes[0].columns["reader"] == ""  # not in this table
    turned = [scene.azimuth_deg for scene in read_scenes(tmp_path / "sls", clockwise=True)]
    assert turned == pytest.approx([-30.0, 100.0, 160.0])


def test_the_sign_of_the_azimuth_is_told_from_the_sound(tmp_path, table):
    assert label_advice(read_scenes(make(tmp_path / "left")).scenes) is None
    other = make(tmp_path / "right", sign=-1.0)
    assert label_advice(read_scenes(other).scenes).endswith("with --clockwise")
    assert label_advice(read_scenes(other, clockwise=True).scenes, clockwise=True) is None
    wrongly = read_scenes(tmp_path / "left", clockwise=True).scenes
    assert label_advice(wrongly, clockwise=True).endswith("without --clockwise")


def test_what_is_not_there_is_left_out_and_told(tmp_path, table, caplog):
    folder = make(tmp_path / "sls")
    (folder / "ambisonics" / "000001.flac").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(read_scenes(folder)) == 2
    assert "1 of 3 labelled recordings are not there" in caplog.text
    table(sample_id=[5, 6, 7])
    with pytest.raises(InputError, match=r"none of 3 labelled recordings, ambisonics/000005\.flac"):
        read_scenes(folder)


def test_bad_tables(tmp_path, table):
    folder = make(tmp_path / "sls")
    table(**{"speech/azimuth": [30.0, 0.0, 0.0]})
    with pytest.raises(
        InputError, match=r"row 0: angles must be radians.* Received: 30\.0, -0\.17"
    ):
        read_scenes(folder)
    table(**{"speech/elevation": [0.0, None, 0.0]})
    with pytest.raises(InputError, match="row 1: angles must be radians"):
        read_scenes(folder)
    table(**{"speech/elevation": None})
    with pytest.raises(InputError, match="a table without speech/elevation"):
        read_scenes(folder)


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r'pip install "doa-tf\[parquet\]"'):
        read_scenes(make(tmp_path / "sls"))


def test_a_parquet_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = make(tmp_path / "sls")
    with pytest.raises(InputError, match=r"metadata\.parquet must be a Parquet file"):
        read_scenes(folder)
    parquet.write_table(pyarrow.table(columns()), folder / "metadata.parquet")
    scenes = read_scenes(folder)
    assert [scene.azimuth_deg for scene in scenes] == pytest.approx([30.0, -100.0, -160.0])
