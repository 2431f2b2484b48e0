"""The late part of a room's response: isotropic noise that decays band by band.

Its decay follows from the image sources without tracing them. At time t the images lie on a
sphere of radius c t, one in each room volume. In direction n, sound has been reflected by the two
walls across axis a |n_a| c t / L_a times, half of them each, so that the remaining energy is

    D_b(t) = mean over n of exp(-c t [m_b + sum over a of |n_a| (A_a0b + A_a1b) / (2 L_a)]),

with A = -ln(1 - absorption) of each wall and m of air, and arrives at the rate 4 pi c / V (a
source of unit amplitude at one metre). This is not a single exponential: grazing directions decay
last, which is why rooms with absorption from Sabine's formula have longer reverberation times.

References:
    E. A. Lehmann, A. M. Johansson, "Prediction of energy decay in room impulse responses simulated
    with an image-source model", JASA 124(1), 2008, doi:10.1121/1.2936367
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import SPEED_OF_SOUND
from doa_tf.rooms.image_sources import BANDS, band_weights, roll_off

_OCTANT_STEPS = 16  # directions of one octant, along each angle; the other seven mirror it
DECAY_HOP = 64  # samples between the values of a decay curve


def decay_curves(
    size: np.ndarray, attenuation: np.ndarray, air: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """(T, 7) energy left of each octave band, D of the formula above.

    Args:
        size: (3,) [metres].
        attenuation: (6, 7) -ln(1 - absorption) of each wall in each band.
        air: (7,) energy absorption of air [1/metre].
        times: (T,) [seconds].
    """
    axes = attenuation.reshape(3, 2, len(BANDS)).mean(axis=1) / size[:, np.newaxis]  # [1/metre]
    directions, weights = _octant()
    rates = SPEED_OF_SOUND * (directions @ axes + air)  # (D, 7) [1/second]
    return np.einsum("d,tdb->tb", weights, np.exp(-times[:, np.newaxis, np.newaxis] * rates))


def decay_time(times: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """(7,) T30 [seconds] of each band's decay curve; nan where it decays by too little.

    Args:
        times: (T,) [seconds], evenly spaced.
        curves: (T, 7) of `decay_curves`.
    """
    integrated = np.cumsum(curves[::-1], axis=0)[::-1]
    level = 10.0 * np.log10(integrated / integrated[0])
    result = np.full(curves.shape[1], np.nan)
    for band in range(curves.shape[1]):
        part = (level[:, band] <= -5.0) & (level[:, band] >= -35.0)
        # The sum lacks what comes after the last time: a margin of 10 dB keeps that small.
        if level[-1, band] < -45.0 and part.sum() > 2:
            result[band] = -60.0 / np.polyfit(times[part], level[part, band], 1)[0]
    return result


def diffuse_tail(
    rng: np.random.Generator,
    curves: np.ndarray,
    *,
    volume: float,
    powers: np.ndarray,
    samples: int,
    diffuse_response: np.ndarray | None = None,
) -> np.ndarray:
    """(N, 4) float32 isotropic AmbiX noise with the decay of a room.

    Args:
        rng: draws the noise.
        curves: (T, 7) of `decay_curves`, every `DECAY_HOP` samples from time 0.
        volume: of the room [cubic metres].
        powers: (7,) mean power over all directions that the source radiates, relative to that of
            an omnidirectional source with the amplitude of its axis.
        samples: N.
        diffuse_response: (L, 4, 4) of the microphone; None for an ideal one.
    """
    from scipy import fft

    # In an isotropic field the dipoles (SN3D) each carry a third of the power of W.
    noise = rng.standard_normal((samples, 4), np.float32)
    noise[:, 1:] *= np.float32(np.sqrt(1.0 / 3.0))
    length = fft.next_fast_len(samples, real=True)
    spectrum = fft.rfft(noise, length, axis=0)
    frequencies = np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE)
    spectrum *= roll_off(frequencies).astype(np.float32)[:, np.newaxis]
    if diffuse_response is not None:
        heard = fft.rfft(diffuse_response, length, axis=0)
        spectrum = np.einsum("fcd,fd->fc", heard, spectrum)
    rate = 4.0 * np.pi * SPEED_OF_SOUND / volume / SAMPLE_RATE
    envelopes = np.sqrt(rate * powers * curves)
    weights = band_weights(frequencies).astype(np.float32)
    at = np.arange(samples) / DECAY_HOP
    tail = np.zeros((samples, 4), np.float32)
    for band in range(len(BANDS)):
        envelope = np.interp(at, np.arange(len(curves)), envelopes[:, band]).astype(np.float32)
        filtered = fft.irfft(spectrum * weights[:, band : band + 1], length, axis=0)
        tail += envelope[:, np.newaxis] * filtered[:samples]
    return tail


@lru_cache(maxsize=1)
def _octant() -> tuple[np.ndarray, np.ndarray]:
    """(D, 3) directions of one octant and their shares of the sphere."""
    nodes, node_weights = np.polynomial.legendre.leggauss(_OCTANT_STEPS)
    height = 0.5 * (nodes + 1.0)  # z is uniform on a sphere
    angle = 0.25 * np.pi * (nodes + 1.0)
    z, azimuth = (grid.ravel() for grid in np.meshgrid(height, angle, indexing="ij"))
    radius = np.sqrt(1.0 - z**2)
    weights = np.outer(node_weights, node_weights).ravel()
    directions = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=-1)
    return directions, weights / weights.sum()
