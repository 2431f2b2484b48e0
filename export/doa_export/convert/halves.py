"""The two halves of a network as TFLite graphs.

A window that moved by a few frames shares all but its edges with the one before. The first half
is the convolutions of the frames that are new; its further inputs are the outputs of the layers
before for the frames around them, so that nothing is computed twice. Its outputs are exactly those
of the whole window, whose convolutions see zeros beyond both ends: frames that see them are
computed as such.

Levels are numbered by the convolutions before them: 0 are the features, n is the input of the
recurrence. With T frames in a window and M new ones, level k has k frames at either end that
depend on the zeros beyond it, and interior ones, which do not and can be kept.

    input, level 0         frames 0, 1, and T-M-2 to T-1
    input, level k < n     frames k, k+1, and T-k-M-2, T-k-M-1: interior, kept from before
    output, level 0 < k < n    frames T-k-M to T-k-1: interior, to be kept
    output, level n            frames 0 to n-1, and T-n-M to T-1
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.layers import Layer

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_export.convert.layers import merge_linear, split_layers
from doa_export.convert.stages import convert_stage
from doa_tf.turning import TurnToIntensity


def convert_halves(
    model: keras.Model, spec: ModelSpec, *, mode: str, step: int
) -> tuple[bytes, bytes]:
    """TFLite flatbuffers of the convolutions of `step` new frames, and of the recurrence.

    Args:
        model: with scores as outputs, see `doa_tf.scoring_model`.
        spec: of the model.
        mode: a mode whose files can be split.
        step: frames by which a window moves in one call, M.

    Raises:
        InputError: a network of another build than `doa_tf.build_crnn`'s, or one that turns.
    """
    if any(isinstance(layer, TurnToIntensity) for layer in model.layers):
        raise InputError(
            "A network that turns with its scene cannot be split: every window is turned by an "
            "angle of its own, so that nothing of the one before can be used again. Convert it "
            "without --split"
        )
    blocks, rest = split_layers(model.layers)
    shapes = [(step + 4, *spec.features.input_shape[1:])]
    for block in blocks[:-1]:
        pooled = block[2].compute_output_shape((1, 4, shapes[-1][1], block[0].filters))
        shapes.append((4, *pooled[2:]))
    convolutions, (_, width) = convert_stage(
        [_convolve_levels(blocks, step)],
        *shapes,
        mode=mode,
        weights=_variables([layer for block in blocks for layer in block]),
    )
    rest = merge_linear(rest)
    inputs = outputs = keras.Input((spec.features.frames, width))
    for layer in rest:
        outputs = layer(outputs)
    half = keras.Model(inputs, outputs)
    parts = [partial(half, training=False)]
    shape, weights = (spec.features.frames, width), _variables(rest)
    return convolutions, convert_stage(parts, shape, mode=mode, weights=weights)[0]


def _convolve_levels(blocks: list[list[Layer]], step: int) -> Callable[..., list[Any]]:
    """The first half: arrays of levels 0 to n-1 to arrays of levels 1 to n."""

    def convolve(frames: Any, block: list[Layer]) -> Any:
        """Two frames fewer than it gets: no padding in time but the zeros that are passed."""
        convolution, normalisation, pooling = block
        padded = tf.pad(frames, [[0, 0], [0, 0], [1, 1], [0, 0]])
        sums = tf.nn.conv2d(padded, convolution.kernel, strides=1, padding="VALID")
        rectified = convolution.activation(tf.nn.bias_add(sums, convolution.bias))
        return pooling(normalisation(rectified, training=False))

    def convolutions(*levels: Any) -> list[Any]:
        kept: list[Any] = []
        first, last = levels[0][:, :2], levels[0][:, 2:]
        for level, block in enumerate(blocks, start=1):
            zero = tf.zeros_like(first[:, :1])
            first = convolve(tf.concat([zero, first], axis=1), block)
            last = convolve(tf.concat([last, zero], axis=1), block)
            if level < len(blocks):
                kept.append(last[:, :step])
                first = tf.concat([first, levels[level][:, :2]], axis=1)
                last = tf.concat([levels[level][:, 2:], last], axis=1)
        count = len(blocks) + step + len(blocks)
        return [*kept, tf.reshape(tf.concat([first, last], axis=1), (1, count, -1))]

    return convolutions


def _variables(layers: list[Layer]) -> list[Any]:
    return [variable.value for layer in layers for variable in layer.variables]
