"""Modules with a user's own heads and layers: imported by name, and missing ones named."""

from __future__ import annotations

import sys

import pytest

from doa_core.errors import InputError
from doa_tf import registration
from doa_tf.cli.main import main

HEADS = """
import keras

import doa_tf


@doa_tf.heads.register
class FocalOnehot(doa_tf.heads.Onehot):
    name = "focal-onehot"
    decoded_as = "onehot"


@keras.saving.register_keras_serializable(package="own_parts")
class Louder(keras.layers.Layer):
    def call(self, values):
        return 2.0 * values


@keras.saving.register_keras_serializable(package="own_parts")
def half(values):
    return 0.5 * values
"""


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A folder to be in, with the module `own_parts`; afterwards nobody knows its classes."""
    import keras

    from doa_tf.heads import registry

    def forget():
        sys.modules.pop("own_parts", None)
        registry._HEADS.pop("focal-onehot", None)
        for name in [n for n in keras.saving.get_custom_objects() if n.startswith("own_parts>")]:
            keras.saving.get_custom_objects().pop(name)

    (tmp_path / "own_parts.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(registration, "_imported", [])
    yield forget
    forget()


def own_network(path, *, head="cartesian", layer=False, activation=None):
    """A small network with parts of `own_parts`, saved."""
    import keras

    import doa_tf

    model = doa_tf.build_crnn(
        doa_tf.heads.get(head), filters=2, lstm_units=2, dense_units=4, dropout=0.0
    )
    x = model.get_layer("directions").output
    if layer:
        x = sys.modules["own_parts"].Louder(name="louder")(x)
    if activation:
        x = keras.layers.Activation(sys.modules["own_parts"].half)(x)
    outputs = doa_tf.layers.HeadOutput(head, name="own_head")(x)
    keras.Model(model.input, outputs).save(path)
    return path


def test_modules_are_found_in_the_working_folder_and_remembered(own_parts):
    from doa_tf import heads

    assert registration.imported_modules() == ()
    registration.import_modules(["own_parts", "json"])
    assert registration.imported_modules() == ("own_parts", "json")
    assert heads.get("focal-onehot").outputs == 429
    registration.import_modules(["own_parts"])  # again: the same one
    assert registration.imported_modules() == ("own_parts", "json")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, r"ModuleNotFoundError: No module named 'broken'$"),
        ("import keras\nimport not_there\n", r".*named 'not_there' \(.*broken\.py, line 2\)$"),
        ("x = 1\ny = x / 0\n", r"ZeroDivisionError: division by zero \(.*broken\.py, line 2\)$"),
        ("def f(:\n", r"SyntaxError: .*broken\.py, line 1\)$"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(own_parts, code, reason):
    if code is not None:
        with open("broken.py", "w") as file:
            file.write(code)
    with pytest.raises(InputError, match=r"`--import` must name a module.*broken, " + reason):
        registration.import_modules(["broken"])
    assert registration.imported_modules() == ()


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({"head": "focal-onehot"}, "the head focal-onehot.*--import MODULE, which runs it$"),
        ({"layer": True}, "the class Louder .saved from own_parts.*--import MODULE, which"),
        ({"activation": True}, "the function own_parts>half.*--import MODULE, which"),
        ({"head": "focal-onehot", "layer": True}, "Louder.*saved from own_parts.*--import MODULE"),
    ],
)
def test_a_checkpoint_names_what_nobody_has_registered(own_parts, tmp_path, parts, missing):
    pytest.importorskip("tensorflow")
    from doa_tf.models import load_model

    registration.import_modules(["own_parts"])
    path = own_network(tmp_path / "own.keras", **parts)
    own_parts()
    with pytest.raises(InputError, match=rf"own\.keras needs .*{missing}"):
        load_model(path)
    registration.import_modules(["own_parts"])
    assert load_model(path).name


@pytest.mark.parametrize(
    "words",
    [
        "evaluate own.keras --data {scenes}",
        "compare own.keras --data {scenes} --out report",
        "calibrate own.keras --data {scenes}",
    ],
)
def test_commands_import_what_a_checkpoint_needs(own_parts, scenes, tmp_path, capfd, words):
    pytest.importorskip("tensorflow")
    registration.import_modules(["own_parts"])
    own_network(tmp_path / "own.keras", head="focal-onehot", layer=True)
    own_parts()
    arguments = words.format(scenes=scenes).split()
    assert main(arguments) == 2
    assert "saved from own_parts" in capfd.readouterr().err
    wrong = [*arguments, "--import", "own_parts", "--import", "not_there"]
    assert main(wrong) == 2
    assert "No module named 'not_there'" in capfd.readouterr().err
    # A calibration needs more than these six scenes: what it says last is that.
    status = 2 if arguments[0] == "calibrate" else 0
    assert main([*arguments, "--import", "own_parts"]) == status
    said = capfd.readouterr()
    assert "own.keras needs" not in said.err
    assert "scenes or more" in said.err if status else "median" in said.out


def test_training_finds_a_head_of_ones_own(own_parts, scenes, capfd):
    pytest.importorskip("tensorflow")
    arguments = f"train --scenes {scenes} --valid {scenes} --head focal-onehot --out run".split()
    assert main([*arguments, "--epochs", "1"]) == 2
    assert "of your own, in a module that is imported first" in capfd.readouterr().err
    small = ["--epochs", "1", "--batch-size", "2", "--filters", "2", "2", "2"]
    small += ["--lstm-units", "2", "--dense-units", "4", "--import", "own_parts"]
    assert main([*arguments, *small]) == 0


def test_a_recipe_registers_heads_before_it_looks_one_up(own_parts, tmp_path):
    from doa_tf.recipe import read_recipe

    recipe = tmp_path / "own.toml"
    recipe.write_text(
        "[rooms]\ncount = 1\n[valid_rooms]\ncount = 1\n[valid]\nscenes = 1\n[mixing]\n"
        '[training]\nhead = "focal-onehot"\n'
    )
    with pytest.raises(InputError, match="focal-onehot"):
        read_recipe(recipe)
    engines = []

    def prepare(engine):
        engines.append(engine)
        registration.import_modules(["own_parts"])

    assert read_recipe(recipe, prepare=prepare).training.head == "focal-onehot"
    assert engines == ["keras"]
