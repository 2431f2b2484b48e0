"""The two halves of a network as TFLite graphs, in a process of its own: converters can crash.

A window that moved by a few frames shares all but its edges with the one before. The first half
is the convolutions of the frames that are new, with what the layers before said of the frames
around them as further inputs: nothing is computed twice. Its outputs are exactly those of the whole
window, whose convolutions see zeros beyond both ends: frames that see them are computed as such.

Levels are numbered by the convolutions before them: 0 are the features, n what the recurrence
hears. With T frames in a window and M new ones, level k has k frames at either end that depend on
the zeros beyond it, and interior ones, which do not and can be kept.

    input, level 0         frames 0, 1, and T-M-2 to T-1
    input, level k < n     frames k, k+1, and T-k-M-2, T-k-M-1: interior, kept from before
    output, level 0 < k < n    frames T-k-M to T-k-1: interior, to be kept
    output, level n            frames 0 to n-1, and T-n-M to T-1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from doa_core.errors import InputError
from doa_edge.tflite.file import HALVES

if TYPE_CHECKING:
    import keras

EXIT_BAD_INPUT = 65  # as in doa_export.convert.convert_worker


def main(argv: Sequence[str] | None = None) -> int:
    """Convert `MODEL` into two files in `FOLDER`; 0 done, 65 bad input, anything else failed."""
    parser = argparse.ArgumentParser(prog="doa_export.convert.split_worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantize", required=True, choices=("none", "dynamic"))
    parser.add_argument("--step", required=True, type=int)
    args = parser.parse_args(argv)
    from doa_tf.models import load_scoring_model

    try:
        model, spec = load_scoring_model(args.model)
        blocks, rest = split_layers(_unturned(model))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    dynamic = args.quantize == "dynamic"
    frames = spec.features.frames
    convolutions, width = convert_convolutions(
        blocks, spec.features.input_shape, step=args.step, dynamic=dynamic
    )
    recurrence = convert_recurrence(rest, (frames, width), dynamic=dynamic)
    for name, flatbuffer in zip(HALVES, (convolutions, recurrence), strict=True):
        (args.folder / name).write_bytes(flatbuffer)
    return 0


def _unturned(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a network that takes scenes as they lie.

    Raises:
        InputError: it turns with its scene.
    """
    from doa_tf.turning import TurnToIntensity

    if any(isinstance(layer, TurnToIntensity) for layer in model.layers):
        raise InputError(
            "A network that turns with its scene cannot be split: every window is turned by an "
            "angle of its own, so that nothing of the one before can be used again. Convert it "
            "without --split"
        )
    return model.layers


def split_layers(
    layers: Sequence[keras.layers.Layer],
) -> tuple[list[list[keras.layers.Layer]], list[keras.layers.Layer]]:
    """Blocks of convolution and what follows it, and the layers behind the frames' reshape.

    Raises:
        InputError: a network of another build than `doa_tf.build_crnn`'s.
    """
    import keras

    from doa_tf.layers import FeatureInput

    layers = [
        layer
        for layer in layers
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.Dropout, FeatureInput))
    ]
    reshapes = [n for n, layer in enumerate(layers) if isinstance(layer, keras.layers.Reshape)]
    trunk = layers[: reshapes[0]] if reshapes else []
    blocks = [trunk[start : start + 3] for start in range(0, len(trunk), 3)]
    if not blocks or not all(map(_is_block, blocks)):
        raise InputError(
            "Only a network of `doa_tf.build_crnn` can be split: 3x3 convolutions, each with "
            "normalisation and pooling over frequency, a reshape to frames, then the rest. "
            f"Received: {', '.join(layer.name for layer in layers)}"
        )
    return blocks, layers[reshapes[0] + 1 :]


