"""Given the same answers, our figures of meetings are those of the program that came with them."""

import ast
import importlib.util
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from doa_core.angles import vector_to_angles
from doa_edge.estimate import Estimate, Talker
from doa_tf.evaluation.talkers.frames import judge_recording
from doa_tf.evaluation.talkers.runner import answers_of
from doa_tf.evaluation.talkers.tallies import MEDIAN, figure
from doa_tf.scenes.folder import read_scenes

WINDOW_S, STEP_S = 0.832, 0.16
SECONDS = 24.0
# Our names of its figures; "error" is its median.
NAMES = {
    "recall": "recall", "lone": "recall_lone", "overlap": "recall_overlap",
    "false": "silence_answered", "wrong": "wrong", "error": MEDIAN,
}  # fmt: skip


@pytest.fixture
def score_talkers(shared_data):
    """The program, whose `meeting` runs `doa_edge`."""
    path = shared_data.parent / "tools" / "score_talkers.py"
    if not path.is_file():
        pytest.skip("needs the scoring program in ../shared/tools")
    spec = importlib.util.spec_from_file_location("score_talkers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def near(direction, rng):
    """Azimuth and elevation [degrees], two decimals, of a direction some 12 degrees off."""
    vector = direction + 0.15 * rng.standard_normal(3)
    azimuth, elevation = np.degrees(vector_to_angles(vector / np.linalg.norm(vector)))
    return {"azimuth_deg": round(float(azimuth), 2), "elevation_deg": round(float(elevation), 2)}


def estimates_of(scene, rng, *, several):
    """What a runner of middling quality might say of a meeting."""
    estimates = []
    for time_s in np.arange(WINDOW_S, SECONDS, STEP_S):
        of_s = round(time_s - 0.3, 3) if several else None
        talks = scene.directions_at([of_s or time_s - WINDOW_S / 2.0])[0]
        found = [near(u, rng) for u in talks if np.any(u) and rng.random() < 0.8]
        if rng.random() < 0.15:
            found.append(near(rng.standard_normal(3), rng))
        talkers = tuple(
            Talker(id=number, slot=number, confidence=0.5, **angles)
            for number, angles in enumerate(found, start=1)
        )
        first = found[0] if found else {"azimuth_deg": 0.0, "elevation_deg": 0.0}
        voices = {"of_s": of_s, "talkers": talkers} if several else {}
        about = {"time_s": time_s, "confidence": 0.5, "active": bool(found), "level_dbfs": -30.0}
        estimates.append(Estimate(**about, **first, **voices))
    return estimates


# It leaves labels.csv open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("several", [True, False])
def test_meetings_agree(shared_data, score_talkers, tmp_path, monkeypatch, capsys, several):
    folder = shared_data / "talkers"
    rng = np.random.default_rng(4)
    meetings = [s for s in read_scenes(folder) if s.columns["condition"].startswith("meeting")]
    tallies = {}
    for scene in meetings:
        estimates = estimates_of(scene, rng, several=several)
        lines = [json.dumps(estimate.to_dict()) for estimate in estimates]
        (tmp_path / f"{scene.file}.jsonl").write_text("\n".join(lines) + "\n")
        answers = [answers_of(estimate, window_s=WINDOW_S) for estimate in estimates]
        tally = judge_recording(scene, answers, duration_s=SECONDS)
        tallies.setdefault(scene.columns["condition"], []).append(tally)
    stand_in = tmp_path / "doa_edge"
    stand_in.write_text(f'#!/bin/sh\ncat "{tmp_path}/$(basename "$3").jsonl"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    exact = []  # it prints whole percent

    def kept(function):
        def run(values):
            exact.append(float(function(values)))
            return exact[-1]

        return run

    watched = SimpleNamespace(
        **{name: getattr(np, name) for name in ("radians", "degrees", "arccos", "clip", "array")},
        **{name: getattr(np, name) for name in ("cos", "sin", "arange")},
        mean=kept(np.mean),
        median=kept(np.median),
    )
    monkeypatch.setattr(score_talkers, "np", watched)
    score_talkers.meeting(folder)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(tallies) == 2
    for line in printed:
        condition, table = line.split(" ", 1)
        for name in ast.literal_eval(table):
            theirs = exact.pop(0)
            ours = figure(tallies[condition], NAMES[name])
            if name == "error":
                assert ours == pytest.approx(theirs, abs=0.01)
            else:
                assert ours == pytest.approx(100.0 * theirs, abs=0.1)
    assert exact == []


def test_the_recordings_last_as_long_as_they_are_judged(shared_data):
    scenes = read_scenes(shared_data / "talkers")
    scene = next(scene for scene in scenes if scene.file.startswith("meeting"))
    assert len(scene.read()) / 16_000 == SECONDS
