"""Image sources of a shoebox room, and a microphone's response to them.

pyroomacoustics finds the images and their attenuation by the walls in each octave band. They are
summed in the frequency domain,

    H_c(f) = sum over images i of  g_i(f) exp(-j 2 pi f t_i) D_c(f, u_i),

with the microphone's response D to the exact direction of every image: the same formula holds for
ideal microphones, spaced capsules and measured arrays.

References:
    J. B. Allen, D. A. Berkley, "Image method for efficiently simulating small-room acoustics",
    JASA 65(4), 1979, doi:10.1121/1.382599
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from doa_core.ambisonics import steering_vector
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import SPEED_OF_SOUND, Microphone
from doa_tf.microphones.draw import IdealMicrophone

BANDS = np.array([125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])  # hertz, octave centres
WALLS = ("west", "east", "south", "north", "floor", "ceiling")
_STEP = 384  # samples of arrivals that are summed in one transform
_MARGIN = 64  # samples before them, for the ringing of fractional delays
_BLOCK = 512  # samples of that transform
_BLOCK_WITH_MICROPHONE = 1024  # the same, where a microphone's own response is added
_IMAGES_AT_ONCE = 512  # bounds the memory of one sum
_ROLL_OFF = 7200.0  # hertz, from which responses fade to zero at half the sample rate


@dataclass(frozen=True)
class Images:
    """I image sources of one source for one microphone position, by arrival.

    Attributes:
        delays: (I,) [seconds], ascending: the direct sound is the first.
        directions: (I, 3) unit vectors from the microphone.
        departures: (I, 3) unit vectors in which the sound left the real source.
        gains: (7, I) amplitudes per octave band: walls, air and 1 / distance [1/metre].
    """

    delays: np.ndarray
    directions: np.ndarray
    departures: np.ndarray
    gains: np.ndarray


def trace_images(
    size: np.ndarray,
    absorption: np.ndarray,
    microphone: np.ndarray,
    sources: np.ndarray,
    *,
    order: int,
    until: float,
) -> list[Images]:
    """Image sources of each source in a shoebox room, whose sound arrives before `until`.

    Args:
        size: (3,) [metres].
        absorption: (6, 7) energy absorption in [0, 1] of `WALLS` in `BANDS`.
        microphone: (3,) [metres].
        sources: (S, 3) [metres].
        order: reflections, at most.
        until: [seconds] after emission.
    """
    import pyroomacoustics as pra

    walls = {
        wall: pra.Material({"coeffs": list(coefficients), "center_freqs": list(BANDS)})
        for wall, coefficients in zip(WALLS, absorption, strict=True)
    }
    room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=walls, max_order=order, air_absorption=True)
    room.add_microphone(microphone)
    for position in sources:
        room.add_source(position)
    room.image_source_model()
    images = []
    for source in room.sources:
        offsets = source.images - microphone[:, np.newaxis]
        distances = np.linalg.norm(offsets, axis=0)
        near = np.flatnonzero(distances < until * SPEED_OF_SOUND)
        near = near[np.argsort(distances[near], kind="stable")]
        distance = distances[near]
        directions = (offsets[:, near] / distance).T
        # What arrives from u departed towards -u, mirrored at each wall on the way.
        mirrored = np.where(source.orders_xyz[:, near].T % 2, -1.0, 1.0)
        air = np.exp(-0.5 * np.asarray(room.air_absorption)[:, np.newaxis] * distance)
        gains = source.damping[:, near] * air / distance
        delays = distance / SPEED_OF_SOUND
        images.append(Images(delays, directions, -directions * mirrored, gains))
    return images


def air_absorption() -> np.ndarray:
    """(7,) energy absorption of air in `BANDS` [1/metre], as pyroomacoustics has it."""
    import pyroomacoustics as pra

    room = pra.ShoeBox([3.0, 3.0, 3.0], fs=SAMPLE_RATE, air_absorption=True)
    return np.asarray(room.air_absorption, np.float64)


def band_weights(frequencies: np.ndarray) -> np.ndarray:
    """(F, 7) weights of the octave bands at each frequency; they sum to 1.

    Raised cosines over log frequency between neighbouring centres, flat outside.

    Args:
        frequencies: (F,) [hertz].
    """
    octaves = np.log2(np.maximum(frequencies, 1.0) / BANDS[0])
    octaves = np.clip(octaves, 0.0, len(BANDS) - 1.0)
    distance = np.abs(octaves[:, np.newaxis] - np.arange(len(BANDS)))
    return np.where(distance < 1.0, 0.5 + 0.5 * np.cos(np.pi * distance), 0.0)


def roll_off(frequencies: np.ndarray) -> np.ndarray:
    """(F,) amplitude that fades to zero at half the sample rate, so that ringing is short."""
    position = (frequencies - _ROLL_OFF) / (SAMPLE_RATE / 2 - _ROLL_OFF)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(position, 0.0, 1.0))


def render_images(images: Images, microphone: Microphone, *, samples: int) -> np.ndarray:
    """(N, 4) AmbiX response to image sources, which arrive within `samples`.

    Args:
        images: sorted by delay.
        microphone: whose response is applied.
        samples: N, at 16 kHz.
    """
    from scipy import fft

    length = _BLOCK if isinstance(microphone, IdealMicrophone) else _BLOCK_WITH_MICROPHONE
    frequencies = np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE)
    weights = (band_weights(frequencies) * roll_off(frequencies)[:, np.newaxis]).astype(np.float32)
    arrivals = images.delays * SAMPLE_RATE
    blocks = min(int(arrivals[-1]), samples - 1) // _STEP + 1
    edges = np.searchsorted(arrivals, np.arange(blocks + 1) * _STEP)
    response = np.zeros((max(_MARGIN + samples, blocks * _STEP + length), 4), np.float32)
    for block in range(blocks):
        spectrum = np.zeros((len(frequencies), 4), np.complex64)
        for start in range(edges[block], edges[block + 1], _IMAGES_AT_ONCE):
            part = slice(start, min(start + _IMAGES_AT_ONCE, edges[block + 1]))
            phases = _phasors(arrivals[part] - block * _STEP + _MARGIN, length)
            spectrum += _sum_images(phases, images, part, microphone, weights)
        if edges[block + 1] > edges[block]:
            start = block * _STEP
            response[start : start + length] += fft.irfft(spectrum, length, axis=0)
    return response[_MARGIN : _MARGIN + samples]


def _sum_images(
    phases: np.ndarray, images: Images, part: slice, microphone: Microphone, weights: np.ndarray
) -> np.ndarray:
    """(F, 4) complex64 sum over a part of the images; the formula at the top of this file."""
    gains, directions = images.gains[:, part], images.directions[part]
    if isinstance(microphone, IdealMicrophone):
        # Only the bands depend on frequency: one matrix product for all of them.
        banded = gains.T[:, :, np.newaxis] * steering_vector(directions)[:, np.newaxis]  # (I, 7, 4)
        sums = phases @ banded.reshape(len(directions), -1).astype(np.complex64)
        return np.einsum("fb,fbc->fc", weights, sums.reshape(len(phases), len(BANDS), 4))
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, len(phases))
    heard = phases * (weights @ gains.astype(np.float32))
    return np.einsum("fi,fic->fc", heard, microphone.response(directions, frequencies))


def _phasors(arrivals: np.ndarray, length: int) -> np.ndarray:
    """(F, I) complex64 exp(-j 2 pi k t / N) of delays t [samples], for the bins k of N samples.

    As products of two factors, with k = 32 a + b, instead of one exponential each.
    """
    turn = -2j * np.pi / length * arrivals
    bins = length // 2 + 1
    coarse = np.exp(32.0 * np.arange(-(-bins // 32))[:, np.newaxis] * turn).astype(np.complex64)
    fine = np.exp(np.arange(32)[:, np.newaxis] * turn).astype(np.complex64)
    return (coarse[:, np.newaxis] * fine).reshape(-1, len(arrivals))[:bins]
