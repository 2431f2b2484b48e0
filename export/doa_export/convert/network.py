"""A checkpoint as the network that is converted: the same outputs from fewer, simpler operations.

The layers of `doa_tf.build_crnn` between two non-linear steps are merged into one product:

- The scale of a batch normalisation goes into the convolution before it, through the ReLU, which
  lets positive factors pass; its shift is added after the pooling, on an eighth of the values, or
  in the bias of the recurrence.
- Linear dense layers in a row are one.

So eight-bit files round less often, and every file is smaller. Only rounding in float32 differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras.layers import Layer

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_export.convert.layers import is_linear, merge_linear, split_layers
from doa_tf.layers import HeadOutput
from doa_tf.turning import TurnHarmonics, TurnToIntensity

Array = npt.NDArray[np.float32]
RELU_LIMIT = 6.0  # the one that convolutions have without a further operation
_ACTIVATIONS = ("sigmoid", "softmax", "linear")


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """3x3 convolution, ReLU, scale where it cannot be folded, max-pooling over frequency, shift.

    Attributes:
        kernel: (3, 3, in, out).
        bias: (out,).
        scale: (out,) factors of the ReLU's output; None where the kernel includes them.
        shift: (out,) added last; None where the next layer includes it.
        pool: bins that are pooled into one.
        limit: largest value of the ReLU; None for no limit.
    """

    kernel: Array
    bias: Array
    scale: Array | None
    shift: Array | None
    pool: int
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lstm:
    """One of the two LSTMs of a recurrence; gates in Keras's order: input, forget, cell, output.

    Attributes:
        kernel: (in, 4 units).
        recurrent: (units, 4 units).
        bias: (4 units,).
        backwards: from the last frame to the first.
    """

    kernel: Array
    recurrent: Array
    bias: Array
    backwards: bool


@dataclass(frozen=True, kw_only=True)
class Turning:
    """A network that turns with its scene, see `doa_tf.turning`.

    Attributes:
        turn, back: its two layers.
        basis: (R, outputs) harmonics at the cells; the network's own outputs are coefficients.
        bias: (outputs,).
        activation: of the outputs.
    """

    turn: TurnToIntensity
    back: TurnHarmonics
    basis: Array
    bias: Array
    activation: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """The weights of a network, as they are converted.

    Attributes:
        spec: features, head and decoding.
        convolutions: in order.
        recurrences: forwards and backwards, of each layer in order.
        kernel: (in, outputs) of the layer of logits.
        bias: (outputs,).
        activation: of the outputs: sigmoid, softmax or linear.
        turning: of its input and outputs; None where it does not turn.
    """

    spec: ModelSpec
    convolutions: tuple[Convolution, ...]
    recurrences: tuple[tuple[Lstm, Lstm], ...]
    kernel: Array
    bias: Array
    activation: str
    turning: Turning | None = None


def is_crnn(model: keras.Model) -> bool:
    """Whether a Keras model has the layers that `doa_tf.build_crnn` gives it, and no others."""
    try:
        _, rest = split_layers(_without_turning(model)[0])
    except InputError:
        return False
    recurrences = list(takewhile(_is_plain, rest))
    dense, *outputs = merge_linear(rest[len(recurrences) :]) or [None]
    kinds = [type(layer) for layer in outputs]
    known = kinds in ([HeadOutput], [HeadOutput, keras.layers.Activation])
    return bool(recurrences) and is_linear(dense) and known


def _without_turning(model: keras.Model) -> tuple[list[Layer], Turning | None]:
    """The layers without those that turn and what follows them; and the latter, if any."""
    layers = list(model.layers)
    kinds = [type(layer) for layer in layers]
    if (kinds.count(TurnToIntensity), kinds.count(TurnHarmonics)) != (1, 1):
        return layers, None
    back = kinds.index(TurnHarmonics)
    turn, harmonics = layers[kinds.index(TurnToIntensity)], layers[back + 1]
    if not is_linear(harmonics):
        return layers, None
    basis, bias = (values.astype(np.float32) for values in harmonics.get_weights())
    turning = Turning(turn=turn, back=layers[back], basis=basis, bias=bias, activation="linear")
    return [layer for layer in layers if layer not in (turn, layers[back], harmonics)], turning


def _is_plain(layer: Layer) -> bool:
    """An LSTM in two directions, side by side, with the gates that the runtime's operation has."""
    if type(layer) is not keras.layers.Bidirectional or layer.merge_mode != "concat":
        return False
    return all(
        type(side) is keras.layers.LSTM
        and side.return_sequences
        and side.use_bias
        and side.activation is keras.activations.tanh
        and side.recurrent_activation is keras.activations.sigmoid
        for side in (layer.forward_layer, layer.backward_layer)
    )


