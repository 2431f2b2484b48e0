"""Networks of other builds: own layers, own heads, an output in a list, layers like ours."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.tflite.file import read_spec
from doa_export.cli import main
from doa_tf import registration
from doa_tf.heads import registry

from .conftest import small_model

pytest.importorskip("tensorflow")

OWN = """
import keras

import doa_tf


@keras.saving.register_keras_serializable(package="own_layers")
class Sharper(keras.layers.Layer):
    def call(self, values):
        return 1.5 * values


@doa_tf.heads.register
class Own(doa_tf.heads.GibbsWeighted):
    name = "own-weighted"
    decoded_as = "gibbs-weighted"
"""


@pytest.fixture
def own_layers(tmp_path, monkeypatch):
    """The module `own_layers` in the working folder, imported; its head is forgotten after it."""
    known = dict(registry._HEADS)
    (tmp_path / "own_layers.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(registration, "_imported", [])
    registration.import_modules(["own_layers"])
    yield sys.modules.pop("own_layers")
    registry._HEADS.clear()
    registry._HEADS.update(known)


def rebuilt(model, *, head=None, before_head=lambda x: x):
    """The network with something of one's own before its head."""
    import keras

    from doa_tf.layers import HeadOutput

    x = before_head(model.get_layer("directions").output)
    old = model.get_layer("head").head
    name, resolution = head or old.name, old.resolution_deg
    return keras.Model(model.input, HeadOutput(name, resolution, name="own")(x))


def test_a_head_and_a_layer_of_ones_own_come_to_the_board(
    own_layers, converter_process, tmp_path, capfd
):
    """By the command, whose converter is a process that has to import them as well."""
    layer = own_layers.Sharper(name="sharper")
    model = rebuilt(small_model("gibbs-weighted"), head="own-weighted", before_head=layer)
    model.save("own.keras")
    arguments = ["own.keras", "--quantize", "none", "--out", "own.tflite", "--import", "own_layers"]
    assert main(arguments) == 0
    made = json.loads(capfd.readouterr().out)
    assert made["head"] == "gibbs-weighted"
    assert made["parity"]["p99_deg"] <= 0.05
    assert read_spec("own.tflite").head == "gibbs-weighted"


def test_the_converter_names_what_it_lacks(own_layers, converter_process, tmp_path):
    from doa_export.convert.launch import convert

    model = rebuilt(small_model("cartesian"), before_head=own_layers.Sharper(name="sharper"))
    model.save("own.keras")
    registration._imported.clear()
    with pytest.raises(InputError, match=r"the class Sharper .saved from own_layers.*--import"):
        convert("own.keras", quantize="none")


@pytest.mark.parametrize("head", ["cartesian", "gibbs-weighted"])
@pytest.mark.parametrize("form", ["list", "dictionary", "both"])
def test_an_output_in_a_list_is_the_output(head, form):
    import keras

    from doa_tf.models import load_scoring_model

    model = small_model(head)
    inputs, outputs = model.input, model.output
    made = {
        "list": lambda: keras.Model(inputs, [outputs]),
        "dictionary": lambda: keras.Model(inputs, {"scores": outputs}),
        "both": lambda: keras.Model({"features": inputs}, [outputs]),
    }[form]()
    plain, spec = load_scoring_model(model)
    scoring, same_spec = load_scoring_model(made)
    assert same_spec == spec
    windows = np.random.default_rng(0).standard_normal((2, *spec.features.input_shape))
    expected = np.asarray(plain.predict_on_batch(windows.astype(np.float32)))
    found = np.asarray(scoring.predict_on_batch(windows.astype(np.float32)))
    assert found.shape == (2, 25, spec.outputs)
    np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_with_its_output_in_a_list_is_exported(tmp_path, capfd):
    import keras

    model = small_model("gibbs-weighted")
    keras.Model(model.input, [model.output]).save(tmp_path / "list.keras")
    out = tmp_path / "list.tflite"
    assert main([str(tmp_path / "list.keras"), "--quantize", "none", "--out", str(out)]) == 0
    assert json.loads(capfd.readouterr().out)["parity"]["p99_deg"] <= 0.05


def test_two_outputs_are_refused_in_words():
    import keras

    from doa_tf.models import scoring_model

    model = small_model("cartesian")
    both = keras.Model(model.input, [model.output, model.get_layer("dense").output])
    with pytest.raises(InputError, match=r"one input.*one output.*Received: 1 and 2 in"):
        scoring_model(both)


def test_layers_that_look_like_ours_are_converted_as_they_are(own_layers):
    """A subclass or another setting computes something else: such a network is not rewritten."""
    import keras

    from doa_export.convert.network import is_crnn
    from doa_tf.models import scoring_model

    model = small_model("gibbs-weighted")
    assert is_crnn(scoring_model(model))

    @keras.saving.register_keras_serializable(package="own_layers")
    class Own(keras.layers.Dense):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    others = [
        Own(429, name="a"),
        keras.layers.Dense(429, activation="relu", name="b"),
        keras.layers.Dense(429, use_bias=False, name="c"),
        keras.layers.Activation("tanh", name="d"),
        own_layers.Sharper(name="e"),
    ]
    for layer in others:
        assert not is_crnn(scoring_model(rebuilt(model, before_head=layer))), layer.name
    for setting in ({"activation": "elu"}, {"use_bias": False}, {"groups": 2}):
        changed = keras.models.clone_model(model, clone_function=_with("convolution_2", setting))
        assert not is_crnn(scoring_model(changed)), setting


def _with(name, setting):
    """What copies a layer, the one of a name with another setting."""

    def clone(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, **setting} if layer.name == name else config)

    return clone
