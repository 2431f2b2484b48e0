"""What the engine makes of a stream as such: cuts, gaps, audio, averages over frames."""

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.engine_settings import LONGEST
from doa_edge.input.stream import Gap
from tests.edge.conftest import IntensityModel

WINDOW, HOP, RATE = 13_312, 512, 16_000


class HashModel(IntensityModel):
    """Outputs that depend on every feature of their frame and window: any difference shows."""

    def predict(self, features):
        weights = np.random.default_rng(1).standard_normal(features[0].size)
        response = features.reshape(len(features), -1) @ weights.astype(np.float32)
        response = response + response.sum()
        return (0.5 + 0.3 * np.sin(response[:, None] * [1.0, 2.0, 3.0])).astype(np.float32)


@pytest.fixture(scope="module")
def scene():
    """(N, 4) four seconds of noise whose level and correlation change all the time."""
    rng = np.random.default_rng(11)
    noise = rng.standard_normal((4 * RATE, 4)) * rng.uniform(
        0.01, 0.5, (4 * RATE // 100, 1)
    ).repeat(100, axis=0)
    return noise.astype(np.float32)


def cut(rng, samples):
    """The same samples in blocks of random sizes, empty ones among them."""
    largest = rng.choice([3, 300, 3_000, 30_000])
    start = 0
    while start < len(samples):
        size = int(rng.integers(0, largest + 1))
        yield samples[start : start + size]
        start += size


@pytest.mark.parametrize("seed", range(12))
def test_random_cuts_and_gaps_change_nothing(scene, seed):
    rng = np.random.default_rng(seed)
    options = {
        "every": int(rng.integers(1, 40)),
        "average": int(rng.choice([1, 5, 25, 60])),
        "keep_audio": True,
    }
    place = int(rng.integers(0, len(scene)))
    gap = Gap(samples=int(rng.integers(0, 50_000)), reason="lost")
    parts = scene[:place], scene[place:]
    whole = list(
        DirectionEngine(HashModel(), EngineSettings(**options)).run([parts[0], gap, parts[1]])
    )
    engine = DirectionEngine(HashModel(), EngineSettings(**options))
    pieces = [*cut(rng, parts[0]), gap, *cut(rng, parts[1])]
    estimates = list(engine.run(pieces))
    assert estimates == whole
    for one, other in zip(estimates, whole, strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)
    assert engine.samples == len(scene) + gap.samples
    assert engine.missed == gap.samples


def test_no_estimate_spans_a_gap(scene):
    """Behind a gap everything is as at the start of a stream, but for the time."""
    first, second = scene[:30_000], scene[30_000:]
    for gap_samples in (0, 1, 777_777):
        engine = DirectionEngine(HashModel(), EngineSettings(average=60, keep_audio=True))
        engine.push(first)
        engine.skip(Gap(samples=gap_samples, reason="overrun"))
        after = engine.push(second)
        alone = DirectionEngine(HashModel(), EngineSettings(average=60, keep_audio=True)).push(
            second
        )
        assert len(after) == len(alone) > 1
        for one, other in zip(after, alone, strict=True):
            assert one.azimuth_deg == other.azimuth_deg
            assert one.level_dbfs == other.level_dbfs
            assert one.time_s == (round(other.time_s * RATE) + 30_000 + gap_samples) / RATE
            np.testing.assert_array_equal(one.audio, other.audio)


@pytest.mark.parametrize("every", [1, 5, 26, 40])
def test_audio_is_what_is_new_and_ends_with_the_estimate(scene, every):
    estimates = DirectionEngine(HashModel(), EngineSettings(every=every, keep_audio=True)).push(
        scene
    )
    assert [len(e.audio) for e in estimates] == [WINDOW] + [every * HOP] * (len(estimates) - 1)
    heard = np.concatenate([estimate.audio for estimate in estimates])
    np.testing.assert_array_equal(heard, scene[: len(heard)])
    for estimate, end in zip(estimates, np.cumsum([len(e.audio) for e in estimates]), strict=True):
        assert estimate.time_s == end / RATE


def test_audio_is_a_copy_and_only_there_if_asked_for(scene):
    assert DirectionEngine(HashModel()).push(scene)[0].audio is None
    engine = DirectionEngine(HashModel(), EngineSettings(keep_audio=True))
    (first,) = engine.push(scene[:WINDOW])
    before = first.audio.copy()
    engine.push(scene[WINDOW:])
    np.testing.assert_array_equal(first.audio, before)


class FrameModel(IntensityModel):
    """Outputs by hand: a number per window and frame."""

    def predict(self, features):
        self.calls += 1
        values = 1000.0 * self.calls + np.arange(25)
        return np.repeat(values[:, None], 3, axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("every", "average", "expected"),
    [
        # The third window's outputs are 3000..3024; the second's first five frames are older.
        (5, 25, np.arange(3000, 3025)),
        (5, 4, np.arange(3021, 3025)),
        (5, 28, [*np.arange(2002, 2005), *np.arange(3000, 3025)]),
        (5, 35, [*np.arange(1000, 1005), *np.arange(2000, 2005), *np.arange(3000, 3025)]),
        (5, 900, [*np.arange(1000, 1005), *np.arange(2000, 2005), *np.arange(3000, 3025)]),
        # Windows that do not overlap: whole ones.
        (40, 30, [*np.arange(2020, 2025), *np.arange(3000, 3025)]),
    ],
)
def test_average_takes_each_of_the_latest_frames_once(scene, every, average, expected):
    engine = DirectionEngine(
        FrameModel(), EngineSettings(every=every, average=average, keep_outputs=True)
    )
    estimates = engine.push(np.concatenate([scene, scene]))
    np.testing.assert_allclose(estimates[2].outputs, np.mean(expected))


def test_a_stream_of_short_pieces_is_refused_with_the_longest(scene):
    gap = Gap(samples=100_000, reason="lost")
    engine = DirectionEngine(HashModel())
    with pytest.raises(InputError, match=r"0\.832 s .*Received: 0\.750 s \(12000 samples\)"):
        list(engine.run([scene[:9_000], gap, scene[:12_000], gap, scene[:500]]))


@pytest.mark.parametrize("name", ["every", "average"])
@pytest.mark.parametrize("value", [0, LONGEST + 1])
def test_frames_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be 1 to {LONGEST} frames.*={value}"):
        DirectionEngine(HashModel(), EngineSettings(**{name: value}))


@pytest.mark.parametrize(("every", "average"), [(5, None), (1, None), (2, 8), (5, 40)])
def test_a_jump_is_seen_when_half_of_the_frames_have_heard_it(
    plane_wave, intensity_model, every, average
):
    """The latency that edge/README.md states: half of the averaged frames, and `every` at most."""
    jump_s = 3.2
    scene = np.concatenate(
        [plane_wave(0.0, 0.0, seconds=jump_s), plane_wave(90.0, 0.0, seconds=4.0)]
    )
    engine = DirectionEngine(intensity_model, EngineSettings(every=every, average=average))
    seen_s = next(e.time_s for e in engine.push(scene) if e.azimuth_deg > 45.0)
    half_s = (average or 25) / 2 * HOP / RATE
    # The frame in which the jump lies holds some of either side: a hop of doubt.
    assert half_s - 0.033 < seen_s - jump_s < half_s + (every + 1) * HOP / RATE + 0.033
