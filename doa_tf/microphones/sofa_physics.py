"""Whether what a SOFA file holds can have been measured: levels, silence, distances.

The format has no checksum, so that a flipped bit or a lost block is read as sound. What no room and
no microphone gives is refused here; what a damaged file may hold beside it is not found.
"""

from __future__ import annotations

import numpy as np

from doa_core.ambisonics import steering_vector
from doa_core.errors import InputError
from doa_tf.microphones.sofa_file import SofaFile

LEVELS = (1e-9, 1e6)  # of the loudest sample: beyond digital full scale, whatever the unit
LOUDEST_DB = 60.0  # of one measurement over the median of all: sources at 1 cm and at 10 m
QUIETEST_DB = -120.0
LOUDEST_OF_ARRAY_DB = 40.0  # over directions, at one distance
NEAREST_OF_ARRAY, FARTHEST_OF_ARRAY = 0.1, 10.0  # of the median distance of all directions
_NEIGHBOURS = 5
_HEARD = 0.5  # of its median level, by its nearest directions together: it is not deaf there
_EXPECTED = 0.2  # of the level of W, at which a channel of Ambisonics is not silent


def check_levels(sofa: SofaFile, responses: np.ndarray) -> None:
    """Raise InputError for responses of any shape that are silent, or louder than sound can be."""
    peak, (low, high) = np.abs(responses).max(), LEVELS
    if not low <= peak <= high:
        raise InputError(
            f"{sofa.path} must hold responses whose loudest sample lies between {low:g} and "
            f"{high:g}. Received: {peak:g}"
        )


def check_measurements(sofa: SofaFile, responses: np.ndarray) -> None:
    """Raise InputError where some of (M, R, N) responses are silent, or far louder than others."""
    peaks = np.abs(responses).max(axis=(1, 2))
    if not peaks.min() > 0.0:
        raise InputError(
            f"{sofa.path} is damaged: measurement {np.argmin(peaks) + 1} of {len(peaks)} is silent"
        )
    _check_range(sofa, peaks, LOUDEST_DB)


def check_array(
    sofa: SofaFile, responses: np.ndarray, directions: np.ndarray, distances: np.ndarray
) -> None:
    """Raise InputError for an array that cannot have been measured.

    Args:
        sofa: the file.
        responses: (M, R, N) of its capsules.
        directions: (M, 3) unit vectors.
        distances: (M,) [metres] of the sources; nan where the file has none.
    """
    check_capsules(sofa, responses)
    peaks = np.abs(responses).max(axis=-1)
    _check_range(sofa, peaks.max(axis=-1), LOUDEST_OF_ARRAY_DB)
    _check_distances(sofa, distances)
    for place, capsule in np.argwhere(peaks == 0.0) if len(peaks) > _NEIGHBOURS else ():
        nearest = np.argsort(-(directions @ directions[place]))[1 : _NEIGHBOURS + 1]
        around = np.abs(responses[nearest, capsule].mean(axis=0)).max()
        # Capsules have directions that they do not hear: beside them they hear little, or on one
        # side the opposite of the other.
        if around > _HEARD * np.median(peaks[:, capsule][peaks[:, capsule] > 0.0]):
            raise InputError(
                f"{sofa.path} is damaged: capsule {capsule + 1} is silent in measurement "
                f"{place + 1}, and not in those from directions near it"
            )


def check_capsules(sofa: SofaFile, responses: np.ndarray) -> None:
    """Raise InputError for capsules of (M, R, N) responses that hear nothing from anywhere."""
    silent = np.flatnonzero(~responses.any(axis=(0, 2)))
    if len(silent):
        raise InputError(
            f"{sofa.path} is damaged, or has a dead capsule: {silent[0] + 1} of "
            f"{responses.shape[1]} is silent in all measurements"
        )


def check_channels(sofa: SofaFile, ambix: np.ndarray, directions: np.ndarray) -> None:
    """Raise InputError for channels of (M, N, 4) AmbiX that are silent where they would hear.

    Args:
        sofa: the file.
        ambix: its responses.
        directions: (M, 3) unit vectors towards the sources, for which a channel may be deaf.
    """
    silent = ~ambix.any(axis=1)
    wrong = np.argwhere(silent & (np.abs(steering_vector(directions)) > _EXPECTED))
    if len(wrong):
        place, channel = wrong[0]
        raise InputError(
            f"{sofa.path} is damaged: channel {'WYZX'[channel]} of measurement {place + 1} is "
            "silent, and its source lies where it hears"
        )


def _check_range(sofa: SofaFile, peaks: np.ndarray, loudest_db: float) -> None:
    levels = 20.0 * np.log10(peaks / np.median(peaks))
    for place, limit in ((np.argmax(levels), loudest_db), (np.argmin(levels), QUIETEST_DB)):
        if (levels[place] - limit) * np.sign(limit) > 0.0:
            raise InputError(
                f"{sofa.path} is damaged: measurement {place + 1} of {len(peaks)} must lie within "
                f"{QUIETEST_DB:g} and {loudest_db:g} dB of the median of all. Received: "
                f"{levels[place]:.0f} dB"
            )


def _check_distances(sofa: SofaFile, distances: np.ndarray) -> None:
    """Raise InputError for sources of an array that lie off the sphere of all others."""
    known = distances[np.isfinite(distances)]
    if not len(known):
        return
    ratios = distances / np.median(known)
    wrong = np.flatnonzero((ratios < NEAREST_OF_ARRAY) | (ratios > FARTHEST_OF_ARRAY))
    if len(wrong):
        raise InputError(
            f"{sofa.path} is damaged: the source of measurement {wrong[0] + 1} must lie within "
            f"{NEAREST_OF_ARRAY:g} and {FARTHEST_OF_ARRAY:g} times the median distance. Received: "
            f"{distances[wrong[0]]:g} m of {np.median(known):g} m"
        )
