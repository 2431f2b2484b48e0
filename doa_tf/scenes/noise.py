"""Noise for mixing: synthetic interferers and diffuse fields."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from doa_core.ambisonics import steering_vector
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import even_directions

DIFFUSE_DIRECTIONS = 40


def coloured_noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 stationary noise of a drawn slope, slowly modulated: fans, engines, water.

    Args:
        rng: source of all draws.
        samples: N.
    """
    from scipy.fft import irfft

    bins = samples // 2 + 1
    spectrum = rng.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)[:, 0]
    frequency = np.arange(bins, dtype=np.float32) * np.float32(SAMPLE_RATE / samples)
    corner = float(10.0 ** rng.uniform(1.8, 3.3))  # hertz; flat below, falling above
    slope = float(rng.uniform(0.0, 2.0))  # of amplitude, in powers of frequency
    noise = irfft(spectrum / (1.0 + (frequency / corner) ** slope), samples)
    if rng.random() < 0.5:
        rate = rng.uniform(0.5, 8.0)  # hertz
        phase = 2.0 * np.pi * (rate * np.arange(samples) / SAMPLE_RATE + rng.random())
        noise *= (1.0 + rng.uniform(0.2, 0.9) * np.sin(phase)).astype(np.float32)
    return noise


def clatter(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 struck objects: decaying groups of partials at random times, soft noise."""
    signal = np.float32(0.02) * rng.standard_normal(samples, dtype=np.float32)
    for _ in range(rng.poisson(6.0 * samples / SAMPLE_RATE) + 1):
        start = int(rng.integers(samples))
        length = min(samples - start, SAMPLE_RATE // 2)
        time = np.arange(length, dtype=np.float32) / np.float32(SAMPLE_RATE)
        partials = rng.uniform(300.0, 7000.0, size=(int(rng.integers(2, 7)), 1))  # hertz
        decays = rng.uniform(0.005, 0.15, size=partials.shape)  # seconds
        phases = (2.0 * np.pi * partials).astype(np.float32) * time
        ring = np.sin(phases) * np.exp(-time / decays.astype(np.float32))
        strike = rng.standard_normal(length, dtype=np.float32)
        strike *= np.exp(-time / float(rng.uniform(0.002, 0.02)))
        loudness = float(rng.uniform(0.2, 1.0))
        signal[start : start + length] += loudness * (ring.mean(axis=0) + 0.5 * strike)
    return signal


def machine(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 harmonics of a wandering fundamental over soft noise: motors, fans, razors."""
    time = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    lowest = float(np.exp(rng.uniform(np.log(25.0), np.log(400.0))))  # hertz
    wander = rng.uniform(0.0, 0.05) * np.sin(2.0 * np.pi * (rng.uniform(0.05, 2.0) * time))
    phase = 2.0 * np.pi * np.cumsum(lowest * (1.0 + wander)) / SAMPLE_RATE
    count = int(rng.integers(4, 40))
    slope = rng.uniform(0.3, 1.5)  # of amplitude, in powers of the harmonic's number
    signal = np.zeros(samples, np.float32)
    for harmonic in range(1, min(count, int(0.45 * SAMPLE_RATE / lowest)) + 1):
        gain = float(rng.uniform(0.3, 1.0)) * harmonic**-slope
        tone = gain * np.sin(harmonic * phase + rng.uniform(0.0, 2.0 * np.pi))
        signal += tone.astype(np.float32)
    signal /= np.sqrt(np.mean(signal**2)) + 1e-9
    return signal + np.float32(rng.uniform(0.05, 0.5)) * coloured_noise(rng, samples)


def notes(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 tones of a few harmonics, one after the other: alarms, telephones, music."""
    signal = np.float32(0.01) * rng.standard_normal(samples, dtype=np.float32)
    start, pitch = 0, float(rng.uniform(200.0, 1500.0))  # hertz
    while start < samples:
        length = int(rng.uniform(0.08, 0.6) * SAMPLE_RATE)
        time = np.arange(min(length, samples - start), dtype=np.float32) / np.float32(SAMPLE_RATE)
        decay = np.exp(-time * rng.uniform(0.0, 8.0)) * np.minimum(1.0, time * 200.0)
        for harmonic in range(1, int(rng.integers(2, 8))):
            tone = np.sin(2.0 * np.pi * min(harmonic * pitch, 7500.0) * time)
            signal[start : start + len(time)] += (decay * tone / harmonic).astype(np.float32)
        pitch = float(np.clip(pitch * 2.0 ** (rng.integers(-7, 8) / 12.0), 150.0, 3000.0))
        start += length + int(rng.uniform(0.0, 0.2) * SAMPLE_RATE)
    return signal


def diffuse_field(rng: np.random.Generator, signals: Iterable[np.ndarray]) -> np.ndarray:
    """(4, N) float32 isotropic AmbiX field of one plane wave for each signal.

    The directions are a spiral of equal areas, turned at random, so that few waves make an even
    field. All waves have the same power.

    Args:
        rng: turns the spiral.
        signals: K uncorrelated arrays of (N,); 32 or more make a field isotropic.
    """
    signals = list(signals)
    directions = even_directions(len(signals), turn=rng.uniform(0.0, 2.0 * np.pi))
    field = np.zeros((4, len(signals[0])), np.float32)
    for signal, gains in zip(signals, steering_vector(directions), strict=True):
        level = np.sqrt(np.mean(signal**2)) + 1e-9
        field += np.outer(gains / level, signal).astype(np.float32)
    return field
