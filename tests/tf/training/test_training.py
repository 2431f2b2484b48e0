"""`doa_tf train`, from rooms to a checkpoint: once for real, small."""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import doa_tf
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf.cli.main import main
from doa_tf.data import RecordedScenes, scenes_arrays
from doa_tf.files import MONITOR
from doa_tf.models import POOLS
from doa_tf.scenes.folder import read_scenes
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.training import RunOptions, TrainingData, TrainSettings, callbacks, keras_engine, start
from doa_tf.training import train as train_run
from doa_tf.training.memory import naming_batch_size
from doa_tf.training.run_folder import TrainingState, read_state
from doa_tf.training.start import ending

SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
SETTINGS = TrainSettings(
    head="cartesian", epochs=2, sequences=16, batch_size=8, warmup_steps=1, seed=2
)


pytestmark = pytest.mark.usefixtures("small_net")


def run(folder, mixer, scenes, settings=SETTINGS, **options):
    sources = {"bank": "b", "speech": "s", "noise": None}
    data = TrainingData(mixer=lambda: mixer, sources=sources, valid=scenes)
    return train_run(folder, data, settings=settings, **options)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_what_was_promised_and_ends(tmp_path, mixer, scenes):
    told = []
    options = RunOptions(on_epoch=lambda epoch, figures: told.append((epoch, figures[MONITOR])))
    model = run(tmp_path, mixer, scenes, options=options)
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
    assert told == [(1 + n, float(row[MONITOR])) for n, row in enumerate(rows)]
    assert settings["targets"] == "directions"


def test_a_run_that_has_ended_is_left_as_it_is(tmp_path, mixer, scenes, caplog):
    run(tmp_path, mixer, scenes)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.keras")}
    caplog.set_level("INFO")
    model = run(tmp_path, mixer, scenes)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.keras")} == before
    best = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    told = f"the run {tmp_path} is done: it has ended after 2 epochs; more of them go on with it"
    assert told in caplog.messages


def test_a_run_without_patience_left_is_left_as_it_is():
    settings = TrainSettings(**{**vars(SETTINGS), "epochs": 9, "patience": 2})
    assert ending(TrainingState(epoch=4, waited=1), settings) is None
    assert ending(TrainingState(epoch=4, waited=2), settings) == (
        "it has ended after 4 epochs, the last 2 without a better one; more patience goes on "
        "with it"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,25]"),
    ],
)
def test_too_little_memory_names_the_batch_size(tmp_path, mixer, scenes, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(MemoryError, match=r"^Training in batches of 8 needs .* --batch-size .* in"):
        run(tmp_path, mixer, scenes)


def test_only_errors_of_memory_name_the_batch_size():
    with pytest.raises(RuntimeError, match=r"^a ROOM$"), naming_batch_size(8, RuntimeError):
        raise RuntimeError("a ROOM")
    with pytest.raises(MemoryError, match="batches of 8 "), naming_batch_size(8, RuntimeError):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes")


def test_more_epochs_go_on_with_an_ended_run(tmp_path, mixer, scenes):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    first = keras.saving.load_model(tmp_path / "last.keras")
    assert int(first.optimizer.iterations) == 2  # one epoch of two batches
    run(tmp_path, mixer, scenes)
    last = keras.saving.load_model(tmp_path / "last.keras")
    assert int(last.optimizer.iterations) == 4  # went on with the optimiser, not from zero
    assert [row["epoch"] for row in history(tmp_path)] == ["0", "1"]


def test_patience_counts_on_in_a_resumed_run(tmp_path, mixer, scenes, monkeypatch):
    worse = iter(range(10))

    def figures(self):
        return {MONITOR: 50.0 + next(worse), "val_loss": 0.0}

    monkeypatch.setattr(callbacks.Validation, "figures", figures)
    settings = {**vars(SETTINGS), "patience": 3}
    run(tmp_path, mixer, scenes, TrainSettings(**{**settings, "epochs": 2}))
    assert read_state(tmp_path / "last.keras").waited == 1
    run(tmp_path, mixer, scenes, TrainSettings(**{**settings, "epochs": 9}))
    assert len(history(tmp_path)) == 4  # the best, and three that are not
    state = read_state(tmp_path / "last.keras")
    assert (state.best, state.waited) == (50.0, 3)


def test_a_run_with_other_settings_is_refused(tmp_path, mixer, scenes):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    with pytest.raises(InputError, match="seed was 2, not 9"):
        run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "seed": 9}))


