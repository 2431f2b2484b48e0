"""Windows that a converted network is compared on: of the user's scenes, or built-in ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import encode_plane_wave, steering_vector
from doa_core.angles import FloatArray, angles_to_vector
from doa_core.errors import InputError
from doa_core.highpass import highpass
from doa_core.spec import FeatureSpec, ModelSpec
from doa_tf.scenes.folder import Scene

SYNTHETIC_WINDOWS = 200  # of which a runner would report a hundred and more
_DIFFUSE_WAVES = 16
_SLOPES = (0.5, 1.0, 1.0)  # of the amplitude spectrum, 1/f^slope: pink, red, a voice
_VOICED = 2  # the one of them that is a train of glottal pulses
_PITCH = (100.0, 220.0)  # hertz
_DIFFUSE_DB = (-30.0, -20.0, -10.0)  # diffuse against direct power [dB]
_SYLLABLES = 4.0  # hertz, at which speech gets louder and softer
_LEVEL = 0.05  # RMS of the direct sound, -26 dBFS
_SEED = 2019


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The whole windows of a recording.

    Attributes:
        samples: (M, N, 4) float32 AmbiX of each window, M >= 1; each starts a hop before the end of
            the last, so that the frames are those of one stream.
        direction: (3,) unit vector to the one talker; None where it is not known.
        talkers: (V, 3) unit vectors to all who talk, all through; None where they are not known.
        file: as labels.csv has it.
    """

    samples: npt.NDArray[np.float32]
    direction: FloatArray | None = None
    talkers: FloatArray | None = None
    file: str = ""


def scene_clips(scenes: Iterable[Scene], spec: ModelSpec) -> Iterator[Clip]:
    """Every recording's windows with its label, high-passed first as the model's spec says.

    Where the labels have times, nothing is said of who talks in a window.

    Raises:
        InputError: a recording that cannot be read or is shorter than one window.
    """
    features = spec.features
    for scene in scenes:
        signal = scene.read(sample_rate=features.sample_rate)
        if len(signal) < features.samples:
            raise InputError(
                f"{scene.path} is shorter than one window of {features.samples} samples. "
                f"Received: {len(signal)} samples at {features.sample_rate} Hz"
            )
        signal = highpass(signal, cutoff_hz=spec.highpass_hz, sample_rate=features.sample_rate)
        step = features.frames * features.hop
        starts = range(0, len(signal) - features.samples + 1, step)
        samples = np.stack([signal[start : start + features.samples] for start in starts])
        direction = scene.direction if scene.single else None
        talkers = None if scene.timed else scene.directions_at([0.0])[0]
        yield Clip(samples=samples, direction=direction, talkers=talkers, file=scene.file)


def synthetic_clips(
    features: FeatureSpec, *, count: int = SYNTHETIC_WINDOWS, several: bool = False
) -> Iterator[Clip]:
    """Noise and voices from directions all over the sphere, one window each.

    Each window holds one plane wave, modulated like syllables, and diffuse noise at -30 to -10 dB.
    White noise is not among them: a network that was trained on speech has no stable answer to it.
    The windows are always the same.

    Args:
        features: the path to the input of the network.
        count: number of windows.
        several: whether every second window is the sum of two, at least 60 degrees apart.
    """
    clips = _single_waves(features, count)
    if not several:
        yield from clips
        return
    samples = [clip.samples for clip in clips]
    for number, own in enumerate(samples):
        # Half of the spiral further on: the sines of the elevations are 1 apart.
        other = samples[(number + count // 2) % count]
        yield Clip(samples=own + other if number % 2 else own)


def _single_waves(features: FeatureSpec, count: int) -> Iterator[Clip]:
    rng = np.random.default_rng(_SEED)
    time = np.arange(features.samples) / features.sample_rate
    around = sphere_directions(_DIFFUSE_WAVES)
    for number, direction in enumerate(sphere_directions(count)):
        slope = _SLOPES[number % len(_SLOPES)]
        diffuse_db = _DIFFUSE_DB[number // len(_SLOPES) % len(_DIFFUSE_DB)]
        envelope = 1.0 + 0.9 * np.sin(2.0 * np.pi * (_SYLLABLES * time + rng.random()))
        direct = _coloured_noise(rng, 1, features.samples, slope)[0]
        if number % len(_SLOPES) == _VOICED:
            direct = _voice(rng, time) + 0.03 * direct
        direct *= envelope
        direct *= _LEVEL / np.sqrt(np.mean(direct**2))
        diffuse = _coloured_noise(rng, len(around), features.samples, slope)
        diffuse *= _LEVEL * 10.0 ** (diffuse_db / 20.0) / np.sqrt(len(around))
        signal = encode_plane_wave(direct, direction) + diffuse.T @ steering_vector(around)
        yield Clip(samples=signal[np.newaxis].astype(np.float32))


def sphere_directions(count: int) -> FloatArray:
    """(count, 3) unit vectors, evenly spread: a spiral whose turns advance by the golden angle."""
    index = np.arange(count)
    azimuth = np.pi * (3.0 - np.sqrt(5.0)) * index
    return angles_to_vector(azimuth, np.arcsin(1.0 - (2.0 * index + 1.0) / count))


def _voice(rng: np.random.Generator, time: FloatArray) -> FloatArray:
    """(N,) vowel: harmonics of a pitch that wanders, falling as 1/f, of unit RMS."""
    pitch = rng.uniform(*_PITCH) * (1.0 + 0.1 * np.sin(2.0 * np.pi * (1.5 * time + rng.random())))
    phase = 2.0 * np.pi * np.cumsum(pitch) * (time[1] - time[0])
    voice = np.zeros_like(time)
    for harmonic in range(1, 31):
        voice += np.cos(harmonic * phase + rng.uniform(0.0, 2.0 * np.pi)) / harmonic
    unit: FloatArray = voice / np.sqrt(np.mean(voice**2))
    return unit


def _coloured_noise(rng: np.random.Generator, waves: int, samples: int, slope: float) -> FloatArray:
    """(waves, N) noise of unit RMS whose amplitude spectrum falls as 1/f^slope."""
    spectrum = np.fft.rfft(rng.standard_normal((waves, samples)), axis=-1)
    frequency = np.maximum(np.arange(spectrum.shape[-1]), 20.0)  # level off in the lowest bins
    noise = np.fft.irfft(spectrum * frequency**-slope, n=samples, axis=-1)
    unit: FloatArray = noise / np.sqrt(np.mean(noise**2, axis=-1, keepdims=True))
    return unit
