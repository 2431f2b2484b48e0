"""When somebody is said to speak: the noise floor, the margin, the confidence."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from doa_edge.activity import DEFAULT_MARGIN_DB, SPAN_S, ActivityDetector, NoiseFloor
from doa_edge.commands.main import main
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.input.stream import Gap

RATE, HOP = 16_000, 512
HOP_S = HOP / RATE


def floor_db(floor):
    return 10.0 * math.log10(floor.power)


def hop_powers(signal):
    hops = len(signal) // HOP
    return np.mean(np.square(signal[: hops * HOP].reshape(hops, HOP)), axis=1)


def speech_like(seconds, rng, *, level_db=-30.0, rate_hz=4.0):
    """Noise in syllables that fall silent between one another, without any longer pause."""
    time = np.arange(int(seconds * RATE)) / RATE
    envelope = np.maximum(0.0, np.sin(2 * np.pi * rate_hz * time)) ** 2
    signal = envelope * rng.standard_normal(len(time))
    return signal * 10 ** (level_db / 20) / np.sqrt(np.mean(signal**2))


@pytest.fixture
def rng():
    return np.random.default_rng(21)


@pytest.mark.parametrize("noise_db", [-70.0, -50.0, -30.0])
def test_floor_is_the_level_of_steady_noise(rng, noise_db):
    floor = NoiseFloor(hop_s=HOP_S)
    floor.update(hop_powers(10 ** (noise_db / 20) * rng.standard_normal(20 * RATE)))
    assert floor_db(floor) == pytest.approx(noise_db, abs=0.6)
    assert floor_db(floor) < noise_db


def test_floor_is_found_below_speech_without_pauses(rng):
    noise = 10 ** (-50 / 20) * rng.standard_normal(20 * RATE)
    floor = NoiseFloor(hop_s=HOP_S)
    floor.update(hop_powers(noise + speech_like(20.0, rng, level_db=-30.0)))
    # Smoothing keeps some of the syllables around dips of an eighth of a second: twice the margin
    # is left all the same.
    assert -51.0 < floor_db(floor) < -36.0


def test_bias_of_narrow_noise_is_below_the_margin(rng):
    """The fewer degrees of freedom, the deeper the least of the power: 500 Hz are few."""
    spectrum = np.fft.rfft(rng.standard_normal(40 * RATE))
    spectrum[500 * 40 :] = 0.0
    powers = hop_powers(np.fft.irfft(spectrum))
    floor = NoiseFloor(hop_s=HOP_S)
    floor.update(powers[: round(SPAN_S / HOP_S)])
    biases = []
    for start in range(round(SPAN_S / HOP_S), len(powers) - 26, 5):
        floor.update(powers[start : start + 5])
        biases.append(10 * np.log10(np.mean(powers[start - 21 : start + 5]) / floor.power))
    assert 1.0 < np.median(biases) < 2.5
    assert np.max(biases) < DEFAULT_MARGIN_DB + 0.5


def test_floor_is_unknown_until_a_whole_span_was_heard(rng):
    floor = NoiseFloor(hop_s=HOP_S)
    span_hops = round(SPAN_S / HOP_S)
    powers = hop_powers(rng.standard_normal((span_hops + 10) * HOP))
    floor.update(powers[: span_hops - 5])
    assert floor.power is None
    floor.update(powers[span_hops - 5 :])
    assert floor.power is not None


def test_floor_falls_at_once_and_rises_within_a_span(rng):
    floor = NoiseFloor(hop_s=HOP_S)
    quiet, loud = (hop_powers(gain * rng.standard_normal(9 * RATE)) for gain in (1e-3, 1e-2))
    floor.update(loud)
    assert floor_db(floor) == pytest.approx(-40.0, abs=1.0)
    floor.update(quiet[: round(0.5 / HOP_S)])  # eight time constants
    assert floor_db(floor) < -57.0
    floor.update(loud[: round(SPAN_S / 2 / HOP_S)])
    assert floor_db(floor) < -57.0
    floor.update(loud)
    assert floor_db(floor) == pytest.approx(-40.0, abs=1.0)


def test_floor_does_not_depend_on_how_the_hops_come(rng):
    powers = rng.uniform(size=600)
    whole, single = NoiseFloor(hop_s=HOP_S), NoiseFloor(hop_s=HOP_S)
    whole.update(powers)
    for power in powers:
        single.update([power])
    assert whole.power == single.power


def test_a_gap_keeps_the_floor(rng):
    floor = NoiseFloor(hop_s=HOP_S)
    floor.update(hop_powers(1e-2 * rng.standard_normal(10 * RATE)))
    before = floor.power
    floor.interrupt()
    assert floor.power == before


@pytest.mark.parametrize(
    ("power", "confidence", "active"),
    [(1e-3, 0.5, True), (1e-7, 0.5, False), (1e-3, 0.1, False), (1e-3, 0.2, True)],
)
def test_gate_and_confidence(power, confidence, active):
    detector = ActivityDetector(hop_s=HOP_S, gate_dbfs=-60.0, min_confidence=0.2)
    assert detector.is_active(power, confidence) is active


@pytest.mark.parametrize(("margin_db", "power", "active"), [(6, 0.5, True), (6, 0.3, False)])
def test_margin_over_the_floor(margin_db, power, active):
    detector = ActivityDetector(hop_s=HOP_S, margin_db=margin_db)
    assert detector.is_active(power, 1.0)  # no floor yet
    detector.floor.update(np.full(300, 0.1))
    assert detector.is_active(power, 1.0) is active
    assert not detector.is_active(0.1, 1.0)


def test_margin_0_judges_nothing():
    detector = ActivityDetector(hop_s=HOP_S, margin_db=0.0)
    detector.floor.update(np.full(300, 0.1))
    assert detector.is_active(0.1, 1.0)


def test_steady_noise_goes_quiet_and_a_talker_in_it_is_heard(plane_wave, intensity_model):
    """12 s of noise alone from one direction, then the same with a talker 10 dB above it."""
    scene = 0.1 * plane_wave(-90.0, 0.0, seconds=24.0)  # -40 dBFS
    rng = np.random.default_rng(2)
    speech = speech_like(12.0, rng, level_db=-30.0)
    scene[12 * RATE :] += (speech[:, None] * [1.0, 1.0, 0.0, 0.0]).astype(np.float32)  # left
    estimates = DirectionEngine(intensity_model).push(scene)
    before = [e.active for e in estimates if e.time_s < SPAN_S]
    noise = [e.active for e in estimates if SPAN_S + 0.5 < e.time_s < 12.0]
    talk = [e.active for e in estimates if e.time_s > 13.0]
    assert all(before)
    assert len(noise) > 15
    assert not any(noise)
    assert len(talk) > 60
    assert all(talk)
    # The direction and its confidence are given all the same.
    assert all(e.confidence > 0.9 for e in estimates if e.time_s < 12.0)


def test_activity_does_not_depend_on_block_sizes(plane_wave, intensity_model):
    rng = np.random.default_rng(6)
    scene = plane_wave(30.0, 0.0, seconds=20.0)
    scene *= np.repeat(10 ** rng.uniform(-2, 0, 40), RATE // 2)[:, None].astype(np.float32)
    gap = Gap(samples=12_345, reason="lost")
    for every in (5, 40):
        options = {"every": every, "smooth_s": 1.0, "margin_db": 16.0}
        whole = list(
            DirectionEngine(intensity_model, EngineSettings(**options)).run([scene, gap, scene])
        )
        pieces = [scene[start : start + 777] for start in range(0, len(scene), 777)]
        cut = list(
            DirectionEngine(intensity_model, EngineSettings(**options)).run([*pieces, gap, *pieces])
        )
        assert cut == whole
        assert {e.active for e in whole} == {True, False}


def test_a_new_stream_knows_no_floor(plane_wave, intensity_model):
    engine = DirectionEngine(intensity_model)
    scene = plane_wave(30.0, 0.0, seconds=12.0)
    assert not engine.push(scene)[-1].active
    engine.reset()
    assert engine.push(scene)[0].active


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gate_dbfs": math.nan}, "`gate` must lie between -500 and 100 dBFS. Received: nan"),
        ({"margin_db": -1.0}, "`margin` must lie between 0 and 90 dB. Received: -1.0"),
        ({"margin_db": math.inf}, "`margin`"),
        ({"min_confidence": 1.1}, "`confidence` must lie between 0 and 1.*1.1"),
        ({"min_confidence": math.nan}, "`confidence`"),
    ],
)
def test_bad_options_are_named(options, match, intensity_model):
    with pytest.raises(ValueError, match=match):
        DirectionEngine(intensity_model, EngineSettings(**options))


def printed(capsys, *options):
    assert main(["run", "--json", *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_options_of_the_command(write_wave, plane_wave, no_network, capsys):
    sound = plane_wave(40.0, 20.0, seconds=12.0)
    diffuse = 0.03 * np.random.default_rng(7).standard_normal(sound.shape)
    path = str(write_wave(samples=sound + diffuse))
    plain = printed(capsys, "--input", path)
    assert [line["active"] for line in plain][:5] == [True] * 5
    assert not plain[-1]["active"]  # steady noise
    assert all(line["active"] for line in printed(capsys, "--input", path, "--margin", "0"))
    sure = printed(capsys, "--input", path, "--confidence", "1")
    assert not any(line["active"] for line in sure)
    assert all(0.5 < line["confidence"] < 1.0 for line in sure)
    short = printed(capsys, "--input", path, "--average", "5", "--smooth", "2")
    assert len(short) == len(plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--margin", "-1"], "--margin must lie between 0 and 90 dB. Received: -1 ("),
        (["--confidence", "2"], "--confidence must lie between 0 and 1. Received: 2 ("),
        (["--smooth", "-1"], "--smooth must lie between 0 and 3600 seconds. Received: -1 ("),
        (["--average", "5000"], "between 1 and 2000 frames. Received: 5000 ("),
    ],
)
def test_bad_options_of_the_command(write_wave, no_network, capsys, options, words):
    assert main(["run", "--input", str(write_wave()), *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("calibrated", "active"), [(0.35, False), (0.45, True)])
def test_a_calibrated_confidence_is_a_probability(plane_wave, intensity_model, calibrated, active):
    intensity_model.spec = replace(
        intensity_model.spec, calibration=((0.0, calibrated), (1.0, calibrated))
    )
    sound = plane_wave(10.0, 10.0)
    estimate = DirectionEngine(intensity_model).push(sound)[0]
    assert estimate.confidence == pytest.approx(calibrated)
    assert estimate.active is active
    assert (
        DirectionEngine(intensity_model, EngineSettings(min_confidence=0.1)).push(sound)[0].active
    )
