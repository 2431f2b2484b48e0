"""What is done to scenes, and what is told of errors, on signals whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_tf.evaluation.judge import SceneResult
from doa_tf.scenes.folder import Scene
from experiments.quality import causes, failures
from experiments.scenes import changes

CARDIOID = 0.5


def plane_wave(azimuth_deg=40.0, elevation_deg=10.0, samples=4000):
    direction = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
    noise = np.random.default_rng(0).standard_normal(samples)
    return encode_plane_wave(noise, direction).astype(np.float32), direction


def heard_from(signal):
    active = np.mean(signal[:, :1] * signal[:, [3, 1, 2]], axis=0)
    return active / np.linalg.norm(active)


def test_a_tilt_moves_a_direction_by_no_more_than_its_angle():
    signal, direction = plane_wave()
    moved = [
        np.degrees(
            great_circle_distance(
                heard_from(changes.tilted(signal, np.random.default_rng(seed), 20.0)), direction
            )
        )
        for seed in range(20)
    ]
    assert max(moved) == pytest.approx(20.0, abs=1.0)
    assert min(moved) < 10.0
    upright, _ = plane_wave(elevation_deg=90.0)  # is across every horizontal axis
    tilted = heard_from(changes.tilted(upright, np.random.default_rng(0), 20.0))
    assert np.degrees(great_circle_distance(tilted, [0, 0, 1])) == pytest.approx(20.0, abs=1e-3)


def test_a_recording_played_too_fast_is_shorter_and_higher():
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(16_000) / 16_000).astype(np.float32)
    played = changes.played_at(np.repeat(tone[:, np.newaxis], 4, axis=1), 5.0)
    assert len(played) == pytest.approx(16_000 / 1.05, abs=2)
    spectrum = np.abs(np.fft.rfft(played[:, 0]))
    assert np.argmax(spectrum) * 16_000 / len(played) == pytest.approx(1050.0, abs=2.0)


def test_so_many_samples_of_the_capsules_clip():
    signal, _ = plane_wave()
    capsules = from_ambix(changes.clipped(signal, 5.0, pattern=CARDIOID), "tetrahedral")
    ceiling = np.abs(capsules).max()
    assert np.mean(np.abs(capsules) > 0.9999 * ceiling) == pytest.approx(0.05, abs=0.001)


def test_one_capsule_of_four_is_weak_and_the_others_are_as_they_were():
    signal, _ = plane_wave()
    before = from_ambix(signal, "tetrahedral")
    for gain_db, gain in ((-6.0, 10 ** (-6 / 20)), (changes.DEAD, 0.0)):
        weak = changes.weak_capsule(signal, np.random.default_rng(3), gain_db, pattern=CARDIOID)
        after = from_ambix(weak, "tetrahedral")
        ratios = np.sum(after * before, axis=0) / np.sum(before**2, axis=0)
        np.testing.assert_allclose(np.sort(ratios), [gain, 1.0, 1.0, 1.0], atol=1e-5)


def test_kinds_of_failures_are_told_apart():
    columns = {"interferer_azimuth_deg": "100", "interferer_elevation_deg": "0"}
    scene = Scene(
        file="a.wav", path=Path("a.wav"), azimuth_deg=0, elevation_deg=40, columns=columns
    )

    def kind(azimuth_deg, elevation_deg):
        result = SceneResult(
            scene=scene,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            error_deg=90.0,
            confidence=0.5,
        )
        return failures.failure_kind(result)

    assert kind(95.0, 5.0) == "interferer"
    assert kind(5.0, -35.0) == "mirrored"
    assert kind(-10.0, -80.0) == "elevation"
    assert kind(180.0, 0.0) == "elsewhere"


def test_an_offset_is_power_below_hearing_and_a_wave_is_not():
    signal, _ = plane_wave(samples=16_000)
    assert causes.low_power_db(signal) < -20.0  # 20 of 8,000 Hz: -26 dB
    # An offset of ten times the standard deviation has a hundred times the power.
    offset = signal + 10.0 * np.std(signal[:, 0])
    assert causes.low_power_db(offset) == pytest.approx(20.0, abs=0.5)
