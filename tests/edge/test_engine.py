"""The engine, judged with a model that is physics: a plane wave gives its direction."""

import json
import math

import numpy as np
import pytest

from doa_core.angles import great_circle_distance, rotation_matrix, vector_to_angles
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL, intensity_features
from doa_core.highpass import highpass
from doa_core.spec import FeatureSpec, ModelSpec
from doa_core.stft import stft
from doa_edge.engine import DirectionEngine, EngineSettings, Estimate
from doa_edge.input.audio import read_blocks
from doa_edge.input.format import InputFormat
from doa_edge.input.stream import Gap
from doa_edge.recording import OutputAverage, summary_dict
from tests.edge.conftest import IntensityModel, unit_vector

OCTANTS = [(azimuth, elevation) for azimuth in (45, 135, -135, -45) for elevation in (35, -35)]
WINDOW = 13_312  # samples


def error_deg(estimate, azimuth_deg, elevation_deg):
    answer = unit_vector(estimate.azimuth_deg, estimate.elevation_deg)
    return math.degrees(great_circle_distance(answer, unit_vector(azimuth_deg, elevation_deg)))


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [*OCTANTS, (180, 0), (0, 90), (0, -90)])
@pytest.mark.parametrize("audio_format", ["ambix", "fuma", "n3d", "tetrahedral"])
def test_plane_wave_gives_its_direction(
    write_wave, intensity_model, azimuth_deg, elevation_deg, audio_format
):
    path = write_wave(azimuth_deg, elevation_deg, audio_format=audio_format)
    engine = DirectionEngine(intensity_model)
    estimates = list(engine.run(read_blocks(path, InputFormat(audio_format=audio_format))))
    assert len(estimates) == 1 + (int(1.2 * 16_000) - WINDOW) // (5 * 512)
    for estimate in estimates:
        assert error_deg(estimate, azimuth_deg, elevation_deg) < 0.01  # float32
        assert estimate.confidence > 0.999
        assert estimate.active


def test_a_wrong_format_gives_a_wrong_direction(write_wave, intensity_model):
    path = write_wave(60.0, 30.0, audio_format="fuma")
    estimate = next(DirectionEngine(intensity_model).run(read_blocks(path)))
    assert error_deg(estimate, 60.0, 30.0) > 10.0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), OCTANTS[::3])
def test_rate_does_not_matter(write_wave, intensity_model, rate, azimuth_deg, elevation_deg):
    path = write_wave(azimuth_deg, elevation_deg, rate=rate)
    for estimate in DirectionEngine(intensity_model).run(read_blocks(path)):
        assert error_deg(estimate, azimuth_deg, elevation_deg) < 1.0


@pytest.mark.parametrize(
    "mount_deg", [(90, 0, 0), (-90, 0, 0), (0, 30, 0), (0, 0, 180), (20, -40, 65)]
)
def test_mount_turns_the_answer_into_the_room(write_wave, intensity_model, mount_deg):
    mount = np.radians(mount_deg)
    heard = unit_vector(25.0, -15.0)
    path = write_wave(25.0, -15.0)
    room = np.degrees(vector_to_angles(rotation_matrix(*mount) @ heard))
    for estimate in DirectionEngine(intensity_model).run(
        read_blocks(path, InputFormat(mount=mount))
    ):
        assert error_deg(estimate, *room) < 0.01


def test_upside_down_mirrors_left_and_up(write_wave, intensity_model):
    path = write_wave(40.0, 20.0)
    blocks = read_blocks(path, InputFormat(mount=(0.0, 0.0, math.pi)))
    estimate = next(DirectionEngine(intensity_model).run(blocks))
    assert (estimate.azimuth_deg, estimate.elevation_deg) == pytest.approx((-40.0, -20.0), abs=0.01)


class HashModel(IntensityModel):
    """Outputs that depend on every feature of the window: any difference shows."""

    def predict(self, features):
        weights = np.random.default_rng(1).standard_normal(features[0].size)
        response = features.reshape(len(features), -1) @ weights.astype(np.float32)
        return (0.5 + 0.3 * np.sin(response[:, None] * [1.0, 2.0, 3.0])).astype(np.float32)


def moving_scene(plane_wave, seconds):
    """Noise that changes its direction and level every 50 ms."""
    rng = np.random.default_rng(3)
    pieces = [
        rng.uniform(0.01, 1.0) * plane_wave(*rng.uniform(-80, 80, 2), seconds=0.05, seed=seed)
        for seed in range(round(seconds / 0.05))
    ]
    return np.concatenate(pieces)


