"""More kinds of synthetic interferers: things that are struck, poured, crumpled, typed on, played.

A network that has heard few kinds of noise takes others for a voice. These are sums of a few
physical parts: struck objects are groups of damped modes (modal synthesis), bubbles in water are
damped tones that rise (Minnaert resonances), crumpled paper is many small clicks. Loudness varies
as widely as it does in kitchens and offices.

References:
    J. M. Adrien, "The missing link: modal synthesis", in Representations of Musical Signals, MIT
    Press, 1991; M. Minnaert, "On musical air-bubbles and the sounds of running water",
    Philosophical Magazine 16, 1933, doi:10.1080/14786443309462277
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_tf.scenes.noise import clatter, coloured_noise, machine, notes

MakeNoise: TypeAlias = Callable[[np.random.Generator, int], np.ndarray]

_HIGHEST = 0.49 * SAMPLE_RATE  # of a partial [hertz]


def dishes(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 ceramics, glass and cutlery, struck in bursts over soft noise."""
    objects = [_modes(rng, lowest=(300.0, 4000.0), ring_s=(0.01, 0.5)) for _ in range(4)]
    signal = np.zeros(samples, np.float32)
    for start in _burst_times(rng, samples, bursts_a_second=rng.uniform(0.7, 3.0)):
        _strike(rng, signal, start, objects[int(rng.integers(len(objects)))])
    return _over(rng, signal, coloured_noise(rng, samples), (-45.0, -12.0))


