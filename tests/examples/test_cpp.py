"""The C++ example gives the answers of `doa_edge`, and says what it cannot use."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.spec import ModelSpec
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.tflite.file import embed_spec, read_model
from doa_edge.tflite.network import TfliteModel
from doa_edge.tflite.shipped import shipped_model_path

from .conftest import RECORDINGS

LITE = shipped_model_path("lite")


def run(program, *arguments):
    command = [str(argument) for argument in (program, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def lines_of(program, library, model, recording):
    done = run(program, model, recording, "--library", library, "--digits", "6")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def estimates_of(model, recording):
    soundfile = pytest.importorskip("soundfile")
    engine = DirectionEngine(TfliteModel(model), EngineSettings(talkers=1))
    return engine.push(soundfile.read(recording, dtype="float32")[0])


def worst_deg(lines, estimates):
    """Largest angle of the two answers to a window [degrees]; all else is equal."""
    assert len(lines) == len(estimates) > 30
    angles = []
    for line, estimate in zip(lines, estimates, strict=True):
        expected = estimate.to_dict()
        assert list(line) == list(expected)
        assert line["time_s"] == expected["time_s"]
        assert line["active"] == expected["active"]
        assert line["level_dbfs"] == pytest.approx(expected["level_dbfs"], abs=0.011)
        sides = [(line["azimuth_deg"], line["elevation_deg"])]
        sides += [(estimate.azimuth_deg, estimate.elevation_deg)]
        vectors = [angles_to_vector(*map(math.radians, side)) for side in sides]
        angles.append(math.degrees(great_circle_distance(*vectors)))
    return max(angles)


@pytest.mark.slow
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_its_answers_are_the_runners(program, library, stateless, recording):
    lines = lines_of(program, library, stateless["features"], recording)
    estimates = estimates_of(stateless["features"], recording)
    assert worst_deg(lines, estimates) < 0.01
    confidences = [estimate.confidence for estimate in estimates]
    assert [line["confidence"] for line in lines] == pytest.approx(confidences, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["features", "audio"])
def test_it_refines_as_the_runner_does(program, library, stateless, tmp_path, kind):
    flatbuffer, spec = read_model(stateless[kind])
    refined = tmp_path / "refined.tflite"
    refined.write_bytes(embed_spec(flatbuffer, dataclasses.replace(spec, refine="intensity")))
    expected = estimates_of(refined, RECORDINGS[0])
    assert worst_deg(lines_of(program, library, refined, RECORDINGS[0]), expected) < 0.01
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(embed_spec(flatbuffer, dataclasses.replace(spec, refine="none")))
    pairs = zip(estimates_of(plain, RECORDINGS[0]), expected, strict=True)
    assert max(abs(one.azimuth_deg - other.azimuth_deg) for one, other in pairs) > 0.1


@pytest.mark.slow
def test_it_gives_samples_to_a_file_that_filters_them(program, library, stateless):
    lines = lines_of(program, library, stateless["audio"], RECORDINGS[0])
    assert worst_deg(lines, estimates_of(stateless["audio"], RECORDINGS[0])) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_window_filtered_by_itself_is_near_the_stream(stateless, recording):
    """As docs/other-runtimes.md states: 0.1 degrees in the median, 0.5 at most."""
    alone, stream = (estimates_of(stateless[name], recording) for name in ("audio", "features"))
    vectors = [
        [angles_to_vector(*map(math.radians, (e.azimuth_deg, e.elevation_deg))) for e in side]
        for side in (alone, stream)
    ]
    angles_deg = np.degrees(great_circle_distance(*map(np.array, vectors)))
    assert angles_deg[0] < 0.05  # where the stream begins both filters do
    assert np.median(angles_deg) < 0.1
    assert np.max(angles_deg) < 0.5


@pytest.fixture(scope="module")
def whole_lite(tmp_path_factory):
    """The light network without its halves, which the runner prefers and the program can't use."""
    path = tmp_path_factory.mktemp("whole") / "lite.tflite"
    path.write_bytes(embed_spec(*read_model(LITE)))
    return path


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_integers_are_rounded_nearly_as_the_runner_does(program, library, whole_lite, recording):
    """Eight bits make a step of a difference in the last digit, and kernels differ in it."""
    lines = lines_of(program, library, LITE, recording)
    assert worst_deg(lines, estimates_of(whole_lite, recording)) < 0.2


