"""`doa_edge convert` writes what `doa_edge run` would hear."""

import os
import resource
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from doa_edge.commands.main import main
from doa_edge.input.audio import FileSource, read_recording
from doa_edge.input.format import InputFormat
from tests.edge.input.wave_files import chunk, pcm16, wave
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


# --- the recorder's clock

NUMBERS = struct.pack("<H64s5h", 2, bytes(range(64)), -2300, 500, -90, -1800, -2000)
HISTORY = b"A=PCM,F=16000,W=16,M=quad,T=Recorder\r\n"


@pytest.fixture
def clocked(tmp_path, plane_wave):
    """A recording whose recorder has a clock, and says more of it."""
    body = b"Scene 1".ljust(256, b"\0") + b"Recorder".ljust(32, b"\0") + b"R1".ljust(32, b"\0")
    body += b"2026-03-28" + b"12:00:00" + struct.pack("<Q", 16_000 * 43_200 + 8_000)
    body += NUMBERS + bytes(180) + HISTORY
    path = tmp_path / "clocked.wav"
    path.write_bytes(wave(pcm16(plane_wave(40.0, 0.0)), before=chunk(b"bext", body)))
    return path


@pytest.mark.parametrize(("rate", "reference"), [(16_000, 691_208_000), (44_100, 1_905_142_050)])
@pytest.mark.parametrize("piped", [False, True])
def test_the_clock_of_the_recorder_stays(tmp_path, clocked, capsys, rate, reference, piped):
    out = tmp_path / "out.wav"
    arguments = ("--out", out, "--to-rate", rate)
    if piped:
        command = [sys.executable, "-m", "doa_edge", "convert", "--input", "-"]
        with clocked.open("rb") as sound:
            done = subprocess.run([*command, *map(str, arguments)], stdin=sound)
        assert done.returncode == 0
    else:
        assert convert(clocked, *arguments) == 0
        assert capsys.readouterr().err == f"doa_edge: wrote {out}\n"
    with FileSource(clocked) as before, FileSource(out) as after:
        assert after.began == before.began
        assert after.began.isoformat() == "2026-03-28T12:00:00.500000"
        assert after.broadcast.time_reference == reference
        assert after.broadcast.description == "Scene 1"
        body = after.broadcast.body
    assert body[346:422] == NUMBERS
    assert body[602:].startswith(HISTORY)
    np.testing.assert_allclose(len(read_recording(out)), len(read_recording(clocked)), atol=1)


def test_a_clock_that_flac_has_no_place_for_is_told(tmp_path, clocked, capsys):
    out = tmp_path / "out.flac"
    assert convert(clocked, "--out", out) == 0
    assert capsys.readouterr().err == (
        f"doa_edge: {out} does not keep the recorder's clock (bext), for which it has no place: "
        f".wav keeps it\ndoa_edge: wrote {out}\n"
    )


def test_a_clock_that_libsndfile_does_not_take_is_told(tmp_path, clocked, capsys, monkeypatch):
    monkeypatch.setattr("doa_edge.commands.convert._SET_BROADCAST_INFO", 0x7FFF)  # no command
    out = tmp_path / "out.wav"
    assert convert(clocked, "--out", out) == 0
    assert capsys.readouterr().err == (
        f"doa_edge: {out} does not keep the recorder's clock (bext)\ndoa_edge: wrote {out}\n"
    )
    with FileSource(out) as source:
        assert source.broadcast is None
