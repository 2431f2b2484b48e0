"""`doa_tf train`, from rooms to a checkpoint: once for real, small."""

from __future__ import annotations

import csv
import json

import keras
import numpy as np
import pytest

import doa_tf
from doa_edge.errors import InputError
from doa_tf import training
from doa_tf.cli import main
from doa_tf.training import TrainSettings, train

SETTINGS = TrainSettings(
    head="cartesian", epochs=2, sequences=16, batch_size=8, warmup_steps=1, seed=2
)


@pytest.fixture(autouse=True)
def small_net(monkeypatch):
    """The paper's network takes a minute to compile; its shape is tested in test_layers."""
    build = training.build_crnn

    def build_small(head, features):
        return build(head, features=features, filters=2, lstm_units=4, dense_units=8)

    monkeypatch.setattr(training, "build_crnn", build_small)


def run(folder, mixer, scenes, settings=SETTINGS):
    sources = {"bank": "b", "speech": "s", "noise": None}
    return train(folder, mixer=lambda: mixer, sources=sources, valid=scenes, settings=settings)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_what_was_promised_and_ends(tmp_path, mixer, scenes):
    model = run(tmp_path, mixer, scenes)
    assert doa_tf.model_spec(model).head == "cartesian"
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"model.keras", "last.keras", "spec.json", "settings.json", "history.csv"}
    assert any((tmp_path / "logs").rglob("events.*"))
    assert not [name for name in names if "part" in name]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["versions"]["keras"] == keras.version()
    rows = history(tmp_path)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {"val_median_angular_error", "angular_error"} <= set(rows[0])
    with pytest.raises(InputError, match="has ended after 2 epochs"):
        run(tmp_path, mixer, scenes)


def test_an_interrupted_run_goes_on(tmp_path, mixer, scenes, monkeypatch):
    folder = tmp_path / "run"
    keep = training._KeepCheckpoints.on_epoch_end

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        keep(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(training._KeepCheckpoints, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(folder, mixer, scenes)
    first = keras.saving.load_model(folder / "last.keras")
    assert int(first.optimizer.iterations) == 2  # one epoch of two batches
    run(folder, mixer, scenes)
    last = keras.saving.load_model(folder / "last.keras")
    assert int(last.optimizer.iterations) == 4  # went on with the optimiser, not from zero
    assert json.loads((folder / "state.json").read_text())["epochs"] == 2


def test_a_run_with_other_settings_is_refused(tmp_path, mixer, scenes):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    with pytest.raises(InputError, match="begun with other settings"):
        run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "seed": 9}))


def test_a_run_starts_from_another_heads_network(tmp_path, mixer, scenes, monkeypatch):
    build = training.build_crnn
    first = build(doa_tf.heads.get("cartesian"), features=None)
    first.save(tmp_path / "first.keras")
    started = []
    copy = training.copy_weights
    monkeypatch.setattr(training, "copy_weights", lambda a, b: started.extend([b, copy(a, b)]))
    settings = TrainSettings(**{**vars(SETTINGS), "head": "gibbs-weighted", "epochs": 1})
    folder = tmp_path / "run"
    options = {"mixer": lambda: mixer, "sources": {}, "valid": scenes, "settings": settings}
    train(folder, init_from=tmp_path / "first.keras", **options)
    assert "recurrence_1" in started[1]
    assert "directions" not in started[1]  # three outputs do not fit 429
    asked = json.loads((folder / "settings.json").read_text())
    assert len(asked["sources"]["init_from_sha256"]) == 64
    with pytest.raises(InputError, match="begun with other sources"):
        train(folder, **options)


def test_weights_are_copied_where_they_fit():
    build = training.build_crnn
    source = build(doa_tf.heads.get("cartesian"), features=None)
    target = build(doa_tf.heads.get("gibbs-weighted"), features=None)
    bias = target.get_layer("directions").get_weights()[1]
    training.copy_weights(source, target)
    for name in ("convolution_1", "normalisation_3", "recurrence_2", "dense"):
        for ours, theirs in zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(target.get_layer("directions").get_weights()[1], bias)
    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="elsewhere")])
    with pytest.raises(InputError, match="shares none"):
        training.copy_weights(other, target)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_epoch(
    tmp_path, mixer, scenes, monkeypatch
):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    good = (tmp_path / "last.keras").read_bytes()
    real = training.cached_dataset

    def poisoned(*args, **options):
        return real(*args, **options).map(lambda x, y: (x, y * float("nan")))

    monkeypatch.setattr(training, "cached_dataset", poisoned)
    with pytest.raises(FloatingPointError, match="NaN"):
        run(tmp_path, mixer, scenes)
    assert (tmp_path / "last.keras").read_bytes() == good


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "polar"}, "cartesian, gibbs-weighted"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 32}, "one batch"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(**{**vars(SETTINGS), **change})


def test_the_learning_rate_rises_and_falls():
    rate = training._CosineLearningRate(TrainSettings(head="cartesian", epochs=10, warmup_steps=10))

    class Fake:
        optimizer = type("Optimizer", (), {"learning_rate": 0.0})()

    rate.set_model(Fake)
    seen = []
    for epoch, batch in ((0, 0), (0, 9), (5, 0), (9, 255)):
        rate.on_epoch_begin(epoch)
        rate.on_train_batch_begin(batch)
        seen.append(Fake.optimizer.learning_rate)
    np.testing.assert_allclose(seen, [1e-4, 1e-3, 5.05e-4, 1e-5], rtol=0.01)


def test_from_the_command_line(tmp_path, bank, speech, scenes, capsys):
    out = tmp_path / "run"
    options = f"--bank {bank} --speech {speech} --valid {scenes} --out {out}"
    small = "--epochs 1 --sequences 8 --batch-size 4 --level"
    assert main(f"train {options} --head gibbs-weighted {small}".split()) == 0
    assert (out / "model.keras").exists()
    assert capsys.readouterr().out == ""
    assert main(["evaluate", str(out / "model.keras"), "--data", str(scenes)]) == 0
    assert "median_deg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --bank nowhere --speech . --valid {scenes} --head cartesian --out {out}", "bank"),
        ("train --bank . --speech . --valid nowhere --head cartesian --out {out}", "scenes"),
        ("train --bank . --speech . --valid . --head polar --out {out}", "polar"),
        ("render --bank nowhere --speech . --out {out}", "index.json"),
        ("simulate --out {out} --rooms 0", "rooms"),
        ("simulate --out {out} --rt60 2,1", "rt60"),
        ("simulate --out {scenes}", "new or empty"),
        ("evaluate model.txt --data {scenes}", "baseline:intensity"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, scenes, capsys, arguments, message):
    out = tmp_path / "out"
    assert main(arguments.format(scenes=scenes, out=out).split()) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert message in errors[0]


@pytest.mark.parametrize("arguments", [[], ["simulate"], ["render", "--condition", "loud"]])
def test_misuse_is_exit_2(arguments, capsys):
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
