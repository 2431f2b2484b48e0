"""Turns: what they keep, and that features turn as the sound does."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.ambisonics import rotate_ambix
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf.data.augment import AUGMENTATIONS, feature_blocks, random_turns
from doa_tf.data.features import waveform_features


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_turns_are_orthogonal(augment):
    turns = random_turns(np.random.default_rng(0), 200, augment)
    np.testing.assert_allclose(
        turns @ np.swapaxes(turns, 1, 2), np.tile(np.eye(3), (200, 1, 1)), atol=1e-12
    )
    mirrored = np.mean(np.linalg.det(turns) < 0)
    assert 0.35 < mirrored < 0.65 if augment in ("all", "upright") else mirrored == 0


def test_turns_about_the_vertical_keep_up_and_reach_every_azimuth():
    turns = random_turns(np.random.default_rng(0), 400, "vertical")
    np.testing.assert_allclose(turns[:, 2], np.tile([0, 0, 1.0], (400, 1)), atol=1e-12)
    azimuth = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert np.histogram(azimuth, 8, (-180, 180))[0].min() > 25  # 50 each, deviation 6.6


def test_upright_turns_leave_up_within_a_few_degrees_nine_times_in_ten():
    turns = random_turns(np.random.default_rng(0), 2000, "upright")
    tilt = np.degrees(np.arccos(np.clip(turns[:, 2, 2], -1.0, 1.0)))
    assert 0.88 < np.mean(tilt < 20.0) < 0.95  # of the tenth in any way 3 % lie below that too
    assert np.median(tilt) == pytest.approx(3.8, abs=0.4)  # 5 degrees of normal deviation
    azimuth = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert np.histogram(azimuth, 8, (-180, 180))[0].min() > 190


def test_no_turn_is_the_identity_and_other_words_are_refused():
    np.testing.assert_array_equal(random_turns(np.random.default_rng(0), 1, "none")[0], np.eye(3))
    with pytest.raises(ValueError, match=r"vertical, upright, all, none.*'some'"):
        random_turns(np.random.default_rng(0), 1, "some")


@pytest.mark.parametrize("augment", ["vertical", "upright", "all"])
def test_turned_features_are_the_features_of_the_turned_scene(augment):
    rng = np.random.default_rng(1)
    spec = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    waveform = rng.standard_normal((13_312, 4)).astype(np.float32)
    turns = random_turns(rng, 1, augment)
    expected = waveform_features(rotate_ambix(waveform, turns[0]), spec)
    turned = waveform_features(waveform, spec) @ feature_blocks(turns, 7)[0]
    np.testing.assert_allclose(turned, expected, atol=2e-5)
