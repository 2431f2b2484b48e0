"""Calibrated confidence: the fit, and its way into a model file."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.calibration import calibrate
from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.evaluation.calibration import calibrate_model, calibration_error, fit_calibration


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
        (np.linspace(0, 1, 20), np.ones(20), "50 scenes or more"),
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
    assert "calibrated on 6 scenes" in capsys.readouterr().out
    before = doa_tf.model_spec(keras.saving.load_model(model_path))
    after = doa_tf.model_spec(keras.saving.load_model(out))
    assert before.calibration == ()
    assert len(after.calibration) >= 2
    assert after.digest != before.digest
    results = doa_tf.evaluate(out, scenes).results
    low, high = after.calibration[0][1], after.calibration[-1][1]
    assert all(low - 1e-6 <= result.confidence <= high + 1e-6 for result in results)


def test_too_few_scenes_are_refused(model_path, scenes):
    content = model_path.read_bytes()
    with pytest.raises(InputError, match="50 scenes or more"):
        calibrate_model(model_path, doa_tf.scenes.read_scenes(scenes))
    assert model_path.read_bytes() == content
    assert main(["calibrate", str(model_path), "--data", str(scenes)]) == 2
    assert main(["calibrate", "model.tflite", "--data", str(scenes)]) == 2