@pytest.mark.parametrize("every", [1, 5, 25, 40])
@pytest.mark.parametrize("block", [1, 160, 512, 4096])
def test_estimates_do_not_depend_on_block_sizes(plane_wave, block, every):
    scene = moving_scene(plane_wave, 2.5)
    whole = DirectionEngine(HashModel(), EngineSettings(every=every)).push(scene)
    engine = DirectionEngine(HashModel(), EngineSettings(every=every))
    pieces = (scene[start : start + block] for start in range(0, len(scene), block))
    assert list(engine.run(pieces)) == whole
    assert len(whole) == 1 + (len(scene) - WINDOW) // (every * 512)


@pytest.mark.parametrize("every", [3, 30])
@pytest.mark.parametrize("channels", [INTENSITY_CHANNELS, (*INTENSITY_CHANNELS, LEVEL_CHANNEL)])
def test_windows_are_those_of_the_batch_features(plane_wave, every, channels):
    seen = []

    class Recorder(IntensityModel):
        def predict(self, features):
            seen.append(features.copy())
            return super().predict(features)

    model = Recorder()
    model.spec = ModelSpec(features=FeatureSpec(channels=channels))
    scene = moving_scene(plane_wave, 3.0)
    estimates = DirectionEngine(model, EngineSettings(every=every)).push(scene)
    features = intensity_features(stft(scene), channels=channels)
    heard = highpass(scene, cutoff_hz=30.0, sample_rate=16_000)  # for levels, where a spec has none
    for index, (window, estimate) in enumerate(zip(seen, estimates, strict=True)):
        start = index * every
        np.testing.assert_array_equal(window, features[start : start + 25])
        end = start * 512 + WINDOW
        assert estimate.time_s == end / 16_000
        # Streamed in other blocks than the whole: rounding of float32.
        assert estimate.level_dbfs == pytest.approx(level_of(heard[end - WINDOW : end]), abs=1e-5)


def level_of(heard):
    """[dBFS] of the high-passed W in a window of (N, 4) samples."""
    return 10 * np.log10(np.mean(heard[:, 0].astype(float) ** 2))


def filtered(model, cutoff_hz=30.0):
    model.spec = ModelSpec(
        head="cartesian",
        features=model.spec.features,
        input=model.spec.input,
        highpass_hz=cutoff_hz,
    )
    return model


@pytest.mark.parametrize("every", [1, 5, 40])
@pytest.mark.parametrize("block", [1, 512, 4096])
def test_a_highpass_does_not_depend_on_block_sizes(plane_wave, block, every):
    scene = moving_scene(plane_wave, 2.5) + np.float32(0.3)
    whole = DirectionEngine(filtered(HashModel()), EngineSettings(every=every)).push(scene)
    engine = DirectionEngine(filtered(HashModel()), EngineSettings(every=every))
    pieces = (scene[start : start + block] for start in range(0, len(scene), block))
    assert list(engine.run(pieces)) == whole


@pytest.mark.parametrize("every", [3, 30])
@pytest.mark.parametrize("kind", ["features", "audio"])
def test_the_network_hears_the_recording_freed_of_an_offset(plane_wave, every, kind):
    """As `highpass` gives it, the level too; the sound that is passed along is as it came."""
    seen = []

    class Recorder(IntensityModel):
        def predict(self, window):
            seen.append(window.copy())
            return np.full((25, 3), 0.7, np.float32)

    model = Recorder()
    model.spec = ModelSpec(input=kind)
    scene = moving_scene(plane_wave, 3.0) + np.float32(0.3)
    engine = DirectionEngine(filtered(model), EngineSettings(every=every, keep_audio=True))
    estimates = engine.push(scene)
    clean = highpass(scene, cutoff_hz=30.0, sample_rate=16_000)
    features = intensity_features(stft(clean), channels=INTENSITY_CHANNELS)
    for index, window in enumerate(seen):
        start = index * every
        expected = features[start : start + 25]
        if kind == "audio":
            expected = clean[start * 512 : start * 512 + WINDOW]
        np.testing.assert_allclose(window, expected, atol=2e-3 if kind == "features" else 1e-5)
    np.testing.assert_array_equal(
        np.concatenate([estimate.audio for estimate in estimates]),
        scene[: WINDOW + (len(estimates) - 1) * every * 512],
    )
    assert estimates[0].level_dbfs == pytest.approx(level_of(clean[:WINDOW]), abs=1e-6)


