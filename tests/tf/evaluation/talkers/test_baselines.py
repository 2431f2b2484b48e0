"""Two baselines of several directions: waves at once have theirs, each where it is."""

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.grid import sphere_grid
from doa_core.stft import stft
from doa_tf.evaluation.baselines import BAND, bins_of_band, music, music_spectrum
from doa_tf.evaluation.talkers.baselines import (
    APART_DEG,
    BASELINES,
    intensity_peaks,
    music_peaks,
    sphere_peaks,
)
from doa_tf.matching import errors_of_talkers

SAMPLES = 13_312
RATE = 16_000


def vectors(*angles_deg):
    return angles_to_vector(*np.radians(np.array(angles_deg, float).reshape(-1, 2).T))


def voice(seed):
    """(N,) harmonics of a pitch of its own: two voices overlap in few bins."""
    rng = np.random.default_rng(seed)
    time = np.arange(SAMPLES) / RATE
    pitch = rng.uniform(110.0, 220.0)
    waves = [np.cos(2 * np.pi * k * pitch * time + rng.uniform(0, 6.3)) / k for k in range(1, 18)]
    return 0.1 * np.sum(waves, axis=0)


def scene(directions):
    waves = [encode_plane_wave(voice(seed), u) for seed, u in enumerate(directions)]
    noise = 1e-4 * np.random.default_rng(9).standard_normal((SAMPLES, 4))
    return stft(np.sum(waves, axis=0) + noise)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(
    "places", [[(30, 10)], [(30, 10), (-100, -20)], [(0, 0), (90, 0)], [(170, 40), (-150, -30)]]
)
def test_waves_at_once_have_their_directions(name, places):
    directions = vectors(*places)
    found, scores = BASELINES[name](scene(directions), len(places))
    assert len(found) == len(scores) == len(places)
    # Grids of 2.5 and 5 degrees, refined; in the histogram one voice leans on the other.
    tolerance_deg = {"music": 2.0, "intensity": 5.0}[name]
    assert max(errors_of_talkers(directions, found)) < tolerance_deg
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0)
    assert np.all(np.diff(scores) <= 0.0)


def test_music_of_one_source_is_the_baseline_of_one():
    transform = scene(vectors((45, 20)))
    for normalisation in ("sn3d", "n3d"):
        spectrum = music_spectrum(bins_of_band(transform, BAND, RATE), normalisation=normalisation)
        expected = music(transform, normalisation=normalisation).scores
        np.testing.assert_array_equal(spectrum, expected)


def test_three_dimensions_are_the_most_that_four_channels_give():
    bins = bins_of_band(scene(vectors((45, 20))), BAND, RATE)
    for sources in (0, 4):
        with pytest.raises(ValueError, match=rf"must be 1, 2 or 3\. Received: sources={sources}"):
            music_spectrum(bins, sources=sources)
    assert len(music_peaks(scene(vectors((45, 20))), 4)[0]) <= 4


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_silence_has_no_peak(baseline):
    directions, scores = baseline(np.zeros((25, 513, 4), complex), 2)
    assert directions.shape == (0, 3)
    assert scores.shape == (0,)


@pytest.mark.parametrize("baseline", [music_peaks, intensity_peaks])
def test_bad_input(baseline):
    with pytest.raises(ValueError, match="at least one frame"):
        baseline(np.zeros((0, 513, 4), complex), 2)
    with pytest.raises(ValueError, match="must hold a bin"):
        baseline(np.zeros((25, 513, 4), complex), 2, band=(9000.0, 9001.0))


def test_the_flank_of_a_peak_is_no_peak():
    grid = sphere_grid(5.0)
    strong, weak, beside = vectors((0, 0), (100, 0), (APART_DEG / 2.0, 0))

    def lobe(direction, height):
        return height * np.exp(-((np.degrees(np.arccos(grid.vectors @ direction)) / 25.0) ** 2))

    scores = lobe(strong, 1.0) + lobe(weak, 0.2)
    found, heights = sphere_peaks(scores, grid, 2)
    # At 25 degrees the strong lobe is higher than the weak peak, and falls.
    assert max(errors_of_talkers([strong, weak], found)) < 3.0
    assert heights == pytest.approx([1.0, 0.2], abs=0.02)
    assert len(sphere_peaks(scores, grid, 5)[0]) == 2
    # A second summit within the least distance is the same voice.
    found, _ = sphere_peaks(scores + lobe(beside, 0.01), grid, 5)
    assert len(found) == 2
