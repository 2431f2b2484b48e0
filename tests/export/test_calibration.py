"""What integer files are calibrated on, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_export.cli import main
from doa_export.judge.calibration import calibrate

soundfile = pytest.importorskip("soundfile")


def scenes_folder(folder, sounds, *, conditions=None, rate=16_000):
    """Scenes of (N, C) sounds."""
    from doa_tf.scenes.folder import read_scenes

    folder.mkdir()
    rows = ["file,azimuth_deg,elevation_deg" + (",condition" if conditions else "")]
    for number, sound in enumerate(sounds):
        soundfile.write(folder / f"{number}.wav", sound, rate, subtype="FLOAT")
        condition = f",{conditions[number]}" if conditions else ""
        rows.append(f"{number}.wav,0,0{condition}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return read_scenes(folder)


def noise(seed, level=0.1, samples=14_000, channels=4):
    return level * np.random.default_rng(seed).standard_normal((samples, channels))


def test_conditions_share_the_windows(tmp_path):
    conditions = ["clean"] * 8 + ["diffuse"] * 3 + ["interferer"] * 8
    scenes = scenes_folder(tmp_path / "s", [noise(n) for n in range(19)], conditions=conditions)
    result = calibrate(scenes, ModelSpec(), count=6)
    assert result.windows.shape == (6, 25, 513, 6)
    assert result.provenance["conditions"] == {"clean": 2, "diffuse": 2, "interferer": 2}
    result = calibrate(scenes, ModelSpec(), count=15)  # one of them is used up
    assert result.provenance["conditions"] == {"clean": 6, "diffuse": 3, "interferer": 6}
    again = calibrate(scenes, ModelSpec(), count=15)
    assert again.provenance == result.provenance
    assert len(result.files) == 15


def test_scenes_of_several_talkers_and_of_nobody_are_calibrated_on(tmp_path):
    from doa_tf.scenes.folder import read_scenes

    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("two", "nobody", "turn"):
        soundfile.write(folder / f"{name}.wav", noise(0), 16_000, subtype="FLOAT")
    rows = [
        "two.wav,anna,,,0,0",
        "two.wav,ben,,,90,0",
        "nobody.wav,,,,,",
        "turn.wav,anna,0,0.5,0,0",
    ]
    head = "file,talker,start_s,end_s,azimuth_deg,elevation_deg"
    (folder / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    result = calibrate(read_scenes(folder), ModelSpec())
    assert result.files == {"two.wav", "nobody.wav", "turn.wav"}
    assert len(result.windows) == 3


def test_silence_is_skipped_and_the_loudest_window_taken(tmp_path):
    late = np.concatenate([np.zeros((13_312, 4)), noise(1, samples=13_312)])
    scenes = scenes_folder(tmp_path / "s", [np.zeros((14_000, 4)), noise(2, level=1e-4), late])
    result = calibrate(scenes, ModelSpec())
    assert (result.provenance["windows"], result.provenance["silent"]) == (1, 2)
    assert result.files == {"2.wav"}
    assert np.abs(result.windows[0]).max(axis=(1, 2)).min() > 0.5  # sound in every frame


BAD_SCENES = {
    "silent": ([np.zeros((14_000, 4))], "must hold sound above -60 dBFS. Received: .*1 silent"),
    "nan": ([np.full((14_000, 4), np.nan)], "(?i)nan|finite"),
    "stereo": ([noise(0, channels=2)], "(?i)channel"),
    "short": ([noise(0, samples=1000)], "shorter than one window of 13312"),
}


@pytest.mark.parametrize("kind", BAD_SCENES)
def test_bad_scenes(tmp_path, kind):
    sounds, words = BAD_SCENES[kind]
    scenes = scenes_folder(tmp_path / "s", sounds)
    with pytest.raises(InputError, match=words):
        calibrate(scenes, ModelSpec())


def test_bad_scenes_leave_no_file(checkpoints, tmp_path, capfd):
    scenes_folder(tmp_path / "s", [np.zeros((14_000, 4))])
    out = tmp_path / "out"
    out.mkdir()
    options = ["--quantize", "int8", "--calibrate", tmp_path / "s", "--out", out / "net.tflite"]
    assert main([str(option) for option in (checkpoints["cartesian"], *options)]) == 2
    assert "must hold sound" in capfd.readouterr().err.splitlines()[-1]
    assert list(out.iterdir()) == []


def test_nothing_is_compared_on_what_was_calibrated_on(checkpoints, calibration_scenes, tmp_path):
    from doa_export.export import _held_out
    from doa_tf.scenes.folder import read_scenes

    scenes, same = read_scenes(calibration_scenes), read_scenes(calibration_scenes)
    calibration = calibrate(same, ModelSpec(), count=8)
    left = _held_out(scenes, same, calibration)
    assert {scene.file for scene in left} == {scene.file for scene in scenes} - calibration.files
    assert len(left) == 4
    other = scenes_folder(tmp_path / "other", [noise(0)])
    assert len(_held_out(other, same, calibration)) == 1
    out = tmp_path / "net.tflite"
    folder = str(calibration_scenes)
    options = ["--quantize", "int8", "--calibrate", folder, "--check", folder, "--out", str(out)]
    assert (
        main([str(checkpoints["cartesian"]), *options]) == 2
    )  # all of them, and before converting
    assert not out.exists()


def test_report_says_what_each_layer_costs(checkpoints, calibration_scenes, tmp_path):
    """Also of a file that is refused."""
    out, report = tmp_path / "net.tflite", tmp_path / "layers.json"
    options = ["--quantize", "dynamic", "--out", out, "--report", report]
    options += ["--max-median-deg", "0", "--check", calibration_scenes]
    assert main([str(option) for option in (checkpoints["cartesian"], *options)]) == 1
    assert not out.exists()
    layers = json.loads(report.read_text())["layers"]
    assert list(layers) == [
        "convolution_1",
        "convolution_2",
        "convolution_3",
        "recurrences",
        "outputs",
    ]
    # The first and the third stay in float32 in this mode.
    assert layers["convolution_1"]["max_deg"] < 0.01 < layers["convolution_2"]["max_deg"]
    assert layers["convolution_3"]["max_deg"] < 0.01
    assert layers["convolution_2"]["n"] == 12
