"""What `run` writes of several voices, from the engine's estimates to every output at once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from doa_edge.commands.main import main
from doa_edge.engine import DirectionEngine
from tests.edge.sinks.messages import talker


@pytest.fixture
def two_talkers(monkeypatch, no_network):
    """An engine that hears one talker all the time, and another in every second estimate."""
    push = DirectionEngine.push

    def heard(self, block):
        estimates = []
        for estimate in push(self, block):
            voices = [talker(1, 1, 90.0)]
            if round(estimate.time_s / 0.16) % 2:
                voices.append(talker(2, 2, -45.0, confidence=0.5))
            estimates.append(replace(estimate, talkers=tuple(voices), of_s=estimate.time_s))
        return estimates

    monkeypatch.setattr(DirectionEngine, "push", heard)


def test_lines_have_the_talkers_and_files_the_same(two_talkers, write_wave, capsys, tmp_path):
    out = tmp_path / "track.jsonl"
    assert main(["run", "--input", str(write_wave(seconds=2.0)), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert out.read_text() == printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [len(line["talkers"]) for line in lines] == 4 * [2, 1]
    assert list(lines[0])[-2:] == ["of_s", "talkers"]


def test_the_summary_lists_them_with_the_time_each_talked(two_talkers, write_wave, capsys):
    assert main(["run", "--input", str(write_wave(seconds=2.0)), "--summary"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    summary = json.loads(line)
    told = [(one["id"], one["azimuth_deg"], one["talked_s"]) for one in summary["talkers"]]
    assert told == [(1, 90.0, 1.28), (2, -45.0, 0.64)]
    assert (summary["azimuth_deg"], summary["duration_s"]) == (90.0, 2.0)


def test_the_step_of_a_talked_second_is_that_of_every(two_talkers, write_wave, capsys):
    arguments = ["run", "--input", str(write_wave(seconds=2.0)), "--summary", "--every", "10"]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["talkers"][0]["talked_s"] == pytest.approx(4 * 0.32)


def test_a_plot_is_drawn(two_talkers, write_wave, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "track.png"
    assert main(["run", "--input", str(write_wave(seconds=2.0)), "--plot", str(path)]) == 0
    assert path.stat().st_size > 20_000
