"""Calibrated confidence: the fit, and its way into a model file."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.calibration import calibrate
from doa_core.errors import InputError
from doa_core.grid import sphere_grid
from doa_core.refine import CHANNELS, REFINEMENTS
from doa_edge.tflite.shipped import shipped_checkpoint
from doa_tf.cli import calibrate as command
from doa_tf.cli.main import main
from doa_tf.evaluation import calibration
from doa_tf.evaluation.calibration import (
    calibrate_model,
    calibration_error,
    fit_calibration,
)
from doa_tf.scenes.folder import read_scenes, write_scenes
from doa_tf.scenes.talkers import who_talks


def scenes_with(probability, count, seed=0):
    """Raw confidences, and errors that are within 10 degrees with a probability of each."""
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0.0, 0.4, count)
    right = rng.random(count) < probability(raw)
    return raw, np.where(right, 4.0, 40.0)


def test_the_table_finds_the_probability_behind_the_confidence():
    probability = lambda raw: np.clip(2.5 * raw, 0.05, 0.95)  # noqa: E731
    table = fit_calibration(*scenes_with(probability, 20_000))
    raw, error_deg = scenes_with(probability, 20_000, seed=1)
    calibrated = calibrate(raw, table)
    # A group of 1000 scenes knows a share to 1.6 points (one standard deviation).
    assert np.abs(calibrated - probability(raw)).mean() < 0.02
    assert calibration_error(calibrated, error_deg) < 0.02
    assert calibration_error(raw, error_deg) > 0.2
    assert len(table) <= 20


def test_the_table_rises_and_claims_no_certainty():
    rng = np.random.default_rng(0)
    table = fit_calibration(rng.uniform(0, 1, 60), rng.uniform(0, 9, 60))  # all are right
    assert all(y < 1.0 for _, y in table)
    assert np.all(np.diff([y for _, y in table]) >= 0)
    # Confidence that is worth nothing becomes one probability for all.
    table = fit_calibration(rng.uniform(0, 1, 2000), rng.choice([5.0, 50.0], 2000))
    assert np.ptp([y for _, y in table]) < 0.2


@pytest.mark.parametrize(
    ("confidence", "error_deg", "message"),
    [
        (np.linspace(0, 1, 20), np.ones(20), "50 scenes or more.*Received: 20$"),
        (np.linspace(0, 1, 60), np.ones(59), "each with its error"),
        (np.full(60, np.nan), np.ones(60), "no NaN"),
        (np.linspace(0, 2, 60), np.ones(60), r"in \[0, 1\]"),
        (np.full(60, 0.5), np.ones(60), "the same for all"),
    ],
)
def test_what_cannot_be_fitted(confidence, error_deg, message):
    with pytest.raises(ValueError, match=message):
        fit_calibration(confidence, error_deg)


@pytest.fixture
def model_path(tmp_path):
    head = doa_tf.heads.get("gibbs-softmax")
    keras.utils.set_random_seed(0)
    model = doa_tf.build_crnn(head, filters=2, lstm_units=4, dense_units=8)
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_a_checkpoint_carries_its_calibration(tmp_path, model_path, scenes, capsys, monkeypatch):
    monkeypatch.setattr("doa_tf.evaluation.calibration.FEWEST", 6)
    out = tmp_path / "calibrated.keras"
    arguments = ["calibrate", str(model_path), "--data", str(scenes), "--out", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "calibrated on 6 scenes" in said.out
    assert said.err.splitlines()[-1] == f"doa_tf: wrote {out}"
    before = doa_tf.model_spec(keras.saving.load_model(model_path))
    after = doa_tf.model_spec(keras.saving.load_model(out))
    assert before.calibration == ()
    assert len(after.calibration) >= 2
    assert after.digest != before.digest
    results = doa_tf.evaluate(out, scenes).results
    low, high = after.calibration[0][1], after.calibration[-1][1]
    assert all(low - 1e-6 <= result.confidence <= high + 1e-6 for result in results)


def test_a_built_in_checkpoint_is_not_written_over(scenes, capsys):
    before = shipped_checkpoint("lite").read_bytes()
    assert main(["calibrate", "lite", "--data", str(scenes)]) == 2
    assert "--out must be given for a built-in network" in capsys.readouterr().err
    assert shipped_checkpoint("lite").read_bytes() == before


def test_a_built_in_checkpoint_that_is_not_installed_is_misuse(
    tmp_path, scenes, capsys, monkeypatch
):
    monkeypatch.setattr(
        "doa_edge.tflite.shipped.shipped_checkpoint", lambda name: tmp_path / f"{name}.keras"
    )
    assert main(["calibrate", "lite", "--data", str(scenes)]) == 2
    error = capsys.readouterr().err
    assert "the checkpoint of 'lite' is not installed: name the one in a clone" in error


def test_too_few_scenes_are_refused(model_path, scenes):
    content = model_path.read_bytes()
    with pytest.raises(InputError, match="50 scenes or more"):
        calibrate_model(model_path, doa_tf.scenes.read_scenes(scenes))
    assert model_path.read_bytes() == content
    assert main(["calibrate", str(model_path), "--data", str(scenes)]) == 2
    assert main(["calibrate", "model.tflite", "--data", str(scenes)]) == 2


def horizontal(azimuth_deg):
    return angles_to_vector(np.radians(azimuth_deg), np.zeros_like(azimuth_deg, dtype=float))


def test_who_talks_in_three_frames_of_ten_counts():
    directions = np.zeros((10, 4, 3))
    directions[:, 0] = horizontal(30.0)
    directions[:3, 1] = horizontal(-60.0)
    directions[:2, 2] = horizontal(120.0)  # too little
    directions[:, 3] = horizontal(np.linspace(80.0, 100.0, 10))  # walks: the middle of the way
    np.testing.assert_allclose(
        who_talks(directions)[1], horizontal([30.0, -60.0, 90.0]), atol=1e-12
    )
    assert who_talks(np.zeros((10, 0, 3)))[1].shape == (0, 3)
    assert who_talks(np.zeros((10, 2, 3)))[1].shape == (0, 3)


@pytest.fixture
def several_path(tmp_path):
    keras.utils.set_random_seed(0)
    head = doa_tf.heads.get("gibbs-weighted")
    level = doa_tf.FeatureSpec(channels=CHANNELS)
    sizes = {"filters": 2, "lstm_units": 4, "dense_units": 8}
    doa_tf.build_crnn(head, features=level, voices=2, **sizes).save(tmp_path / "several.keras")
    return tmp_path / "several.keras"


@pytest.fixture
def meetings(tmp_path):
    """Two windows each of nobody, of one, of two, and of one who begins with the second window."""
    second = 13_312 / 16_000
    whole = {"start_s": None, "end_s": None}
    rows = {
        "nobody": [{"talker": None, "azimuth_deg": None, "elevation_deg": None, **whole}],
        "one": [{"talker": "a", "azimuth_deg": 40.0, "elevation_deg": 0.0, **whole}],
        "two": [
            {"talker": "a", "azimuth_deg": 40.0, "elevation_deg": 0.0, **whole},
            {"talker": "b", "azimuth_deg": -80.0, "elevation_deg": 0.0, **whole},
        ],
        "later": [
            {"talker": "a", "azimuth_deg": 40.0, "elevation_deg": 0.0}
            | {"start_s": second, "end_s": 2 * second}
        ],
    }
    rng = np.random.default_rng(0)
    sounds = {name: 0.1 * rng.standard_normal((2 * 13_312, 4)) for name in rows}
    write_scenes(tmp_path / "meetings", ((name, sounds[name], rows[name]) for name in rows))
    return tmp_path / "meetings"


def test_every_peak_of_every_window_is_judged(several_path, meetings, monkeypatch):
    """Of a network that always hears a at 40 degrees, and something weaker at 160."""
    grid = sphere_grid(10.0)
    distances = np.degrees(great_circle_distance(horizontal([40.0, 160.0])[:, None], grid.vectors))
    lobes = np.exp(-((distances / 12.5) ** 2)) * [[0.8], [0.3]]
    window = np.broadcast_to(lobes.max(axis=0), (25, len(grid))).copy()
    window[:12] = 0.99  # frames that the runner does not average

    def always(_, scenes, *, progress):
        for scene in scenes:
            yield scene, np.stack([window, window])

    monkeypatch.setattr(calibration, "predict_windows", always)
    monkeypatch.setattr(calibration, "FEWEST", 8)
    scenes = read_scenes(meetings)
    assert [len(scene.talkers) for scene in scenes] == [0, 1, 2, 1]
    network = keras.saving.load_model(several_path)
    raw, error_deg = calibration._judged_peaks(network, scenes, None)
    assert len(raw) == 4 * 2 * 2  # four scenes, two windows each, two peaks each
    np.testing.assert_allclose(raw, np.tile(raw[:2], 8))
    assert raw[0] > 0.6 > 0.35 > raw[1]
    nobody, one, two, later = error_deg.reshape(4, 2, 2)
    np.testing.assert_array_equal(nobody, 180.0)
    for peaks in (*one, later[1]):
        np.testing.assert_allclose(peaks, [0.0, 120.0], atol=2.0)
    np.testing.assert_allclose(two, [[0.0, 120.0]] * 2, atol=2.0)  # b at -80 is as far from 160
    np.testing.assert_array_equal(later[0], 180.0)


def test_a_checkpoint_of_several_voices_is_calibrated(
    several_path, meetings, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(calibration, "FEWEST", 8)
    out = tmp_path / "calibrated.keras"
    arguments = ["calibrate", str(several_path), "--data", str(meetings), "--out", str(out)]
    assert main([*arguments, "--apart", "30", "--refine", "intensity"]) == 0
    assert "calibrated on 16 peaks of 4 scenes" in capsys.readouterr().out
    spec = doa_tf.model_spec(keras.saving.load_model(out))
    assert (spec.voices, spec.apart_deg, spec.refine) == (2, 30.0, "intensity")
    assert len(spec.calibration) >= 2
    assert main([*arguments, "--apart", "0"]) == 2
    assert "--apart must lie between 0.1 and 180 degrees. Received: 0 (" in capsys.readouterr().err


def test_the_command_knows_every_refinement():
    assert command.REFINEMENTS == REFINEMENTS


def test_a_checkpoint_without_the_level_cannot_be_refined(scenes, tmp_path):
    model = tmp_path / "six.keras"
    doa_tf.build_crnn(doa_tf.heads.get("gibbs"), filters=2, lstm_units=4, dense_units=8).save(model)
    with pytest.raises(InputError, match=r"`refine` needs the channels .* level"):
        calibrate_model(model, read_scenes(scenes), refine="intensity")


def test_kinds_of_scenes_that_are_missing_are_named(several_path, scenes, caplog, monkeypatch):
    monkeypatch.setattr(calibration, "FEWEST", 6)
    calibrate_model(several_path, read_scenes(scenes))
    assert "has no scenes of nobody and of several talkers" in caplog.text


def test_what_a_network_of_several_voices_cannot_be_calibrated_on(several_path, meetings):
    content = several_path.read_bytes()
    with pytest.raises(InputError, match=r"needs 50 windows or more. Received: 8"):
        calibrate_model(several_path, read_scenes(meetings))
    assert several_path.read_bytes() == content


def test_a_network_of_one_voice_says_so(model_path, meetings, scenes):
    content = model_path.read_bytes()
    message = (
        "A network of one voice is calibrated on recordings of one talker who talks all through: "
        "leave out the others, or calibrate a network of several voices. Received: 3 others of 4 "
        f"in {meetings}, the first nobody.wav with nobody"
    )
    with pytest.raises(InputError) as refused:
        calibrate_model(model_path, read_scenes(meetings))
    assert str(refused.value) == message
    assert model_path.read_bytes() == content
    with pytest.raises(InputError, match="`apart_deg` belongs to networks of several voices"):
        calibrate_model(model_path, read_scenes(scenes), apart_deg=30.0)
