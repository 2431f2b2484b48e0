"""Going on with a network on one's own recordings: the tutorial, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import doa_tf
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_edge.tflite.shipped import shipped_checkpoint
from doa_tf.cli.main import main
from doa_tf.models import load_model
from doa_tf.scenes.folder import read_scenes, write_scenes
from doa_tf.training import start
from tests.places import PROJECT

PAGE = (PROJECT / "docs" / "tutorial-finetune.md").read_text(encoding="utf-8")
SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
SMALL = "--epochs 1 --sequences 8 --batch-size 4"
# The page's numbers, and what takes a hundredth of the time.
REDUCED = {
    "--out my-room\n": "--share 0.15 --out my-room\n",
    "--rooms 200": "--rooms 4",
    "--rooms 60": "--rooms 8",
    "--scenes 30": "--scenes 17",
    "--scenes 100": "--scenes 3",
    " --split": "",
    "--sequences 1024 --epochs 8": "--sequences 64 --epochs 1",
}


def page_commands():
    """The commands of the page as they stand there, with fewer rooms, scenes and epochs."""
    blocks = re.findall(r"<!-- runs as a test -->\n```\n(.*?)```", PAGE, re.DOTALL)
    text = "".join(blocks)
    for stands, reduced in REDUCED.items():
        assert text.count(stands) == 1, stands
        text = text.replace(stands, reduced)
    return text.replace("\\\n", "").strip().splitlines()


def own(folder, count=5, *, samples=13_312, rows=None, **more):
    rng = np.random.default_rng(1)
    row = {"azimuth_deg": 30.0, "elevation_deg": 0.0, **more}
    waves = [0.1 * rng.standard_normal((samples, 4)) for _ in range(count)]
    write_scenes(folder, [(f"s{n}", wave, rows or row) for n, wave in enumerate(waves)])
    return folder


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(tmp_path):
    (tmp_path / "demo").symlink_to(PROJECT / "demo")
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outputs = {}
    for command in page_commands():
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": scripts},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        outputs[command] = done.stdout
    recordings, check = (
        read_scenes(tmp_path / "my-room" / name) for name in ("recordings", "check")
    )
    assert (len(recordings), len(check)) == (6, 24)
    settings = json.loads((tmp_path / "runs" / "my-room" / "settings.json").read_text())
    assert settings["sources"]["own_share"] == 0.3
    assert settings["settings"]["head"] == "gibbs-harmonic"
    before = load_model(shipped_checkpoint())
    trained = load_model(tmp_path / "runs" / "my-room" / "model.keras")
    blended = load_model(tmp_path / "my-room.keras")
    for old, new, mean in zip(*(m.get_weights() for m in (before, trained, blended)), strict=True):
        np.testing.assert_allclose(mean, 0.5 * (old + new), rtol=1e-5, atol=1e-6)
    assert doa_tf.model_spec(trained).calibration == ()
    assert len(doa_tf.model_spec(blended).calibration) > 1
    for report in ("my-room", "other"):
        figures = json.loads((tmp_path / "reports" / report / "report.json").read_text())
        assert len(figures["models"]) >= 2
    summary = json.loads(outputs[page_commands()[-1]])
    assert -180.0 < summary["azimuth_deg"] <= 180.0


@pytest.fixture
def files(tmp_path, bank, speech, scenes):
    names = {"bank": bank, "speech": speech, "scenes": scenes, "out": tmp_path / "run"}
    return {**names, "own": own(tmp_path / "own")}


@pytest.mark.usefixtures("small_net")
def test_recordings_and_mixed_scenes_in_one_training(files, capsys):
    """The best epoch is that of both: a fifth of the recordings, and the scenes of --valid."""
    options = "--scenes {own} --bank {bank} --speech {speech} --valid {scenes} --out {out}"
    assert main(f"train {options} {SMALL} --level".format(**files).split()) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "doa_tf: 4 recordings to learn from, 1 to pick the best epoch" in err
    sources = json.loads((files["out"] / "settings.json").read_text())["sources"]
    assert (sources["scenes"], sources["own_share"]) == (str(files["own"]), 0.5)
    index = json.loads((files["out"] / "cache" / "cache.json").read_text())
    assert (index["own_share"], index["scenes"], index["done"]) == (0.5, 8, 8)
    assert float(history(files["out"])[0]["loss"]) > 0.0
    other = f"train {options} {SMALL} --level --own-share 0.25".format(**files)
    assert main(other.split()) == 2
    assert "own_share" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("small_net")
def test_live_scenes_beside_recordings(files):
    options = "--scenes {own} --bank {bank} --speech {speech} --out {out} --live"
    assert main(f"train {options} {SMALL} --level".format(**files).split()) == 0
    assert not (files["out"] / "cache").exists()


@pytest.mark.parametrize("beside", ["", "--bank {bank} --speech {speech} --sequences 8"])
def test_a_network_of_several_voices_goes_on_to_know_them(files, tmp_path, beside):
    """Recordings of one talker each are no reason to forget the others."""
    head = doa_tf.heads.get("gibbs-harmonic")
    sizes = {"filters": (2, 2, 2), "lstm_units": 2, "dense_units": 3}
    doa_tf.build_crnn(head, features=SEVEN, voices=2, **sizes).save(tmp_path / "two.keras")
    options = f"--init-from {tmp_path / 'two.keras'} --scenes {{own}} {beside} --out {{out}}"
    small = "--epochs 1 --batch-size 4"
    assert main(f"train {options} {small}".format(**files).split()) == 0
    assert doa_tf.model_spec(load_model(files["out"] / "model.keras")).voices == 2
    sources = json.loads((files["out"] / "settings.json").read_text())["sources"]
    assert (sources["voices"], sources.get("talkers")) == (2, 2 if beside else None)


@pytest.mark.usefixtures("small_net")
def test_layers_of_another_head_start_anew_and_are_named(files, tmp_path, caplog):
    origin = tmp_path / "origin.keras"
    start.build_network(doa_tf.heads.get("gibbs-weighted"), SEVEN).save(origin)
    options = "--scenes {own} --bank {bank} --speech {speech} --head cartesian --out {out}"
    assert main(f"train --init-from {origin} {options} {SMALL}".format(**files).split()) == 0
    told = [r.getMessage() for r in caplog.records if r.name == start.__name__]
    assert told == [
        "These layers start anew, as the checkpoint has none of their names and shapes: directions"
    ]


NOBODY = [{"azimuth_deg": None, "elevation_deg": None, "talker": None}]
BESIDE = "--bank {bank} --speech {speech}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--scenes {own} --bank {bank}", "A --bank beside --scenes, to rehearse, needs --speech"),
        (
            "--scenes {own} --speech {speech} --own-share 0.3",
            "leave out --speech, --sequences, --own-share, or",
        ),
        (f"{BESIDE} --valid {{scenes}} --own-share 0.3", "--own-share is that of --scenes, beside"),
        (f"--scenes {{own}} {BESIDE} --own-share 1", "between 0.01 and 0.99. Received: 1"),
        (
            f"--scenes {{own}} {BESIDE} --valid {{own}}",
            "scenes of other rooms: a fifth of --scenes",
        ),
        (f"--scenes {{own}} {BESIDE} --valid-by room", "no column 'room' to split by"),
        (f"--scenes {{own}} {BESIDE} --engine jax", "The engine jax mixes as it trains"),
        (f"--scenes {{own}} {BESIDE} --format b-format", "b-format"),
        (f"--scenes {{own}} {BESIDE} --init-from {{own}}/labels.csv", "labels.csv"),
        (f"--scenes {{own}} {BESIDE} --talkers 3 --head cartesian", "'cartesian' takes one talker"),
    ],
)
def test_what_does_not_go_together_is_one_line(files, capsys, options, message):
    assert main(f"train {options} {SMALL} --out {{out}}".format(**files).split()) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1]
    assert not (files["out"] / "cache").exists()


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        ({"count": 1}, "", "To split scenes needs two or more files. Received: 1 in "),
        ({}, "--valid-by room", "has no column 'room' to split by"),
        ({}, "--format nonsense", "nonsense"),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_recordings_are_looked_at_before_what_trains_is_imported(
    files, tmp_path, capsys, monkeypatch, given, more, message, beside
):
    def imported(engine):
        raise AssertionError(engine)

    monkeypatch.setattr("doa_tf.cli.train.use_engine", imported)
    folder = own(tmp_path / "bad", **given)
    options = f"--scenes {folder} {BESIDE if beside else ''} {more} --out {{out}}"
    assert main(f"train {options}".format(**files).split()) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 1}, "To split scenes needs two or more files. Received: 1 in "),
        ({"samples": 9_000}, "must hold recordings of one window or more (0.832 s)"),
        (
            {"rows": NOBODY},
            "The head 'cartesian' takes one talker, who is in every frame: leave out scenes "
            "of several, of nobody and with pauses, or train a head of several voices, such as "
            "that of --init-from default. Received: 5 of 5 in ",
        ),
        (
            {"rows": NOBODY, "head": "gibbs-weighted"},
            "Somebody must talk in one validation scene or more. Received: nobody",
        ),
        ({"room": "kitchen"}, "needs two or more values of 'room'. Received: 1 in "),
    ],
)
def test_recordings_that_cannot_be_learned_from_are_refused(
    files, tmp_path, capsys, given, message
):
    head = given.get("head", "cartesian")
    folder = own(tmp_path / "bad", **{k: v for k, v in given.items() if k != "head"})
    by = "--valid-by room" if "room" in given else ""
    options = f"--scenes {folder} {BESIDE} --head {head} {by} --out {{out}}"
    assert main(f"train {options} {SMALL}".format(**files).split()) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (files["out"] / "cache").exists()
