"""What is in the box: the default model, its card, and the demo."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from doa_edge.tflite.network import TfliteModel, default_model_path
from doa_edge.tflite.shipped import shipped_checkpoint, shipped_model_path
from tests.places import PROJECT


@pytest.mark.parametrize(("name", "quantization"), [("default", "none"), ("lite", "dynamic")])
def test_a_shipped_model_loads_and_says_where_it_comes_from(name, quantization):
    path = shipped_model_path(name)
    spec = TfliteModel(path).spec
    assert spec.features.channels[-1] == "level"
    assert (spec.quantization, spec.decode) == (quantization, "centroid")
    assert spec.calibration  # confidence is a probability
    digest = hashlib.sha256(shipped_checkpoint(name).read_bytes()).hexdigest()
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert digest in card
    # Of the checkpoint before it said how it is decoded: the weights are the same.
    assert spec.provenance["checkpoint"]["sha256"] in card
    assert str(path.stat().st_size) in card.replace(",", "")


def test_the_demo_points_to_the_voices_and_draws(tmp_path):
    picture = tmp_path / "demo.png"
    command = [sys.executable, str(PROJECT / "demo" / "localise.py"), "--plot", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr  # 1 if a direction is 15 degrees off
    assert done.stdout.count("°") == 3 * 5
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_demo_needs_no_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'scipy', 'librosa', 'doa_tf'):\n"
        "    sys.modules[name] = None\n"
        "import runpy\n"
        "sys.argv = ['localise.py']\n"
        f"runpy.run_path({str(PROJECT / 'demo' / 'localise.py')!r}, run_name='__main__')\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'edge'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_shipped_file_beats_the_figures_it_was_made_to_beat(shared_data):
    from doa_tf.evaluation.judge import evaluate

    scenes = shared_data / "scenes"
    groups = evaluate(default_model_path(), scenes).to_dict()["groups"]
    music = evaluate("baseline:music", scenes).to_dict()["groups"]
    ism, interferer = groups["ism"], groups["ism-interferer"]
    # The best of wideband MUSIC, the intensity vector and a published network (Tang et al. 2019).
    assert ism["median_deg"] < min(7.0, music["ism"]["median_deg"])
    assert ism["acc10"] > max(65.0, music["ism"]["acc10"])
    assert interferer["median_deg"] < 32.3