def test_a_run_starts_from_another_heads_network(tmp_path, mixer, scenes, monkeypatch, caplog):
    build = start.build_network
    first = build(doa_tf.heads.get("cartesian"), features=None)
    first.save(tmp_path / "first.keras")
    started = []
    copy = start.copy_weights

    def recorded(source, target):
        started.extend([target, copy(source, target)])
        return started[1]

    monkeypatch.setattr(start, "copy_weights", recorded)
    settings = TrainSettings(**{**vars(SETTINGS), "head": "gibbs-weighted", "epochs": 1})
    folder = tmp_path / "run"
    run(folder, mixer, scenes, settings, init_from=tmp_path / "first.keras")
    assert "dense" in started[1]
    assert "directions" not in started[1]  # three outputs do not fit 429
    told = [r.getMessage() for r in caplog.records if r.name == start.__name__]
    assert told == [
        "These layers start anew, as the checkpoint has none of their names and shapes: directions"
    ]
    asked = json.loads((folder / "settings.json").read_text())
    assert len(asked["sources"]["init_from_sha256"]) == 64
    with pytest.raises(InputError, match=r"init_from_sha256 was .*, not None"):
        run(folder, mixer, scenes, settings)


@pytest.mark.parametrize(
    ("part", "message"),
    [(0, "features hold NaN or infinity in batch 1"), (1, "targets hold NaN or infinity in batch")],
)
def test_data_that_are_no_numbers_stop_and_keep_the_last_good_state(
    tmp_path, mixer, scenes, monkeypatch, part, message
):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    good = (tmp_path / "last.keras").read_bytes()
    real = keras_engine.cached_dataset

    def poison(number, pair):
        bad = [tf.where(number == 1, values * np.nan, values) for values in pair]
        return (bad[0], pair[1]) if part == 0 else (pair[0], bad[1])

    monkeypatch.setattr(
        keras_engine, "cached_dataset", lambda *a, **o: PoisonedBatches(real(*a, **o), poison)
    )
    with pytest.raises(FloatingPointError, match=f"{message}.*epoch 1"):
        run(tmp_path, mixer, scenes)
    assert (tmp_path / "last.keras").read_bytes() == good


class PoisonedBatches:
    """A dataset whose second batch is spoiled after it was positioned."""

    def __init__(self, dataset, poison):
        self.dataset, self.poison = dataset, poison

    def skip(self, count):
        return self.dataset.skip(count).enumerate().map(self.poison)


