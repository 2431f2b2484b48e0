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

Both halves of a network that turns with its scene have one more input: the cosine and the sine of
the heading that features are turned by, and scores turned back by. Who runs them chooses it, the
same for all frames of a window; the whole network takes that of the window's own intensity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.layers import Layer

from doa_core.spec import ModelSpec
from doa_edge.tflite.file import StoredHalves
from doa_edge.tflite.heading import Turning
from doa_export.convert import graph
from doa_export.convert.layers import merge_linear, split_layers
from doa_export.convert.network import Convolution, Network, is_crnn, read_block, read_network
from doa_export.convert.stages import convert_stage
from doa_tf.turning import turn_features

# On meetings, walks and single talkers answers are as good as those of windows turned by their own
# heading; one window in eight or fewer is turned anew. From 60 degrees on they become worse.
HOLD_DEG = 45.0
_HEADING = (2,)  # shape of the further input


def convert_halves(
    model: keras.Model, spec: ModelSpec, *, mode: str, lstm: str, step: int
) -> StoredHalves:
    """TFLite flatbuffers of the convolutions of `step` new frames, and of the recurrence.

    Args:
        model: with scores as outputs, see `doa_tf.scoring_model`.
        spec: of the model.
        mode: a mode whose files can be split.
        lstm: a name in `doa_export.convert.modes.LSTM_FORMS`; what is no layer of
            `doa_tf.build_crnn` is converted as Keras runs it.
        step: frames by which a window moves in one call, M.

    Raises:
        InputError: a network of another build than `doa_tf.build_crnn`'s.
    """
    if not is_crnn(model):
        blocks, rest = split_layers(model.layers)
        layers = [read_block(block) for block in blocks]
        convolutions, shape = _convert_first(layers, spec, mode=mode, step=step)
        return StoredHalves((convolutions, _convert_keras(rest, shape, mode=mode)))
    network = read_network(model, spec)
    turning, heading = None, []
    if network.turning is not None:
        first, stop, _ = slice(*network.turning.turn.bins).indices(spec.features.bins)
        turning, heading = Turning(bins=(first, stop), hold_deg=HOLD_DEG), [_HEADING]
    convolutions, shape = _convert_first(
        network.convolutions, spec, mode=mode, step=step, heading=heading
    )
    recurrence, _ = convert_stage([_recur(network, lstm)], shape, *heading, mode=mode)
    return StoredHalves((convolutions, recurrence), turning)


def _convert_first(
    layers: Sequence[Convolution],
    spec: ModelSpec,
    *,
    mode: str,
    step: int,
    heading: Sequence[tuple[int, ...]] = (),
) -> tuple[bytes, tuple[int, int]]:
    """The first half, and the (T, D) shape of what the second takes."""
    shapes = [(step + 4, *spec.features.input_shape[1:])]
    for layer in layers[:-1]:
        shapes.append((4, shapes[-1][1] // layer.pool, layer.kernel.shape[-1]))
    parts = [_convolve_levels(layers, step)]
    convolutions, (_, width) = convert_stage(parts, *shapes, *heading, mode=mode)
    return convolutions, (spec.features.frames, width)


def _recur(network: Network, lstm: str) -> Callable[..., Any]:
    """The second half: (1, T, D) frames, and the heading where there is one, to scores."""
    recurrences, outputs = graph.recurrences(network, lstm=lstm), graph.outputs(network)

    def recurrence(frames: Any, *heading: Any) -> Any:
        values = outputs(recurrences(frames))
        if network.turning is None:
            return values
        return graph.turned_scores(network.turning, values, _with_side(*heading))

    return recurrence


def _convert_keras(layers: list[Layer], shape: tuple[int, int], *, mode: str) -> bytes:
    """The second half, as Keras runs it."""
    layers = merge_linear(layers)
    inputs = outputs = keras.Input(shape)
    for layer in layers:
        outputs = layer(outputs)
    part = partial(keras.Model(inputs, outputs), training=False)
    weights = [variable.value for layer in layers for variable in layer.variables]
    return convert_stage([part], shape, mode=mode, weights=weights)[0]


def _with_side(heading: Any) -> Any:
    """(1, 3) heading, not mirrored, of its (1, 2) cosine and sine."""
    return tf.pad(heading, [[0, 0], [0, 1]], constant_values=1.0)


def _convolve_levels(layers: Sequence[Convolution], step: int) -> Callable[..., list[Any]]:
    """The first half: arrays of levels 0 to n-1, and the heading where there is one, to 1 to n."""
    blocks = [graph.convolution(layer, padding="VALID") for layer in layers]

    def convolve(frames: Any, block: Callable[[Any], Any]) -> Any:
        """Two frames fewer than it gets: no padding in time but the zeros that are passed."""
        return block(tf.pad(frames, [[0, 0], [0, 0], [1, 1], [0, 0]]))

    def convolutions(*levels: Any) -> list[Any]:
        kept: list[Any] = []
        features = levels[0]
        if len(levels) > len(blocks):
            features = turn_features(features, *tf.split(_with_side(levels[-1]), 3, axis=1))
        first, last = features[:, :2], features[:, 2:]
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