def knocks(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 thuds at a steady pace: steps, a hammer, a door."""
    body = _modes(rng, lowest=(60.0, 400.0), ring_s=(0.01, 0.15))
    signal = np.zeros(samples, np.float32)
    pace = SAMPLE_RATE / float(rng.uniform(0.8, 6.0))
    start = float(rng.uniform(0.0, pace))
    while start < samples:
        _strike(rng, signal, int(start), body)
        start += pace * float(rng.uniform(0.8, 1.2))
    return _over(rng, signal, coloured_noise(rng, samples), (-50.0, -20.0))


def typing(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 keys that go down and up, with pauses."""
    key = _modes(rng, lowest=(150.0, 2500.0), ring_s=(0.002, 0.03))
    signal = np.zeros(samples, np.float32)
    start = 0.0
    while start < samples:
        _strike(rng, signal, int(start), key)
        _strike(rng, signal, int(start + rng.uniform(0.04, 0.12) * SAMPLE_RATE), key, loudness=0.4)
        pause = rng.uniform(0.3, 1.5) if rng.random() < 0.1 else rng.uniform(0.06, 0.3)
        start += float(pause) * SAMPLE_RATE
    return _over(rng, signal, coloured_noise(rng, samples), (-50.0, -20.0))


def rustle(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 paper, bags, clothes, applause: many small clicks that come in waves."""
    waves = np.interp(
        np.arange(samples), np.linspace(0, samples, 40), rng.exponential(size=40) ** 2
    )
    clicks = rng.random(samples) < np.minimum(1.0, waves * rng.uniform(50.0, 2000.0) / SAMPLE_RATE)
    signal = (clicks * rng.standard_normal(samples) * rng.exponential(size=samples)).astype("f4")
    return _through_bands(rng, signal, bands=int(rng.integers(2, 6)), width=(0.2, 1.0))


def water(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 bubbles over a hiss: a tap, a kettle, something that is poured."""
    signal = np.zeros(samples, np.float32)
    centre = float(np.exp(rng.uniform(np.log(300.0), np.log(3000.0))))  # hertz
    for _ in range(int(rng.uniform(20.0, 200.0) * samples / SAMPLE_RATE)):
        start = int(rng.integers(samples))
        time = _times(samples - start, 0.08)
        pitch = min(centre * float(np.exp(0.5 * rng.standard_normal())), 6000.0)
        phase = 2.0 * np.pi * pitch * (time + float(rng.uniform(0.0, 4.0)) * time**2)
        decay = np.exp(-time * pitch * float(rng.uniform(0.01, 0.06)))
        signal[start : start + len(time)] += float(rng.exponential()) * decay * np.sin(phase)
    return _over(rng, signal, coloured_noise(rng, samples), (-15.0, 15.0))


def chirps(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 sweeps in groups: birds, squeaks, hinges, toys."""
    signal = np.zeros(samples, np.float32)
    low, high = sorted(rng.uniform(800.0, 7000.0, size=2))
    for start in _burst_times(rng, samples, bursts_a_second=rng.uniform(0.5, 2.0)):
        time = _times(samples - start, float(rng.uniform(0.03, 0.25)))
        if len(time) < 2:
            continue
        way = time / time[-1]
        pitch = np.interp(way, np.linspace(0.0, 1.0, 4), rng.uniform(low, high, size=4))
        tone = np.sin(2.0 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * np.sin(np.pi * way)
        signal[start : start + len(time)] += float(rng.exponential()) * tone.astype(np.float32)
    return _over(rng, signal, coloured_noise(rng, samples), (-50.0, -15.0))


def tool(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 a machine that is switched on and off: drills, mixers, vacuum cleaners."""
    on = np.zeros(samples, np.float32)
    start = 0
    while start < samples:
        length = int(rng.uniform(0.1, 2.0) * SAMPLE_RATE)
        on[start : start + length] = 1.0
        start += length + int(rng.uniform(0.1, 1.0) * SAMPLE_RATE)
    ramp = int(rng.uniform(0.005, 0.1) * SAMPLE_RATE)
    on = np.convolve(on, np.full(ramp, 1.0 / ramp, np.float32), mode="same")
    signal = on * machine(rng, samples)
    return _through_bands(rng, signal, bands=int(rng.integers(2, 6)), width=(0.3, 1.5))


def music(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) float32 two or three parts of notes, and something struck to them."""
    parts = [notes(rng, samples) for _ in range(int(rng.integers(2, 4)))]
    parts.append(knocks(rng, samples) if rng.random() < 0.5 else dishes(rng, samples))
    signal = np.zeros(samples, np.float32)
    for part in parts:
        signal += part * float(rng.uniform(0.2, 1.0) / (np.std(part) + 1e-9))
    return signal


# The synthetic interferers that a mixer can have, by the names in its settings.
NOISE_KINDS: dict[str, MakeNoise] = {
    make.__name__: make
    for make in (
        *(coloured_noise, clatter, machine, notes),
        *(dishes, knocks, typing, rustle, water, chirps, tool, music),
    )
}
FIRST_KINDS = tuple(NOISE_KINDS)[:4]  # those of scenes and recipes of before


def kind_of(number: int, names: Sequence[str]) -> MakeNoise:
    """What makes the interferer `number` of a mixer that has the kinds of these names."""
    return NOISE_KINDS[names[number % len(names)]]


def _times(left: int, seconds: float) -> np.ndarray:
    """(N,) float32 seconds from 0 on: as many as asked for, or as are left."""
    length = min(left, int(seconds * SAMPLE_RATE))
    return np.arange(length, dtype=np.float32) / np.float32(SAMPLE_RATE)


def _modes(
    rng: np.random.Generator, *, lowest: tuple[float, float], ring_s: tuple[float, float]
) -> np.ndarray:
    """(M, 2) frequencies [hertz] and decay rates [1 / second] of an object's modes."""
    count = int(rng.integers(6, 32))
    base = float(np.exp(rng.uniform(*np.log(lowest))))
    ratios = 1.0 + np.cumsum(rng.exponential(float(rng.uniform(0.1, 0.6)), size=count))
    pitches = base * np.concatenate(([1.0], ratios))
    ring = float(np.exp(rng.uniform(*np.log(ring_s))))
    rates = (pitches / base) ** float(rng.uniform(0.2, 1.2)) / ring
    modes = np.stack([pitches, rates], axis=1)
    return modes[pitches < _HIGHEST]


def _strike(
    rng: np.random.Generator,
    signal: np.ndarray,
    start: int,
    modes: np.ndarray,
    *,
    loudness: float = 1.0,
) -> None:
    """Add one strike of an object: a click, and its modes as the place of the strike excites."""
    if not 0 <= start < len(signal):
        return
    time = _times(len(signal) - start, min(0.5, 5.0 / float(modes[:, 1].min())))
    gains = rng.standard_normal(len(modes)) * np.exp(
        -modes[:, 0] / float(rng.uniform(1000.0, 8000.0))
    )
    phases = np.outer(2.0 * np.pi * modes[:, 0], time).astype(np.float32)
    ring = gains.astype(np.float32) @ (np.sin(phases) * np.exp(-np.outer(modes[:, 1], time)))
    click = rng.standard_normal(len(time)) * np.exp(-time / float(rng.uniform(5e-4, 5e-3)))
    level = loudness * 10.0 ** (float(rng.normal(0.0, 8.0)) / 20.0)
    sound = ring / (np.abs(gains).sum() + 1e-9) + float(rng.uniform(0.02, 0.5)) * click
    signal[start : start + len(time)] += (level * sound).astype(np.float32)


def _burst_times(rng: np.random.Generator, samples: int, *, bursts_a_second: float) -> list[int]:
    """Samples at which something happens: bursts at random times, some events in each."""
    starts: list[int] = []
    for _ in range(rng.poisson(bursts_a_second * samples / SAMPLE_RATE) + 1):
        at = float(rng.integers(samples))
        for _ in range(int(rng.integers(1, 8))):
            starts.append(int(at))
            at += float(rng.exponential(0.08)) * SAMPLE_RATE
    return [start for start in starts if start < samples]


def _over(
    rng: np.random.Generator, signal: np.ndarray, noise: np.ndarray, level_db: tuple[float, float]
) -> np.ndarray:
    """The signal over noise of a drawn level, relative to the signal's [decibels]."""
    level = 10.0 ** (float(rng.uniform(*level_db)) / 20.0)
    scale = level * (float(np.std(signal)) + 1e-9) / (float(np.std(noise)) + 1e-9)
    return signal + np.float32(scale) * noise


def _through_bands(
    rng: np.random.Generator, signal: np.ndarray, *, bands: int, width: tuple[float, float]
) -> np.ndarray:
    """The signal as a few resonances let it through.

    Args:
        rng: draws them.
        signal: (N,).
        bands: how many.
        width: (low, high) of each [octaves].
    """
    from scipy.fft import irfft, rfft

    spectrum = rfft(signal)
    octave = np.log2(np.maximum(np.arange(len(spectrum)) * SAMPLE_RATE / len(signal), 20.0))
    gain = np.full(len(spectrum), 0.02)
    for _ in range(bands):
        centre, spread = rng.uniform(np.log2(200.0), np.log2(7000.0)), rng.uniform(*width)
        gain += float(rng.uniform(0.2, 1.0)) * np.exp(-(((octave - centre) / spread) ** 2))
    return np.asarray(irfft(spectrum * gain, len(signal)), np.float32)
