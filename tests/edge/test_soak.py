"""Some minutes of what `benchmarks/soak.py` does for twelve hours."""

import json
import subprocess
import sys

import pytest

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
