"""A recording of 32 capsules on a rigid sphere as AmbiX, block by block.

Capsules are encoded as those of `doa_tf.microphones.rigid_sphere` are, by spherical harmonics up to
the fourth order and regularised radial filters, here in the time domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.containers.recording import open_sound
from doa_edge.input.conversion import AmbixConverter, is_sound
from doa_edge.input.stream import Samples
from doa_tf.microphones.base import SPEED_OF_SOUND
from doa_tf.microphones.rigid_sphere import capsules_to_ambix, radial_filters, radial_response
from doa_tf.scenes.labels.scene import Scene

_ORDER = 4  # of 32 capsules
_EXTRA_ORDERS = 8  # beyond ka, below -100 dB
_TAP_SECONDS = 0.032  # length of the radial filters


@dataclass(frozen=True, kw_only=True)
class SphereScene(Scene):
    """A recording of the capsules of a rigid sphere, and who talks in it.

    Attributes:
        capsules: (Q, 3) unit vectors, in the axes of the labels.
        radius_m: of the sphere [metres].
    """

    capsules: tuple[tuple[float, ...], ...]
    radius_m: float

    def blocks(self, *, sample_rate: int = SAMPLE_RATE) -> Iterator[npt.NDArray[np.float32]]:
        """(n, 4) AmbiX blocks, resampled to `sample_rate` [hertz].

        Raises:
            InputError: when iterated: another number of channels, samples that are not finite.
        """
        with open_sound(self.path) as sound:
            if sound.channels != len(self.capsules):
                raise InputError(
                    f"The recording must hold {len(self.capsules)} channels, one a capsule. "
                    f"Received: {self.path} with {sound.channels}"
                )
            matrix = capsules_to_ambix(np.array(self.capsules), _ORDER).T.astype(np.float32)
            converter = AmbixConverter(self.input_format, from_rate=sound.rate, to_rate=sample_rate)
            solved = (self._checked(block) @ matrix for block in sound.blocks())
            yield from _filtered(converter.convert(solved), _taps(self.radius_m, sample_rate))

    def _checked(self, block: Samples) -> Samples:
        if not is_sound(block).all():
            raise InputError(
                f"The samples must be finite, with full scale at 1. Received: {self.path} with "
                "others"
            )
        return block


@lru_cache(maxsize=4)
def _taps(radius_m: float, sample_rate: int) -> npt.NDArray[np.float32]:
    """(L, 4) centred radial filters of the AmbiX channels, L odd."""
    size = 2 * round(_TAP_SECONDS * sample_rate / 2.0)
    frequencies = np.fft.rfftfreq(size, 1.0 / sample_rate)
    ka = 2.0 * np.pi * frequencies * radius_m / SPEED_OF_SOUND
    radial = radial_response(ka, math.ceil(ka.max()) + _EXTRA_ORDERS)
    centred = np.roll(np.fft.irfft(radial_filters(radial), size), size // 2, axis=-1)
    both = np.pad(centred * np.hanning(size + 1)[:-1], ((0, 0), (0, 1)))
    return np.ascontiguousarray(both[[0, 1, 1, 1]].T, np.float32)


def _filtered(blocks: Iterable[Samples], taps: npt.NDArray[np.float32]) -> Iterator[Samples]:
    """A stream through centred filters, as long as it was.

    Args:
        blocks: (n, 4), consecutive.
        taps: (L, 4), L odd.
    """
    from scipy.signal import fftconvolve

    half = len(taps) // 2
    held = np.zeros((half, taps.shape[1]), np.float32)  # samples whose answer is not out yet
    for block in _and_silence(blocks, half, taps.shape[1]):
        held = np.concatenate([held, block])
        if len(held) >= len(taps):
            yield fftconvolve(held, taps, mode="valid", axes=0).astype(np.float32)
            held = held[len(held) - len(taps) + 1 :]


def _and_silence(blocks: Iterable[Samples], samples: int, channels: int) -> Iterator[Samples]:
    yield from blocks
    yield np.zeros((samples, channels), np.float32)
