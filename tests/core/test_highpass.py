"""The high-pass: its response, streams and recordings, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.highpass import HighPass, butterworth_highpass, highpass

RATE = 16_000


def test_the_response_is_butterworths():
    numerator, denominator = butterworth_highpass(70.0, RATE)
    frequency = np.array([1.0, 10.0, 35.0, 70.0, 140.0, 700.0])
    z = np.exp(-2j * np.pi * frequency / RATE)
    gain = np.abs(np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z))
    # |H|^2 = 1 / (1 + (fc / f)^6), in the warped frequency of the bilinear transform.
    warped = np.tan(np.pi * frequency / RATE) / np.tan(np.pi * 70.0 / RATE)
    np.testing.assert_allclose(gain, 1.0 / np.sqrt(1.0 + warped**-6.0), rtol=1e-6)


def test_it_is_the_recursion():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((500, 2))
    signal -= signal[0]  # from silence, as the plain recursion starts
    numerator, denominator = butterworth_highpass(70.0, RATE)
    expected = np.zeros_like(signal)
    for n in range(len(signal)):
        for lag in range(4):
            if n >= lag:
                expected[n] += numerator[lag] * signal[n - lag]
                expected[n] -= denominator[lag] * expected[n - lag] if lag else 0.0
    ours = highpass(signal, cutoff_hz=70.0, sample_rate=RATE)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 512, 1000])
def test_a_stream_is_the_recording(size):
    signal = np.random.default_rng(1).standard_normal((3_000, 4)) + 5.0
    whole = highpass(signal, cutoff_hz=70.0, sample_rate=RATE)
    stream = HighPass(70.0, RATE)
    parts = [stream.process(signal[start : start + size]) for start in range(0, 3_000, size)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert stream.process(signal[:0]).shape == (0, 4)
    stream.reset()
    np.testing.assert_array_equal(stream.process(signal), whole)


def test_an_offset_goes_without_a_step_and_speech_stays():
    time = np.arange(RATE)[:, np.newaxis] / RATE
    voice = np.sin(2 * np.pi * 300.0 * time)
    heard = highpass(voice + 100.0, cutoff_hz=70.0, sample_rate=RATE)
    assert (
        np.abs(highpass(np.full((1000, 1), 100.0), cutoff_hz=70.0, sample_rate=RATE)).max() < 1e-3
    )
    assert np.sqrt(np.mean(heard[RATE // 2 :] ** 2)) == pytest.approx(np.sqrt(0.5), rel=1e-3)


def test_no_cutoff_leaves_all_as_it_is_and_others_are_refused():
    signal = np.random.default_rng(2).standard_normal((100, 4)).astype(np.float32)
    np.testing.assert_array_equal(highpass(signal, cutoff_hz=0.0, sample_rate=RATE), signal)
    for cutoff in (-1.0, 8_000.0, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 8000"):
            HighPass(cutoff, RATE)