def _is_block(block: list[keras.layers.Layer]) -> bool:
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.MaxPooling2D)
    return (
        len(block) == 3
        and all(isinstance(layer, kind) for layer, kind in zip(block, kinds, strict=True))
        and (block[0].kernel_size, block[0].padding) == ((3, 3), "same")
        and (block[0].strides, block[0].dilation_rate) == ((1, 1), (1, 1))
        and (block[2].pool_size[0], block[2].strides[0]) == (1, 1)
    )


def convert_convolutions(
    blocks: list[list[keras.layers.Layer]],
    input_shape: tuple[int, int, int],
    *,
    step: int,
    dynamic: bool,
) -> tuple[bytes, int]:
    """TFLite flatbuffer of the first half, and the width of a frame that it gives."""
    import tensorflow as tf

    def convolve(frames: Any, block: list[keras.layers.Layer]) -> Any:
        """Two frames fewer than it gets: no zeros beyond the ends, but those that are passed."""
        convolution, normalisation, pooling = block
        padded = tf.pad(frames, [[0, 0], [0, 0], [1, 1], [0, 0]])
        heard = tf.nn.conv2d(padded, convolution.kernel, strides=1, padding="VALID")
        heard = convolution.activation(tf.nn.bias_add(heard, convolution.bias))
        return pooling(normalisation(heard, training=False))

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
        frames = tf.reshape(tf.concat([first, last], axis=1), (1, count, -1))
        return [*kept, frames]

    shapes = [(1, step + 4, *input_shape[1:])]
    for block in blocks[:-1]:
        pooled = block[2].compute_output_shape((1, 4, shapes[-1][2], block[0].filters))
        shapes.append((1, 4, *pooled[2:]))
    signature = [
        tf.TensorSpec(shape, tf.float32, name=f"level_{level}")
        for level, shape in enumerate(shapes)
    ]
    weights = [layer for block in blocks for layer in block]
    pooled = blocks[-1][2].compute_output_shape((1, 1, shapes[-1][2], blocks[-1][0].filters))
    return _flatbuffer(convolutions, signature, weights, dynamic=dynamic), pooled[2] * pooled[3]


def convert_recurrence(
    layers: list[keras.layers.Layer], shape: tuple[int, int], *, dynamic: bool
) -> bytes:
    """TFLite flatbuffer of the second half: (T, D) to (T, outputs)."""
    import keras
    import tensorflow as tf

    layers = merge_linear(layers)
    inputs = keras.Input(shape)
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    half = keras.Model(inputs, outputs)

    def recurrence(frames: Any) -> Any:
        return half(frames, training=False)

    signature = [tf.TensorSpec((1, *shape), tf.float32, name="frames")]
    return _flatbuffer(recurrence, signature, layers, dynamic=dynamic)


def merge_linear(layers: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """The same layers with each run of linear dense layers made one: the same sums, fewer."""
    import keras

    merged: list[keras.layers.Layer] = []
    for layer in layers:
        if not (merged and is_linear(merged[-1]) and is_linear(layer)):
            merged.append(layer)
            continue
        (kernel, bias), (next_kernel, next_bias) = (
            [values.astype(np.float64) for values in dense.get_weights()]
            for dense in (merged[-1], layer)
        )
        dense = keras.layers.Dense(layer.units, name=layer.name)
        dense.build((None, None, len(kernel)))
        dense.set_weights([kernel @ next_kernel, bias @ next_kernel + next_bias])
        merged[-1] = dense
    return merged


def is_linear(layer: keras.layers.Layer) -> bool:
    """Whether it is a dense layer with a bias and no activation."""
    import keras

    return (
        isinstance(layer, keras.layers.Dense)
        and layer.activation is keras.activations.linear
        and layer.use_bias
    )


def _flatbuffer(
    function: Callable[..., Any],
    signature: list[Any],
    layers: list[keras.layers.Layer],
    *,
    dynamic: bool,
) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.function = tf.function(function, input_signature=signature)
    # Weights in plain sight of the converter: see doa_export.convert.convert_worker.
    module.weights = [variable.value for layer in layers for variable in layer.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.function.get_concrete_function()], module
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


if __name__ == "__main__":
    sys.exit(main())
