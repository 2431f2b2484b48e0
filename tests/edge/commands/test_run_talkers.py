"""`doa_edge run --talkers`: what is printed, and what is said where it cannot be done."""

import json

import numpy as np
import pytest

from doa_core.spec import MOST_VOICES
from doa_edge.commands.main import main
from doa_edge.limits import LIMITS
from tests.edge.tracking.lobe_model import LobeModel

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

KEYS = ["time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs"]
VOICES = [(40.0, 0.0, 0.8), (-70.0, 0.0, 0.7), (160.0, 0.0, 0.6)]


@pytest.fixture
def recording(write_wave):
    noise = 0.1 * np.random.default_rng(0).standard_normal((48_000, 4))
    return str(write_wave(samples=noise.astype(np.float32)))


@pytest.fixture
def three_voices(monkeypatch):
    """The command line with a model of three voices who all talk."""

    def load(path, *, threads=1):
        model = LobeModel(lambda _: VOICES)
        model.runtime = "numpy"
        return model

    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", load)


def run(capsys, *arguments):
    status = main(["run", "--json", *arguments])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_model_of_several_voices_prints_its_talkers(recording, three_voices, capsys):
    status, lines, said = run(capsys, "--input", recording)
    assert (status, said) == (0, "")
    for line in lines:
        assert list(line) == [*KEYS, "of_s", "talkers"]
        assert [talker["id"] for talker in line["talkers"]] == [1, 2, 3]
        assert line["azimuth_deg"] == line["talkers"][0]["azimuth_deg"]
        assert line["of_s"] < line["time_s"]
    assert lines[0]["talkers"][0]["tentative"] is True
    assert "tentative" not in lines[-1]["talkers"][0]


def test_one_talker_prints_what_a_file_of_one_voice_does(recording, three_voices, capsys):
    _, lines, said = run(capsys, "--input", recording, "--talkers", "1")
    assert [list(line) for line in lines] == [KEYS] * len(lines)
    assert said == ""


def test_who_is_left_out_is_told(recording, three_voices, capsys):
    _, lines, said = run(capsys, "--input", recording, "--talkers", "2")
    assert {len(line["talkers"]) for line in lines} == {2}
    count = len(lines) - 1  # a single peak is not yet a voice
    assert f"more voices at once than --talkers 2: estimates that left one out: {count}\n" in said


def test_a_file_of_one_voice_says_so_only_where_more_were_asked_for(recording, no_network, capsys):
    _, plain, said = run(capsys, "--input", recording)
    assert said == ""
    _, asked, said = run(capsys, "--input", recording, "--talkers", "3")
    assert said == "doa_edge: the model knows one voice: it runs as without --talkers 3\n"
    assert asked == plain
    assert run(capsys, "--input", recording, "--talkers", "1") == (0, plain, "")


@pytest.mark.parametrize("talkers", ["9", "0", "5", "-1", "two", "1.5"])
def test_a_number_of_talkers_that_cannot_be_is_one_line(recording, no_network, capsys, talkers):
    status, lines, said = run(capsys, "--input", recording, f"--talkers={talkers}")
    assert (status, lines) == (2, [])
    shown = repr(talkers) if talkers == "two" else talkers
    assert f"--talkers must be an integer between 1 and 4. Received: {shown} (" in said
    assert said.count("\n") == 1


def test_the_same_from_a_file_of_options(recording, no_network, capsys, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("talkers = 9\n")
    status, _, said = run(capsys, "--input", recording, "--config", str(config))
    assert status == 2
    assert "`talkers` must be an integer between 1 and 4. Received: 9" in said


def test_a_lead_is_added_to_the_moment(recording, three_voices, capsys):
    _, plain, _ = run(capsys, "--input", recording)
    _, ahead, _ = run(capsys, "--input", recording, "--lead", "0.25")
    assert ahead[0]["of_s"] - plain[0]["of_s"] == pytest.approx(0.25)
    status, _, said = run(capsys, "--input", recording, "--lead", "3")
    assert status == 2
    assert "--lead must lie between 0 and 1 seconds. Received: 3 (" in said


def test_the_help_knows_the_most_voices_of_a_spec():
    assert LIMITS["run talkers"].highest == MOST_VOICES
