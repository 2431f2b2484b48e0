"""Room-acoustic measures against responses whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.acoustics import c50, diffuseness, direct_direction, direct_index, drr_db, t30


def decaying_noise(rt60: float, seconds: float, seed: int = 0) -> np.ndarray:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return noise * 10.0 ** (-3.0 * time / rt60)


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("band", [None, (354.0, 1414.0)])
def test_t30_of_an_exponential_decay(rt60, band):
    measured = [t30(decaying_noise(rt60, 1.2 * rt60, seed), band=band) for seed in range(9)]
    # One noise tail scatters by a few percent, and most in a band.
    assert np.median(measured) == pytest.approx(rt60, rel=0.05)


def test_t30_takes_the_decay_of_its_band():
    slow, fast = decaying_noise(0.8, 1.0), decaying_noise(0.2, 1.0)
    spectrum = np.fft.rfft(slow)
    frequencies = np.fft.rfftfreq(len(slow), 1 / SAMPLE_RATE)
    low = np.fft.irfft(spectrum * (frequencies < 177), len(slow))
    high = np.fft.irfft(np.fft.rfft(fast) * (frequencies >= 177), len(slow))
    assert t30(low + high, band=(354.0, 1414.0)) == pytest.approx(0.2, rel=0.2)
    assert t30(low + high, band=(88.0, 177.0)) == pytest.approx(0.8, rel=0.3)


def test_t30_of_a_response_that_is_cut_is_not_a_number():
    assert np.isnan(t30(decaying_noise(1.0, 0.2), band=None))
    assert np.isnan(t30(np.zeros(100)))


def test_clarity_and_direct_to_reverberant_ratio_of_two_impulses():
    response = np.zeros(4000)
    response[100] = 1.0
    response[100 + int(0.06 * SAMPLE_RATE)] = 0.1  # after 60 ms, 20 dB below
    assert c50(response) == pytest.approx(20.0)
    assert drr_db(response) == pytest.approx(20.0)
    response[100 + int(0.01 * SAMPLE_RATE)] = 1.0  # after 10 ms: early, yet not direct
    assert c50(response) == pytest.approx(10 * np.log10(2.0 / 0.01))
    assert drr_db(response) == pytest.approx(10 * np.log10(1.0 / 1.01))


def test_a_direct_sound_alone_has_no_reverberation():
    response = np.zeros(400)
    response[20] = -1.0
    assert drr_db(response) == np.inf
    assert c50(response) == np.inf


def test_the_direct_sound_is_the_first_peak_and_not_the_largest():
    response = np.zeros(1000)
    response[100:103] = [0.1, 0.3, 0.2]
    response[300] = 1.0
    assert direct_index(response) == 101


def test_direction_and_diffuseness_of_waves():
    rng = np.random.default_rng(1)
    towards = angles_to_vector(0.7, -0.4)
    impulse = np.zeros(600)
    impulse[50] = 1.0
    srir = encode_plane_wave(impulse, towards)
    np.testing.assert_allclose(direct_direction(srir), towards, atol=1e-12)
    assert diffuseness(srir) == pytest.approx(0.0, abs=1e-12)
    isotropic = rng.standard_normal((20_000, 4)) * np.sqrt([1, 1 / 3, 1 / 3, 1 / 3])
    # The mean intensity of N samples of noise has a length of about 1 / sqrt(N).
    assert diffuseness(isotropic) > 0.97
    assert diffuseness(np.zeros((10, 4))) == 1.0
