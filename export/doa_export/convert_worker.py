"""The converter, in a process of its own because it can crash: `doa_export.convert` starts this."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doa_edge.errors import InputError

if TYPE_CHECKING:
    import keras

EXIT_BAD_INPUT = 65  # sysexits' EX_DATAERR: no code that Python or a shell gives by itself


def main(argv: Sequence[str] | None = None) -> int:
    """Convert `MODEL` to `OUT`; 0 done, 65 bad input, anything else failed."""
    parser = argparse.ArgumentParser(prog="doa_export.convert_worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quantize", required=True)
    args = parser.parse_args(argv)
    from doa_tf.models import load_scoring_model

    try:
        model, spec = load_scoring_model(args.model)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    args.out.write_bytes(
        convert_model(model, spec.features.input_shape, dynamic=args.quantize == "dynamic")
    )
    return 0


def convert_model(model: keras.Model, input_shape: tuple[int, int, int], *, dynamic: bool) -> bytes:
    """TFLite flatbuffer of a Keras model: one window a call, builtin operations only.

    Args:
        model: (B, T, F, K) features to (B, T, outputs) scores.
        input_shape: (T, F, K).
        dynamic: weights as 8-bit integers, activations float.
    """
    import tensorflow as tf

    # Every shape must be fixed: the tensor lists of an LSTM's loop convert to builtins only then.
    @tf.function(input_signature=[tf.TensorSpec((1, *input_shape), tf.float32, name="features")])
    def scores(features: tf.Tensor) -> tf.Tensor:
        return model(features, training=False)

    module = tf.Module()
    module.scores = scores
    # A Keras 3 model is no tf.Module. Without its variables in plain sight the converter writes
    # a file that has no weights in it, and does not complain.
    module.weights = [variable.value for variable in model.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [scores.get_concrete_function()], module
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Dense layers with a scale per channel need FULLY_CONNECTED version 12, which
        # tflite-runtime 2.14, all that 32-bit boards have, does not know.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


if __name__ == "__main__":
    sys.exit(main())