@pytest.mark.parametrize("cutoff_hz", [0.0, 30.0, 100.0])  # without one, levels are above 30 Hz
@pytest.mark.parametrize("below", ["offset", "drift", "rumble"])
def test_what_lies_below_the_highpass_changes_no_level_and_no_activity(
    plane_wave, cutoff_hz, below
):
    """A talker at -46 dBFS, 12 s of them, under something 20 dB louder that nobody hears."""
    time = np.arange(12 * 16_000) / 16_000
    syllables = np.maximum(0.0, np.sin(2 * np.pi * 4.0 * time))[:, np.newaxis]
    scene = (0.05 * syllables * plane_wave(40.0, 10.0, seconds=12.0)).astype(np.float32)
    under = {
        "offset": np.full(len(time), 0.05),
        "drift": 0.05 + 0.002 * time,
        "rumble": 0.07 * np.sin(2 * np.pi * 0.8 * time),
    }[below]
    settings = EngineSettings(min_confidence=0.0)
    clean = DirectionEngine(filtered(HashModel(), cutoff_hz), settings).push(scene)
    heard = DirectionEngine(filtered(HashModel(), cutoff_hz), settings).push(
        (scene + under[:, np.newaxis]).astype(np.float32)
    )
    assert all(estimate.active for estimate in clean)
    assert [e.active for e in heard] == [e.active for e in clean]
    difference = [a.level_dbfs - b.level_dbfs for a, b in zip(heard, clean, strict=True)]
    # 0.8 Hz passes a third-order filter of 30 Hz at -94 dB; an offset's start leaves nothing.
    assert np.abs(difference).max() < 0.05


@pytest.mark.parametrize(("cutoff_hz", "gone"), [(0.0, 30.0), (30.0, 30.0), (200.0, 200.0)])
def test_the_level_is_that_above_the_spec_s_cutoff(cutoff_hz, gone):
    """A full-scale sine of the cutoff has -3.01 dBFS, and comes out another 3.01 lower."""
    time = np.arange(40_000) / 16_000
    scene = np.zeros((len(time), 4), np.float32)
    scene[:, 0] = np.sin(2 * np.pi * gone * time)
    engine = DirectionEngine(filtered(HashModel(), cutoff_hz))
    assert engine.push(scene)[-1].level_dbfs == pytest.approx(-6.02, abs=0.01)


def test_an_offset_alone_is_silence(intensity_model):
    estimates = DirectionEngine(intensity_model).push(np.full((32_000, 4), 0.5, np.float32))
    assert {estimate.level_dbfs for estimate in estimates} == {-120.0}
    assert not any(estimate.active for estimate in estimates)


def test_the_highpass_starts_anew_behind_a_gap(plane_wave):
    scene = plane_wave(30.0, 10.0, seconds=1.0) + np.float32(0.2)
    engine = DirectionEngine(filtered(HashModel()))
    first = engine.push(scene)
    engine.skip(Gap(samples=4_000, reason="lost"))
    again = engine.push(scene)
    assert [e.azimuth_deg for e in again] == [e.azimuth_deg for e in first]


def test_digital_silence_is_inactive_and_finite(intensity_model):
    estimates = DirectionEngine(intensity_model).push(np.zeros((32_000, 4), np.float32))
    assert len(estimates) == 8
    for estimate in estimates:
        assert not estimate.active
        assert estimate.confidence == 0.0
        assert estimate.level_dbfs == -120.0
        assert math.isfinite(estimate.azimuth_deg)
        assert math.isfinite(estimate.elevation_deg)
        json.dumps(estimate.to_dict(), allow_nan=False)


def test_silence_is_inactive_under_any_gate(intensity_model):
    engine = DirectionEngine(intensity_model, EngineSettings(gate_dbfs=-500.0))
    assert not engine.push(np.zeros((WINDOW, 4)))[0].active


@pytest.mark.parametrize(("gate_dbfs", "active"), [(-21.0, True), (-19.0, False)])
def test_gate_is_the_level_of_w(plane_wave, intensity_model, gate_dbfs, active):
    engine = DirectionEngine(intensity_model, EngineSettings(gate_dbfs=gate_dbfs))
    (estimate,) = engine.push(plane_wave(10.0, 10.0)[:WINDOW])  # noise at -20 dBFS
    assert estimate.level_dbfs == pytest.approx(-20.0, abs=0.2)
    assert estimate.active is active
    assert (estimate.confidence > 0.9) is active


def test_level_does_not_matter(plane_wave, intensity_model):
    for gain in (1e-2, 1.0, 1e6):
        (estimate,) = DirectionEngine(intensity_model).push(gain * plane_wave(70, -10)[:WINDOW])
        assert error_deg(estimate, 70.0, -10.0) < 0.01


