"""Reading the Keras layers of `doa_tf.build_crnn`: its convolutions, and what follows them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras.layers import Layer

from doa_core.errors import InputError
from doa_tf.layers import FeatureInput


def split_layers(layers: Sequence[Layer]) -> tuple[list[list[Layer]], list[Layer]]:
    """Blocks of a convolution and what follows it, and the layers after the reshape to frames.

    Raises:
        InputError: a network of another build than `doa_tf.build_crnn`'s.
    """
    idle = (keras.layers.InputLayer, keras.layers.Dropout, FeatureInput)
    layers = [layer for layer in layers if not isinstance(layer, idle)]
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


def merge_linear(layers: list[Layer]) -> list[Layer]:
    """The same layers with each run of linear dense layers merged into one: the same function."""
    merged: list[Layer] = []
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


def is_linear(layer: Layer | None) -> bool:
    """Whether it is a dense layer with a bias and no activation; a subclass may compute more."""
    if layer is None or type(layer) is not keras.layers.Dense:
        return False
    return layer.use_bias and layer.activation is keras.activations.linear


def _is_block(block: list[Layer]) -> bool:
    kinds = [keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.MaxPooling2D]
    if [type(layer) for layer in block] != kinds:  # a subclass may compute something else
        return False
    convolution, normalisation, pooling = block
    return (
        (convolution.kernel_size, convolution.padding) == ((3, 3), "same")
        and (convolution.strides, convolution.dilation_rate) == ((1, 1), (1, 1))
        and (convolution.groups, convolution.use_bias) == (1, True)
        and convolution.activation is keras.activations.relu
        and (normalisation.center, normalisation.scale) == (True, True)
        and (pooling.pool_size[0], pooling.strides) == (1, pooling.pool_size)
        and pooling.padding == "valid"
    )
