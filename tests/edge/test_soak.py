"""Some minutes of what `benchmarks/soak.py` does for twelve hours, a minute of `make soak`."""

import json
import subprocess
import sys

import pytest

from tests.edge import virtual_microphone
from tests.edge.broker import MOSQUITTO
from tests.places import PROJECT


@pytest.mark.slow
def test_memory_is_flat_and_time_is_true(tmp_path):
    pytest.importorskip("ai_edge_litert")
    report = tmp_path / "soak.json"
    # The first gap comes after five to fifteen minutes.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--hours", "0.3", "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    figures = json.loads(report.read_text())
    assert done.returncode == 0, done.stdout
    assert figures["growth_mb"] <= 1.0
    assert figures["stream_time_error_samples"] == 0
    assert figures["wrong_times"] == 0
    assert figures["samples_missed"] > 0
    assert figures["estimates"] > 6 * 0.3 * 3600


@pytest.mark.slow
def test_nothing_that_befalls_a_device_ends_it_for_good(tmp_path):
    for module in ("ai_edge_litert", "websockets", "paho.mqtt.client"):
        pytest.importorskip(module)
    if absent := virtual_microphone.missing():
        pytest.skip(absent)
    if MOSQUITTO is None:
        pytest.skip("needs an MQTT broker: apt install mosquitto")
    report = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live_soak", "--seconds", "60", "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert report.exists(), done.stderr
    figures = json.loads(report.read_text())
    # How late it is says how busy this machine is, and how much it has lost for it: `make soak`
    # judges that on one that has nothing else to do.
    timed = ("late", "lost sound", "estimates", "memory")
    assert [bound for bound in figures["broken"] if not bound.startswith(timed)] == []
    assert figures["estimates"] > 0
    assert figures["gaps"] >= 2  # the microphone was lost and found
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_page_under_attack_loses_no_line(tmp_path):
    for module in ("ai_edge_litert", "websockets"):
        pytest.importorskip(module)
    report = tmp_path / "attack.json"
    program = [sys.executable, "-m", "benchmarks.hostile_page", "--seconds", "9"]
    done = subprocess.run(
        [*program, "--clients", "200", "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(report.read_text())
    assert figures["connections"] > 200
    assert (figures["status"], figures["estimates"]) == (0, figures["expected"])
