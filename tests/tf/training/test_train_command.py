"""`doa_tf train` as a command: what it makes, and what it refuses."""

from __future__ import annotations

import csv
import json

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf.cli.main import main
from doa_tf.models import architecture_of, load_model
from doa_tf.scenes.folder import write_scenes
from doa_tf.training import start

SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))

pytestmark = pytest.mark.usefixtures("small_net")


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_choices_of_the_command_are_those_of_the_library():
    from doa_tf.cli import train
    from doa_tf.data.augment import AUGMENTATIONS
    from doa_tf.training.settings import ENGINES

    assert (train.AUGMENTATIONS, train.ENGINES) == (AUGMENTATIONS, ENGINES)


def test_from_the_command_line(tmp_path, bank, speech, scenes, capsys):
    out = tmp_path / "run"
    options = f"--bank {bank} --speech {speech} --valid {scenes} --out {out}"
    small = "--epochs 1 --sequences 8 --batch-size 4 --level"
    assert main(f"train {options} --head gibbs-weighted {small}".split()) == 0
    assert (out / "model.keras").exists()
    assert capsys.readouterr().out == ""
    assert main(["evaluate", str(out / "model.keras"), "--data", str(scenes)]) == 0
    assert "median_deg" in capsys.readouterr().out


def test_a_network_goes_on_where_a_checkpoint_ends(
    tmp_path, bank, speech, scenes, capsys, caplog, monkeypatch
):
    """--init-from alone: the head, input and sizes of the checkpoint; options win over it."""
    monkeypatch.undo()  # the real network
    head, origin = doa_tf.heads.get("gibbs-weighted"), tmp_path / "origin.keras"
    sizes = {"filters": (2, 3, 2), "lstm_units": 3, "dense_units": 5, "dropout": 0.1}
    network = doa_tf.build_crnn(head, features=SEVEN, highpass_hz=40.0, **sizes)
    network.get_layer("head").calibration = ((0.0, 0.1), (1.0, 0.9))
    network.get_layer("head").decode = "centroid"
    network.save(origin)
    options = f"train --bank {bank} --speech {speech} --valid {scenes} --init-from {origin}"
    small = "--epochs 1 --sequences 8 --batch-size 4"
    out, other = tmp_path / "run", tmp_path / "other"
    assert main(f"{options} {small} --out {out}".split()) == 0
    made = load_model(out / "model.keras")
    assert architecture_of(made) == architecture_of(network)
    assert doa_tf.model_spec(made).decode == "centroid"
    assert doa_tf.model_spec(made).calibration == ()
    told = [r.getMessage() for r in caplog.records if r.name == start.__name__]
    assert told == [
        "The checkpoint's calibration is left out, as the weights will be others: "
        "doa_tf calibrate fits a new one"
    ]
    caplog.clear()
    assert main(f"{options} {small} --head gibbs --dense-units 4 --out {other}".split()) == 0
    assert architecture_of(load_model(other / "model.keras")) == {
        **architecture_of(network),
        "head": "gibbs",
        "dense_units": 4,
    }
    told = [r.getMessage() for r in caplog.records if r.name == start.__name__]
    assert told[0].endswith("none of their names and shapes: dense, directions")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("more", ["", "--live"])
def test_several_talkers_from_the_command_line(tmp_path, bank, speech, scenes, more):
    out = tmp_path / "run"
    options = f"--bank {bank} --speech {speech} --valid {scenes} --out {out} {more}"
    small = "--epochs 1 --sequences 8 --batch-size 4 --level --talkers 3"
    assert main(f"train {options} {small}".split()) == 0
    assert keras.saving.load_model(out / "model.keras").get_layer("head").voices == 3
    spec = json.loads((out / "spec.json").read_text())
    assert (spec["voices"], spec["version"]) == (3, 2)
    assert float(history(out)[0]["loss"]) > 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "train --bank . --speech . --valid . --talkers 9 --out {out}",
            "--talkers must be an integer between 1 and 3. Received: 9",
        ),
        ("train --scenes {scenes} --valid . --talkers 2 --out {out}", "leave out --talkers"),
        ("train --bank nowhere --speech . --valid {scenes} --head cartesian --out {out}", "bank"),
        ("train --bank . --speech . --valid nowhere --head cartesian --out {out}", "scenes"),
        ("train --bank . --speech . --valid {scenes} --head polar --out {out}", "polar"),
        ("train --bank . --valid . --head cartesian --out {out}", "--speech, or --scenes"),
        ("train --bank . --speech . --out {out}", "--valid must name the scenes"),
        ("train --bank . --speech . --valid . --valid-by room --out {out}", "--valid-by splits"),
        ("train --scenes {scenes} --format b-format --valid . --out {out}", "b-format"),
        ("train --scenes nowhere --valid . --head cartesian --out {out}", "nowhere"),
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


def test_validation_of_several_for_a_head_of_one_is_refused_before_the_work(
    tmp_path, bank, speech, capsys
):
    waves = np.zeros((14_000, 4), np.float32) + 1e-3
    rows = [
        {"azimuth_deg": azimuth, "elevation_deg": 0.0, "talker": name}
        for name, azimuth in (("a", 0.0), ("b", 90.0))
    ]
    write_scenes(tmp_path / "valid", [("x", waves, rows)])
    options = (
        f"--bank {bank} --speech {speech} --valid {tmp_path / 'valid'} --out {tmp_path / 'run'}"
    )
    assert main(f"train {options} --head onehot --sequences 8 --batch-size 4".split()) == 2
    assert "'onehot' takes one talker" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run" / "cache").exists()
