"""Layers that make a network equivariant to rotations about the vertical.

Features are rotated until their mean intensity lies at azimuth 0, and the network's output, a sum
of spherical harmonics, is rotated back. Both are exact, so a rotated scene gives rotated scores for
any weights: what the network learns at one azimuth holds at all. Elevations are not affected.

In training a random angle is added, and half of the scenes are mirrored: the network would
otherwise see each room from one side alone, and overfit to it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from doa_core.features import HEADING_FLOOR

LARGEST_ORDER = 100  # of spherical harmonics; no head of this package has more than 80


@keras.saving.register_keras_serializable(package="doa_tf")
class TurnToIntensity(keras.layers.Layer):
    """(B, T, F, K) features to the same, rotated, and the (B, 3) heading that they had.

    A heading is the cosine and the sine of the angle, and -1 where the scene was mirrored, else 1.

    Args:
        bins: (first, last + 1) of the bins whose active intensity is summed.
        spread: standard deviation [degrees] of the angle that is added in training; 0 also turns
            mirror images off.
    """

    def __init__(self, bins: Any = (0, None), spread: float = 40.0, **options: Any) -> None:
        super().__init__(**options)
        self.bins = tuple(bins)
        self.spread = float(spread)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, features: Any, training: bool = False) -> tuple[Any, Any]:
        first, stop = self.bins
        total = ops.sum(features[:, :, first:stop, :2], axis=(1, 2))
        x, y = total[:, :1] + HEADING_FLOOR, total[:, 1:]
        length = ops.sqrt(x * x + y * y)
        x, y, side = x / length, y / length, ops.ones_like(x)
        if training and self.spread:
            shape, seed = ops.shape(x), self.seed_generator
            angle = np.radians(self.spread) * keras.random.normal(shape, dtype=x.dtype, seed=seed)
            cosine, sine = ops.cos(angle), ops.sin(angle)
            x, y = x * cosine - y * sine, y * cosine + x * sine
            side = ops.where(keras.random.uniform(shape, seed=seed) < 0.5, -side, side)
        return turn_features(features, x, y, side), ops.concatenate([x, y, side], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, Any]:
        return tuple(input_shape), (input_shape[0], 3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": list(self.bins), "spread": self.spread}


def turn_features(features: Any, x: Any, y: Any, side: Any) -> Any:
    """(B, T, F, K) features turned so that a heading comes to lie at azimuth 0.

    Args:
        features: (B, T, F, K).
        x: (B, 1) cosine of the heading.
        y: (B, 1) sine of it.
        side: (B, 1) -1 for a mirror image, else 1.
    """
    _, frames, bins, channels = features.shape
    # One matrix product: in a .tflite, sums of single channels take seven times as long.
    parts = zip((x, y, side * x, side * y), _blocks(channels), strict=True)
    matrix = sum(
        (amount[..., None] * ops.convert_to_tensor(block, x.dtype) for amount, block in parts),
        ops.convert_to_tensor(_unturned(channels), x.dtype),
    )
    turned = ops.matmul(ops.reshape(features, (-1, frames * bins, channels)), matrix)
    return ops.reshape(turned, (-1, frames, bins, channels))


def _unturned(channels: int) -> np.ndarray:
    """(K, K) of what stays as it is: z, and all that is no vector."""
    return np.diag([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, *np.ones(channels - 6)]).astype(np.float32)


def _blocks(channels: int) -> np.ndarray:
    """(4, K, K) whose sum, times cosine, sine, and both with the side, turns x and y."""
    blocks = np.zeros((4, channels, channels), np.float32)
    for x in (0, 3):  # active, reactive
        y = x + 1
        blocks[0, x, x] = blocks[1, y, x] = blocks[2, y, y] = 1.0
        blocks[3, x, y] = -1.0
    return blocks


@keras.saving.register_keras_serializable(package="doa_tf")
class TurnHarmonics(keras.layers.Layer):
    """(B, T, (N + 1)^2) amounts of spherical harmonics, and a (B, 3) heading, to amounts turned.

    A harmonic of degree m is cos or sin of m times the azimuth: a turn by t mixes the two of a pair
    by the angle m t, and a mirror image changes the sign of the sine.

    Args:
        order: N, up to 100.

    Raises:
        ValueError: another order.
    """

    def __init__(self, order: int = 8, **options: Any) -> None:
        super().__init__(**options)
        if type(order) is not int or not 0 <= order <= LARGEST_ORDER:
            raise ValueError(
                f"`order` must be an integer from 0 to {LARGEST_ORDER}. Received: {order}"
            )
        self.order = order
        degrees = np.array([m for n in range(order + 1) for m in range(-n, n + 1)])
        centre = np.array([n * n + n for n in range(order + 1) for _ in range(2 * n + 1)])
        self._multiple = np.abs(degrees)
        self._partner = centre - degrees
        self._sign = -np.sign(degrees).astype(np.float32)

    def call(self, amounts: Any, heading: Any) -> Any:
        x, y, side = heading[:, :1], heading[:, 1:2], heading[:, 2:, None]
        amounts = ops.where(ops.convert_to_tensor(self._sign > 0.0), side * amounts, amounts)
        cosines, sines = [ops.ones_like(x)], [ops.zeros_like(x)]
        for _ in range(self.order):  # powers of x + jy
            c, s = cosines[-1], sines[-1]
            cosines.append(c * x - s * y)
            sines.append(s * x + c * y)
        cosine, sine = (
            ops.take(ops.concatenate(parts, axis=-1), self._multiple, axis=-1)[:, None]
            for parts in (cosines, sines)
        )
        partners = ops.take(amounts, self._partner, axis=-1)
        return amounts * cosine + partners * (sine * ops.convert_to_tensor(self._sign, x.dtype))

    def compute_output_shape(self, amounts_shape: Any, heading_shape: Any) -> tuple[Any, ...]:
        return tuple(amounts_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "order": self.order}
