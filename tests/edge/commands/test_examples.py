"""The Python examples of edge/README.md run as they stand there."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.edge import fake_sounddevice as fake
from tests.places import PROJECT

README = (PROJECT / "edge" / "README.md").read_text(encoding="utf-8")
RECORDING = PROJECT / "demo" / "recordings" / "office.wav"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All examples but the last, one after the other, on a demo recording: (folder, lines)."""
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("examples")
    (folder / "recording.wav").symlink_to(RECORDING)
    section = README[README.index("## From Python") :]
    examples = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(examples) == 5
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(examples[:4])],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return folder, result.stdout.splitlines()


def directions_of(lines):
    """Those of the first example."""
    return [line for line in lines if line[0].isdigit()]


def test_directions_are_printed(done):
    _, lines = done
    directions = directions_of(lines)
    assert len(directions) > 40
    assert all(len(line.split()) == 3 for line in directions)


def test_sound_and_direction_go_together(done):
    soundfile = pytest.importorskip("soundfile")
    folder, lines = done
    voice, rate = soundfile.read(folder / "voice.wav", dtype="float32")
    recording, _ = soundfile.read(RECORDING, dtype="float32")
    assert rate == 16_000
    # Somebody speaks all the time: everything up to the last estimate, once.
    directions = directions_of(lines)
    assert len(voice) == round(float(directions[-1].split()[0]) * rate)
    np.testing.assert_array_equal(voice, recording[: len(voice)])


def test_each_talker_is_listened_to(done):
    _, lines = done
    heard = [re.fullmatch(r"talker (\d+) from ([\d.]+) s: (\d+) samples", line) for line in lines]
    stretches = [(int(m[1]), float(m[2]), int(m[3])) for m in heard if m]
    assert stretches[0][:2] == (1, 0.0)
    recording_s = 16_000 * float(directions_of(lines)[-1].split()[0])
    assert sum(length for id, _, length in stretches if id == 1) > 0.9 * recording_s


def test_a_zone_tells_who_is_in_it(done):
    _, lines = done
    assert len([line for line in lines if line.startswith("desk: somebody talks at ")]) > 40


def test_the_example_of_a_microphone_asks_for_what_there_is(monkeypatch):
    section = README[README.index("## From Python") :]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[4]
    microphone = fake.install(monkeypatch, AMBEO=(4, (48_000,), None))
    engine = SimpleNamespace(run=lambda source: [])
    exec(compile(code, "edge/README.md", "exec"), {"engine": engine})
    (stream,) = microphone.streams
    assert (stream.name, stream.closed) == ("AMBEO", True)
