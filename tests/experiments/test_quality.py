"""The programs of experiments.quality, each on a few scenes."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import soundfile

from doa_core.errors import InputError
from tests.places import DEMO, PROJECT

pytest.importorskip("ai_edge_litert")
pytest.importorskip("pyroomacoustics")

MODEL = PROJECT / "edge" / "doa_edge" / "models" / "default.tflite"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Scenes and answers, shared by all tests."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def run(capsys):
    """Runs a program in this process; what it prints."""

    def run(program, *options):
        module = import_module(f"experiments.quality.{program}")
        assert not module.main([str(option) for option in options])
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_robustness_runs_on_the_demo_speech_and_finds_its_scenes_again(run, work, tmp_path):
    pytest.importorskip("sofar")
    pytest.importorskip("matplotlib")
    figures = tmp_path / "robustness.json"
    command = (
        *("robustness", MODEL, "baseline:music", "--quick", "--work", work),
        *("--json", figures, "--plot", tmp_path),
    )
    table = run(*command)
    values = json.loads(figures.read_text())
    axes = {axis["name"]: axis for axis in values["axes"]}
    assert {"snr", "sir", "rt60", "distance", "elevation", "microphone", "tilt"} <= set(axes)
    assert {"rate", "clip", "capsule", "voices", "field", "interferer", "talkers"} <= set(axes)
    for axis in axes.values():
        for level in axis["levels"]:
            assert set(level["results"]) == {"default", "music"}
            assert level["results"]["default"]["n"] == 4
    assert "less_reference" in axes["tilt"]["levels"][-1]["results"]["music"]
    assert "two_talkers" in axes["talkers"]["levels"][-1]["results"]["music"]
    assert table.count("\n| -") >= len(axes)
    assert (tmp_path / "robustness.png").read_bytes().startswith(b"\x89PNG")
    scenes = sorted((work / "scenes").glob("*/0000.wav"))
    before = [path.stat().st_mtime_ns for path in scenes]
    assert run(*command) == table
    assert [path.stat().st_mtime_ns for path in scenes] == before


@pytest.mark.slow
def test_scenes_of_other_speech_are_not_taken_for_the_same(run, work, tmp_path):
    command = ("robustness", "--quick", "--axes", "tilt", "--work", work)
    assert run(*command) == ""  # rendered and no more
    other = tmp_path / "speech"
    other.mkdir()
    (other / "one.flac").symlink_to(DEMO / "speech" / "awb-0.flac")
    with pytest.raises(InputError, match=r"other values of .*sounds\.speech"):
        run(*command, "--speech", other)


def test_an_axis_that_there_is_not_is_refused(run, work):
    with pytest.raises(InputError, match=r"--axes must be some of snr, sir.* Received: moods"):
        run("robustness", "--axes", "moods", "snr", "--work", work)


@pytest.mark.slow
def test_without_a_synthesiser_its_languages_are_skipped_and_say_so(
    run, work, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    table = run("robustness", MODEL, "--quick", "--axes", "voices", "--work", work)
    assert "| read English, people | " in table
    assert "| Mandarin, espeak-ng | skipped: espeak-ng is not installed |" in table


@pytest.mark.slow
def test_own_scenes_and_a_model_card_of_them(run, work, tmp_path):
    pytest.importorskip("sofar")
    pytest.importorskip("matplotlib")
    figures = tmp_path / "own.json"
    table = run(
        *("own_scenes", MODEL, "baseline:music", "--quick", "--work", work, "--json", figures)
    )
    values = json.loads(figures.read_text())["sets"]
    assert [own["condition"] for own in values.values()] == 2 * ["diffuse", "interferer"]
    assert "Median error over MUSIC's" in table
    for own in values.values():
        assert own["results"]["music"]["median_over_music"]["ratio"] == 1.0
    # Capsules with tolerances bend directions, a sphere's thirty-two hardly.
    assert values["own-tetrahedral-diffuse"]["microphone_deg"][0] > 1.0
    assert values["own-array-diffuse"]["microphone_deg"][0] < 1.0
    folders = sorted((work / "scenes").glob("own-*/"))
    folders = [folder for folder in folders if folder.is_dir()]
    card = tmp_path / "card.json"
    text = run("model_card", MODEL, "--scenes", *folders, "--work", work, "--json", card)
    for part in ("## Figures", "By SNR", "By SIR", "By elevation", "By microphone", "SHA-256"):
        assert part in text
    run("pictures", MODEL, "--scenes", *folders, "--work", work, "--out", tmp_path / "pictures")
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"distributions.png", "medians.png", "reliability.png"}
    values = json.loads(card.read_text())
    assert values["default_threshold"] == 0.4
    assert sum(own["n"] for own in values["reliability"]["bins"]) == 16
    for folder in folders:
        assert values["thresholds"][folder.name][1]["kept"] == 100.0


def test_causes_of_errors_are_said_for_the_demo_and_noise_alone(run, tmp_path):
    path = tmp_path / "hum.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(51 * 16_000), 16_000)
    command = ("causes", MODEL, "baseline:music", "--scenes", DEMO / "recordings")
    table = run(*command, "--noise", path)
    assert "below 20 Hz" in table
    assert "elevation too high by: error with and without" in table
    lines = table.splitlines()
    bands = next(line for line in lines if line.startswith("| elevation too high by | model |"))
    rows = [line for line in lines if line.startswith(("| diffuse | def", "| interferer | def"))]
    assert bands.count("label") == 5
    assert sum(map(int, re.findall(r"\((\d+) of 1\)", "".join(rows)))) == 3  # all within 30 degrees
    assert "| default | white noise |" in table
    assert "| default | hum |" in table


def test_what_goes_wrong_is_said_in_one_line():
    folders = os.pathsep.join(str(PROJECT / folder) for folder in (".", "edge", "export"))
    done = subprocess.run(
        [sys.executable, "-m", "experiments.quality.causes", "none.tflite", "--scenes", DEMO],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("python -m experiments.quality.causes: ")
