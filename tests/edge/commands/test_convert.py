"""`doa_edge convert` writes what `doa_edge run` would hear."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from doa_edge.commands.main import main
from doa_edge.input.audio import read_recording
from doa_edge.input.format import InputFormat
from tests.places import PROJECT

soundfile = pytest.importorskip("soundfile")
OFFICE = PROJECT / "demo" / "recordings" / "office.wav"


def convert(*arguments):
    return main(["convert", *map(str, arguments)])


def test_the_file_is_what_a_run_hears(tmp_path, capsys):
    out = tmp_path / "out.wav"
    given = ("--format", "fuma", "--mount", "-90,0,180", "--channels", "1,2,3,4")
    assert convert(OFFICE, "--out", out, *given) == 0
    assert capsys.readouterr() == ("", f"doa_edge: wrote {out}\n")
    mount = np.radians((-90, 0, 180))
    expected = read_recording(OFFICE, InputFormat(audio_format="fuma", mount=mount))
    np.testing.assert_array_equal(read_recording(out), expected)
    assert soundfile.info(out).subtype == "FLOAT"


def test_rate_and_length(tmp_path, write_wave):
    given = write_wave(seconds=2.0, rate=44_100)
    assert convert("--input", given, "--out", tmp_path / "own.flac") == 0
    own = soundfile.info(tmp_path / "own.flac")
    assert (own.samplerate, own.frames, own.subtype) == (44_100, 88_200, "PCM_24")
    more = ("--to-rate", 48_000, "--seconds", 0.5)
    assert convert(given, "--out", tmp_path / "b.wav", *more) == 0
    assert (soundfile.info(tmp_path / "b.wav").samplerate) == 48_000
    assert (soundfile.info(tmp_path / "b.wav").frames) == 24_000


def test_what_flac_cannot_hold_is_told(tmp_path, capsys):
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, np.full((16_000, 4), 1.5), 16_000, subtype="FLOAT")
    assert convert(loud, "--out", tmp_path / "a.flac") == 0
    assert "beyond full scale were clipped: .wav keeps them" in capsys.readouterr().err
    assert convert(loud, "--out", tmp_path / "a.wav") == 0
    assert "clipped" not in capsys.readouterr().err
    assert float(read_recording(tmp_path / "a.wav").max()) == 1.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.mp3", "--out must be a .wav or a .flac file"),
        ("given.wav", "--out must be another file than the input"),
    ],
)
def test_misuse(tmp_path, capsys, name, message):
    given = tmp_path / "given.wav"
    given.write_bytes(OFFICE.read_bytes())
    assert convert(given, "--out", tmp_path / name) == 2
    assert message in capsys.readouterr().err
    assert given.read_bytes() == OFFICE.read_bytes()


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert convert(OFFICE, "--out", tmp_path / "no" / "a.wav") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "doa_edge", "convert", str(OFFICE), "--out"]
    for name in ("a.wav", "a.flac"):
        done = subprocess.run(
            [*command, str(tmp_path / name)],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert done.stderr == f"doa_edge: {tmp_path / name} cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_what_was_heard(tmp_path):
    out = tmp_path / "a.wav"
    command = [sys.executable, "-m", "doa_edge", "convert", "--input", "-", "--out", str(out)]
    raw = ["--encoding", "f32le", "--rate", "16000"]
    with subprocess.Popen(
        [*command, *raw], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(np.full((64_000, 4), 0.25, "<f4").tobytes())
        process.stdin.flush()
        deadline = time.monotonic() + 60.0
        while not any(part.stat().st_size > 100_000 for part in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"wrote " in told
    heard = read_recording(out)
    assert len(heard) > 1000
    assert np.all(heard == 0.25)
    assert list(tmp_path.iterdir()) == [out]
