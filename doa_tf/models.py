"""The convolutional recurrent network, and the spec of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from doa_core.angles import FloatArray
from doa_core.decode import HEADS
from doa_core.errors import InputError, as_damage
from doa_core.spec import FeatureSpec, ModelSpec
from doa_tf import heads
from doa_tf.checkpoint import check_checkpoint, stored_objects, why_not_loaded, without_unused
from doa_tf.heads import Head
from doa_tf.layers import FeatureInput, HeadOutput
from doa_tf.turning import TurnHarmonics, TurnToIntensity

POOLS = (8, 8, 4)  # over frequency: 513 bins become 64, 8, 2

_SCORES = "scores"  # name of the layer that turns logits into scores
_FOUND_BY_KERAS = ("keras", "keras_hub", "keras_cv", "keras_nlp", "doa_tf")  # without our help


def build_crnn(
    head: Head,
    *,
    features: FeatureSpec | None = None,
    filters: int | Sequence[int] = 64,
    lstm_units: int = 64,
    dense_units: int = 429,
    dropout: float = 0.2,
    highpass_hz: float = 0.0,
    voices: int = 1,
) -> keras.Model:
    """The CRNN of Perotin et al.: (B, T, F, K) features to (B, T, outputs), a functional model.

    Three times convolution, batch normalisation over channels and max-pooling over frequency;
    two bidirectional LSTMs; a dense layer and the head's outputs per frame.

    Args:
        head: from `doa_tf.heads.get`.
        features: the input; the paper's six channels by default.
        filters: of each convolution, or of all three.
        lstm_units: in each direction.
        dense_units: of the dense layer before the outputs.
        dropout: share of activations dropped after each pooling.
        highpass_hz: high-pass cutoff [Hz], applied before the features; recorded in the spec.
        voices: how many voices at once the network is to know; recorded in the spec, which says
            how many a board seeks. The network is the same for any number.

    Raises:
        ValueError: a head with `turns_in_hz` and no basis; several voices for a head of one.

    References:
        doi:10.1109/WASPAA.2019.8937277
    """
    features = features or FeatureSpec()
    basis = head.basis()
    if head.turns_in_hz is not None and basis is None:
        raise ValueError(
            "A head that turns with its scene needs a `basis` of spherical harmonics, which can be "
            f"turned back. Received: none from '{head.name}'"
        )
    widths = [filters] * len(POOLS) if isinstance(filters, int) else list(filters)
    inputs = keras.Input(features.input_shape, name="features")
    x = FeatureInput(features, highpass_hz, name="feature_input")(inputs)
    if head.turns_in_hz is not None:
        bin_hz = features.sample_rate / features.window_length
        bins = [round(hz / bin_hz) for hz in head.turns_in_hz]
        x, heading = TurnToIntensity(bins, name="turn")(x)
    for number, (pool, width) in enumerate(zip(POOLS, widths, strict=True), start=1):
        x = keras.layers.Conv2D(
            width, 3, padding="same", activation="relu", name=f"convolution_{number}"
        )(x)
        # Keras's own momentum, 0.99, leaves validation near chance for the first epochs.
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"normalisation_{number}")(x)
        x = keras.layers.MaxPooling2D((1, pool), name=f"pooling_{number}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
    x = keras.layers.Reshape((features.frames, -1), name="frames")(x)
    for number in (1, 2):
        lstm = keras.layers.LSTM(lstm_units, return_sequences=True)
        x = keras.layers.Bidirectional(lstm, name=f"recurrence_{number}")(x)
    x = keras.layers.Dense(dense_units, name="dense")(x)
    if basis is not None:
        x = keras.layers.Dense(len(basis), name="coefficients")(x)
        if head.turns_in_hz is not None:
            x = TurnHarmonics(math.isqrt(len(basis)) - 1, name="turn_back")(x, heading)
    bias = keras.initializers.Constant(head.output_bias())
    directions = keras.layers.Dense(head.outputs, bias_initializer=bias, name="directions")
    x = directions(x)
    if basis is not None:
        directions.set_weights([basis, directions.get_weights()[1]])
        directions.trainable = False
    outputs = HeadOutput(head.name, head.resolution_deg, voices=voices, name="head")(x)
    return keras.Model(inputs, outputs, name="doa_crnn")


def model_spec(model: keras.Model) -> ModelSpec:
    """The spec that the model carries.

    Raises:
        InputError: a model that was not built by this package.
    """
    features = [layer for layer in model.layers if isinstance(layer, FeatureInput)]
    outputs = [layer for layer in model.layers if isinstance(layer, HeadOutput)]
    if len(features) != 1 or len(outputs) != 1:
        raise InputError(
            "A model must hold one FeatureInput and one HeadOutput layer, as `doa_tf.build_crnn` "
            f"makes it. Received: {len(features)} and {len(outputs)} in '{model.name}'"
        )
    head = outputs[0].head
    if head.decoding not in HEADS:
        raise InputError(
            f"The head '{head.name}' must name the decoding of its scores in `decoded_as`: one of "
            f"{', '.join(HEADS)}. Received: {head.decoding!r}"
        )
    return ModelSpec(
        features=features[0].features,
        head=head.decoding,
        resolution_deg=head.resolution_deg,
        decode=outputs[0].decode,
        calibration=outputs[0].calibration,
        highpass_hz=features[0].highpass_hz,
        voices=outputs[0].voices,
        apart_deg=outputs[0].apart_deg,
        refine=outputs[0].refine,
    )


def architecture_of(model: keras.Model) -> dict[str, Any]:
    """What `build_crnn` and a training need to build the same network again.

    Returns:
        `head`, its name, `features`, `highpass_hz`, `voices`; and `filters`, `lstm_units`,
        `dense_units` and `dropout`, where the network has the layers of `build_crnn`.

    Raises:
        InputError: a model that was not built by this package.
    """
    spec = model_spec(model)
    (output,) = (layer for layer in model.layers if isinstance(layer, HeadOutput))
    found = {
        "head": output.head.name,
        "features": spec.features,
        "highpass_hz": spec.highpass_hz,
        "voices": spec.voices,
    }
    layers = {layer.name: layer for layer in model.layers}
    names = [f"convolution_{number}" for number in range(1, len(POOLS) + 1)]
    if {*names, "recurrence_1", "dense", "dropout_1"} <= layers.keys():
        found["filters"] = tuple(layers[name].filters for name in names)
        found["lstm_units"] = layers["recurrence_1"].forward_layer.units
        found["dense_units"] = layers["dense"].units
        found["dropout"] = layers["dropout_1"].rate
    return found


def scoring_model(model: keras.Model) -> keras.Model:
    """The same network with scores in [0, 1] as its output; unchanged if it has them already.

    Raises:
        InputError: a network of several inputs or outputs.
    """
    model = _with_one_output(model)
    head = next(layer for layer in model.layers if isinstance(layer, HeadOutput)).head
    if not head.gives_logits or model.layers[-1].name == _SCORES:
        return model
    scores = keras.layers.Activation(head.activation, name=_SCORES)(model.output)
    return keras.Model(model.input, scores, name=model.name)


def _with_one_output(model: keras.Model) -> keras.Model:
    """The same network with a tensor where it takes or gives a list or dictionary of one."""
    inputs, outputs = (getattr(model, name, None) for name in ("inputs", "outputs"))
    if not inputs or not outputs:  # a subclass of keras.Model, whose `call` takes what it takes
        return model
    if (len(inputs), len(outputs)) != (1, 1):
        raise InputError(
            "A network must have one input, features, and one output, its head's: build a "
            "keras.Model of these two tensors. Received: "
            f"{len(inputs)} and {len(outputs)} in '{model.name}'"
        )
    collections = (list, tuple, dict)
    if not isinstance(model.input, collections) and not isinstance(model.output, collections):
        return model
    return keras.Model(inputs[0], outputs[0], name=model.name)


def load_model(path: str | Path, *, compiled: bool = False) -> keras.Model:
    """A checkpoint of this package; `keras.saving.load_model` with clear errors.

    What a newer Keras saved loads as well, as long as it uses nothing that this one lacks.

    Args:
        path: of the `.keras` file.
        compiled: with its optimiser, loss and metrics.

    Raises:
        InputError: no such file, not a `.keras` archive, cut short, not of this package, with
            classes of a user's own that were not imported, with layers of other sizes than their
            weights, or with weights that are not finite.
    """
    path = Path(path)
    check_checkpoint(path)
    with as_damage(f"{path} says nothing sound of what is in it"):
        _check_imported(path, compiled=compiled)
    with as_damage(partial(why_not_loaded, path, version=keras.__version__)):
        model = _loaded(path, compiled=compiled)
    with as_damage(f"{path} is no network of this package"):
        wanted = (None, *model_spec(model).features.input_shape)
        shapes = [tuple(tensor.shape) for tensor in model.inputs or ()]
        if any(shape[1:] != wanted[1:] for shape in shapes):
            raise ValueError(f"its input must be {wanted}, as its spec says. Received: {shapes}")
    _check_finite(path, model)
    return model


def _check_finite(path: Path, model: keras.Model) -> None:
    """Raise InputError for weights that are NaN or infinite, with the layers that have them."""
    owners = {id(weight): layer.name for layer in model.layers for weight in layer.weights}
    weights = [(owners.get(id(weight), weight.path), weight) for weight in model.weights]
    if getattr(model, "optimizer", None) is not None:
        weights += [("the optimizer", variable) for variable in model.optimizer.variables]
    broken = [owner for owner, weight in weights if not np.isfinite(np.array(weight)).all()]
    if broken:
        layers = list(dict.fromkeys(broken))
        others = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        raise InputError(
            f"{path} must have finite weights: use an earlier checkpoint, or train again. "
            f"Received: NaN or infinity in {', '.join(layers[:3])}{others}"
        )


def _loaded(path: Path, *, compiled: bool) -> keras.Model:
    """What Keras loads, if need be without the unused arguments that another version saved."""
    try:
        return keras.saving.load_model(path, compile=compiled)
    except TypeError:
        with without_unused(path) as copy:
            if copy is None:
                raise
            return keras.saving.load_model(copy, compile=compiled)


def _check_imported(path: Path, *, compiled: bool) -> None:
    """Raise InputError for classes and heads that nobody has registered, by their names."""
    missing: dict[str, str] = {}  # what, and the module that it was saved from
    for values in stored_objects(path, compiled=compiled):
        name, module = values.get("registered_name"), str(values.get("module"))
        config = values.get("config")
        if values["class_name"] == "function":
            custom = isinstance(config, str) and ">" in config
            if custom and keras.saving.get_registered_object(config) is None:
                missing[f"the function {config}"] = ""
        elif name and module.partition(".")[0] not in _FOUND_BY_KERAS:
            if keras.saving.get_registered_object(name) is None:
                missing[f"the class {values['class_name']}"] = module
        elif str(name).startswith("doa_tf>") and isinstance(config, dict):
            head = config.get("head")
            if isinstance(head, str) and head not in heads.names():
                missing[f"the head {head}"] = ""
    if missing:
        known = {module for module in missing.values() if module not in ("", "__main__")}
        saved = f" (saved from {', '.join(sorted(known))})" if known else ""
        raise InputError(
            f"{path} needs {', '.join(missing)}{saved}, which no imported module registers: if you "
            "trust the file, give the module that does with --import MODULE, which runs it"
        )


def predict_padded(predict: Callable[[Any], Any], inputs: FloatArray, size: int) -> FloatArray:
    """(S, ...) outputs of (S, ...) inputs in batches of one size, the last one padded.

    Another size would need another trace of the graph, which costs more than the padding.
    """
    parts = []
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        padded = np.zeros((size, *batch.shape[1:]), np.float32)
        padded[: len(batch)] = batch
        parts.append(np.asarray(predict(padded))[: len(batch)])
    return np.concatenate(parts)


def load_scoring_model(model: str | Path | keras.Model) -> tuple[keras.Model, ModelSpec]:
    """(model whose outputs are scores, its spec) of a checkpoint or of a model."""
    if not isinstance(model, keras.Model):
        model = load_model(model)
    spec = model_spec(model)
    return scoring_model(model), spec
