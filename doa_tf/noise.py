"""Noises for mixing: synthetic interferers and diffuse fields."""

from __future__ import annotations

import numpy as np

from doa_core.ambisonics import encode_plane_wave
from doa_core.spec import SAMPLE_RATE

DIFFUSE_DIRECTIONS = 40


def coloured_noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) stationary noise of a drawn spectral slope, slowly modulated: fans, engines, water.

    Args:
        rng: source of all draws.
        samples: N.
    """
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE)
    corner = 10.0 ** rng.uniform(1.8, 3.3)  # hertz; flat below, falling above
    slope = rng.uniform(0.0, 2.0)  # of amplitude per octave, in powers of frequency
    noise = np.fft.irfft(spectrum / (1.0 + (frequency / corner) ** slope), samples)
    if rng.random() < 0.5:
        rate = rng.uniform(0.5, 8.0)  # hertz
        phase = 2.0 * np.pi * (rate * np.arange(samples) / SAMPLE_RATE + rng.random())
        noise *= 1.0 + rng.uniform(0.2, 0.9) * np.sin(phase)
    return noise


def clatter(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) struck objects: decaying groups of partials at random times, over soft noise."""
    signal = 0.02 * rng.standard_normal(samples)
    for _ in range(rng.poisson(6.0 * samples / SAMPLE_RATE) + 1):
        start = int(rng.integers(samples))
        time = np.arange(min(samples - start, SAMPLE_RATE // 2)) / SAMPLE_RATE
        partials = rng.uniform(300.0, 7000.0, size=(int(rng.integers(2, 7)), 1))  # hertz
        decays = rng.uniform(0.005, 0.15, size=partials.shape)  # seconds
        ring = np.sin(2.0 * np.pi * partials * time) * np.exp(-time / decays)
        strike = rng.standard_normal(len(time)) * np.exp(-time / rng.uniform(0.002, 0.02))
        signal[start : start + len(time)] += rng.uniform(0.2, 1.0) * (
            ring.mean(axis=0) + 0.5 * strike
        )
    return signal


def diffuse_field(rng: np.random.Generator, sources: list[np.ndarray], samples: int) -> np.ndarray:
    """(N, 4) isotropic AmbiX field of as many independent plane waves as there are sources.

    The directions are a spiral of equal areas, turned at random, so that few of them already
    make an even field.

    Args:
        rng: source of all draws.
        sources: signals of at least `samples` samples; 32 or more make a field isotropic.
        samples: N.
    """
    count = len(sources)
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(count) + rng.uniform(0.0, 2.0 * np.pi)
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1)
    field = np.zeros((samples, 4), np.float32)
    for signal, direction in zip(sources, directions, strict=True):
        start = int(rng.integers(len(signal) - samples + 1))
        part = signal[start : start + samples]
        level = np.sqrt(np.mean(part**2)) + 1e-9
        field += encode_plane_wave((part / level).astype(np.float32), direction).astype(np.float32)
    return field