def read_network(model: keras.Model, spec: ModelSpec) -> Network:
    """The network of a Keras model that `is_crnn`.

    Args:
        model: with scores as outputs, see `doa_tf.scoring_model`.
        spec: of the model.

    Raises:
        InputError: scores that come from an unknown activation.
    """
    layers, turning = _without_turning(model)
    blocks, rest = split_layers(layers)
    recurrences, dense, activation = _sort_layers(rest, spec)
    if turning is not None:
        turning = dataclasses.replace(turning, activation=activation)
        activation = "linear"
    *convolutions, last = [read_block(block) for block in blocks]
    kernel, bias = (values.astype(np.float32) for values in dense.get_weights())
    network = Network(
        spec=spec,
        convolutions=(*convolutions, dataclasses.replace(last, shift=None)),
        recurrences=tuple(recurrences),
        kernel=kernel,
        bias=bias,
        activation=activation,
        turning=turning,
    )
    shift = np.asarray(last.shift)
    return shift_frames(network, np.resize(shift, len(recurrences[0][0].kernel)))


def _sort_layers(layers: list[Layer], spec: ModelSpec) -> tuple[list[Any], keras.layers.Dense, str]:
    """Recurrences, the one layer of logits, and the activation of the outputs."""
    sides = keras.layers.Bidirectional
    recurrences = [_read_recurrence(layer) for layer in layers if isinstance(layer, sides)]
    dense = [layer for layer in merge_linear(layers) if isinstance(layer, keras.layers.Dense)]
    outputs = (HeadOutput, keras.layers.Activation)
    last = [layer for layer in layers if isinstance(layer, outputs)][-1]
    if isinstance(last, HeadOutput):
        activation = last.head.activation
    else:
        activation = keras.activations.serialize(last.activation)
    if activation not in _ACTIVATIONS:
        raise InputError(
            f"The scores of the head '{spec.head}' must come from one of "
            f"{', '.join(_ACTIVATIONS)}. Received: {activation!r}"
        )
    return recurrences, dense[0], activation


def read_block(block: list[Layer]) -> Convolution:
    """A convolution with what follows it, of those that `split_layers` gives."""
    convolution, normalisation, pooling = block
    kernel, bias = (values.astype(np.float64) for values in convolution.get_weights())
    gamma, beta, mean, variance = (x.astype(np.float64) for x in normalisation.get_weights())
    scale = gamma / np.sqrt(variance + normalisation.epsilon)
    shift = beta - scale * mean
    positive = bool(np.all(scale > 0.0))
    if positive:
        kernel, bias = kernel * scale, bias * scale
    return Convolution(
        kernel=kernel.astype(np.float32),
        bias=bias.astype(np.float32),
        scale=None if positive else scale.astype(np.float32),
        shift=shift.astype(np.float32),
        pool=int(pooling.pool_size[1]),
    )


def _read_recurrence(layer: keras.layers.Bidirectional) -> tuple[Lstm, Lstm]:
    sides = []
    for lstm, backwards in ((layer.forward_layer, False), (layer.backward_layer, True)):
        kernel, recurrent, bias = lstm.get_weights()
        sides.append(Lstm(kernel=kernel, recurrent=recurrent, bias=bias, backwards=backwards))
    return sides[0], sides[1]


def shift_frames(network: Network, shift: npt.ArrayLike) -> Network:
    """The same network for frames that lack a (D,) shift: the biases of the recurrences add it."""

    def add(lstm: Lstm) -> Lstm:
        constant = np.asarray(shift, np.float64) @ lstm.kernel.astype(np.float64)
        return dataclasses.replace(lstm, bias=(lstm.bias + constant).astype(np.float32))

    return _change_first(network, add)


def limit(network: Network, largest: list[Array]) -> Network:
    """The same network with every channel between two layers in the same range, and no outliers.

    What a channel is multiplied by, the next layer's weights are divided by. Eight bits are then
    spent on each channel alike, and none on values that next to never occur.

    Args:
        network: whose convolutions have no scales.
        largest: (C,) value of each channel of each convolution's ReLU that still counts.
    """
    layers = []
    incoming: npt.NDArray[Any] = np.ones(network.convolutions[0].kernel.shape[2])
    for layer, top in zip(network.convolutions, largest, strict=True):
        factor = RELU_LIMIT / top
        layers.append(
            dataclasses.replace(
                layer,
                kernel=(layer.kernel * incoming[:, np.newaxis] * factor).astype(np.float32),
                bias=(layer.bias * factor).astype(np.float32),
                shift=None if layer.shift is None else (layer.shift * factor).astype(np.float32),
                limit=RELU_LIMIT,
            )
        )
        incoming = 1.0 / factor
    factors = np.resize(incoming, len(network.recurrences[0][0].kernel))[:, np.newaxis]

    def scale(lstm: Lstm) -> Lstm:
        return dataclasses.replace(lstm, kernel=(lstm.kernel * factors).astype(np.float32))

    return _change_first(dataclasses.replace(network, convolutions=tuple(layers)), scale)


def _change_first(network: Network, change: Callable[[Lstm], Lstm]) -> Network:
    """The same network with both LSTMs of its first recurrence changed."""
    (forwards, backwards), *others = network.recurrences
    first = (change(forwards), change(backwards))
    return dataclasses.replace(network, recurrences=(first, *others))