def test_it_prints_what_the_runner_prints(program, library, whole_lite):
    done = run(program, LITE, RECORDINGS[0], "--library", library)
    first = json.loads(done.stdout.splitlines()[0])
    expected = estimates_of(whole_lite, RECORDINGS[0])[0].to_dict()
    assert first == pytest.approx(expected, abs=0.2)
    assert len(str(first["azimuth_deg"]).split(".")[1]) <= 2


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
    """Files that the program is to refuse, by name."""
    soundfile = pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal((16_000, 4))
    for name, samples, rate, subtype in (
        ("stereo", sound[:, :2], 16_000, "PCM_16"),
        ("rate", sound, 48_000, "PCM_16"),
        ("float", sound, 16_000, "FLOAT"),
        ("short", sound[:13_311], 16_000, "PCM_16"),
        ("good", sound, 16_000, "PCM_16"),
    ):
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype=subtype)
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:-1000])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not sound at all")
    (folder / "text.tflite").write_text("no network")
    (folder / "cut.tflite").write_bytes(LITE.read_bytes()[:-40])
    unrolled = {"provenance": {"export": {"lstm": "unrolled"}}}
    no_network = b"\x1c\0\0\0TFL3" + bytes(400)
    (folder / "head.tflite").write_bytes(embed_spec(no_network, ModelSpec(**unrolled)))
    grid = ModelSpec(head="gibbs", resolution_deg=10.0, **unrolled)
    (folder / "bytes.tflite").write_bytes(embed_spec(no_network, grid))
    fused = dataclasses.replace(grid, provenance={"export": {"lstm": "fused"}})
    (folder / "fused.tflite").write_bytes(embed_spec(no_network, fused))
    (folder / "old.so").write_bytes(b"no library")
    return folder


@pytest.mark.parametrize(
    ("model", "recording", "words"),
    [
        (LITE, "stereo.wav", "must have 4 channels (AmbiX) of 16 bits at 16000 Hz"),
        (LITE, "rate.wav", "must have 4 channels (AmbiX) of 16 bits at 16000 Hz"),
        (LITE, "float.wav", "must have 4 channels (AmbiX) of 16 bits at 16000 Hz"),
        (LITE, "short.wav", "must last 13312 samples or more"),
        (LITE, "cut.wav", "the recording is cut short"),
        (LITE, "empty.wav", "cannot be read, or is empty"),
        (LITE, "missing.wav", "cannot be read, or is empty"),
        (LITE, "text.wav", "must be a WAV file"),
        ("text.tflite", "good.wav", "has no spec inside: make it by doa_export"),
        ("cut.tflite", "good.wav", "has no spec inside: make it by doa_export"),
        ("head.tflite", "good.wav", "decodes the heads gibbs and gibbs-weighted, not cartesian"),
        ("fused.tflite", "good.wav", "take a file made by doa_export --lstm unrolled"),
    ],
)
def test_what_it_cannot_use(program, bad_files, model, recording, words):
    done = run(program, bad_files / model, bad_files / recording, "--library", "none.so")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("localise: ")
    assert words in line


def test_a_network_that_litert_cannot_read(program, library, bad_files):
    files = (bad_files / "bytes.tflite", bad_files / "good.wav")
    done = run(program, *files, "--library", library)
    assert (done.returncode, done.stdout) == (2, "")
    assert "localise: LiteRT cannot " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage: localise MODEL.tflite RECORDING.wav"),
        (("one",), "usage: localise MODEL.tflite RECORDING.wav"),
        (("a", "b", "--digits"), "--digits needs a value"),
        (("a", "b", "--digits", "12"), "--digits must be 0 to 9. Received: 12"),
    ],
)
def test_misuse(program, arguments, words):
    done = run(program, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("name", ["missing.so", "old.so"])
def test_no_library(program, bad_files, name):
    done = run(program, LITE, bad_files / "good.wav", "--library", bad_files / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "localise: LiteRT cannot be loaded: " in done.stderr
