"""`doa_edge` when something is wrong: one line says what to do, nothing is left half written."""

import json
import os
import sys

import numpy as np
import pytest

from doa_core.spec import ModelSpec
from doa_edge.commands.main import main
from doa_edge.tflite.file import embed_spec
from tests.edge import fake_sounddevice as fake
from tests.edge.conftest import IntensityModel

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

FLATBUFFER = b"\x20\0\0\0TFL3" + bytes(2048)
KEYS = ["time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs"]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# --- bad input: one line, status 2, nothing left behind


def bad_recordings(tmp_path, write_wave, plane_wave):
    """Name of the mistake -> a path and what the line must say."""
    wave = plane_wave(0.0, 0.0)
    broken = wave.copy()
    broken[16_000, 1] = np.nan
    infinite = wave.copy()
    infinite[10, 0] = np.inf
    flac = write_wave(name="cut.flac", subtype="PCM_16")
    flac.write_bytes(flac.read_bytes()[:6_000])  # less than a frame
    header = write_wave(name="header.wav", subtype="PCM_16")
    header.write_bytes(header.read_bytes()[:30])
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    text = tmp_path / "text.wav"
    text.write_text("this is a text file\nof two lines\n")
    raw = tmp_path / "sound.raw"
    raw.write_bytes(bytes(4_000))
    return {
        "missing": (tmp_path / "none.wav", "Not found"),
        "folder": (tmp_path, "the folder"),
        "empty": (empty, "empty"),
        "no samples": (write_wave(name="zero.wav", samples=wave[:0]), "0 samples"),
        "text": (text, "libsndfile reads"),
        "raw": (raw, "libsndfile reads"),
        "mono": (write_wave(name="mono.wav", samples=wave[:, :1]), "4 channels.* 1 channel$"),
        "stereo": (write_wave(name="two.wav", samples=wave[:, :2]), "4 channels.* 2 channels$"),
        "five": (write_wave(name="five.wav", samples=wave[:, [0, 1, 2, 3, 3]]), "5 channels$"),
        "cut flac": (flac, "cut short"),
        "cut header": (header, "cut short inside its WAV header"),
        "nan": (write_wave(name="nan.wav", samples=broken), "nan in channel 2 .* 1.0000 s"),
        "infinite": (write_wave(name="inf.wav", samples=infinite), "inf in channel 1"),
        "slow": (write_wave(name="slow.wav", rate=4_000), "8000 to 192000 Hz.* 4000 Hz"),
        "fast": (write_wave(name="fast.wav", rate=384_000, seconds=0.1), "384000 Hz"),
        "short": (write_wave(name="short.wav", samples=wave[:13_311]), "0.832 s or more.*13311"),
    }


BAD_RECORDINGS = [
    "missing",
    "folder",
    "empty",
    "no samples",
    "text",
    "raw",
    "mono",
    "stereo",
    "five",
    "cut flac",
    "cut header",
    "nan",
    "infinite",
    "slow",
    "fast",
    "short",
]


@pytest.mark.parametrize("mistake", BAD_RECORDINGS)
def test_bad_recording(
    tmp_path, tmp_path_factory, write_wave, plane_wave, no_network, capfd, mistake
):
    path, message = bad_recordings(tmp_path, write_wave, plane_wave)[mistake]
    out = tmp_path_factory.mktemp("out")
    outputs = ["--out", str(out / "track.jsonl"), "--plot", str(out / "track.png")]
    check_misuse(capfd, ["run", "--input", str(path), *outputs], message)
    assert files(out) == []


def test_a_recording_that_was_cut_short_is_heard_and_told(write_wave, no_network, capfd, caplog):
    path = write_wave(40.0, 20.0, subtype="PCM_16", seconds=2.0)
    path.write_bytes(path.read_bytes()[:-4_000])
    assert main(["run", "--input", str(path), "--summary"]) == 0
    (summary,) = lines(capfd.readouterr().out)
    assert (summary["azimuth_deg"], summary["elevation_deg"]) == pytest.approx((40, 20), abs=0.5)
    assert summary["duration_s"] == pytest.approx((32_000 - 500) / 16_000)
    (line,) = caplog.messages
    assert "cut short" in line
    assert "promises 32000 samples per channel. Received: 31500" in line


def test_every_bad_recording_is_tried(tmp_path, write_wave, plane_wave):
    assert sorted(bad_recordings(tmp_path, write_wave, plane_wave)) == sorted(BAD_RECORDINGS)


def test_bad_sound_after_a_real_model_is_one_line(write_wave, tiny_tflite, plane_wave, capfd):
    wave = plane_wave(0.0, 0.0)
    wave[-1, 0] = np.nan
    arguments = ["run", "--input", str(write_wave(samples=wave)), "--model", str(tiny_tflite)]
    check_misuse(capfd, arguments, "nan in channel 1")


