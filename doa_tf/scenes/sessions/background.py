"""Noise behind talkers, in blocks: diffuse, from one place, and the microphone's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.angles import random_rotation
from doa_core.spec import SAMPLE_RATE
from doa_tf.scenes.convolution import convolve_valid, filter_field
from doa_tf.scenes.mixer import SceneMixer

# (start, stop) [samples] -> (stop - start,) dry samples, or (stop - start, 4) of a microphone.
Dry = Callable[[int, int], np.ndarray]
Image = Callable[[int, int], np.ndarray]

_MEASURED = 20 * SAMPLE_RATE  # samples that are rendered to measure a level, at most
_BLOCK = 4 * SAMPLE_RATE  # samples that are rendered at once, at most
_QUIETEST = 1e-6  # power: a localised noise that begins in silence is no louder for that
_HISS_BLOCK = 2**15  # samples of the microphone's noise that are drawn at once


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a microphone hears of a source that stays where it is.

    Attributes:
        dry: its sound.
        srir: (L, 4) response to it.
    """

    dry: Dry
    srir: np.ndarray

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) float32 of that part of the recording."""
        return convolve_valid(self.dry(start - len(self.srir) + 1, stop), self.srir).T


def louder(image: Image, power: float) -> Image:
    """The image, its power multiplied."""
    gain = np.float32(power**0.5)
    return lambda start, stop: gain * image(start, stop)


def power_in(image: Image, stretches: Sequence[tuple[int, int]]) -> float:
    """Mean power at W in stretches (start, stop) [samples], of which the first 20 s count."""
    energy, samples = 0.0, 0
    for start, stop in stretches:
        stop = min(stop, start + _MEASURED - samples)
        for first in range(start, stop, _BLOCK):
            w = image(first, min(first + _BLOCK, stop))[:, 0]
            energy += float(np.dot(w, w))
            samples += len(w)
    return energy / max(samples, 1)


@dataclass(frozen=True, kw_only=True)
class Background:
    """Noise beside speech whose mean power at W is 1.

    Attributes:
        mixer: has the diffuse fields.
        snr_db: speech over the diffuse noise.
        diffuse_field, diffuse_start, diffuse_turn: which field, where it begins, its rotation.
        diffuse_response: (L, 4, 4) of the microphone; None for an ideal one.
        noise_gains: (4,) of the microphone's own noise, relative to W.
        self_noise_db: level of all others over it, at W.
        sir_db: speech over the localised noise; nan without one.
        localised: its image, of any power; None without one.
        key: of the microphone's own noise.
    """

    mixer: SceneMixer
    snr_db: float
    diffuse_field: int
    diffuse_start: int
    diffuse_turn: np.ndarray
    diffuse_response: np.ndarray | None
    noise_gains: np.ndarray
    self_noise_db: float
    sir_db: float = float("nan")
    localised: Image | None = None
    key: Sequence[int] = ()

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) float32 of that part of the recording."""
        period = self._field.shape[1]
        places = np.arange(self.diffuse_start + start, self.diffuse_start + stop) % period
        noise = np.float32(10.0 ** (-self.snr_db / 20.0)) * self._field[:, places].T
        if self.localised is not None:
            noise += np.float32(self._localised_gain) * self.localised(start, stop)
        return noise + self._hiss(start, stop)

    @property
    def power(self) -> float:
        """Mean power at W, without the microphone's own noise."""
        localised = 0.0 if self.localised is None else 10.0 ** (-self.sir_db / 10.0)
        return 10.0 ** (-self.snr_db / 10.0) + localised

    @cached_property
    def _field(self) -> np.ndarray:
        """(4, P) of the periodic diffuse field as the microphone hears it, of power 1 at W."""
        turn = rotation_to_ambix_matrix(self.diffuse_turn).astype(np.float32)
        field = turn @ self.mixer.field(self.diffuse_field)
        if self.diffuse_response is not None:
            past = len(self.diffuse_response) - 1
            before = field[:, field.shape[1] - past :]
            field = filter_field(np.concatenate([before, field], axis=1), self.diffuse_response)
        field = field / np.sqrt(np.mean(np.square(field[0], dtype=np.float64)))
        return field.astype(np.float32)

    @cached_property
    def _localised_gain(self) -> float:
        if self.localised is None:
            return 0.0
        power = power_in(self.localised, [(0, _MEASURED)])
        return float(10.0 ** (-self.sir_db / 20.0) / max(power, _QUIETEST) ** 0.5)

    def _hiss(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 4) white noise: the same whatever the blocks."""
        level = (1.0 + self.power) ** 0.5 * 10.0 ** (-self.self_noise_db / 20.0)
        first, last = start // _HISS_BLOCK, -(-stop // _HISS_BLOCK)
        drawn = [
            np.random.default_rng((*self.key, block)).standard_normal((_HISS_BLOCK, 4), np.float32)
            for block in range(first, last)
        ]
        part = np.concatenate(drawn)[start - first * _HISS_BLOCK :][: stop - start]
        return part * (level * self.noise_gains).astype(np.float32)


def draw_background(
    rng: np.random.Generator,
    mixer: SceneMixer,
    *,
    diffuse_response: np.ndarray | None,
    noise_gains: np.ndarray,
    srir: np.ndarray | None = None,
    key: Sequence[int],
) -> Background:
    """A background whose levels and noises are drawn as the mixer's settings have them.

    Args:
        rng: of the draws.
        mixer: has fields, noises and settings.
        diffuse_response: (L, 4, 4) of the microphone; None for an ideal one.
        noise_gains: (4,) of its own noise.
        srir: (L, 4) response to the place of a localised noise; None for no such noise.
        key: of the microphone's own noise.
    """
    settings = mixer.settings
    drawn: dict[str, Any] = {
        "snr_db": float(rng.uniform(*settings.snr_db)),
        "diffuse_field": int(rng.integers(settings.diffuse_fields)),
        "diffuse_start": int(rng.integers(mixer.field_samples)),
        "diffuse_turn": random_rotation(rng),
        "self_noise_db": float(rng.uniform(*settings.self_noise_db)),
    }
    if srir is not None:
        localised = Source(dry=_draw_noise(rng, mixer), srir=srir)
        drawn |= {"sir_db": float(rng.uniform(*settings.sir_db)), "localised": localised}
    return Background(
        mixer=mixer,
        diffuse_response=diffuse_response,
        noise_gains=noise_gains,
        key=key,
        **drawn,
    )


def _draw_noise(rng: np.random.Generator, mixer: SceneMixer) -> Dry:
    """A recorded noise or a synthetic one, from a random place on, repeated where it ends."""
    if mixer.noise and rng.random() < mixer.settings.recorded_share:
        number = int(rng.integers(len(mixer.noise)))
        length = mixer.noise.length(number)
        signal = partial(mixer.noise.part, number)
    else:
        synthetic = mixer.synthetic_noise(int(rng.integers(mixer.settings.synthetic_noises)))
        length = len(synthetic)
        signal = partial(_part, synthetic)
    return partial(_repeated, signal, length, int(rng.integers(length)))


def _part(signal: np.ndarray, start: int, stop: int) -> np.ndarray:
    return signal[start:stop]


def _repeated(signal: Dry, length: int, offset: int, start: int, stop: int) -> np.ndarray:
    """(stop - start,) of a signal of that length that is repeated, `offset` samples later."""
    at, missing, parts = (start + offset) % length, stop - start, []
    while missing:
        taken = min(missing, length - at)
        parts.append(signal(at, at + taken))
        at, missing = (at + taken) % length, missing - taken
    return np.concatenate(parts)