def test_short_stream_is_refused_with_both_lengths(plane_wave, intensity_model):
    engine = DirectionEngine(intensity_model)
    with pytest.raises(InputError, match=r"0\.832 s .*13312 samples.*0\.832 s \(13311 samples\)"):
        list(engine.run([plane_wave(0.0, 0.0)[: WINDOW - 1]]))


def test_reset_forgets_the_stream(plane_wave):
    first, second = plane_wave(30.0, 0.0), plane_wave(-60.0, 40.0)
    engine = DirectionEngine(HashModel())
    engine.push(first[:15_000])
    engine.reset()
    assert engine.push(second) == DirectionEngine(HashModel()).push(second)


def test_nan_of_a_model_is_an_error(plane_wave):
    class Broken(IntensityModel):
        def predict(self, features):
            return np.full((25, 3), np.nan, np.float32)

    with pytest.raises(InputError, match=r"finite numbers.*0.832 s"):
        DirectionEngine(Broken()).push(plane_wave(0.0, 0.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every`.*every=0"),
        ({"gate_dbfs": math.nan}, "`gate`"),
        ({"method": "mean"}, "peak, centroid.*'mean'"),
    ],
)
def test_bad_option_is_named(intensity_model, options, message):
    with pytest.raises(ValueError, match=message):
        DirectionEngine(intensity_model, EngineSettings(**options))


@pytest.mark.parametrize("shape", [(10,), (10, 3), (2, 10, 4)])
def test_bad_block_is_named(intensity_model, shape):
    with pytest.raises(ValueError, match="`block` must"):
        DirectionEngine(intensity_model).push(np.zeros(shape))


def test_average_is_over_active_windows_only(plane_wave, intensity_model):
    quiet = 1e-5 * plane_wave(-100.0, 0.0, seconds=2.0)
    scene = np.concatenate([quiet, plane_wave(50.0, 25.0, seconds=2.0)])
    engine = DirectionEngine(intensity_model, EngineSettings(keep_outputs=True, every=25))
    average = OutputAverage(engine.spec)
    active = [average.add(e) or e.active for e in engine.push(scene)]
    assert average.active_share == sum(active) / len(active)
    assert 0.3 < average.active_share < 0.9
    summary = summary_dict(average, method="peak", duration_s=4.0)
    # One window may straddle the change; the quiet part's direction is 150 degrees away.
    assert summary["azimuth_deg"] == pytest.approx(50.0, abs=15.0)
    assert summary["duration_s"] == 4.0


@pytest.mark.parametrize("head", ["spherical", "gibbs"])
def test_average_of_rows_is_the_mean_of_the_outputs(head):
    spec = ModelSpec(head=head, resolution_deg=30.0 if head == "gibbs" else None)
    rng = np.random.default_rng(5)
    rows = rng.uniform(size=(4, spec.outputs))
    average = OutputAverage(spec)
    for row in rows:
        average.add(
            Estimate(
                time_s=1.0,
                azimuth_deg=0.0,
                elevation_deg=0.0,
                confidence=1.0,
                active=True,
                level_dbfs=-20.0,
                outputs=row,
            )
        )
    np.testing.assert_allclose(average.outputs.mean(axis=0), rows.mean(axis=0))
    assert len(average.outputs) == (1 if head == "gibbs" else 4)


def test_average_of_silence_has_no_confidence(intensity_model):
    engine = DirectionEngine(intensity_model, EngineSettings(keep_outputs=True))
    average = OutputAverage(engine.spec)
    for estimate in engine.push(np.zeros((WINDOW, 4))):
        average.add(estimate)
    assert average.outputs.shape == (0, 3)
    assert average.direction(method="peak") == (0.0, 0.0, 0.0)
    assert average.active_share == 0.0


@pytest.mark.parametrize(("azimuth_deg", "printed"), [(-179.9999, 180.0), (-0.0001, 0.0)])
def test_printed_azimuth_stays_in_range(azimuth_deg, printed):
    estimate = Estimate(
        time_s=1.0,
        azimuth_deg=azimuth_deg,
        elevation_deg=-0.0001,
        confidence=1.0,
        active=True,
        level_dbfs=-20.0,
    )
    values = estimate.to_dict()
    assert json.dumps(values["azimuth_deg"]) == json.dumps(printed)
    assert json.dumps(values["elevation_deg"]) == "0.0"
    assert list(values) == [
        "time_s",
        "azimuth_deg",
        "elevation_deg",
        "confidence",
        "active",
        "level_dbfs",
    ]
