"""The benchmarks of a model: what they change in a scene, and a run of each on a few scenes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_core.angles import angles_to_vector, great_circle_distance
from experiments.quality import causes, failures
from experiments.scenes import changes
from tests.places import PROJECT

pytest.importorskip("ai_edge_litert")
pytest.importorskip("pyroomacoustics")

MODEL = PROJECT / "edge" / "doa_edge" / "models" / "default.tflite"
CARDIOID = 0.5


def run(program, *options, **variables):
    folders = map(str, [PROJECT, PROJECT / "edge", PROJECT / "export"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), **variables}
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.quality.{program}", *map(str, options)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def plane_wave(azimuth_deg=40.0, elevation_deg=10.0, samples=4000):
    direction = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
    noise = np.random.default_rng(0).standard_normal(samples)
    return encode_plane_wave(noise, direction).astype(np.float32), direction


def heard_from(signal):
    active = np.mean(signal[:, :1] * signal[:, [3, 1, 2]], axis=0)
    return active / np.linalg.norm(active)


def test_a_tilt_moves_a_direction_by_no_more_than_its_angle():
    signal, direction = plane_wave()
    moved = [
        np.degrees(
            great_circle_distance(
                heard_from(changes.tilted(signal, np.random.default_rng(seed), 20.0)), direction
            )
        )
        for seed in range(20)
    ]
    assert max(moved) == pytest.approx(20.0, abs=1.0)
    assert min(moved) < 10.0
    upright, _ = plane_wave(elevation_deg=90.0)  # is across every horizontal axis
    tilted = heard_from(changes.tilted(upright, np.random.default_rng(0), 20.0))
    assert np.degrees(great_circle_distance(tilted, [0, 0, 1])) == pytest.approx(20.0, abs=1e-3)


def test_a_recording_played_too_fast_is_shorter_and_higher():
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(16_000) / 16_000).astype(np.float32)
    played = changes.played_at(np.repeat(tone[:, np.newaxis], 4, axis=1), 5.0)
    assert len(played) == pytest.approx(16_000 / 1.05, abs=2)
    spectrum = np.abs(np.fft.rfft(played[:, 0]))
    assert np.argmax(spectrum) * 16_000 / len(played) == pytest.approx(1050.0, abs=2.0)


def test_so_many_samples_of_the_capsules_clip():
    signal, _ = plane_wave()
    capsules = from_ambix(changes.clipped(signal, 5.0, pattern=CARDIOID), "tetrahedral")
    ceiling = np.abs(capsules).max()
    assert np.mean(np.abs(capsules) > 0.9999 * ceiling) == pytest.approx(0.05, abs=0.001)


def test_one_capsule_of_four_is_weak_and_the_others_are_as_they_were():
    signal, _ = plane_wave()
    before = from_ambix(signal, "tetrahedral")
    for gain_db, gain in ((-6.0, 10 ** (-6 / 20)), (changes.DEAD, 0.0)):
        weak = changes.weak_capsule(signal, np.random.default_rng(3), gain_db, pattern=CARDIOID)
        after = from_ambix(weak, "tetrahedral")
        ratios = np.sum(after * before, axis=0) / np.sum(before**2, axis=0)
        np.testing.assert_allclose(np.sort(ratios), [gain, 1.0, 1.0, 1.0], atol=1e-5)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.mark.slow
def test_robustness_runs_on_the_demo_speech_and_finds_its_scenes_again(work, tmp_path):
    pytest.importorskip("sofar")
    pytest.importorskip("matplotlib")
    figures = tmp_path / "robustness.json"
    command = (
        *("robustness", MODEL, "baseline:music", "--quick", "--work", work),
        *("--json", figures, "--plot", tmp_path),
    )
    table = run(*command)
    values = json.loads(figures.read_text())
    axes = {axis["name"]: axis for axis in values["axes"]}
    assert {"snr", "sir", "rt60", "distance", "elevation", "microphone", "tilt"} <= set(axes)
    assert {"rate", "clip", "capsule", "voices", "field", "interferer", "talkers"} <= set(axes)
    for axis in axes.values():
        for level in axis["levels"]:
            assert set(level["results"]) == {"default", "music"}
            assert level["results"]["default"]["n"] == 4
    assert "less_reference" in axes["tilt"]["levels"][-1]["results"]["music"]
    assert "two_talkers" in axes["talkers"]["levels"][-1]["results"]["music"]
    assert table.count("\n| -") >= len(axes)
    assert (tmp_path / "robustness.png").read_bytes().startswith(b"\x89PNG")
    scenes = sorted((work / "scenes").glob("*/0000.wav"))
    before = [path.stat().st_mtime_ns for path in scenes]
    assert run(*command) == table
    assert [path.stat().st_mtime_ns for path in scenes] == before


@pytest.mark.slow
def test_scenes_of_other_speech_are_not_taken_for_the_same(work, speech):
    command = [sys.executable, "-m", "experiments.quality.robustness", "--quick", "--axes", "tilt"]
    first = subprocess.run(
        [*command, "--work", str(work)], capture_output=True, text=True, cwd=PROJECT
    )
    assert first.returncode == 0, first.stderr
    other = subprocess.run(
        [*command, "--work", str(work), "--speech", str(speech)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert other.returncode == 2
    assert "other values of sounds.speech" in other.stderr


@pytest.mark.slow
def test_without_a_synthesiser_its_languages_are_skipped_and_say_so(work, tmp_path):
    table = run(
        *("robustness", MODEL, "--quick", "--axes", "voices", "--work", work), PATH=str(tmp_path)
    )
    assert "| read English, people | " in table
    assert "| Mandarin, espeak-ng | skipped: espeak-ng is not installed |" in table


@pytest.mark.slow
def test_own_scenes_and_a_model_card_of_them(work, tmp_path):
    pytest.importorskip("sofar")
    pytest.importorskip("matplotlib")
    figures = tmp_path / "own.json"
    table = run(
        *("own_scenes", MODEL, "baseline:music", "--quick", "--work", work, "--json", figures)
    )
    values = json.loads(figures.read_text())["sets"]
    assert [own["condition"] for own in values.values()] == 2 * ["diffuse", "interferer"]
    assert "Median error over MUSIC's" in table
    for own in values.values():
        assert own["results"]["music"]["median_over_music"]["ratio"] == 1.0
    # Capsules with tolerances bend directions, a sphere's thirty-two hardly.
    assert values["own-tetrahedral-diffuse"]["microphone_deg"][0] > 1.0
    assert values["own-array-diffuse"]["microphone_deg"][0] < 1.0
    folders = sorted((work / "scenes").glob("own-*/"))
    folders = [folder for folder in folders if folder.is_dir()]
    card = tmp_path / "card.json"
    text = run("model_card", MODEL, "--scenes", *folders, "--work", work, "--json", card)
    for part in ("## Figures", "By SNR", "By SIR", "By elevation", "By microphone", "SHA-256"):
        assert part in text
    run("pictures", MODEL, "--scenes", *folders, "--work", work, "--out", tmp_path / "pictures")
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"distributions.png", "reliability.png"}
    values = json.loads(card.read_text())
    assert values["default_threshold"] == 0.4
    assert sum(own["n"] for own in values["reliability"]["bins"]) == 16
    for folder in folders:
        assert values["thresholds"][folder.name][1]["kept"] == 100.0


def test_kinds_of_failures_are_told_apart():
    from doa_tf.evaluation.judge import SceneResult
    from doa_tf.scenes.folder import Scene

    columns = {"interferer_azimuth_deg": "100", "interferer_elevation_deg": "0"}
    scene = Scene(
        file="a.wav", path=Path("a.wav"), azimuth_deg=0, elevation_deg=40, columns=columns
    )

    def kind(azimuth_deg, elevation_deg):
        result = SceneResult(
            scene=scene,
            azimuth_deg=azimuth_deg,
            elevation_deg=elevation_deg,
            error_deg=90.0,
            confidence=0.5,
        )
        return failures.failure_kind(result)

    assert kind(95.0, 5.0) == "interferer"
    assert kind(5.0, -35.0) == "mirrored"
    assert kind(-10.0, -80.0) == "elevation"
    assert kind(180.0, 0.0) == "elsewhere"


def test_an_offset_is_power_below_hearing_and_a_wave_is_not():
    signal, _ = plane_wave(samples=16_000)
    assert causes.low_power_db(signal) < -20.0  # 20 of 8,000 Hz: -26 dB
    # An offset of ten times the standard deviation has a hundred times the power.
    offset = signal + 10.0 * np.std(signal[:, 0])
    assert causes.low_power_db(offset) == pytest.approx(20.0, abs=0.5)


def test_causes_of_errors_are_said_for_the_demo_and_noise_alone(tmp_path):
    import soundfile

    path = tmp_path / "hum.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(51 * 16_000), 16_000)
    demo = PROJECT / "demo" / "recordings"
    table = run("causes", MODEL, "baseline:music", "--scenes", demo, "--noise", path)
    assert "below 20 Hz" in table
    assert "elevation too high by" in table
    assert "| default | white noise |" in table
    assert "| default | hum |" in table
