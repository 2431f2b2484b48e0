"""Whether a measured array can become first-order Ambisonics: three questions to its file.

Was it measured all around? Do its responses belong to its directions? Can it hear up, down, left,
right, front and back? A file whose angles are radians called degrees, or colatitudes called
elevations, or whose positions have another order than its responses, fails the first or the second.
"""

from __future__ import annotations

import numpy as np

from doa_core.ambisonics import steering_vector
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import even_directions
from doa_tf.microphones.sofa_array import ArrayResponses
from doa_tf.spherical_harmonics import spherical_harmonics

_MIN_DIRECTIONS = 24
_SAME_DIRECTION = 1e-3  # radians
_WIDEST_GAP = np.radians(65.0)  # below -30 degrees of elevation rooms often leave no place
_FIT_BAND = (300.0, 1000.0)  # hertz, where arrays up to the size of a head are of low order
_FIT_ORDER = 2
_LEAST_FIT = 0.5  # of the variance over directions, which no chance order of directions explains
_HEARING_BAND = (500.0, 4000.0)  # hertz
_LEAST_HEARING = 0.5  # of the gain of a dipole, at its best frequency
_AXES = {1: "left and right", 2: "up and down", 3: "front and back"}  # by channel: W, Y, Z, X
_ADVICE = (
    "If its angles are in other units or colatitudes, say so: --sofa-units "
    "'SourcePosition=radian, radian, metre', --sofa-angles colatitude"
)


def check_directions(file: str, directions: np.ndarray) -> None:
    """Raise InputError unless (M, 3) unit vectors are many and lie all around."""
    steps = np.unique(np.round(directions / _SAME_DIRECTION).astype(int), axis=0)
    if len(steps) < _MIN_DIRECTIONS:
        raise InputError(
            f"{file} must hold an array measured from at least {_MIN_DIRECTIONS} directions. "
            f"Received: {len(steps)}. {_ADVICE}"
        )
    nearest = np.max(even_directions(500) @ directions.T, axis=-1)
    gap = np.arccos(np.clip(nearest.min(), -1.0, 1.0))
    if gap > _WIDEST_GAP:
        raise InputError(
            f"{file} must hold an array measured all around, with no more than "
            f"{np.degrees(_WIDEST_GAP):.0f} degrees from any direction to the nearest measured "
            f"one. Received: {np.degrees(gap):.0f} degrees. {_ADVICE}"
        )


def check_fit(file: str, array: ArrayResponses) -> None:
    """Raise InputError unless responses change smoothly with the direction, as sound does.

    Where the harmonics of low order explain less of the differences between directions than half,
    the directions are not those of the responses, or responses differ in their delays.
    """
    count = len(array.directions)
    spectrum = np.fft.rfft(array.responses, axis=-1)
    frequencies = np.fft.rfftfreq(array.responses.shape[-1], 1.0 / array.sample_rate)
    band = (frequencies >= _FIT_BAND[0]) & (frequencies <= _FIT_BAND[1])
    heard = spectrum[..., band].reshape(count, -1)
    differences = heard - heard.mean(axis=0)
    basis = spherical_harmonics(array.directions, _FIT_ORDER)
    fitted = basis @ np.linalg.lstsq(basis, differences, rcond=None)[0]
    variance = np.sum(np.abs(differences) ** 2) / (count - 1)
    if not variance > 0.0:
        return  # the same from all sides: no question of directions
    left = np.sum(np.abs(differences - fitted) ** 2) / (count - basis.shape[1])
    explained = 1.0 - left / variance
    if explained < _LEAST_FIT:
        raise InputError(
            f"{file} holds responses that do not go with its directions: smooth fields explain "
            f"{100 * max(0.0, explained):.0f} % of the differences between directions, not "
            f"{100 * _LEAST_FIT:.0f} % or more. Positions in another order than the responses, as "
            "in files of the DirPat database, have to be put in order before; in other units: "
            "--sofa-units, --sofa-angles"
        )


def check_hearing(file: str, coefficients: np.ndarray, encoder: np.ndarray) -> None:
    """Raise InputError where the encoder of an array cannot make the dipoles.

    Args:
        file: for the message.
        coefficients: (bins, H, Q) spherical harmonics of the capsules, bins from 0 to 8 kHz.
        encoder: (bins, 4, Q) to AmbiX.
    """
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2.0, len(encoder))
    band = (frequencies >= _HEARING_BAND[0]) & (frequencies <= _HEARING_BAND[1])
    directions = even_directions(200)
    order = int(np.sqrt(coefficients.shape[1])) - 1
    harmonics = spherical_harmonics(directions, order)
    ideal = steering_vector(directions)
    every = slice(None, None, max(1, int(band.sum()) // 50))
    field = coefficients[band][every] @ encoder[band][every].swapaxes(-1, -2)  # (bins, H, 4)
    heard = np.einsum("ih,bhc->bic", harmonics, field)
    gains = np.abs(np.einsum("bic,ic->bc", heard, ideal)) / np.sum(ideal**2, axis=0)
    for channel, axis in _AXES.items():
        if gains[:, channel].max() < _LEAST_HEARING:
            raise InputError(
                f"{file} holds an array that does not tell {axis} apart, so first-order "
                "Ambisonics cannot be made from it: an array needs capsules that differ along all "
                "three axes"
            )
