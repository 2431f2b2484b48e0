"""The command: what it prints, what it writes, and what it never leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest

from doa_edge.tflite.file import read_model, read_spec
from doa_export.cli import main
from tests.processes import gone

from .conftest import ROOMY, small_model


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def no_converter(exports, monkeypatch):
    """The command with the flatbuffer of an earlier conversion: everything else is real."""

    def converted(model_path, *, quantize, **_):
        return read_model(exports[model_path.stem, quantize][0])[0]

    monkeypatch.setattr("doa_export.export.convert", converted)


@pytest.fixture
def folder(tmp_path):
    """Where the output goes; nothing else is in there."""
    out = tmp_path / "out"
    out.mkdir()
    return out


@pytest.mark.usefixtures("no_converter")
def test_one_object_on_stdout(exports, checkpoints, folder, capfd):
    out, report = folder / "net.tflite", folder / "net.json"
    arguments = ("--quantize", "dynamic", "--out", out, "--json", report, *ROOMY)
    assert run(checkpoints["gibbs-weighted"], *arguments) == 0
    printed = capfd.readouterr()
    made = json.loads(printed.out)
    assert made == json.loads(report.read_text())
    assert made["out"] == str(out)
    assert made["bytes"] == out.stat().st_size
    assert (made["quantization"], made["head"], made["decode"]) == (
        "dynamic",
        "gibbs-weighted",
        "peak",
    )
    assert set(made["parity"]) >= {"n", "median_deg", "p99_deg", "max_deg", "equal_peaks"}
    assert printed.err.splitlines()[-2].startswith(f"doa_export: {out}, 0.")
    assert printed.err.splitlines()[-1] == f"doa_export: wrote {report}"
    assert sorted(folder.iterdir()) == [report, out]
    assert out.read_bytes() == exports["gibbs-weighted", "dynamic"][0].read_bytes()


@pytest.mark.usefixtures("no_converter")
@pytest.mark.parametrize(
    ("head", "decode"), [("gibbs-weighted", "centroid"), ("cartesian", "peak")]
)
def test_decode_is_stated_for_grid_heads(checkpoints, folder, head, decode):
    out = folder / "net.tflite"
    options = ("--quantize", "none", "--decode", "centroid", "--out", out)
    assert run(checkpoints[head], *options) == 0
    assert read_spec(out).decode == decode


@pytest.mark.usefixtures("no_converter")
def test_a_file_of_several_voices_says_so(folder, tmp_path, capfd):
    from doa_edge.commands.main import main as doa_edge

    checkpoint, out = tmp_path / "gibbs-weighted.keras", folder / "net.tflite"
    small_model("gibbs-weighted", voices=3).save(checkpoint)
    assert run(checkpoint, "--quantize", "none", "--out", out) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["voices"] == 3
    assert "3 voices" in printed.err
    spec = read_spec(out)
    assert (spec.voices, spec.apart_deg, spec.version) == (3, 20.0, 2)
    assert doa_edge(["info", str(out)]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["voices"], told["apart_deg"], told["version"]) == (3, 20.0, 2)


@pytest.mark.usefixtures("no_converter")
@pytest.mark.parametrize("option", ["--max-median-deg", "--max-p99-deg"])
def test_above_the_budget(checkpoints, folder, capfd, option):
    out = folder / "net.tflite"
    out.write_bytes(b"what was there before")
    budget = {"--max-median-deg": 20, "--max-p99-deg": 60, option: 0}
    options = [text for pair in budget.items() for text in pair]
    assert run(checkpoints["cartesian"], "--quantize", "dynamic", "--out", out, *options) == 1
    said = one_line_on_stderr(capfd)
    assert "no file written" in said
    assert "that a runner would report" in said or "a runner would report" in said
    assert "--check SCENES" in said
    assert "--max-p99-deg" in said
    assert out.read_bytes() == b"what was there before"
    assert list(folder.iterdir()) == [out]


def test_crash_of_the_converter(checkpoints, folder, monkeypatch, capfd):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    command = [sys.executable, "-c", code]
    monkeypatch.setattr("doa_export.convert.launch._worker_command", lambda *_: command)
    out, report = folder / "net.tflite", folder / "net.json"
    options = ("--quantize", "none", "--out", out, "--json", report)
    assert run(checkpoints["cartesian"], *options) == 1
    assert "SIGSEGV" in one_line_on_stderr(capfd)
    assert list(folder.iterdir()) == []


def test_converter_that_writes_rubbish(checkpoints, folder, monkeypatch, capfd):
    for rubbish in (b"", b"rubbish", b"\0\0\0\0TFL3" + bytes(64)):
        monkeypatch.setattr("doa_export.export.convert", lambda *_, made=rubbish, **__: made)
        out = folder / "net.tflite"
        assert run(checkpoints["cartesian"], "--quantize", "none", "--out", out) == 1
        one_line_on_stderr(capfd, foreign=True)
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
)
def test_a_signal_ends_the_converter_and_leaves_nothing(
    number, status, word, checkpoints, folder, tmp_path, monkeypatch, capfd
):
    places = tmp_path / "converter", tmp_path / "temporary"
    places[1].mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(places[1]))
    command = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"

    def interrupt_soon(*_):
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        return [sys.executable, "-c", command, str(places[0])]

    monkeypatch.setattr("doa_export.convert.launch._worker_command", interrupt_soon)
    options = ("--quantize", "none", "--out", folder / "net.tflite")
    assert run(checkpoints["cartesian"], *options, "--json", folder / "made.json") == status
    assert one_line_on_stderr(capfd) == f"doa_export: {word}; no file written"
    assert list(folder.iterdir()) == list(places[1].iterdir()) == []
    if places[0].exists() and (process := places[0].read_text()):
        assert gone(int(process))


SLEEPS = """
import os, pathlib, time
pathlib.Path(os.environ["SAYS"]).write_text(str(os.getpid()))
time.sleep(600)
"""
STARTS = """
from doa_export.convert import launch
launch.imported_modules = lambda: ["sleeps"]
launch.run_worker("x.keras", ["--quantize", "none"], files=["model.tflite"])
"""


def test_the_converter_ends_with_a_process_that_is_killed(tmp_path):
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    (tmp_path / "temporary").mkdir()
    says = tmp_path / "says"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    others = {"SAYS": str(says), "PYTHONPATH": paths, "TMPDIR": str(tmp_path / "temporary")}
    parent = subprocess.Popen([sys.executable, "-c", STARTS], env={**os.environ, **others})
    try:
        wait_for(lambda: says.exists() and says.read_text())
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: gone(int(says.read_text())))


def wait_for(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("no_converter")
def test_checkpoint_that_changes_meanwhile(
    exports, checkpoints, folder, tmp_path, monkeypatch, capfd
):
    path = tmp_path / "cartesian.keras"
    path.write_bytes(checkpoints["cartesian"].read_bytes())
    flatbuffer = read_model(exports["cartesian", "none"][0])[0]

    def meanwhile(*_, **__):
        small_model("cartesian").save(path)  # the archive holds its date
        return flatbuffer

    monkeypatch.setattr("doa_export.export.convert", meanwhile)
    assert run(path, "--quantize", "none", "--out", folder / "net.tflite") == 1
    assert "changed meanwhile" in one_line_on_stderr(capfd, foreign=True)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("no_converter")
def test_check_on_scenes(checkpoints, folder, tmp_path, capfd):
    soundfile = pytest.importorskip("soundfile")
    scenes = tmp_path / "kitchen"
    scenes.mkdir()
    rng = np.random.default_rng(0)
    soundfile.write(scenes / "a.wav", 0.1 * rng.standard_normal((30_000, 4)), 16_000)
    labels = scenes / "labels.csv"
    labels.write_text("file,azimuth_deg,elevation_deg\na.wav,0,0\n")
    out = folder / "net.tflite"
    options = ("--quantize", "none", "--out", out, "--check", scenes)
    assert run(checkpoints["cartesian"], *options) == 0
    figures = json.loads(capfd.readouterr().out)["parity"]
    assert (figures["windows"], figures["n"]) == ("kitchen", 2)
    out.unlink()

    soundfile.write(scenes / "a.wav", 0.1 * rng.standard_normal((1000, 4)), 16_000)
    assert run(checkpoints["cartesian"], *options) == 2
    assert "shorter than one window" in one_line_on_stderr(capfd, foreign=True)
    labels.unlink()
    assert run(checkpoints["cartesian"], *options) == 2
    assert "labels.csv" in one_line_on_stderr(capfd)
    assert list(folder.iterdir()) == []


BAD_MODELS = {
    "missing": "Not found",
    "folder": "Not found",
    "text": "no .keras file, or was cut short",
    "empty": "no .keras file, or was cut short",
    "truncated": "no .keras file, or was cut short",
    "damaged": "is damaged",
    "zip": "can't be loaded as a Keras model",
    "foreign": "one FeatureInput and one HeadOutput",
    "suffix": "must be a .keras file",
    "nan": "must have finite weights",
}


@pytest.fixture
def bad_model(checkpoints, tmp_path):
    def make(kind):
        path = tmp_path / ("model.h5" if kind == "suffix" else "model.keras")
        good = checkpoints["cartesian"].read_bytes()
        if kind == "folder":
            path.mkdir()
        elif kind == "text":
            path.write_text("not a network\n")
        elif kind == "empty":
            path.touch()
        elif kind == "truncated":
            path.write_bytes(good[: len(good) // 2])
        elif kind == "damaged":
            half = len(good) // 2
            flipped = bytes(255 - byte for byte in good[half : half + 64])
            path.write_bytes(good[:half] + flipped + good[half + 64 :])
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("config.json", "{}")
        elif kind == "foreign":
            import keras

            inputs = keras.Input((3,))
            keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(path)
        elif kind == "suffix":
            path.write_bytes(good)
        elif kind == "nan":
            model = small_model("cartesian")
            dense = model.get_layer("dense")
            dense.set_weights([np.nan * weight for weight in dense.get_weights()])
            model.save(path)
        return path

    return make


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model(bad_model, folder, capfd, kind):
    path = bad_model(kind)
    out = folder / "net.tflite"
    assert run(path, "--quantize", "none", "--out", out) == 2
    line = one_line_on_stderr(capfd)
    assert BAD_MODELS[kind] in line
    assert str(path) in line or kind == "foreign"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quantize", "int4"), "invalid choice: 'int4'"),
        (("--quantize", "int8"), "needs scenes to calibrate on: --calibrate SCENES"),
        (("--quantize", "int8", "--calibrate", "nowhere"), "which is not there"),
        (("--quantize", "int8-full", "--calibrate", "x", "--frontend"), "use the mode int8"),
        (("--lstm", "flat"), "invalid choice: 'flat'"),
        (
            ("--calibration-windows", "0"),
            "--calibration-windows must be an integer between 1 and 1000000. Received: 0",
        ),
        (("--report", "nowhere/x.json"), "--report must name a file in a folder that exists"),
        (("--split", "--frontend"), "Only files whose input is features can be split"),
        (("--stream-highpass",), "belongs to files with a front end"),
        (("--decode", "best"), "invalid choice: 'best'"),
        (("--out", "net.bin"), "must be a .tflite file. Received:"),
        (("--out", "nowhere/net.tflite"), "folder must exist. Received:"),
        (("--out", "/proc/net.tflite"), "can't be written"),
        (("--check", "nowhere"), "which is not there"),
        (
            ("--max-median-deg", "nan"),
            "--max-median-deg must lie between 0 and 180 degrees. Received: nan",
        ),
        (("--max-p99-deg", "-1"), "--max-p99-deg must lie between 0 and 180 degrees. Received: -1"),
        (("--json", "nowhere/x.json"), "--json must name a file in a folder that exists"),
        (("--json", "net.tflite"), "must be two files"),
        (("--front-end",), "unrecognized arguments: --front-end"),
    ],
)
def test_bad_options(checkpoints, folder, monkeypatch, capfd, options, words):
    monkeypatch.chdir(folder)
    good = ("--quantize", "none", "--out", "net.tflite")
    assert run(checkpoints["cartesian"], *good, *options) == 2
    assert words in one_line_on_stderr(capfd)
    assert list(folder.iterdir()) == []


def test_output_that_is_a_folder(checkpoints, folder, capfd):
    out = folder / "net.tflite"
    out.mkdir()
    assert run(checkpoints["cartesian"], "--quantize", "none", "--out", out) == 2
    assert "must be a file" in one_line_on_stderr(capfd)


def test_bad_model_in_a_fresh_process(bad_model, folder):
    # TensorFlow's start-up notes, which no variable silences, must not bury the one line.
    command = [
        sys.executable,
        "-c",
        "import sys; from doa_export.cli import main; sys.exit(main())",
    ]
    options = ["--quantize", "none", "--out", str(folder / "net.tflite")]
    done = subprocess.run(
        [*command, str(bad_model("foreign")), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("doa_export: A model must hold one FeatureInput")
    assert list(folder.iterdir()) == []


def test_help_is_light():
    code = (
        "import sys; from doa_export.cli import main; status = main(['--help']); "
        "heavy = {'numpy', 'keras', 'tensorflow', 'rich'} & set(sys.modules); "
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "--quantize {none,float16,dynamic,int8,int8-full,int16x8}" in done.stdout


def one_line_on_stderr(capfd, *, foreign=False):
    """The only line on standard error, nothing on standard output.

    Args:
        foreign: let the runtimes' own INFO lines pass.
    """
    printed = capfd.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    if foreign:
        lines = [line for line in lines if not line.startswith(("INFO:", "WARNING:", "W0000"))]
    (line,) = lines
    assert line.startswith("doa_export: ")
    return line
