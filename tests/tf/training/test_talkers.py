"""The figures of validation where several talk, on outputs whose peaks are known."""

from __future__ import annotations

import numpy as np
import pytest

import doa_tf
from doa_core.angles import angles_to_vector
from doa_tf.training.callbacks import validation_figures
from doa_tf.training.talkers import judge_talkers, share_higher

FRAMES = 10
NOBODY = np.zeros(3)
PEAK_DEG = 2.0  # how far the peak that is found may be from a lobe's middle


@pytest.fixture(scope="module")
def head():
    return doa_tf.heads.get("gibbs-harmonic")


def direction(azimuth_deg, elevation_deg=0.0):
    return angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))


def outputs_with_lobes(*scenes, height=0.8):
    """(S, T, G) logits whose scores are lobes at each scene's directions."""
    lobes = doa_tf.heads.get("gibbs")
    scores = [lobes.encode(np.array([*scene, NOBODY])) for scene in scenes]
    scores = np.clip(height * np.array(scores, dtype=float), 1e-6, None)
    return np.repeat(np.log(scores / (1 - scores))[:, np.newaxis], FRAMES, 1).astype(np.float32)


def talkers(*scenes, places=3):
    """(S, T, V, 3) of (direction, frames in which they talk)."""
    frames = np.zeros((len(scenes), FRAMES, places, 3))
    for scene, who in zip(frames, scenes, strict=True):
        for place, (vector, count) in enumerate(who):
            scene[:count, place] = vector
    return frames


def test_each_talker_is_matched_to_a_peak_so_that_the_sum_is_least(head):
    # Peaks 4 degrees off one talker, 20 off the other; the next scene's are right.
    outputs = outputs_with_lobes(
        [direction(10), direction(120)], [direction(0), direction(90), direction(-90)]
    )
    truth = talkers(
        [(direction(100), FRAMES), (direction(14), 3)],
        [(direction(-90), 5), (direction(0), 5), (direction(90), FRAMES)],
    )
    errors_deg, figures = judge_talkers(outputs, truth, head)
    np.testing.assert_allclose(np.sort(errors_deg), [0, 0, 0, 4, 20], atol=PEAK_DEG)
    assert set(figures) == {"val_loss"}
    logs = validation_figures(outputs, truth, head)
    assert logs["val_accuracy_within_10"] == pytest.approx(0.8)
    assert logs["val_outliers_above_30"] == 0.0
    assert logs["val_angular_error"] == pytest.approx(24 / 5, abs=PEAK_DEG)
    assert logs["val_median_angular_error"] < PEAK_DEG


def test_who_hardly_talks_is_not_sought(head):
    outputs = outputs_with_lobes([direction(0)])
    truth = talkers([(direction(0), FRAMES), (direction(90), 2)])
    errors_deg, _ = judge_talkers(outputs, truth, head)
    np.testing.assert_allclose(errors_deg, [0.0], atol=PEAK_DEG)
    truth = talkers([(direction(0), FRAMES), (direction(90), 3)])
    errors_deg, _ = judge_talkers(outputs, truth, head)
    assert len(errors_deg) == 2


def test_a_talker_without_a_peak_is_as_wrong_as_can_be(head):
    silent = np.full((1, FRAMES, head.outputs), -1000.0, np.float32)  # scores of exactly zero
    errors_deg, _ = judge_talkers(silent, talkers([(direction(5), FRAMES)]), head)
    np.testing.assert_array_equal(errors_deg, [180.0])


def test_directions_that_hold_for_all_frames(head):
    outputs = outputs_with_lobes([direction(0), direction(90)], [direction(-60)])
    still = np.array([[direction(90), direction(0)], [direction(-60), NOBODY]])
    errors_deg, figures = judge_talkers(outputs, still, head)
    np.testing.assert_allclose(errors_deg, 0.0, atol=PEAK_DEG)
    moving = np.repeat(still[:, np.newaxis], FRAMES, axis=1)
    again, the_same = judge_talkers(outputs, moving, head)
    np.testing.assert_array_equal(again, errors_deg)
    assert the_same["val_loss"] == pytest.approx(figures["val_loss"], rel=1e-6)


