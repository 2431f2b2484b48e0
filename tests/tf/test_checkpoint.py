"""Checkpoints that Keras does not load, and why."""

from __future__ import annotations

import json
import os
import zipfile

import keras
import pytest

import doa_tf
from doa_core.errors import InputError
from doa_tf.checkpoint import check_checkpoint, save_model
from doa_tf.models import load_model
from doa_tf.training.run_folder import claim_run

NEWER = f"(saved by Keras 9.9.9, this is Keras {keras.__version__})"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "a.keras"
    head = doa_tf.heads.get("cartesian")
    doa_tf.build_crnn(head, filters=2, lstm_units=2, dense_units=4).save(path)
    return path


@pytest.fixture
def changed(checkpoint, tmp_path):
    """The checkpoint after changes to the entry of each layer, and to what it says of itself."""

    def make(change_layer, **metadata):
        path = tmp_path / "b.keras"
        with zipfile.ZipFile(checkpoint) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "config.json":
                    config = json.loads(data)
                    for layer in config["config"]["layers"]:
                        change_layer(layer)
                    data = json.dumps(config).encode()
                if name == "metadata.json":
                    data = json.dumps({**json.loads(data), **metadata}).encode()
                new.writestr(name, data)
        return path

    return make


def tomorrow(layer):
    if layer["class_name"] == "Dense":
        layer["config"]["option_of_tomorrow"] = 1


def unknown(layer):
    if layer["class_name"] == "Dense":
        layer["class_name"] = "DenseOfTomorrow"


def bad_value(layer):
    if layer["class_name"] == "Dense":
        layer["config"]["units"] = "many"


@pytest.mark.parametrize(
    ("change", "metadata", "parts"),
    [
        (tomorrow, {"keras_version": "9.9.9"}, (NEWER, "option_of_tomorrow")),
        (tomorrow, {}, ("Keras model: ", "option_of_tomorrow")),
        (unknown, {"keras_version": "9.9.9"}, (NEWER, "DenseOfTomorrow")),
        (bad_value, {}, ("Keras model: ", "many")),
    ],
)
def test_the_reason_is_in_the_line(changed, change, metadata, parts):
    with pytest.raises(InputError) as caught:
        load_model(changed(change, **metadata))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_may_not_be_read_is_not_called_damaged(checkpoint, monkeypatch):
    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(checkpoint), "open", refused)
    with pytest.raises(InputError, match=r"The model cannot be read: .*Permission denied"):
        check_checkpoint(checkpoint)


def test_a_run_needs_a_folder_that_tensorflow_can_name(tmp_path):
    folder = tmp_path / os.fsdecode(b"b\xfcro")
    with pytest.raises(InputError, match="whose name is UTF-8"):
        claim_run(folder, {})
    assert not folder.exists()


def test_a_checkpoint_that_does_not_fit_leaves_nothing(tmp_path):
    class Model:
        def save(self, path):
            assert path.suffix == ".keras"  # or Keras refuses it
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "last.keras", Model())
    assert list(tmp_path.iterdir()) == []
