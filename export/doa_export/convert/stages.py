"""A network cut into stages, each converted in its own way, and joined to one flatbuffer.

| mode      | 1st convolution | 2nd | 3rd   | recurrences and outputs |
|-----------|-----------------|-----|-------|-------------------------|
| none, float16, int8-full, int16x8 | one stage, all alike           |
| dynamic   | float           | dynamic | float | dynamic             |
| int8      | int8            | int8 | int8 | dynamic                 |

With 8-bit weights, the first and the third convolution cost more degrees than they save bytes or
time. With 8-bit integers throughout, the state of the recurrences, whose errors add up, does; the
integer LSTM operation, whose state has 16 bits, is as good but slow on x86.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec, ModelSpec
from doa_export.convert import graph
from doa_export.convert.frontend import features as front_end
from doa_export.convert.join import join
from doa_export.convert.network import RELU_LIMIT, Array, Network, limit, shift_frames

Stage = tuple[str, Callable[..., Any]]
OUTLIERS = 99.99  # percentile of a channel's maxima above which values are cut
_SMALLEST = 1e-3  # of a channel that is always zero


def convert_network(
    network: Network,
    *,
    mode: str,
    lstm: str,
    windows: Array | None = None,
    audio: bool = False,
    highpass_hz: float = 0.0,
    only: str | None = None,
) -> bytes:
    """TFLite flatbuffer of a network: one window a call, builtin operations only.

    Args:
        network: to be converted.
        mode: a name in `doa_export.convert.modes.MODES`.
        lstm: a name in `LSTM_FORMS`.
        windows: (M, T, F, K) features to calibrate on, for the modes that need them.
        audio: put the path from sound to features before it.
        highpass_hz: of the high-pass that this path begins with [hertz]; 0 for none.
        only: name of a layer of `layer_names`: all others stay float32, for `doa_export.report`.
    """
    features = network.spec.features.input_shape
    turning = network.turning
    if turning is not None and mode in ("int8-full", "int16x8"):
        raise InputError(
            "A network that turns with its scene does so in floats: int8-full and int16x8, which "
            f"have none, are not for it; int8 is. Received: {mode}"
        )
    if turning is not None and windows is not None:
        turned, _ = convert_stage([graph.turn(turning)], features, mode="none")
        windows = run_stage(turned, windows)
    if mode in ("int8", "int8-full"):
        network = _prepare_integers(network, windows, correct=only is None)
    stages = _stages(network, mode=mode, lstm=lstm)
    if only is not None:
        chosen = layer_names(network).index(only)
        chosen_mode, part = stages[chosen]
        stages = [("none", other) for _, other in stages]
        stages[chosen] = (chosen_mode, part)
        if windows is not None and chosen > 0:
            before = [part for _, part in stages[:chosen]]
            windows = run_stage(convert_stage(before, features, mode="none")[0], windows)
    spec = network.spec.features
    shape: tuple[int, ...] = features
    flatbuffers = []
    if turning is not None:
        stages.insert(0, ("none", graph.turn(turning)))
    if audio and turning is not None:  # a stage of its own: turning back asks for what it gives
        flatbuffers.append(_convert_front_end(spec, highpass_hz))
    elif audio:
        stages.insert(0, ("none", partial(front_end, spec=spec, highpass_hz=highpass_hz)))
        shape = (spec.samples, 4)
    # A stage is calibrated on its own input: features, as it is always the first such stage.
    for stage_mode, alike in groupby(stages, key=lambda stage: stage[0]):
        parts = [part for _, part in alike]
        flatbuffer, shape = convert_stage(parts, shape, mode=stage_mode, windows=windows)
        flatbuffers.append(flatbuffer)
    if turning is not None:
        last = "none" if only is not None else "dynamic" if mode == "int8" else mode
        back = convert_stage([graph.turn_back(turning)], shape, features, mode=last)
        flatbuffers.append(back[0])
    name = "audio" if audio else "features"
    return join(flatbuffers, input_name=name, output_name="scores", shared_after=int(audio))


def layer_names(network: Network) -> list[str]:
    """Names of the parts of a network, in order."""
    convolutions = range(1, len(network.convolutions) + 1)
    return [*(f"convolution_{number}" for number in convolutions), "recurrences", "outputs"]


def _stages(network: Network, *, mode: str, lstm: str) -> list[Stage]:
    """Mode and function of each of `layer_names`."""
    parts = [graph.convolution(layer) for layer in network.convolutions]
    last = parts[-1]
    parts[-1] = lambda x: graph.frames(last(x))
    parts += [graph.recurrences(network, lstm=lstm), graph.outputs(network)]
    modes = [mode] * len(parts)
    if mode == "dynamic":
        modes[0] = modes[len(network.convolutions) - 1] = "none"
    if mode == "int8":
        modes[-2:] = ["dynamic", "dynamic"]
    return list(zip(modes, parts, strict=True))


def convert_keras(
    model: keras.Model,
    spec: ModelSpec,
    *,
    mode: str,
    windows: Array | None = None,
    audio: bool = False,
    highpass_hz: float = 0.0,
) -> bytes:
    """TFLite flatbuffer of a network of any build, as Keras runs it; else as `convert_network`."""
    parts, shape = [partial(model, training=False)], spec.features.input_shape
    weights = [variable.value for variable in model.variables]
    flatbuffer, _ = convert_stage(parts, shape, mode=mode, windows=windows, weights=weights)
    front = [_convert_front_end(spec.features, highpass_hz)] if audio else []
    return join(
        [*front, flatbuffer], input_name="audio" if audio else "features", output_name="scores"
    )


def _convert_front_end(spec: FeatureSpec, highpass_hz: float) -> bytes:
    part = partial(front_end, spec=spec, highpass_hz=highpass_hz)
    return convert_stage([part], (spec.samples, 4), mode="none")[0]


def convert_stage(
    parts: Sequence[Callable[..., Any]],
    *shapes: Sequence[int],
    mode: str,
    windows: Array | None = None,
    weights: Sequence[Any] = (),
) -> tuple[bytes, tuple[int, ...]]:
    """Flatbuffer of one stage, and the shape of its (last) output without the batch axis.

    Args:
        parts: functions one after the other, as in `graph.module`.
        shapes: of the inputs, without batch axis.
        mode: as in `convert_network`.
        windows: (M, ...) inputs to calibrate on, for the modes that need them.
        weights: variables that the functions use, as in `graph.module`.
    """
    module = graph.module(parts, *shapes, weights=weights)
    function = module.function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.exclude_conversion_metadata = True
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS]
    if mode != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in ("int8", "int8-full", "int16x8"):
        if windows is None:
            raise ValueError(f"The mode {mode} needs windows to calibrate on. Received: none")
        converter.representative_dataset = lambda: ([window[np.newaxis]] for window in windows)
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        integers = wide if mode == "int16x8" else sets.TFLITE_BUILTINS_INT8
        converter.target_spec.supported_ops = [integers]
    if mode == "int8-full":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    # Dense layers with a scale per channel need FULLY_CONNECTED version 12, which
    # tflite-runtime 2.14, all that 32-bit boards have, does not know.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert(), tuple(function.outputs[-1].shape[1:])


def run_stage(flatbuffer: bytes, windows: Array) -> Array:
    """Outputs of a stage of float input and output for each of (M, ...) windows."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for window in windows:
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], window[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(wanted["index"])[0])
    return np.stack(rows)


