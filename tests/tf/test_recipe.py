"""Recipes: what is in configs/ can be read, and a small one makes a network."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

import doa_tf
from doa_core.errors import InputError
from doa_core.reading.toml import parse_toml
from doa_edge.tflite.file import read_spec
from doa_edge.tflite.shipped import shipped_checkpoint, shipped_model_path
from doa_tf.cli.main import main
from doa_tf.cli.progress import progress_bar
from doa_tf.models import architecture_of, load_model
from doa_tf.recipe import prepare, read_recipe
from doa_tf.rooms.bank.bank import bank_digest
from tests.places import PROJECT

CONFIGS = PROJECT / "configs"
SMALL = {
    "rooms.count": 3,
    "valid_rooms.count": 2,
    "valid.scenes": 18,
    "mixing.diffuse_fields": 2,
    "mixing.synthetic_noises": 4,
    "training.engine": '"keras"',
    "training.filters": "[2, 2, 2]",
    "training.lstm_units": 2,
    "training.epochs": 1,
    "training.sequences": 16,
}


def run(out, *changes, **values):
    sets = [f"{name}={value}" for name, value in {**SMALL, **dict(changes), **values}.items()]
    options = [word for change in sets for word in ("--set", change)]
    speech = str(PROJECT / "demo" / "speech")
    recipe = str(CONFIGS / "tiny.toml")
    return main(["recipe", recipe, "--out", str(out), "--speech", speech, *options])


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CONFIGS.rglob("*.toml")) if path.name != "search.toml"],
    ids=lambda path: str(path.relative_to(CONFIGS)),
)
def test_the_recipes_of_the_project_can_be_read(path):
    recipe = read_recipe(path)
    assert recipe.features.channels[-1] == "level"
    assert recipe.rooms.seed != recipe.valid_rooms.seed
    if path.parent.name == "one-voice":
        assert recipe.engine == "jax"
        assert recipe.rooms.count >= 10_000
        assert recipe.valid_rooms.settings.mixing_time is None  # traced in full
    elif path.name != "tiny.toml":
        assert recipe.engine == "keras"
        assert len(recipe.mixing.talkers) == 1 + 3


def test_the_shipped_network_is_the_one_of_its_recipe():
    recipe = read_recipe(CONFIGS / "default.toml")
    model = load_model(shipped_checkpoint())
    network, training = architecture_of(model), recipe.training
    assert network["features"] == recipe.features
    assert (network["head"], network["filters"]) == (training.head, training.filters)
    assert network["voices"] == training.voices
    assert doa_tf.model_spec(model).refine == (recipe.refine or "none")


@pytest.mark.parametrize("name", ["default", "lite"])
def test_a_shipped_checkpoint_says_what_the_shipped_file_says(name):
    """But for the integers: how it is decoded, above all."""
    spec = doa_tf.model_spec(load_model(shipped_checkpoint(name)))
    shipped = read_spec(shipped_model_path(name))
    assert spec.decode == "centroid"
    assert replace(spec, quantization=shipped.quantization).digest == shipped.digest


def test_a_recipe_makes_a_calibrated_network_and_goes_on_where_it_was(tmp_path, capsys):
    out = tmp_path / "made"
    halls = [("more_rooms.count", 2), ("more_rooms.seed", 5), ("more_rooms.rt60", "[0.3, 0.4]")]
    assert run(out, *halls, ("training.refine", '"intensity"')) == 0
    path = Path(capsys.readouterr().out.strip())
    sources = json.loads((out / "run" / "settings.json").read_text())["sources"]
    assert sources["more_bank_sha256"] == bank_digest(out / "more_rooms")
    changes = {name: parse_toml(f"of = {value}")["of"] for name, value in [*SMALL.items(), *halls]}
    mixer = prepare(
        read_recipe(CONFIGS / "tiny.toml", changes),
        out,
        speech=PROJECT / "demo" / "speech",
        noise=None,
        workers=1,
        bars=progress_bar,
    )
    assert len(mixer.rooms) == 3 + 2
    assert path == out / "model.keras"
    assert doa_tf.model_spec(load_model(path)).calibration
    assert doa_tf.model_spec(load_model(path)).refine == "intensity"
    with (out / "run" / "history.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    made = path.read_bytes()
    assert run(out, *halls) == 0  # all is done
    assert path.read_bytes() == made
    said = capsys.readouterr()
    assert said.out == f"{path}\n"
    assert said.err.splitlines()[-2:] == [
        f"{out} is done: it has ended after 1 epoch; more of them go on with it",
        f"doa_tf: the calibrated network is in {path}",
    ]
    assert run(out, *halls, ("rooms.seed", 9)) == 2
    assert "other values of seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rooms = 3\n", "sections rooms, valid_rooms"),
        ("[rooms\n", "must be a TOML file"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_recipe_says_so(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "training.refine",
            "much",
            "`refine` must be one of none, intensity. Received: refine=",
        ),
        ("rooms.count", 0, "`count` must be an integer between 1 and 10000000. Received: 0"),
        ("rooms.count", float("inf"), "`count` must be an integer .* Received: inf"),
        ("rooms.count", 10**400, "`count` must be an integer .* Received: 1000"),
        ("rooms.seed", 2**64, "`seed` must be an integer between 0 and 18446744073709551615"),
        ("rooms.distance", [0.5, float("inf")], "`distance` must lie between .* Received: inf"),
        ("rooms.sources", True, "`sources` must be an integer between 1 and 1000. Received: True"),
        ("valid.scenes", 0, "`scenes` must be an integer between 1 and 1000000. Received: 0"),
        ("valid_rooms.rt60", [0.2, 31.0], "`rt60` must be .* both between 0.01 and 30 seconds"),
        ("mixing.diffuse_fields", 10**9, "`diffuse_fields` must be an integer between 1 and 10000"),
        ("mixing.snr_db", [0.0, float("nan")], "`snr_db` must lie between .* Received: nan"),
        ("training.sequences", 0, "`sequences` must be an integer between 1 and 10000000"),
        ("training.seed", 2**32, "`seed` must be an integer between 0 and 4294967295"),
        ("training.epochs", 2.5, "`epochs` must be an integer .* Received: 2.5"),
        ("training.highpass_hz", float("nan"), "`highpass_hz` must lie .* Received: nan"),
        ("rooms.walls", 3, "RoomSettings has no walls"),
        ("rooms.count", None, "must have 'count'"),
        ("rooms.rt60", [0.5, 0.2], "rt60"),
        ("training.engine", "steam", "keras, jax.*'steam'"),
        ("training.head", "nose", "`head` must be one of"),
        ("training.filters", [1, 2], "3 numbers"),
        ("training.epoch", 3, "TrainSettings has no epoch"),
        ("valid.rooms", 3, r"\[valid\] has scenes and seed"),
        ("mixing.snr_db", [3, 1], "snr_db"),
        ("oven.heat", 3, "Received: .*oven"),
    ],
)
def test_values_that_mean_nothing_are_refused(tmp_path, name, value, message):
    changes = {name: value}
    path = CONFIGS / "tiny.toml"
    if value is None:
        path = tmp_path / "recipe.toml"
        lines = (CONFIGS / "tiny.toml").read_text().splitlines()
        lines.remove("count = 12")
        path.write_text("\n".join(lines))
        changes = {}
    with pytest.raises(InputError, match=message):
        read_recipe(path, changes)


@pytest.mark.parametrize("change", ["epochs=3", "training.epochs", "training.epochs=a b"])
def test_a_change_that_cannot_be_read_is_misuse(tmp_path, capsys, change):
    command = f"recipe {CONFIGS / 'tiny.toml'} --out {tmp_path / 'out'} --speech x --set"
    assert main([*command.split(), change]) == 2
    assert "SECTION.KEY=VALUE" in capsys.readouterr().err


def test_an_engine_cannot_change_backends_under_way(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert run(tmp_path / "out", ("training.engine", '"jax"')) == 2
    assert "KERAS_BACKEND=tensorflow" in capsys.readouterr().err
