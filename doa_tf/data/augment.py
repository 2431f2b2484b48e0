"""Augmentation by rotations and mirror images.

Intensity vectors rotate and are mirrored as the sound field is, so it is exact on features.
"""

from __future__ import annotations

import numpy as np

AUGMENTATIONS = ("vertical", "upright", "all", "none")
_TILT = np.radians(5.0)  # standard deviation, about any horizontal axis
_ANY_SHARE = 0.1  # of `upright` turns that are arbitrary


def random_turns(rng: np.random.Generator, count: int, augment: str) -> np.ndarray:
    """(count, 3, 3) orthogonal matrices by which scenes are rotated or mirrored.

    Args:
        rng: random generator.
        count: number of matrices.
        augment: `vertical`, a rotation about the vertical axis, for microphones that stand
            upright; `upright`, the same or its mirror image, tilted by some degrees, and one in ten
            arbitrary; `all`, any rotation or mirror image, uniformly distributed, for microphones
            in any orientation; `none`.

    Raises:
        ValueError: another word.
    """
    check_augment(augment)
    if augment == "all":
        # The orthogonal factor of a Gaussian matrix, signs fixed, is uniform (G. W. Stewart,
        # 1980, doi:10.1137/0717034).
        q, r = np.linalg.qr(rng.standard_normal((count, 3, 3)))
        return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, np.newaxis, :]
    turns = np.tile(np.eye(3), (count, 1, 1))
    if augment in ("vertical", "upright"):
        turns = _about_vertical(rng, count)
    if augment == "upright":
        turns[:, :, 1] *= rng.choice([-1.0, 1.0], (count, 1))
        axis = _about_vertical(rng, count)
        angle = _TILT * rng.standard_normal(count)
        tilt = np.tile(np.eye(3), (count, 1, 1))
        tilt[:, 0, 0] = tilt[:, 2, 2] = np.cos(angle)
        tilt[:, 0, 2] = np.sin(angle)
        tilt[:, 2, 0] = -np.sin(angle)
        turns = axis @ tilt @ axis.swapaxes(1, 2) @ turns
        anyhow = rng.random(count) < _ANY_SHARE
        turns[anyhow] = random_turns(rng, int(np.sum(anyhow)), "all")
    return turns


def _about_vertical(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3, 3) rotations about the vertical axis."""
    angle = rng.uniform(0.0, 2.0 * np.pi, count)
    turns = np.tile(np.eye(3), (count, 1, 1))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angle)
    turns[:, 1, 0] = np.sin(angle)
    turns[:, 0, 1] = -np.sin(angle)
    return turns


def check_augment(augment: str) -> None:
    """Raise ValueError unless it is one of `AUGMENTATIONS`."""
    if augment not in AUGMENTATIONS:
        raise ValueError(
            f"`augment` must be one of {', '.join(AUGMENTATIONS)}. Received: augment={augment!r}"
        )


def turned(directions: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(..., 3) float32 unit vectors, turned; rows of zeros stay.

    Args:
        directions: (..., 3) unit vectors, or zeros.
        turn: (3, 3), from `random_turns`.
    """
    vectors = np.asarray(directions, np.float64) @ turn.T
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(length > 0.5, length, 1.0)).astype(np.float32)


def feature_blocks(turns: np.ndarray, channels: int) -> np.ndarray:
    """(B, K, K) float32 matrices M with `features @ M` the features of turned scenes.

    Args:
        turns: (B, 3, 3), from `random_turns`.
        channels: K, six of intensity and any number of invariant ones.
    """
    blocks = np.zeros((len(turns), channels, channels), np.float32)
    blocks[:, range(6, channels), range(6, channels)] = 1.0
    blocks[:, :3, :3] = blocks[:, 3:6, 3:6] = np.swapaxes(turns, 1, 2)
    return blocks
