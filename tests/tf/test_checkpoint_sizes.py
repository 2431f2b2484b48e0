"""Checkpoints whose layers don't fit their weights, or whose weights are no numbers."""

from __future__ import annotations

import json
import zipfile

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.errors import InputError
from doa_tf.checkpoint import LARGEST_SIZE, check_checkpoint
from doa_tf.cli.main import main
from doa_tf.models import load_model


def small(head="cartesian"):
    return doa_tf.build_crnn(doa_tf.heads.get(head), filters=2, lstm_units=2, dense_units=4)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A sound checkpoint, with what Keras says of each of its layers."""
    path = tmp_path_factory.mktemp("sizes") / "a.keras"
    small().save(path)
    with zipfile.ZipFile(path) as archive:
        return path, {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def changed(saved, tmp_path, monkeypatch):
    """The checkpoint after a change of the values of one of its layers; Keras may not read it."""

    def make(name, change, *, entries=()):
        path, files = tmp_path / "b.keras", dict(saved[1])
        config = json.loads(files["config.json"])
        (layer,) = (each for each in config["config"]["layers"] if each["config"]["name"] == name)
        change(layer)
        files["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for entry in files.keys() - set(entries):
                archive.writestr(entry, files[entry])
        return path

    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("Keras reads it"))
    return make


def configured(*names, to):
    """A change of one value of a layer."""

    def change(layer):
        *outer, last = names
        for name in outer:
            layer = layer[name]
        layer[last] = to

    return change


def without_shape(units):
    """More units, and no word of what the layer was built for."""

    def change(layer):
        del layer["build_config"]
        layer["config"]["units"] = units

    return change


CELL = ("config", "layer", "config", "units")


@pytest.mark.parametrize(
    ("layer", "change", "needed"),
    [
        ("dense", configured("config", "units", to=5000), "at least [0-9]+ weights, Dense dense"),
        ("dense", without_shape(5000), "weights, Dense dense"),
        ("directions", configured("config", "units", to=5000), "weights, Dense directions"),
        ("recurrence_1", configured(*CELL, to=500), r"weights, LSTM forward_lstm\S* among them"),
        ("convolution_2", configured("config", "filters", to=500), "weights, Conv2D convolution_2"),
        (
            "convolution_2",
            configured("config", "kernel_size", to=[3, 999]),
            "weights, Conv2D convolution_2",
        ),
        (
            "dense",
            configured("build_config", "input_shape", to=[None, 25, 5000]),
            "weights, Dense dense",
        ),
    ],
)
def test_layers_that_need_more_weights_than_there_are_are_refused_unbuilt(
    changed, layer, change, needed
):
    with pytest.raises(InputError, match=rf"b\.keras is damaged: its layers need .*{needed}") as no:
        load_model(changed(layer, change))
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    ("layer", "change", "name"),
    [
        ("dense", configured("config", "units", to=10**12), "Dense dense of 1000000000000"),
        ("dense", configured("config", "units", to=2**63), "Dense dense of 9223372036854775808"),
        (
            "normalisation_1",
            configured("build_config", "input_shape", to=[None, 25, 513, LARGEST_SIZE + 1]),
            "BatchNormalization normalisation_1 of 16777217",
        ),
    ],
)
def test_a_size_that_no_layer_has_is_refused_unbuilt(changed, layer, change, name):
    with pytest.raises(InputError, match=f"sizes up to {LARGEST_SIZE}. Received: {name}$"):
        load_model(changed(layer, change))


def test_a_checkpoint_without_weights_is_refused_unbuilt(changed):
    path = changed("dense", lambda layer: None, entries=["model.weights.h5"])
    with pytest.raises(InputError, match=r"is damaged: its layers need .* and it has 0$"):
        load_model(path)


@pytest.mark.parametrize("odd", [None, "many", [], {}, [[3]], -5, 0, 1.5, True])
@pytest.mark.parametrize("place", [("config", "units"), ("build_config",), ("shared_object_id",)])
def test_values_that_are_no_sizes_are_left_to_keras(changed, odd, place):
    check_checkpoint(changed("dense", configured(*place, to=odd)))


def test_layers_of_many_kinds_need_no_more_than_they_have(tmp_path):
    shared = keras.layers.Dense(7)
    inputs = keras.Input((8, 8, 6))
    x = keras.layers.SeparableConv2D(5, 3, depth_multiplier=2)(inputs)
    x = keras.layers.Conv2D(10, 3, groups=5)(keras.layers.Conv2D(10, 1)(x))
    x = keras.layers.Conv2DTranspose(3, 3)(keras.layers.DepthwiseConv2D(3)(x))
    x = keras.layers.TimeDistributed(keras.layers.Dense(4, use_bias=False))(x)
    x = keras.layers.Reshape((-1, 4))(x)
    x = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))(x)
    x = keras.layers.RNN(keras.layers.LSTMCell(5), return_sequences=True)(x)
    x = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=4)(x, x)
    x = keras.layers.Conv1D(7, 2, data_format="channels_last")(x)
    x = keras.layers.EinsumDense("btc,cd->btd", output_shape=(None, 7))(shared(shared(x)))
    x = keras.layers.SimpleRNN(2)(keras.layers.LayerNormalization()(x))
    path = tmp_path / "many.keras"
    keras.Model(inputs, x).save(path)
    check_checkpoint(path)
    table = keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(50, 3)])
    table.save(path)
    check_checkpoint(path)


# --- weights that are no numbers


@pytest.fixture
def broken(tmp_path):
    """A checkpoint with a value in one weight of each of some layers."""

    def make(value, *layers, head="cartesian"):
        model = small(head)
        for name in layers:
            first, *others = model.get_layer(name).get_weights()
            first.flat[-1] = value
            model.get_layer(name).set_weights([first, *others])
        model.save(tmp_path / "broken.keras")
        return tmp_path / "broken.keras"

    return make


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("layers", "named"),
    [
        (["convolution_2"], "convolution_2"),
        (["normalisation_3", "dense"], "normalisation_3, dense"),
        (["recurrence_2"], "recurrence_2"),
        (
            ["convolution_1", "convolution_2", "recurrence_1", "dense", "directions"],
            "convolution_1, convolution_2, recurrence_1 and 2 more",
        ),
    ],
)
def test_weights_that_are_not_finite_are_refused_with_their_layers(broken, value, layers, named):
    path = broken(value, *layers)
    with pytest.raises(InputError) as refused:
        load_model(path)
    assert str(refused.value) == (
        f"{path} must have finite weights: use an earlier checkpoint, or train again. Received: "
        f"NaN or infinity in {named}"
    )


def test_an_optimizer_that_is_not_finite_is_refused_where_it_is_read(tmp_path):
    model, path = small(), tmp_path / "c.keras"
    model.compile("nadam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.variables[-1].assign(np.nan * np.array(model.optimizer.variables[-1]))
    model.save(path)
    with pytest.raises(InputError, match=r"NaN or infinity in the optimizer$"):
        load_model(path, compiled=True)
    assert load_model(path).count_params() == model.count_params()


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "train"])
def test_no_command_uses_weights_that_are_not_finite(
    broken, bank, speech, scenes, tmp_path, capsys, command
):
    path, out = broken(np.nan, "dense", head="onehot"), tmp_path / "out"
    places = ["--bank", bank, "--speech", speech, "--valid", scenes]
    arguments = {
        "evaluate": [path, "--data", scenes],
        "calibrate": [path, "--data", scenes, "--out", tmp_path / "calibrated.keras"],
        "train": [*places, "--head", "onehot", "--init-from", path, "--out", out],
    }[command]
    assert main([command, *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert f"{path} must have finite weights" in captured.err.splitlines()[-1]
    assert captured.err.endswith("NaN or infinity in dense\n")
    assert captured.out == ""
    assert not out.exists()
