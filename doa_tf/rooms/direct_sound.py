"""Where the direct sound of a measured response comes from, to hold it against its label.

For a plane wave the active intensity conj(W) [X, Y, Z] points to its source. Where it points
elsewhere in most responses of a file, the channels are not what they were taken for, or the
positions are not what the file says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.acoustics import direct_index

_AROUND = 0.001  # seconds on both sides of the peak
_BAND = (500.0, 4000.0)  # hertz: below it microphones have weak dipoles, above it spatial aliasing
_SINGLE_WAVE = 0.8  # share of the energy in one pattern of channels, where one wave is heard


@dataclass(frozen=True)
class DirectSound:
    """What the direct sounds of several responses say.

    Attributes:
        error: [radians] median angle from the labels to the intensity; nan if nothing was judged.
        dipoles: median level of the dipoles over W, 1 in SN3D.
        judged: responses whose direct sound is a single wave.
    """

    error: float
    dipoles: float
    judged: int


def direct_sound(responses: Sequence[np.ndarray], directions: np.ndarray) -> DirectSound:
    """Compare direct sounds with labels.

    Args:
        responses: S arrays (N, 4), AmbiX at 16 kHz.
        directions: (S, 3) unit vectors of the labels.
    """
    errors, levels = [], []
    for response, direction in zip(responses, directions, strict=True):
        spectrum = _direct_spectrum(np.asarray(response, np.float64))
        covariance = (spectrum.conj().T @ spectrum).real  # (4, 4)
        energy = np.trace(covariance)
        intensity = covariance[0, [3, 1, 2]]
        length = np.linalg.norm(intensity)
        if energy <= 0.0 or np.linalg.eigvalsh(covariance)[-1] < _SINGLE_WAVE * energy:
            continue
        if length < 1e-6 * energy:  # W is silent, or the dipoles are
            errors.append(np.pi / 2.0)
            continue
        errors.append(float(great_circle_distance(intensity / length, direction)))
        levels.append(np.sqrt(max(energy - covariance[0, 0], 0.0) / covariance[0, 0]))
    if not errors:
        return DirectSound(float("nan"), float("nan"), 0)
    dipoles = float(np.median(levels)) if levels else float("nan")
    return DirectSound(float(np.median(errors)), dipoles, len(errors))


def _direct_spectrum(response: np.ndarray) -> np.ndarray:
    """(bins, 4) complex spectrum of the direct sound in the band."""
    peak = direct_index(np.linalg.norm(response, axis=-1))
    around = round(_AROUND * SAMPLE_RATE)
    part = response[max(0, peak - around) : peak + around + 1]
    frequencies = np.fft.rfftfreq(4 * around, 1.0 / SAMPLE_RATE)
    band = (frequencies >= _BAND[0]) & (frequencies <= _BAND[1])
    return np.fft.rfft(part, 4 * around, axis=0)[band]
