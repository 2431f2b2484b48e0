"""Angles between two networks, and the windows that they hear."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.spec import FeatureSpec, ModelSpec
from doa_export.budget import BUDGETS, Budget
from doa_export.judge.parity import FEWEST, Parity, compare_answers, compare_sets, parity
from doa_export.windows import (
    SYNTHETIC_WINDOWS,
    scene_clips,
    sphere_directions,
    synthetic_clips,
)


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


# --- what a runner would report -----------------------------------------------------------------

ONE = ModelSpec(head="gibbs-weighted", resolution_deg=10.0)


def compared_answers(pairs, spec=ONE):
    expected, outputs = (np.stack(side) for side in zip(*pairs, strict=True))
    return compare_answers(expected, outputs, spec)


def judged(pairs):
    return Parity(n=len(pairs), max_output_difference=0.0, **compared_answers(pairs))


def test_unsure_and_tied_windows_are_figures_of_their_own():
    here, there = (-180.0 + 360.0 * cell / 37 for cell in (22, 8))  # both at a cell: 136.2 apart
    same = (lobes((here, 0.8)), lobes((here, 0.8)))
    unsure = (lobes((40, 0.05)), lobes((100, 0.05)))  # uncalibrated: reported from 0.07 on
    tied = (lobes((here, 0.8), (there, 0.76)), lobes((here, 0.76), (there, 0.8)))
    clear = (lobes((here, 0.8), (there, 0.7)), lobes((here, 0.8), (there, 0.7)))
    figures = compared_answers([same, unsure, tied, clear])
    reported = figures["reported"]
    assert (reported.n, reported.unsure, reported.tied) == (2, 1, 1)
    assert reported.confidence == 0.07
    assert reported.max_deg == pytest.approx(0.0, abs=1e-4)
    assert figures["max_deg"] == pytest.approx(136.2, abs=2.0)
    assert figures["equal_peaks"] == 0.5


def test_a_sure_window_that_points_elsewhere_counts():
    same = (lobes((40, 0.8)), lobes((40, 0.8)))
    gone = (lobes((40, 0.8)), lobes((100, 0.8)))
    result = judged([same] * 147 + [gone] * 3)
    assert result.reported.p99_deg == pytest.approx(60.0, abs=1.0)
    assert not result.within(BUDGETS["int8"])
    assert judged([same] * 149 + [gone]).within(BUDGETS["int8"])  # below one in a hundred


def test_one_outlier_that_nobody_hears_of_refuses_no_file():
    same = (lobes((40, 0.8)), lobes((40, 0.8)))
    unsure = (lobes((40, 0.05)), lobes((100, 0.05)))
    result = judged([same] * 100 + [unsure] * 9)
    assert result.p99_deg > 50.0
    assert result.judged == result.reported
    assert result.within(BUDGETS["none"])
    # With fewer than a hundred that would be reported all are judged.
    result = judged([same] * 99 + [unsure] * 9)
    assert result.judged.n == 108
    assert not result.within(BUDGETS["none"])


def test_nothing_to_report_is_no_nan_in_json():
    result = judged([(lobes((40, 0.05)), lobes((40, 0.05)))])
    reported = result.to_dict()["reported"]
    assert (reported["n"], reported["unsure"], reported["median_deg"]) == (0, 1, None)
    assert result.within(BUDGETS["none"])


def test_built_in_windows_are_enough_for_a_99th_percentile():
    assert SYNTHETIC_WINDOWS >= 1.5 * FEWEST  # the shipped network is sure of 86 in a hundred


# --- several voices -----------------------------------------------------------------------------

SEVERAL = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=3)


def lobes(*places):
    """(K,) scores with a lobe for each (azimuth [degrees], height), on the horizon."""
    cells = SEVERAL.grid.vectors
    scores = np.zeros(len(cells))
    for azimuth_deg, height in places:
        direction = [np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg)), 0.0]
        angles = np.degrees(np.arccos(np.clip(cells @ direction, -1.0, 1.0)))
        scores = np.maximum(scores, height * np.exp(-((angles / 12.5) ** 2)))
    return scores


def compared(pairs, truth=None):
    expected, outputs = (np.stack(side) for side in zip(*pairs, strict=True))
    return compare_sets(expected, outputs, truth or [None] * len(pairs), SEVERAL)


def test_equal_sets_have_no_angle_whatever_comes_first():
    figures = compared(
        [
            (lobes((40, 0.8), (-100, 0.5)), lobes((40, 0.8), (-100, 0.5))),
            # The weaker one has become the stronger one: the same set.
            (lobes((40, 0.6), (-100, 0.5)), lobes((40, 0.5), (-100, 0.6))),
        ]
    )
    assert figures["peaks"] == 4
    assert figures["different_counts"] == 0.0
    assert figures["equal_peaks"] == 0.5
    assert figures["max_deg"] < 0.5
    assert "change_median_deg" not in figures


def test_angles_of_matched_peaks():
    figures = compared([(lobes((40, 0.8), (-100, 0.5)), lobes((46, 0.8), (-100, 0.5)))])
    assert figures["max_deg"] == pytest.approx(6.0, abs=1.0)  # refined below the grid's 10 degrees
    assert figures["mean_deg"] == pytest.approx(figures["max_deg"] / 2.0, abs=0.5)
    assert figures["median_deg"] == pytest.approx(figures["mean_deg"])


def test_a_peak_that_falls_below_the_threshold_is_a_different_count_and_no_angle():
    # Uncalibrated: somebody from 0.2 on.
    figures = compared(
        [
            (lobes((40, 0.8), (-100, 0.24)), lobes((40, 0.8), (-100, 0.16))),
            (lobes((40, 0.8)), lobes((40, 0.8))),
        ]
    )
    assert figures["different_counts"] == 0.5
    assert figures["max_deg"] < 0.5
    assert (figures["reported"].n, figures["reported"].unsure) == (3, 0)
    # Nobody is confident enough: the best peak is compared all the same, and not reported.
    figures = compared([(lobes((40, 0.01)), lobes((60, 0.01)))])
    assert (figures["reported"].n, figures["reported"].unsure) == (0, 1)
    assert figures["different_counts"] == 0.0
    assert figures["max_deg"] == pytest.approx(20.0, abs=1.0)


def test_a_peak_that_is_gone_is_180_degrees_off():
    figures = compared(
        [(lobes((40, 0.8), (-100, 0.5)), lobes((40, 0.8)) * (lobes((40, 1.0)) > 0.1))]
    )
    assert figures["max_deg"] == 180.0


def test_errors_of_all_talkers_are_compared_where_they_are_known():
    talkers = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    good, worse = lobes((0, 0.8), (90, 0.5)), lobes((0, 0.8), (110, 0.5))
    figures = compared([(good, worse)], [talkers])
    assert figures["change_acc10"] == pytest.approx(-50.0)
    assert figures["change_median_deg"] == pytest.approx(10.0, abs=1.0)
    assert "change_acc10" not in compared([(good, worse), (good, good)], [talkers, None])
    # Windows of nobody have no errors.
    nobody = np.zeros((0, 3))
    figures = compared([(good, worse), (good, good)], [talkers, nobody])
    assert figures["change_acc10"] == pytest.approx(-50.0)
    assert "change_acc10" not in compared([(good, good)], [nobody])


def test_a_budget_of_counts():
    figures = {"n": 9, "median_deg": 0.0, "p99_deg": 0.0, "max_deg": 0.0, "equal_peaks": 1.0}
    figures |= {"max_output_difference": 0.1, "peaks": 12, "mean_deg": 0.0}
    result = Parity(**figures, different_counts=0.05)
    assert result.within(BUDGETS["dynamic"])
    assert not result.within(BUDGETS["none"])
    assert not Parity(**figures, different_counts=float("nan")).within(BUDGETS["int8"])
    assert result.to_dict()["different_counts"] == 0.05
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: different_counts=1\.5"):
        Budget(median_deg=1.0, p99_deg=1.0, different_counts=1.5)


def test_a_file_of_one_voice_says_what_it_did(exports):
    names = set(exports["gibbs-weighted", "none"][1]["parity"])
    assert names == {
        "windows", "n", "median_deg", "p99_deg", "max_deg", "max_output_difference", "equal_peaks",
        "change_median_deg", "change_acc10", "sha256", "reported",
    }  # fmt: skip


def test_every_window_of_a_file_of_several_voices_is_compared(exports, checkpoints, monkeypatch):
    import dataclasses

    from doa_tf import models

    loaded = models.load_scoring_model(checkpoints["gibbs-weighted"])
    spec = dataclasses.replace(loaded[1], voices=3)
    monkeypatch.setattr(models, "load_scoring_model", lambda _: (loaded[0], spec))
    one, other = synthetic_clips(FeatureSpec(), count=2, several=True)
    both = dataclasses.replace(one, samples=np.concatenate([one.samples, other.samples]))
    path = exports["gibbs-weighted", "none"][0]
    result = parity(checkpoints["gibbs-weighted"], path, [both])
    assert result.n == 2
    assert result.peaks >= 2
    assert result.max_deg < 0.05
    assert result.different_counts == 0.0


def test_every_second_window_for_several_voices_holds_two():
    single = [clip.samples for clip in synthetic_clips(FeatureSpec(), count=6)]
    several = [clip.samples for clip in synthetic_clips(FeatureSpec(), count=6, several=True)]
    for number, samples in enumerate(several):
        other = single[(number + 3) % 6] if number % 2 else 0.0
        np.testing.assert_array_equal(samples, single[number] + other)
    directions = sphere_directions(64)
    angles = great_circle_distance(directions, np.roll(directions, 32, axis=0))
    assert np.degrees(angles.min()) > 60.0


def test_scenes_of_several_of_nobody_and_with_times_give_windows(tmp_path):
    from doa_tf.scenes.folder import read_scenes, write_scenes

    samples = np.zeros((13_312, 4))
    east, north = ({"azimuth_deg": a, "elevation_deg": 0.0} for a in (-90.0, 0.0))
    always = {"start_s": None, "end_s": None}
    scenes = [
        ("two", samples, [{"talker": "a", **always, **east}, {"talker": "b", **always, **north}]),
        ("one", samples, [{"talker": "a", **always, **north}]),
        ("nobody", samples, [dict.fromkeys(("talker", *always, *east))]),
        ("turn", samples, [{"talker": "a", "start_s": 0.1, "end_s": 0.5, **east}]),
    ]
    write_scenes(tmp_path / "s", scenes)
    two, one, nobody, turn = scene_clips(read_scenes(tmp_path / "s"), ModelSpec())
    np.testing.assert_allclose(two.talkers, [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(one.talkers, [one.direction], atol=1e-12)
    assert nobody.talkers.shape == (0, 3)
    assert turn.talkers is None
    assert two.direction is nobody.direction is turn.direction is None
