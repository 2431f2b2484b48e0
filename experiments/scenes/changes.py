"""Faults of a microphone, its mounting or its driver, applied to recorded scenes.

Each function takes (N, 4) AmbiX and gives (M, 4) AmbiX. Labels stay: nobody tells the program.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import rotate_ambix, tetrahedral_to_ambix_matrix

Signal = npt.NDArray[np.float32]
DEAD = -np.inf  # dB


def tilted(signal: Signal, rng: np.random.Generator, degrees: float) -> Signal:
    """The array mounted askew, turned about a horizontal axis of any azimuth.

    Directions across the axis move by the whole angle, those along it not at all.
    """
    azimuth, angle = rng.uniform(-np.pi, np.pi), np.radians(degrees)
    axis = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    cross = np.cross(np.eye(3), axis)  # Rodrigues' formula
    rotation = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return rotate_ambix(signal, rotation).astype(np.float32)


def played_at(signal: Signal, percent: float) -> Signal:
    """Taken for 16 kHz where the rate was another: faster and higher for a positive number."""
    import soxr

    ratio = 1.0 + percent / 100.0
    return np.asarray(soxr.resample(signal, 16_000.0 * ratio, 16_000.0), dtype=np.float32)


def clipped(signal: Signal, percent: float, *, pattern: float) -> Signal:
    """The capsules' signals cut at the level that so many samples of them exceed."""
    matrix = tetrahedral_to_ambix_matrix(pattern=pattern)
    capsules = signal @ np.linalg.inv(matrix).T
    ceiling = np.quantile(np.abs(capsules), 1.0 - percent / 100.0)
    return (np.clip(capsules, -ceiling, ceiling) @ matrix.T).astype(np.float32)


def weak_capsule(
    signal: Signal, rng: np.random.Generator, gain_db: float, *, pattern: float
) -> Signal:
    """One capsule of four, any of them, with less gain: between two 4 x 4 matrices.

    Where the driver equalises, the capsule's signal is taken after that.
    """
    matrix = tetrahedral_to_ambix_matrix(pattern=pattern)
    gains = np.ones(4)
    gains[rng.integers(4)] = 10.0 ** (gain_db / 20.0)
    return (signal @ (matrix * gains @ np.linalg.inv(matrix)).T).astype(np.float32)


def changed(
    signal: Signal, kind: str, value: float, *, rng: np.random.Generator, pattern: float
) -> Signal:
    """A change by its name.

    Args:
        signal: (N, 4) AmbiX.
        kind: `none`, `tilt`, `rate`, `clip` or `capsule`.
        value: degrees, percent, percent, dB.
        rng: of what is drawn.
        pattern: omnidirectional share of the capsules, for `clip` and `capsule`.

    Raises:
        ValueError: another name.
    """
    changes = {
        "none": lambda: signal,
        "tilt": lambda: tilted(signal, rng, value),
        "rate": lambda: played_at(signal, value),
        "clip": lambda: clipped(signal, value, pattern=pattern),
        "capsule": lambda: weak_capsule(signal, rng, value, pattern=pattern),
    }
    if kind not in changes:
        raise ValueError(f"`kind` must be one of {', '.join(changes)}. Received: kind={kind!r}")
    return changes[kind]()