@pytest.mark.parametrize("command", [["run"], ["info"]])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "Not found"),
        (b"", "empty"),
        (b"a text, no model", "TFL3"),
        (FLATBUFFER, "has no doa_spec.json inside: it was not made by doa_export"),
        (embed_spec(FLATBUFFER, ModelSpec())[:-20], "cut short"),
        (embed_spec(FLATBUFFER, ModelSpec())[:1_000], "cut short"),
        (embed_spec(FLATBUFFER, ModelSpec()).replace(b"cartesian", b"cartesien"), "cannot be read"),
    ],
)
def test_bad_model(tmp_path, write_wave, capfd, command, data, message):
    path = tmp_path / "model.tflite"
    if data is not None:
        path.write_bytes(data)
    if command == ["run"]:
        command = ["run", "--input", str(write_wave()), "--model"]
    check_misuse(capfd, [*command, str(path)], message)


def test_model_that_the_runtime_refuses(tmp_path, write_wave, capfd):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_spec(FLATBUFFER, ModelSpec()))
    arguments = ["run", "--input", str(write_wave()), "--model", str(path)]
    check_misuse(capfd, arguments, "cannot be run by ai-edge-litert")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "mp3"], "ambix, fuma, n3d, tetrahedral.*'mp3'"),
        (["--format", "tetrahedral:AAA,BBB,CCC,DDD"], "regular tetrahedron"),
        (["--mount", "1,2"], "three angles.*'1,2'"),
        (["--mount", "-1,2,x"], "three angles"),
        (["--mount", "nan,0,0"], "three angles"),
        (["--every", "0"], "--every must be frames, or .* between 1 and 2000 frames. Received: 0"),
        (["--every", "2.5"], "between 1 and 2000 frames. Received: 2.5"),
        (["--threads", "-1"], "--threads must be an integer between 1 and 256. Received: -1"),
        (["--gate", "loud"], "--gate must lie between -500 and 100 dBFS. Received: 'loud'"),
        (["--gate=-inf"], "--gate must lie between -500 and 100 dBFS. Received: -inf"),
        (["--decode", "mean"], "peak, centroid.*'mean'"),
        (["--plot", "track.mp4"], ".png, .pdf, .svg"),
        (["--sumary"], "unrecognized arguments: --sumary"),
    ],
)
def test_bad_option(write_wave, no_network, capfd, options, message):
    check_misuse(capfd, ["run", "--input", str(write_wave()), *options], message)


@pytest.mark.parametrize("arguments", [[], ["listen"], ["run", "--input"], ["info", "a", "b"]])
def test_bad_command(capfd, arguments):
    check_misuse(capfd, arguments, "doa_edge")


def test_no_device_and_no_input_is_misuse(monkeypatch, no_network, capfd):
    fake.install(monkeypatch)
    check_misuse(capfd, ["run"], "no input device.*Received: no device option")


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_output_never_replaces_the_input(write_wave, no_network, capfd, option):
    path = write_wave()
    before = path.read_bytes()
    check_misuse(capfd, ["run", "--input", str(path), option, str(path)], "must not replace")
    assert path.read_bytes() == before


def check_misuse(capfd, arguments, message):
    import re

    assert main(arguments) == 2
    captured = capfd.readouterr()
    assert len(captured.err.splitlines()) == 1, captured.err
    assert "Traceback" not in captured.err
    assert re.search(message, captured.err.strip()), captured.err


# --- failures that are not the user's input


def test_missing_output_folder_fails_before_the_work(tmp_path, write_wave, no_network, capsys):
    arguments = ["run", "--input", str(write_wave()), "--out", str(tmp_path / "none" / "x.jsonl")]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_full_disk_is_a_failure(write_wave, no_network, capsys):
    assert main(["run", "--input", str(write_wave()), "--out", "/dev/full"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert os.path.exists("/dev/full")


def test_device_file_is_written_in_place(write_wave, no_network, capsys):
    assert main(["run", "--input", str(write_wave()), "--out", os.devnull]) == 0
    assert not os.path.isfile(os.devnull)


class InterruptedModel(IntensityModel):
    def predict(self, features):
        if self.calls == 2:
            raise KeyboardInterrupt
        return super().predict(features)


def test_interruption_keeps_the_complete_lines(tmp_path, write_wave, monkeypatch, capsys):
    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", InterruptedModel)
    out = tmp_path / "track.jsonl"
    assert main(["run", "--input", str(write_wave()), "--out", str(out)]) == 130
    assert len(lines(out.read_text())) == 2
    assert files(tmp_path) == ["track.jsonl", "wave.wav"]
    assert "Traceback" not in capsys.readouterr().err


def test_failed_plot_leaves_nothing_but_the_lines(tmp_path, write_wave, no_network, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")

    def half_written(self, path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(figure.Figure, "savefig", half_written)
    out = tmp_path / "out"
    out.mkdir()
    outputs = ["--out", str(out / "track.jsonl"), "--plot", str(out / "track.png")]
    assert main(["run", "--input", str(write_wave()), *outputs]) == 1
    assert files(out) == ["track.jsonl"]


def test_a_missing_library_is_a_failure_that_names_its_apt_line(monkeypatch, no_network, capfd):
    """Nothing is wrong with the command: the machine lacks something, as without a package."""
    fake.without_library(monkeypatch)
    assert main(["run"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "sudo apt install libportaudio2" in line


def test_a_missing_package_names_its_pip_line(write_wave, no_network, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["run", "--input", str(write_wave()), "--plot", "x.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert 'pip install "doa-tf[plot]"' in captured.err
