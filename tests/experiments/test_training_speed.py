"""Live scenes a second of recipes, on a toy."""

import json

import pytest

from doa_core.errors import InputError
from tests.places import DEMO, PROJECT

pytest.importorskip("tensorflow")

RECIPE = str(PROJECT / "configs" / "tiny.toml")
SPEECH = ("--speech", str(DEMO / "speech"))


@pytest.mark.slow
def test_a_recipe_is_trained_live_and_on_one_batch(tmp_path, capsys):
    from benchmarks.recipes import main

    figures = tmp_path / "rates.json"
    sizes = ("--rooms", "2", "--batch-size", "2", "--steps", "1", "--repeats", "2")
    main([RECIPE, *SPEECH, *sizes, "--work", str(tmp_path), "--json", str(figures)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"{RECIPE}, live",
        f"{RECIPE}, network alone",
    ]
    values = json.loads(figures.read_text())
    assert (values["rooms"], values["batch_size"], values["steps"]) == (2, 2, 1)
    for row in values["rows"]:
        low, high = row["scenes_per_s_range"]
        assert 0.0 < low <= row["scenes_per_s"] <= high
        assert row["ratio_range"] == [1.0, 1.0]  # to itself


def test_what_cannot_be_measured_is_said_before_the_work(tmp_path):
    from benchmarks.recipes import main

    with pytest.raises(InputError, match="must be named once"):
        main([RECIPE, RECIPE, *SPEECH])
    with pytest.raises(OSError, match="No such file or directory"):
        main([RECIPE, *SPEECH, "--json", str(tmp_path / "no" / "x.json")])
