"""Angles between two networks, and the windows that they hear."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.spec import FeatureSpec, ModelSpec
from doa_export.budget import BUDGETS, Budget
from doa_export.judge.parity import Parity, parity
from doa_export.windows import scene_clips, sphere_directions, synthetic_clips


def test_synthetic_windows_come_from_everywhere_and_repeat():
    spec = FeatureSpec()
    first, second = (list(synthetic_clips(spec, count=32)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    first = np.concatenate([spec.compute(clip.samples) for clip in first])
    assert first.shape == (32, *spec.input_shape)
    assert first.dtype == np.float32
    assert np.all(np.isfinite(first))
    # The mean active intensity of each window points to its plane wave; the diffuse share, up to
    # a third of the direct power, turns it a little.
    heard = first[..., :3].mean(axis=(1, 2))
    heard /= np.linalg.norm(heard, axis=-1, keepdims=True)
    error_deg = np.degrees(great_circle_distance(heard, sphere_directions(32)))
    assert np.median(error_deg) < 2.0
    assert np.max(error_deg) < 15.0


def test_sphere_directions_are_spread():
    directions = sphere_directions(64)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1.0)
    np.testing.assert_allclose(directions.mean(axis=0), 0.0, atol=0.02)
    distance = great_circle_distance(directions[:, np.newaxis], directions)
    nearest_deg = np.degrees(np.sort(distance, axis=-1)[:, 1])
    assert nearest_deg.min() > 15.0  # 64 even cells are 25 degrees wide


@pytest.mark.parametrize("head", ["cartesian", "gibbs-weighted"])
def test_float32_points_the_same_way(exports, head):
    figures = exports[head, "none"][1]["parity"]
    assert figures["n"] >= 32
    assert figures["windows"] == "built-in"
    assert figures["median_deg"] <= 0.01
    assert figures["p99_deg"] <= 0.05
    assert figures["max_output_difference"] < 1e-5
    assert figures["equal_peaks"] == (None if head == "cartesian" else 1.0)


@pytest.mark.parametrize("head", ["cartesian", "gibbs-weighted"])
def test_dynamic_differs_a_little(exports, head):
    figures = exports[head, "dynamic"][1]["parity"]
    assert 0.0 < figures["median_deg"] < 10.0
    assert figures["median_deg"] <= figures["p99_deg"] <= figures["max_deg"]


def test_angles_are_those_of_the_answers(exports, checkpoints):
    # The Cartesian checkpoint against the file of the same network with its x turned round.
    import keras

    model = keras.saving.load_model(checkpoints["cartesian"], compile=False)
    directions = model.get_layer("directions")
    kernel, bias = directions.get_weights()
    directions.set_weights([kernel * [-1.0, 1.0, 1.0], bias * [-1.0, 1.0, 1.0]])
    clips = list(synthetic_clips(FeatureSpec(), count=3))
    path = exports["cartesian", "none"][0]
    done = []
    result = parity(model, path, clips, progress=done.append)
    from doa_core.decode import decode
    from doa_edge.tflite.network import TfliteModel

    network = TfliteModel(path)
    windows = [FeatureSpec().compute(clip.samples)[0] for clip in clips]
    answers, _ = decode([network.predict(window) for window in windows], head="cartesian")
    expected_deg = 2.0 * np.degrees(np.arcsin(np.abs(answers[:, 0])))
    assert result.n == 3
    assert done == [1, 2, 3]
    np.testing.assert_allclose(result.max_deg, expected_deg.max(), atol=1e-3)
    np.testing.assert_allclose(result.median_deg, np.median(expected_deg), atol=1e-3)


def test_no_windows(exports, checkpoints):
    with pytest.raises(ValueError, match="at least one recording"):
        parity(checkpoints["cartesian"], exports["cartesian", "none"][0], [])


def test_nan_is_never_within_a_budget(exports, checkpoints):
    import keras

    model = keras.saving.load_model(checkpoints["cartesian"], compile=False)
    kernel, bias = model.get_layer("directions").get_weights()
    model.get_layer("directions").set_weights([kernel, np.full_like(bias, np.nan)])
    clips = synthetic_clips(FeatureSpec(), count=2)
    result = parity(model, exports["cartesian", "none"][0], clips)
    assert result.n == 2
    assert not result.within(Budget(median_deg=180.0, p99_deg=180.0))


def test_budget():
    result = Parity(
        n=9, median_deg=0.2, p99_deg=1.0, max_deg=2.0, max_output_difference=0.1, equal_peaks=None
    )
    assert result.within(Budget(median_deg=0.2, p99_deg=1.0))
    assert not result.within(Budget(median_deg=0.1, p99_deg=1.0))
    assert not result.within(Budget(median_deg=0.2, p99_deg=0.9))
    assert result.within(BUDGETS["dynamic"])
    assert not result.within(BUDGETS["none"])
    with pytest.raises(ValueError, match="between 0 and 180"):
        Budget(median_deg=float("nan"), p99_deg=1.0)


def test_scenes_give_whole_windows_and_labels(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    from doa_core.ambisonics import encode_plane_wave
    from doa_tf.scenes.folder import read_scenes

    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * 13_312 + 500)
    soundfile.write(tmp_path / "a.wav", encode_plane_wave(noise, [0.0, 1.0, 0.0]), 16_000)
    (tmp_path / "labels.csv").write_text("file,azimuth_deg,elevation_deg\na.wav,90,0\n")
    (clip,) = scene_clips(read_scenes(tmp_path), ModelSpec())
    windows = FeatureSpec().compute(clip.samples)
    assert windows.shape == (2, 25, 513, 6)
    np.testing.assert_allclose(windows[0][..., :3].mean(axis=(0, 1)), [0.0, 1.0, 0.0], atol=0.02)
    np.testing.assert_allclose(clip.direction, [0.0, 1.0, 0.0], atol=1e-9)


def test_errors_of_both_are_compared_where_there_are_labels(exports, checkpoints):
    """Labels that are the checkpoint's own answers: its error is zero, the file's is the angle."""
    import dataclasses

    from doa_core.decode import decode
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(checkpoints["cartesian"])
    clips = []
    for clip in synthetic_clips(spec.features, count=4):
        outputs = model.predict_on_batch(spec.features.compute(clip.samples))
        clips.append(dataclasses.replace(clip, direction=decode(outputs, head="cartesian")[0][0]))
    result = parity(model, exports["cartesian", "dynamic"][0], clips)
    assert result.change_median_deg == pytest.approx(result.median_deg, abs=1e-3)
    assert result.change_acc10 <= 0.0
    assert len(result.sha256) == 64
    unlabelled = [dataclasses.replace(clip, direction=None) for clip in clips]
    result = parity(model, exports["cartesian", "dynamic"][0], unlabelled)
    assert result.change_median_deg is result.change_acc10 is None
