"""The intensity vectors of a window finish what the network began."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.ambisonics import steering_vector
from doa_core.angles import angles_to_vector, great_circle_distance, random_rotation
from doa_core.refine import BAND_HZ, CHANNELS, WIDTH_DEG, evidence, refine, refined
from doa_core.spec import FeatureSpec

SPEC = FeatureSpec(channels=CHANNELS)
BIN_HZ = 15.625


def towards(azimuth_deg, elevation_deg=0.0):
    return angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))


def wave(direction, *, seed=0, samples=SPEC.samples):
    """(N, 4) AmbiX of white noise from one direction, nothing else."""
    dry = np.random.default_rng(seed).standard_normal(samples)
    return np.outer(dry, steering_vector(direction)).astype(np.float32)


def by_definition(directions, features):
    """The formula of the module, bin by bin in double precision."""
    low, high = (round(hz / BIN_HZ) for hz in BAND_HZ)
    sums = np.zeros((len(directions), 3))
    for row in features[..., low : high + 1, :].reshape(-1, 7).astype(np.float64):
        length = np.linalg.norm(row[:3])
        cosines = directions @ row[:3] / length
        best = int(np.argmax(cosines))
        near = np.exp(-2.0 * (1.0 - cosines[best]) / np.radians(WIDTH_DEG) ** 2)
        sums[best] += near * length**4 * 10.0 ** row[6] * row[:3] / length
    moved = directions + sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def test_it_is_what_the_formula_says():
    rng = np.random.default_rng(1)
    features = rng.uniform(-0.6, 0.6, size=(5, 513, 7)).astype(np.float32)
    directions = np.stack([towards(10.0), towards(120.0, 30.0), towards(-80.0, -20.0)])
    np.testing.assert_allclose(
        refine(directions, features, bin_hz=BIN_HZ), by_definition(directions, features), atol=1e-5
    )


def test_an_answer_beside_a_plane_wave_comes_half_of_the_way():
    features = SPEC.compute(wave(towards(40.0, 10.0)))
    answer = refine(towards(46.0, 10.0)[np.newaxis], features, bin_hz=SPEC.bin_hz)
    half_way = towards(46.0, 10.0) + towards(40.0, 10.0)
    np.testing.assert_allclose(answer[0], half_way / np.linalg.norm(half_way), atol=1e-5)


def test_a_scene_that_is_turned_turns_the_answer():
    rng = np.random.default_rng(2)
    features = rng.uniform(-0.6, 0.6, size=(3, 513, 7)).astype(np.float32)
    directions = np.stack([towards(10.0), towards(120.0, 30.0)])
    turn = random_rotation(rng)
    turned = features.copy()
    turned[..., :3] = features[..., :3] @ turn.T
    np.testing.assert_allclose(
        refine(directions @ turn.T, turned, bin_hz=BIN_HZ),
        refine(directions, features, bin_hz=BIN_HZ) @ turn.T,
        atol=1e-5,
    )


def test_each_of_two_voices_has_the_bins_that_are_nearest():
    """They talk one after the other, 40 degrees apart; a third answer has no bin near it."""
    first, second = towards(0.0), towards(40.0)
    sound = np.concatenate([wave(first, samples=6656), wave(second, seed=1, samples=6656)])
    answers = np.stack([towards(4.0), towards(34.0)])
    found = refine(answers, SPEC.compute(sound), bin_hz=SPEC.bin_hz)
    off_deg = np.degrees(great_circle_distance(found, np.stack([first, second])))
    assert np.all(off_deg < [2.2, 3.4])  # the frame at the seam holds both


def test_parts_of_a_recording_can_be_added():
    features = SPEC.compute(wave(towards(40.0, 10.0)))
    directions = np.stack([towards(50.0), towards(-90.0)])
    parts = [evidence(directions, part, bin_hz=BIN_HZ) for part in (features[:9], features[9:])]
    whole = evidence(directions, features, bin_hz=BIN_HZ)
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        refined(directions, whole), refine(directions, features, bin_hz=BIN_HZ)
    )


def test_digital_silence_moves_nothing():
    directions = np.stack([towards(50.0), towards(-90.0, 20.0)])
    silence = SPEC.compute(np.zeros((SPEC.samples, 4), np.float32))
    np.testing.assert_allclose(refine(directions, silence, bin_hz=BIN_HZ), directions, atol=1e-12)


def test_no_answer_stays_none():
    assert refine(np.zeros((0, 3)), np.zeros((2, 513, 7)), bin_hz=BIN_HZ).shape == (0, 3)


def test_features_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"`features` must be \(..., bins, 7\). Received: \(2, 6"):
        refine(towards(0.0)[np.newaxis], np.zeros((2, 6)), bin_hz=BIN_HZ)