def test_silence_is_told_from_one_talker_by_the_highest_peak(head):
    one, nobody = [(direction(20), FRAMES)], []
    two = [(direction(20), FRAMES), (direction(140), FRAMES)]
    hardly = [(direction(20), 1)]
    heights = (0.9, 0.5, 0.6, 0.4, 0.99, 0.01)
    outputs = np.concatenate([outputs_with_lobes([direction(20)], height=h) for h in heights])
    truth = talkers(one, one, nobody, nobody, two, hardly)
    # 0.9 is above 0.6 and 0.4, 0.5 above 0.4: three of four pairs; the last two are not asked.
    assert judge_talkers(outputs, truth, head)[1]["val_silence_auc"] == pytest.approx(0.75)
    assert validation_figures(outputs, truth, head)["val_silence_auc"] == pytest.approx(0.75)
    for without in ([0, 1, 4, 5], [2, 3, 4, 5]):
        assert "val_silence_auc" not in judge_talkers(outputs[without], truth[without], head)[1]


def test_the_rank_statistic_counts_ties_half():
    assert share_higher(np.array([1.0, 2.0]), np.array([0.0])) == 1.0
    assert share_higher(np.array([1.0]), np.array([1.0, 1.0])) == 0.5
    rng = np.random.default_rng(0)
    ones, others = rng.integers(0, 9, 40) / 9, rng.integers(0, 7, 30) / 9
    difference = ones[:, np.newaxis] - others
    expected = np.mean(difference > 0) + 0.5 * np.mean(difference == 0)
    assert share_higher(ones, others) == pytest.approx(expected)


def test_the_loss_is_that_of_all_frames_in_parts(head):
    rng = np.random.default_rng(1)
    outputs = rng.normal(-3.0, 1.0, (150, 2, head.outputs)).astype(np.float32)
    truth = np.zeros((150, 2, 2, 3))
    truth[:100, :, 0] = direction(rng.uniform(-180, 180, 100))[:, np.newaxis]
    _, figures = judge_talkers(outputs, truth, head)
    assert figures["val_loss"] == pytest.approx(float(head.loss()(truth, outputs)), rel=1e-5)


def test_one_talker_is_judged_as_ever(head):
    answers = [direction(10), direction(50)]
    outputs = outputs_with_lobes(*([answer] for answer in answers))
    still = np.stack([direction(11), direction(85)])[:, np.newaxis]
    figures = validation_figures(outputs, still, head)
    decoded, _ = head.decode(outputs, method="centroid")
    off_deg = np.degrees(np.arccos(np.sum(decoded * still[:, 0], axis=-1)))
    assert figures["val_angular_error"] == pytest.approx(off_deg.mean(), rel=1e-6)
    assert list(figures) == [
        "val_loss",
        "val_angular_error",
        "val_median_angular_error",
        "val_accuracy_within_10",
        "val_outliers_above_30",
    ]
    in_frames = np.repeat(still[:, np.newaxis], FRAMES, axis=1)
    assert validation_figures(outputs, in_frames, head) == pytest.approx(figures, rel=1e-6)


def test_scenes_that_cannot_be_judged_are_refused(head):
    outputs = outputs_with_lobes([direction(0)])
    with pytest.raises(ValueError, match="Somebody must talk"):
        validation_figures(outputs, talkers([]), head)
    one = doa_tf.heads.get("cartesian")
    for truth, rows in ((talkers([(direction(0), 5)], places=1), 5), (talkers([]), 30)):
        with pytest.raises(
            ValueError, match=rf"'cartesian' takes one talker.*{rows} rows of zeros"
        ):
            validation_figures(np.full((1, FRAMES, 3), 0.5, np.float32), truth, one)
