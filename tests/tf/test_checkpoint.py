"""Checkpoints that Keras does not load, and why."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

import doa_tf
from doa_core.errors import InputError
from doa_tf.checkpoint import check_checkpoint, save_model
from doa_tf.models import load_model
from doa_tf.training.run_folder import claim_run, read_state

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


@pytest.fixture
def reweighted(checkpoint, tmp_path):
    """The checkpoint with other weights, or other entries, in a sound archive."""

    def make(weights=None, *, method=zipfile.ZIP_STORED, **entries):
        path = tmp_path / "c.keras"
        with zipfile.ZipFile(checkpoint) as old, zipfile.ZipFile(path, "w", method) as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "model.weights.h5" and weights is not None:
                    data = weights(data)
                new.writestr(name, entries.pop(name.partition(".")[0], data))
        return path

    return make


def edited(change):
    """A change of the weights by h5py."""

    def weights(data):
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            change(file)
        return buffer.getvalue()

    return weights


def first_array(file):
    """The path of an array that holds numbers."""
    found = file.visititems(
        lambda name, thing: name if isinstance(thing, h5py.Dataset) and thing.size > 1 else None
    )
    assert found is not None
    return found


def replaced(**options):
    """A change of one array into another."""

    def change(file):
        name = first_array(file)
        del file[name]
        file.create_dataset(name, **options)

    return edited(change)


def linked(link):
    def change(file):
        name = first_array(file)
        del file[name]
        file[name] = link

    return edited(change)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda data: b"", "weights cannot be read"),
        (lambda data: data[: len(data) // 2], "weights cannot be read"),
        (lambda data: bytes(len(data)), "weights cannot be read"),
        (replaced(shape=(10**6, 10**6), dtype="f4", chunks=(10, 10)), "has [0-9]+ of them"),
        (replaced(shape=(2**20,), dtype="f8", compression="gzip", data=None), "has [0-9]+ of them"),
        (linked(h5py.ExternalLink("/etc/passwd", "/a")), "hold its weights itself"),
        (linked(h5py.SoftLink("/nowhere")), "hold its weights itself"),
        (
            replaced(shape=(4,), dtype="f4", external=[("/etc/passwd", 0, 16)]),
            "hold its weights itself",
        ),
    ],
)
def test_damaged_or_forged_weights_in_a_sound_archive_are_refused(reweighted, weights, message):
    path = reweighted(weights)
    with pytest.raises(InputError, match=f"c.keras .*{message}") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_flipped_bytes_of_weights_end_in_a_network_or_in_a_line(reweighted):
    rng = np.random.default_rng(16)

    def flipped(data):
        data = bytearray(data)
        for place in rng.integers(0, min(len(data), 4000), 8):
            data[place] ^= int(rng.integers(1, 256))
        return bytes(data)

    for _ in range(20):
        path = reweighted(flipped)
        with contextlib.suppress(InputError):  # and nothing else
            assert load_model(path).count_params() > 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "no .keras file"),
        (b"[" * 100_000, "nested more deeply"),
        (b'{"class_name": "a", "class_name": "b"}', "twice"),
        (b'{"class_name": "Functional", "registered_name": [1]}', "c.keras"),
        (b'{"class_name": "Functional", "config": null}', "c.keras"),
        (b'{"units": 1' + b"0" * 400 + b"}", "64 bits"),
    ],
)
def test_a_hostile_configuration_is_refused_in_a_line(reweighted, config, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model(reweighted(config=config))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_unpacks_to_far_more_is_refused(reweighted):
    path = reweighted(lambda data: bytes(1 << 27), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="is damaged: it says that it unpacks to 134"):
        load_model(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"epoch": -1}, "counts"),
        ({"epoch": 1.5}, "counts"),
        ({"epoch": True}, "counts"),
        ({"best": "low"}, "best"),
        ({"seeds": 3}, "random states"),
        ({"unknown": 1}, "unexpected keyword"),
        ([], "mapping"),
    ],
)
def test_a_state_that_no_training_has_is_refused(checkpoint, tmp_path, state, message):
    path = tmp_path / "last.keras"
    path.write_bytes(checkpoint.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("training_state.json", json.dumps(state))
    with pytest.raises(InputError, match=f"last.keras is damaged: .*{message}"):
        read_state(path)
