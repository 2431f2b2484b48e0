"""The interface of a microphone: its response to plane waves and to diffuse sound, its noise.

A microphone is described by the response of its first-order Ambisonic channels (AmbiX: W, Y, Z, X,
SN3D) to a plane wave, after its driver's conversion. That of an ideal one is (1, y, z, x) at every
frequency.

Spectra follow `numpy.fft`: a sound that arrives t seconds later is multiplied by exp(-2j pi f t).
The phase is relative to the centre of the array: a capsule at p [metres] hears a plane wave from
the unit vector u by p.u / c seconds EARLIER than the centre, a factor exp(+2j pi f p.u / c).

References:
    J. Vilkamo, T. Bäckström, A. Kuntz, "Optimized covariance domain framework for time-frequency
    processing of spatial audio", JAES 61(6), 2013 (the diffuse filters)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from doa_core.ambisonics import steering_vector
from doa_core.spec import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # metres per second
DIFFUSE_TAPS = 256  # 62 Hz resolved at 16 kHz
_DIFFUSE_DIRECTIONS = 192
_DIFFUSE_OVERSAMPLING = 2  # frequencies computed for each one that the filters resolve
_ISOTROPIC = np.array([1.0, 1 / 3, 1 / 3, 1 / 3])  # power of the AmbiX channels in such a field


class Microphone(ABC):
    """A first-order Ambisonic microphone.

    Attributes:
        kind: `ideal`, `tetrahedral` or `sphere`.
    """

    kind: ClassVar[str]

    @abstractmethod
    def response(self, directions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """(F, I, 4) complex64 AmbiX channels for a plane wave from each direction.

        The array may be a view that is read-only or not contiguous.

        Args:
            directions: (I, 3) unit vectors towards the sources, in the microphone's axes.
            frequencies: (F,) [hertz], at most 8000. A uniform grid from 0 is much faster.
        """

    @property
    @abstractmethod
    def noise_gains(self) -> np.ndarray:
        """(4,) standard deviation of the microphone's own noise in each channel, relative to W.

        The noise of the capsules is white and uncorrelated; the conversion to Ambisonics mixes it.
        """

    @property
    @abstractmethod
    def draw(self) -> dict[str, Any]:
        """What this microphone is, as JSON values: `microphone_from_draw` makes it again."""

    def diffuse_response(self, taps: int = DIFFUSE_TAPS) -> np.ndarray | None:
        """(L, 4, 4) float32 filters that turn an ideal isotropic field into this microphone's.

        y[n, c] = sum over l, d of R[l, c, d] x[n - l, d]. An ideal field has the covariance
        C0 = diag(1, 1/3, 1/3, 1/3); this microphone's is C = mean over u of D(u) D(u)^H, at each
        frequency. Of all R with R C0 R^H = C the one nearest to the microphone's linear part
        M = mean(D y^H) C0^-1 (y = (1, y, z, x)) in such a field is

            R = C^(1/2) U C0^(-1/2),   U = V Q^H   from the SVD   C^(1/2) M C0^(1/2) = V S Q^H.

        Where the four channels explain all that it hears (below spatial aliasing) R is M.

        Args:
            taps: L, at least 16. The filters are centred: time zero is tap L // 2.

        Raises:
            ValueError: too few taps.
        """
        if taps < 16:
            raise ValueError(f"`taps` must be at least 16. Received: taps={taps}")
        size = _DIFFUSE_OVERSAMPLING * taps
        directions = even_directions(_DIFFUSE_DIRECTIONS)
        frequencies = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
        heard = self.response(directions, frequencies).astype(np.complex128)
        ideal = steering_vector(directions)
        channels = heard.swapaxes(1, 2)
        covariance = channels @ heard.conj() / len(directions)
        linear = channels @ ideal / len(directions)  # M C0
        values, vectors = np.linalg.eigh(covariance)
        root = (
            vectors
            * np.sqrt(np.maximum(values, 0.0))[:, np.newaxis]
            @ vectors.conj().swapaxes(-1, -2)
        )
        left, _, right = np.linalg.svd(root @ (linear / np.sqrt(_ISOTROPIC)))
        spectrum = root @ left @ right / np.sqrt(_ISOTROPIC)
        filters = np.roll(np.fft.irfft(spectrum, size, axis=0), taps // 2, axis=0)[:taps]
        return (filters * _taper(taps)[:, np.newaxis, np.newaxis]).astype(np.float32)


def set_arrays(microphone: Microphone, shapes: dict[str, tuple[int, ...]]) -> None:
    """Replace arrays in a frozen dataclass by nested tuples of floats: hashable, equal, JSON.

    Args:
        microphone: whose attributes are checked and replaced; those that are None stay.
        shapes: of the attributes by name.

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
    for name, shape in shapes.items():
        if getattr(microphone, name) is None:
            continue
        values = np.asarray(getattr(microphone, name), np.float64)
        if values.shape != shape or not np.all(np.isfinite(values)):
            allowed = f"`{name}` must be finite and of shape {shape}"
            raise ValueError(f"{allowed}. Received: {name}.shape={values.shape}")
        rows = values.tolist()
        nested = rows if values.ndim == 1 else [tuple(row) for row in rows]
        object.__setattr__(microphone, name, tuple(nested))


def even_directions(count: int, *, turn: float = 0.0) -> np.ndarray:
    """(I, 3) unit vectors, evenly spread: a spiral of equal areas.

    Args:
        count: I.
        turn: [radians] of the spiral about the vertical axis.
    """
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    azimuth = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(count) + turn
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=-1)


def uniform_step(frequencies: np.ndarray) -> float | None:
    """[hertz] step of a uniform grid that begins at 0, None for any other frequencies."""
    if len(frequencies) < 2 or frequencies[0] != 0.0:
        return None
    step = float(frequencies[-1] / (len(frequencies) - 1))
    grid = step * np.arange(len(frequencies))
    return step if step > 0.0 and np.allclose(frequencies, grid, rtol=0.0, atol=1e-3) else None


def _taper(taps: int) -> np.ndarray:
    """(L,) window: 1, with a half-cosine fade to 0 over the last 15 % of each side."""
    distance = np.abs(np.arange(taps) - taps // 2) / (taps / 2)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - 0.85) / 0.15, 0.0, 1.0))
