"""What a converted network is tried on: windows of the user's scenes, or built-in ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import encode_plane_wave, steering_vector
from doa_core.angles import FloatArray, angles_to_vector
from doa_core.features import intensity_features
from doa_core.spec import FeatureSpec
from doa_core.stft import stft

if TYPE_CHECKING:
    from doa_tf.scenes import Scene

SYNTHETIC_WINDOWS = 64
_DIFFUSE_WAVES = 16
_SLOPES = (0.0, 0.5, 1.0)  # of the amplitude spectrum, 1/f^slope: white, pink, red
_DIFFUSE_DB = (-30.0, -15.0, -5.0)  # diffuse against direct power [dB]
_SYLLABLES = 4.0  # hertz, at which speech gets louder and softer
_LEVEL = 0.05  # RMS of the direct sound, -26 dBFS
_SEED = 2019


def scene_windows(
    scenes: Iterable[Scene], features: FeatureSpec
) -> Iterator[npt.NDArray[np.float32]]:
    """(T, F, K) features of the whole windows of each recording, one after the other.

    Raises:
        InputError: a recording that cannot be read or is shorter than one window.
    """
    from doa_tf.evaluation import feature_windows

    for scene in scenes:
        signal = scene.read(sample_rate=features.sample_rate)
        yield from feature_windows(signal, features, name=str(scene.path))


def synthetic_windows(
    features: FeatureSpec, *, count: int = SYNTHETIC_WINDOWS
) -> Iterator[npt.NDArray[np.float32]]:
    """(T, F, K) features of coloured noise from directions all over the sphere.

    Each window holds one plane wave, louder and softer as syllables are, and a share of diffuse
    noise: from nearly none to a third of the direct power. Always the same windows.

    Args:
        features: the path to the input of the network.
        count: number of windows.
    """
    rng = np.random.default_rng(_SEED)
    time = np.arange(features.samples) / features.sample_rate
    around = sphere_directions(_DIFFUSE_WAVES)
    for number, direction in enumerate(sphere_directions(count)):
        slope = _SLOPES[number % len(_SLOPES)]
        diffuse_db = _DIFFUSE_DB[number // len(_SLOPES) % len(_DIFFUSE_DB)]
        envelope = 1.0 + 0.9 * np.sin(2.0 * np.pi * (_SYLLABLES * time + rng.random()))
        direct = _coloured_noise(rng, 1, features.samples, slope)[0] * envelope
        direct *= _LEVEL / np.sqrt(np.mean(direct**2))
        diffuse = _coloured_noise(rng, len(around), features.samples, slope)
        diffuse *= _LEVEL * 10.0 ** (diffuse_db / 20.0) / np.sqrt(len(around))
        signal = encode_plane_wave(direct, direction) + diffuse.T @ steering_vector(around)
        yield intensity_features(
            stft(signal, window_length=features.window_length, hop=features.hop),
            channels=features.channels,
            energy_floor=features.energy_floor,
        )


def sphere_directions(count: int) -> FloatArray:
    """(count, 3) unit vectors, evenly spread: a spiral whose turns advance by the golden angle."""
    index = np.arange(count)
    azimuth = np.pi * (3.0 - np.sqrt(5.0)) * index
    return angles_to_vector(azimuth, np.arcsin(1.0 - (2.0 * index + 1.0) / count))


def _coloured_noise(rng: np.random.Generator, waves: int, samples: int, slope: float) -> FloatArray:
    """(waves, N) noise of unit RMS whose amplitude spectrum falls as 1/f^slope."""
    spectrum = np.fft.rfft(rng.standard_normal((waves, samples)), axis=-1)
    frequency = np.maximum(np.arange(spectrum.shape[-1]), 20.0)  # level off in the lowest bins
    noise = np.fft.irfft(spectrum * frequency**-slope, n=samples, axis=-1)
    unit: FloatArray = noise / np.sqrt(np.mean(noise**2, axis=-1, keepdims=True))
    return unit
