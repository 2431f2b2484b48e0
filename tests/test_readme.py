"""The examples of the README run as they stand there, with fewer scenes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def example(language):
    (block,) = re.findall(rf"<!-- runs as a test -->\n```{language}\n(.*?)```", README, re.DOTALL)
    return block


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    (folder / "demo").symlink_to(PROJECT / "demo")
    return folder


def run(command, folder):
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": scripts}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_four_lines_train_export_and_run(folder):
    lines = example("sh").replace("--sequences 256", "--sequences 64").strip().splitlines()
    assert len(lines) == 4
    assert "--sequences 64" in lines[1]
    outputs = [run(["sh", "-c", line], folder) for line in lines]
    assert '"azimuth_deg"' in outputs[-1]
    assert len(outputs[-1].splitlines()) > 40  # 8 s, every 160 ms from 0.83 s on


def test_the_python_example_trains_and_decodes(folder):
    # A sixteenth of the scenes and one pass: the same calls, sooner.
    code = example("python").replace("scenes=256", "scenes=32").replace("epochs=2", "epochs=1")
    code += "\nassert directions.shape == (32, 3), directions.shape\n"
    run([sys.executable, "-c", code], folder)


def test_the_device_example_prints_directions(folder):
    (code,) = re.findall(r"And on the board:\n\n```python\n(.*?)```", README, re.DOTALL)
    assert len(run([sys.executable, "-c", code], folder).splitlines()) > 40