def channel_limits(network: Network, windows: Array) -> list[Array]:
    """(C,) largest value of each convolution's channels after the pooling, outliers left out."""
    seen: list[list[Array]] = [[] for _ in network.convolutions]
    for window in windows:
        x = tf.constant(window[np.newaxis])
        for layer, values in zip(network.convolutions, seen, strict=True):
            x = graph.convolution(dataclasses.replace(layer, shift=None))(x)
            values.append(x.numpy().reshape(-1, x.shape[-1]))
            x = x if layer.shift is None else x + layer.shift
    largest = [np.percentile(np.concatenate(values), OUTLIERS, axis=0) for values in seen]
    return [np.maximum(values, _SMALLEST) for values in largest]


def _prepare_integers(network: Network, windows: Array | None, *, correct: bool) -> Network:
    """Channels in equal ranges, and the mean error of the integer convolutions compensated."""
    if windows is None:
        raise ValueError("Integer modes need windows to calibrate on. Received: none")
    if any(layer.scale is not None for layer in network.convolutions):
        return network  # a falling normalisation: its channels cannot be scaled
    limits = channel_limits(network, windows)
    if not correct:
        return limit(network, limits)
    exact = [graph.convolution(layer) for layer in network.convolutions]
    shape = network.spec.features.input_shape
    truth = run_stage(convert_stage([*exact, graph.frames], shape, mode="none")[0], windows)
    network = limit(network, limits)
    parts = [graph.convolution(layer) for layer in network.convolutions]
    flatbuffer, _ = convert_stage([*parts, graph.frames], shape, mode="int8", windows=windows)
    rounded = run_stage(flatbuffer, windows)
    scale = np.tile(RELU_LIMIT / limits[-1], truth.shape[-1] // len(limits[-1]))
    error = np.mean(truth * scale - rounded, axis=(0, 1), dtype=np.float64)
    return shift_frames(network, error)
