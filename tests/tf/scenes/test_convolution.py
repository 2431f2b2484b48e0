"""Convolutions: equal to the direct sums."""

from __future__ import annotations

import numpy as np
import pytest

from doa_tf.scenes.convolution import audible_length, convolve_valid, filter_field


@pytest.mark.parametrize(("samples", "taps"), [(1000, 1), (1000, 300), (200, 999)])
def test_a_dry_signal_through_an_srir_is_the_direct_sum(samples, taps):
    rng = np.random.default_rng(samples + taps)
    dry = rng.standard_normal(samples + taps - 1).astype(np.float32)
    srir = rng.standard_normal((taps, 4)).astype(np.float32)
    expected = np.stack([np.convolve(dry, srir[:, c], mode="valid") for c in range(4)])
    heard = convolve_valid(dry, srir)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("samples", "taps"), [(3000, 1), (3000, 256), (2500, 700)])
def test_a_field_through_a_microphone_is_the_direct_sum(samples, taps):
    rng = np.random.default_rng(taps)
    field = rng.standard_normal((4, samples + taps - 1)).astype(np.float32)
    response = rng.standard_normal((taps, 4, 4)).astype(np.float32)
    expected = np.array(
        [
            sum(np.convolve(field[d], response[:, c, d], mode="valid") for d in range(4))
            for c in range(4)
        ]
    )
    heard = filter_field(field, response)
    assert heard.shape == (4, samples)
    np.testing.assert_allclose(heard, expected, atol=1e-5 * np.abs(expected).max())


def test_what_cannot_be_heard_is_cut():
    time = np.arange(16_000) / 16_000
    srir = np.random.default_rng(0).standard_normal((16_000, 4)) * 10 ** (-3 * time / 0.5)[:, None]
    length = audible_length(srir)
    # An exponential decay of 60 dB in 0.5 s falls by the 50 dB that are kept in 0.417 s.
    assert length / 16_000 == pytest.approx(0.417, abs=0.01)
    left = np.sum(srir[length:, 0] ** 2) / np.sum(srir[:, 0] ** 2)
    assert left < 1e-5
    assert audible_length(np.eye(4)[:1]) == 1
    assert audible_length(np.concatenate([np.eye(4), np.zeros((50, 4))])) == 1
