"""A network as TensorFlow operations that the converter turns into builtin ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from doa_export.convert.network import Convolution, Lstm, Network, Turning

_COUNTER = itertools.count()


def convolution(layer: Convolution, *, padding: str = "SAME") -> Callable[[Any], Any]:
    """(1, T, F, C) through one block; with the padding `VALID` two frames and bins fewer go in."""

    def convolve(x: Any) -> Any:
        x = tf.nn.conv2d(x, tf.constant(layer.kernel), strides=1, padding=padding)
        rectify = tf.nn.relu if layer.limit is None else tf.nn.relu6
        x = rectify(tf.nn.bias_add(x, tf.constant(layer.bias)))
        if layer.scale is not None:
            x = x * tf.constant(layer.scale)
        x = tf.nn.max_pool2d(x, (1, layer.pool), (1, layer.pool), padding="VALID")
        return x if layer.shift is None else x + tf.constant(layer.shift)

    return convolve


def frames(x: Any) -> Any:
    """(1, T, F, C) to (1, T, F C)."""
    return tf.reshape(x, (1, x.shape[1], x.shape[2] * x.shape[3]))


def recurrences(network: Network, *, lstm: str) -> Callable[[Any], Any]:
    """(1, T, D) frames to (1, T, 2 units)."""
    run = {"rolled": _rolled, "unrolled": _unrolled, "fused": _fused}[lstm]

    def recurrence(frames: Any) -> Any:
        for layer in network.recurrences:
            frames = tf.concat([run(frames, side) for side in layer], axis=-1)
        return frames

    return recurrence


def turn(turning: Turning) -> Callable[[Any], Any]:
    """(1, T, F, K) features to the same, turned to their intensity."""
    return lambda features: turning.turn(features)[0]


def turn_back(turning: Turning) -> Callable[[Any, Any], Any]:
    """(1, T, R) coefficients and the unturned features to (1, T, outputs) scores."""

    def scores(amounts: Any, features: Any) -> Any:
        _, heading = turning.turn(features)
        return turned_scores(turning, amounts, heading)

    return scores


def turned_scores(turning: Turning, amounts: Any, heading: Any) -> Any:
    """(1, T, outputs) scores of (1, T, R) coefficients and the (1, 3) heading that they lack."""
    amounts = turning.back(amounts, heading)
    return _dense(amounts, turning.basis, turning.bias, turning.activation)


def outputs(network: Network) -> Callable[[Any], Any]:
    """(1, T, D) to (1, T, outputs) scores; to coefficients, where the network turns."""
    return lambda frames: _dense(frames, network.kernel, network.bias, network.activation)


def _dense(frames: Any, kernel: Any, bias: Any, activation: str) -> Any:
    """(1, T, D) through a dense layer, whose operation takes (T, D)."""
    activate = {"sigmoid": tf.sigmoid, "softmax": tf.nn.softmax, "linear": tf.identity}[activation]
    _, count, width = frames.shape
    x = tf.matmul(tf.reshape(frames, (count, width)), tf.constant(kernel))
    x = activate(tf.nn.bias_add(x, tf.constant(bias)))
    return tf.reshape(x, (1, count, len(bias)))


def _cell(gates: Any, cell: Any) -> tuple[Any, Any]:
    """(1, 4 units) sums and (1, units) cell state to the next output and cell state."""
    take, forget, candidate, give = tf.split(gates, 4, axis=-1)
    cell = tf.sigmoid(forget) * cell + tf.sigmoid(take) * tf.tanh(candidate)
    return tf.sigmoid(give) * tf.tanh(cell), cell


def _driven(frames: Any, side: Lstm) -> Any:
    """(T, 4 units) what the inputs add to the gates."""
    rows = tf.reshape(frames, (frames.shape[1], -1))
    return tf.nn.bias_add(tf.matmul(rows, tf.constant(side.kernel)), tf.constant(side.bias))


def _unrolled(frames: Any, side: Lstm) -> Any:
    """Every frame in its own operations; the products with the inputs are one, before them."""
    count, units = frames.shape[1], len(side.recurrent)
    driven = tf.split(_driven(frames, side), count)
    recurrent = tf.constant(side.recurrent)
    state = cell = tf.zeros((1, units))
    rows: list[Any] = []
    order = range(count - 1, -1, -1) if side.backwards else range(count)
    for frame in order:
        gates = driven[frame] + tf.matmul(state, recurrent) if rows else driven[frame]
        state, cell = _cell(gates, cell)
        rows.append(state)
    rows = rows[::-1] if side.backwards else rows
    return tf.reshape(tf.concat(rows, axis=0), (1, count, units))


def _rolled(frames: Any, side: Lstm) -> Any:
    """A loop over the frames."""
    count, units = frames.shape[1], len(side.recurrent)
    driven = _driven(frames, side)
    driven = tf.reverse(driven, [0]) if side.backwards else driven
    recurrent = tf.constant(side.recurrent)
    rows = tf.TensorArray(tf.float32, count, element_shape=(1, units))

    def step(frame: Any, state: Any, cell: Any, rows: Any) -> Any:
        gates = tf.reshape(tf.gather(driven, frame), (1, -1)) + tf.matmul(state, recurrent)
        state, cell = _cell(gates, cell)
        return frame + 1, state, cell, rows.write(frame, state)

    start = (tf.constant(0), tf.zeros((1, units)), tf.zeros((1, units)), rows)
    *_, rows = tf.while_loop(lambda frame, *_: frame < count, step, start)
    states = tf.reshape(rows.stack(), (count, units))
    states = tf.reverse(states, [0]) if side.backwards else states
    return tf.reshape(states, (1, count, units))


def _fused(frames: Any, side: Lstm) -> Any:
    """One operation, UNIDIRECTIONAL_SEQUENCE_LSTM: the converter knows the function by its name.

    The operation keeps its state from one invocation to the next: the runner resets it.
    """

    def lstm(inputs: Any, state: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        rows = []
        for frame in tf.unstack(inputs, axis=1):
            sums = tf.matmul(frame, kernel) + tf.matmul(state, recurrent) + bias
            state, cell = _cell(sums, cell)
            rows.append(state)
        return state, tf.stack(rows, axis=1), state, cell, tf.constant(1.0)

    composite = tf.function(
        lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_doa_{next(_COUNTER)}",
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )
    frames = tf.reverse(frames, [1]) if side.backwards else frames
    zeros = tf.zeros((1, len(side.recurrent)))
    weights = map(tf.constant, (side.kernel, side.recurrent, side.bias))
    _, states, *_ = composite(frames, zeros, zeros, *weights)
    return tf.reverse(states, [1]) if side.backwards else states


def module(
    parts: Sequence[Callable[..., Any]], *shapes: Sequence[int], weights: Sequence[Any] = ()
) -> tf.Module:
    """Functions one after the other, of inputs of fixed shapes, batch 1, as `function`.

    Args:
        parts: the functions; the first takes the inputs, each other one what the one before gave.
        shapes: of the inputs, without batch axis.
        weights: variables that the functions use. A Keras 3 model is no `tf.Module`: without its
            variables in plain sight the converter leaves them out, and does not complain.
    """

    def chain(*inputs: Any) -> Any:
        values = parts[0](*inputs)
        for part in parts[1:]:
            values = part(values)
        return values

    signature = [tf.TensorSpec((1, *shape), tf.float32) for shape in shapes]
    made = tf.Module()
    made.weights = list(weights)
    made.function = tf.function(chain, input_signature=signature, autograph=False)
    return made