def test_a_loss_that_becomes_nan_names_its_batch(tmp_path, mixer, scenes, monkeypatch):
    run(tmp_path, mixer, scenes, TrainSettings(**{**vars(SETTINGS), "epochs": 1}))
    good = (tmp_path / "last.keras").read_bytes()

    class Explodes(callbacks.CosineLearningRate):
        def on_train_batch_end(self, batch, logs=None):
            dense = self.model.get_layer("dense")
            dense.kernel.assign(dense.kernel * np.nan)

    monkeypatch.setattr(keras_engine, "CosineLearningRate", Explodes)
    with pytest.raises(FloatingPointError, match=r"loss became NaN.* batch 1 of epoch 1"):
        run(tmp_path, mixer, scenes)
    assert (tmp_path / "last.keras").read_bytes() == good


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "polar"}, "cartesian, onehot, gibbs, gibbs-weighted"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 32}, "one batch"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"voices": 0}, "1 to 4"),
        ({"filters": (3,) * (len(POOLS) + 1)}, f"{len(POOLS)} numbers"),
        ({"filters": 3}, f"{len(POOLS)} numbers"),
        ({"filters": "333"}, f"{len(POOLS)} numbers"),
        ({"filters": [3, 3, float("inf")]}, "filters"),
        ({"filters": [3, 3, float("nan")]}, "filters"),
        ({"filters": [3, 3, 2.5]}, "filters"),
        ({"filters": [3, 3, "x"]}, "filters"),
        ({"filters": [3, 3, True]}, "filters"),
        ({"filters": [3, 3, {}]}, "filters"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(**{**vars(SETTINGS), **change})


def test_a_folder_of_scenes_is_training_data(tmp_path, scenes, capsys):
    out = tmp_path / "run"
    options = ["--scenes", str(scenes), "--valid", str(scenes), "--out", str(out)]
    small = ["--head", "gibbs-softmax", "--epochs", "2", "--batch-size", "3"]
    assert main(["train", *options, *small]) == 0
    settings = json.loads((out / "settings.json").read_text())
    assert settings["settings"]["sequences"] == len(RecordedScenes(scenes)) >= 6
    assert settings["sources"]["scenes"] == str(scenes)
    assert len(history(out)) == 2
    assert main(["train", *options, *small, "--bank", "rooms"]) == 2
    assert (
        "A --bank beside --scenes, to rehearse, needs --speech as well" in capsys.readouterr().err
    )


def test_without_valid_a_part_of_the_scenes_picks_the_epoch(tmp_path, scenes, capsys):
    out = tmp_path / "run"
    options = ["--scenes", str(scenes), "--out", str(out), "--valid-by", "condition"]
    small = ["--head", "gibbs-softmax", "--epochs", "1", "--batch-size", "3"]
    assert main(["train", *options, *small]) == 0
    told = capsys.readouterr().err
    held = read_scenes(scenes).split(0.2, by="condition")
    assert f"{len(held[0])} recordings to learn from, {len(held[1])} to pick" in told
    sources = json.loads((out / "settings.json").read_text())["sources"]
    assert sources["scenes_sha256"] == held[0].digest
    assert main(["train", *options, *small, "--valid-by", "no such"]) == 2
    assert "no column 'no such' to split by" in capsys.readouterr().err


def test_windows_of_recorded_scenes(scenes):
    recorded = RecordedScenes(scenes)
    first = read_scenes(scenes)[0]
    window = recorded.mix((0, 0, 0))
    np.testing.assert_array_equal(window.waveform, first.read()[:13_312])
    np.testing.assert_array_equal(window.direction, first.direction)


def test_a_dataset_of_ones_own_and_plain_fit(scenes):
    features, directions = scenes_arrays(scenes, features=doa_tf.FeatureSpec())
    head = doa_tf.heads.get("gibbs-softmax")
    dataset = tf.data.Dataset.from_tensor_slices((features, directions)).batch(3).repeat()
    model = start.build_network(head, features=None)
    model.compile(keras.optimizers.Nadam(1e-2), loss=head.loss(), metrics=head.metrics())
    losses = model.fit(dataset, epochs=4, steps_per_epoch=2, shuffle=False, verbose=0).history[
        "loss"
    ]
    assert losses[-1] < losses[0]


def test_talkers_who_move_are_trained_on(tmp_path, scenes):
    features, directions = scenes_arrays(scenes, features=doa_tf.FeatureSpec())
    moving = np.repeat(directions[:, np.newaxis], 25, axis=1)

    def batches(epoch, step):
        return tf.data.Dataset.from_tensor_slices((features, moving)).batch(6).repeat()

    data = TrainingData(batches=batches, valid=scenes)
    settings = TrainSettings(**{**vars(SETTINGS), "sequences": 6, "batch_size": 6, "epochs": 1})
    train_run(tmp_path, data, settings=settings)
    assert len(history(tmp_path)) == 1


def test_runs_of_0_1_are_refused_in_one_line(tmp_path, mixer, scenes):
    """They say nothing of targets, neither in their settings nor in their state."""
    settings = TrainSettings(**{**vars(SETTINGS), "epochs": 1})
    run(tmp_path, mixer, scenes, settings)
    written = json.loads((tmp_path / "settings.json").read_text())
    with zipfile.ZipFile(tmp_path / "last.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    state = json.loads(entries.pop("training_state.json"))
    assert written.pop("targets") == state.pop("targets") == "directions"
    message = f"begun by doa_tf 0.1.*--init-from {tmp_path / 'model.keras'}$"
    (tmp_path / "settings.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match=message):
        run(tmp_path, mixer, scenes)
    with zipfile.ZipFile(tmp_path / "last.keras", "w") as archive:
        for name, content in {**entries, "training_state.json": json.dumps(state)}.items():
            archive.writestr(name, content)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(InputError, match=message) as refusal:
        run(tmp_path, mixer, scenes)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "settings.json").exists()
    run(tmp_path / "new", mixer, scenes, settings, init_from=tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "steam"}, "one of keras, jax.*'steam'"),
        ({"settings": TrainSettings(average=0.5)}, "leave --average out"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(tmp_path, scenes, options, message):
    data = TrainingData(batches=pytest.fail, valid=scenes)
    with pytest.raises(ValueError, match=message):
        train_run(tmp_path / "run", data, **{"settings": SETTINGS, **options})
    assert not (tmp_path / "run").exists()


def test_a_mixer_or_batches_are_needed(scenes):
    with pytest.raises(ValueError, match="Either `mixer` or `batches`"):
        TrainingData(valid=scenes)


@pytest.mark.parametrize("engine", ["live", "cached"])
def test_a_head_of_one_talker_refuses_scenes_of_several(tmp_path, mixer, scenes, engine):
    crowd = SceneMixer(mixer.rooms, mixer.speech, settings=replace(mixer.settings, talkers=(0, 1)))
    settings = replace(SETTINGS, live=engine == "live")
    with pytest.raises(InputError, match=r"'cartesian' takes one talker.*gibbs-harmonic"):
        run(tmp_path, crowd, scenes, settings=settings)
    with pytest.raises(ValueError, match="takes one talker"):
        replace(settings, voices=2)
    crowd = SceneMixer(
        mixer.rooms, mixer.speech, settings=replace(mixer.settings, talkers=(0, 0, 1))
    )
    with pytest.raises(InputError, match="as many voices as the scenes have talkers, 2"):
        run(tmp_path / "two", crowd, scenes, settings=replace(settings, head="gibbs"))
