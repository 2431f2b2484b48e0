"""The scenes format: what is written comes back, and every bad folder says what is wrong."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.errors import InputError
from doa_tf.scenes.folder import check_scenes_target, read_scenes, write_scenes

soundfile = pytest.importorskip("soundfile")


def waveform(seed=0, samples=2_000):
    return np.random.default_rng(seed).standard_normal((samples, 4)).astype(np.float32)


def row(azimuth_deg=10.0, elevation_deg=-5.0, **further):
    return {"azimuth_deg": azimuth_deg, "elevation_deg": elevation_deg, **further}


@pytest.fixture
def folder(tmp_path):
    """Make a folder whose labels.csv is the text, with recordings a.wav and b.flac."""

    def make(labels, *, encoding="utf-8"):
        path = tmp_path / "scenes"
        path.mkdir()
        soundfile.write(path / "a.wav", waveform(), 16_000, subtype="FLOAT")
        soundfile.write(path / "b.flac", 0.1 * waveform(), 48_000)
        if labels is not None:
            (path / "labels.csv").write_bytes(labels.encode(encoding))
        return path

    return make


def test_scenes_are_read_with_their_columns_and_directions(folder):
    path = folder(
        "condition,file,elevation_deg,azimuth_deg,snr_db\n"
        'quiet,a.wav,90,-180,nan\n"loud, near",b.flac,0,90.0,12.5\n'
    )
    scenes = read_scenes(path)
    assert len(scenes) == 2
    assert scenes.columns == ("condition", "snr_db")
    first, second = scenes
    assert (first.file, first.path) == ("a.wav", path / "a.wav")
    assert (first.azimuth_deg, first.elevation_deg) == (-180.0, 90.0)
    assert second.columns == {"condition": "loud, near", "snr_db": "12.5"}
    assert scenes[1] is second
    np.testing.assert_allclose(first.direction, [0.0, 0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(second.direction, [0.0, 1.0, 0.0], atol=1e-15)


def test_recordings_of_any_rate_are_read_at_the_rate_asked_for(folder):
    scenes = read_scenes(folder("file,azimuth_deg,elevation_deg\na.wav,0,0\nb.flac,0,0\n"))
    np.testing.assert_array_equal(scenes[0].read(), waveform())
    resampled = scenes[1].read()
    assert resampled.dtype == np.float32
    assert resampled.shape[1] == 4
    assert abs(len(resampled) - 2_000 / 3) < 2


def test_what_spreadsheets_write_is_read(folder):
    text = "file , azimuth_deg,elevation_deg\r\n a.wav, 10 ,5\r\n\r\n,,\r\n"
    scenes = read_scenes(folder(text, encoding="utf-8-sig"))
    assert len(scenes) == 1
    assert (scenes[0].file, scenes[0].azimuth_deg) == ("a.wav", 10.0)


def test_recordings_may_lie_in_folders_below(folder):
    path = folder("file,azimuth_deg,elevation_deg\nroom/a.wav,0,0\n")
    (path / "room").mkdir()
    (path / "a.wav").rename(path / "room" / "a.wav")
    assert read_scenes(path)[0].path == path / "room" / "a.wav"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"has no labels\.csv with the columns file, azimuth_deg, elevation_deg"),
        ("", r"labels\.csv is empty: its first line must name the columns"),
        ("\n", r"labels\.csv is empty"),
        ("file,azimuth_deg,elevation_deg\n", r"labels\.csv .* holds no scene"),
        (
            "file,azimuth\na.wav,0\n",
            r"lacks the column azimuth_deg, elevation_deg; required are file, azimuth_deg, "
            r"elevation_deg\. Received: file, azimuth$",
        ),
        ("file;azimuth_deg;elevation_deg\na.wav;0;0\n", r"must have commas between its columns"),
        ("file,azimuth_deg,elevation_deg,file\n", r"names a column twice"),
        ("file,azimuth_deg,elevation_deg\na.wav,0\n", r"line 2: a row must have 3 cells.*: 2"),
        ("file,azimuth_deg,elevation_deg\na.wav,0,0,1\n", r"line 2: a row must have 3 cells.*: 4"),
        (
            "file,azimuth_deg,elevation_deg\na.wav,0,0\nb.flac,left,0\n",
            r"line 3: `azimuth_deg` must be a number between -180 and 180 degrees.*'left'",
        ),
        ("file,azimuth_deg,elevation_deg\na.wav,nan,0\n", r"`azimuth_deg` must .*'nan'"),
        ("file,azimuth_deg,elevation_deg\na.wav,0,inf\n", r"`elevation_deg` must .*'inf'"),
        ("file,azimuth_deg,elevation_deg\na.wav,0,\n", r"`elevation_deg` must .*''"),
        ("file,azimuth_deg,elevation_deg\na.wav,180.1,0\n", r"between -180 and 180.*'180.1'"),
        ("file,azimuth_deg,elevation_deg\na.wav,0,-91\n", r"between -90 and 90.*'-91'"),
        (
            "file,azimuth_deg,elevation_deg\na.wav,0,0\n\nc.wav,0,0\n",
            r"line 4: there is no recording .*c\.wav",
        ),
        (
            "file,azimuth_deg,elevation_deg\na.wav,0,0\n./a.wav,9,9\n",
            r"line 3: \./a\.wav is named a second time, first in line 2",
        ),
        ("file,azimuth_deg,elevation_deg\n../a.wav,0,0\n", r"inside of the folder.*'\.\./a\.wav'"),
        ("file,azimuth_deg,elevation_deg\n/etc/passwd,0,0\n", r"inside of the folder"),
        ("file,azimuth_deg,elevation_deg\n,0,0\n", r"inside of the folder.*''"),
        ('file,azimuth_deg,elevation_deg\n"a.wav,0,0\n', r"must be UTF-8 text, comma-separated"),
    ],
)
def test_a_bad_folder_says_what_is_wrong(folder, labels, message):
    path = folder(labels)
    with pytest.raises(InputError, match=message) as caught:
        read_scenes(path)
    assert "\n" not in str(caught.value)


def test_labels_in_another_encoding_are_refused(folder):
    path = folder("file,azimuth_deg,elevation_deg,raum\na.wav,0,0,Küche\n", encoding="latin-1")
    with pytest.raises(InputError, match="must be UTF-8 text"):
        read_scenes(path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds recordings and labels\.csv.*which is not there"):
        read_scenes(tmp_path / "nowhere")
    (tmp_path / "labels.csv").write_text("file,azimuth_deg,elevation_deg\n")
    with pytest.raises(InputError, match="which is a file"):
        read_scenes(tmp_path / "labels.csv")


def test_what_is_written_comes_back_to_the_bit(tmp_path):
    target = tmp_path / "sets" / "valid"
    waveforms = [4.0 * waveform(0), 1e-4 * waveform(1)]  # above full scale, and quiet
    written = write_scenes(
        target,
        [
            ("near", waveforms[0], row(condition="dry, near", snr_db=3.25)),
            ("far.wav", waveforms[1], row(-180.0, 90.0, condition="far", snr_db=float("nan"))),
        ],
    )
    assert written == 2
    assert sorted(os.listdir(target)) == ["far.wav", "labels.csv", "near.wav"]
    assert os.listdir(target.parent) == ["valid"]  # nothing is left beside
    scenes = read_scenes(target)
    assert scenes.columns == ("condition", "snr_db")
    assert scenes[0].columns == {"condition": "dry, near", "snr_db": "3.25"}
    assert (scenes[1].azimuth_deg, scenes[1].elevation_deg) == (-180.0, 90.0)
    for scene, expected in zip(scenes, waveforms, strict=True):
        assert soundfile.info(scene.path).samplerate == 16_000
        np.testing.assert_array_equal(scene.read(), expected)
    with (target / "labels.csv").open(newline="") as file:
        assert next(csv.reader(file))[:3] == ["file", "azimuth_deg", "elevation_deg"]


def test_a_direction_survives_the_disk(tmp_path):
    direction = np.array([0.6, -0.48, 0.64])
    wave = encode_plane_wave(0.1 * np.random.default_rng(0).standard_normal(1_000), direction)
    azimuth, elevation = np.degrees([np.arctan2(-0.48, 0.6), np.arcsin(0.64)])
    write_scenes(tmp_path / "s", [("a", wave, row(azimuth, elevation))])
    (scene,) = read_scenes(tmp_path / "s")
    np.testing.assert_allclose(scene.direction, direction, atol=1e-9)


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    write_scenes(target, [("a", waveform(), row())])
    for check in (check_scenes_target, lambda path: write_scenes(path, [])):
        with pytest.raises(InputError, match=r"a new or an empty folder.*which is not empty"):
            check(target)
        with pytest.raises(InputError, match="which is a file"):
            check(target / "a.wav")
    assert len(read_scenes(target)) == 1


def test_nothing_is_left_after_an_error_half_way(tmp_path):
    def broken():
        yield "a", waveform(), row()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", broken())
    with pytest.raises(InputError, match="no scenes to write"):
        write_scenes(tmp_path / "set", [])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        (
            [("a", waveform()[:, :2], row())],
            r"must be \(samples, 4\).*a\.wav with shape \(2000, 2\)",
        ),
        ([("a", np.zeros((0, 4)), row())], r"must be \(samples, 4\).*\(0, 4\)"),
        ([("a", np.full((9, 4), np.nan), row())], "must be finite"),
        ([("../a", waveform(), row())], "may not contain a directory"),
        ([("a", waveform(), row()), ("a.wav", waveform(), row())], "a name of its own.*'a.wav'"),
        ([("a", waveform(), {"azimuth_deg": 0.0})], "must have the columns .*elevation_deg"),
        (
            [("a", waveform(), row(snr_db=1)), ("b", waveform(), row())],
            r"row of b\.wav must have the columns azimuth_deg, elevation_deg, snr_db",
        ),
        (
            [("a", waveform(), row(181.0))],
            "a.wav, row 1: `azimuth_deg` must be a number between -180 and 180",
        ),
        (
            [("a", waveform(), row(0.0, float("nan")))],
            "a.wav, row 1: `elevation_deg` must be .*'nan'",
        ),
    ],
)
def test_a_scene_that_does_not_fit_is_refused(tmp_path, scenes, message):
    with pytest.raises(ValueError, match=message):
        write_scenes(tmp_path / "set", scenes)
    assert os.listdir(tmp_path) == []


FILLS_THE_DISK = """
import resource, sys
import numpy as np
from doa_tf.scenes.folder import write_scenes
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
row = {"azimuth_deg": 0.0, "elevation_deg": 0.0}
try:
    write_scenes(sys.argv[1], [("a", np.zeros((2_000, 4), np.float32), row)])
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_with_its_reason_and_leaves_nothing(tmp_path):
    """libsndfile writes what fits, and its wrapper asserts that it was all."""
    command = [sys.executable, "-c", FILLS_THE_DISK, str(tmp_path / "scenes")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("/a.wav cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []
