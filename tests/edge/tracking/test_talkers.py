"""The engine with several voices, judged with a model whose scores are ideal lobes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.input.stream import Gap
from doa_edge.tracking.voices import default_average, lag_s
from tests.edge.conftest import unit_vector
from tests.edge.tracking.lobe_model import SPEC, LobeModel

WINDOW, STEP = 13_312, 5 * 512  # samples
PERIOD_S = STEP / 16_000
CELL = (-180.0 + 20.0 * 360.0 / 37.0, 0.0)  # a direction of the grid: its score is the height
KEYS = ["time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs"]


def noise(estimates, *, gain=0.1):
    """Sound that is long enough for so many estimates, and loud enough for any."""
    samples = WINDOW + (estimates - 1) * STEP
    return gain * np.random.default_rng(0).standard_normal((samples, 4)).astype(np.float32)


def run(script, estimates, *, gain=0.1, spec=SPEC, **settings):
    settings = EngineSettings(**{"margin_db": 0.0, **settings})
    return DirectionEngine(LobeModel(script, spec), settings).push(noise(estimates, gain=gain))


def error_deg(talker, azimuth_deg, elevation_deg):
    answer = unit_vector(talker.azimuth_deg, talker.elevation_deg)
    return math.degrees(great_circle_distance(answer, unit_vector(azimuth_deg, elevation_deg)))


def two(_):
    return [(40.0, 20.0, 0.8), (-70.0, 0.0, 0.5)]


def test_two_voices_are_two_talkers_highest_confidence_first():
    estimates = run(two, 5)
    for number, estimate in enumerate(estimates):
        first, second = estimate.talkers
        assert (first.id, second.id) == (first.slot, second.slot) == (1, 2)
        assert error_deg(first, 40.0, 20.0) < 3.0
        assert error_deg(second, -70.0, 0.0) < 3.0
        assert first.confidence > second.confidence
        assert first.tentative == second.tentative == (number < 2)
        assert estimate.active
        top = (estimate.azimuth_deg, estimate.elevation_deg, estimate.confidence)
        assert top == (first.azimuth_deg, first.elevation_deg, first.confidence)
        assert list(estimate.to_dict()) == [*KEYS, "of_s", "talkers"]
        json.dumps(estimate.to_dict(), allow_nan=False)


def test_nobody_is_no_talker_and_the_top_points_where_the_scores_do():
    (estimate,) = run(lambda _: [(40.0, 20.0, 0.1)], 1)
    assert estimate.talkers == ()
    assert not estimate.active
    assert error_deg(estimate, 40.0, 20.0) < 7.0
    assert estimate.confidence == pytest.approx(0.1, abs=0.02)
    (unsaid,) = run(lambda _: [], 1)
    assert unsaid.talkers == ()


@pytest.mark.parametrize(
    ("asked", "known", "number"),
    [(None, 3, 3), (None, 1, 1), (4, 2, 4), (2, 3, 2), (1, 3, 1), (3, 1, 1)],
)
def test_how_many_are_followed(asked, known, number):
    spec = replace(SPEC, voices=known)
    engine = DirectionEngine(LobeModel(two, spec), EngineSettings(talkers=asked))
    assert engine.talkers == number
    (estimate,) = engine.push(noise(1))
    assert (estimate.talkers is None) == (number == 1)
    assert (estimate.of_s is None) == (number == 1)


def test_one_talker_has_the_keys_and_numbers_of_a_file_of_one_voice():
    asked = run(two, 8, talkers=1)
    one = run(two, 8, spec=replace(SPEC, voices=1))
    assert asked == one
    assert list(asked[0].to_dict()) == KEYS
    assert run(two, 8, talkers=1, smooth_s=0.5) == run(
        two, 8, spec=replace(SPEC, voices=1), smooth_s=0.5
    )


@pytest.mark.parametrize("talkers", [0, 5, 9, -1])
def test_more_voices_than_a_network_can_know_are_refused(talkers):
    with pytest.raises(ValueError, match=f"`talkers` must.* 1 to 4.* Received: talkers={talkers}"):
        EngineSettings(talkers=talkers)


@pytest.mark.parametrize("lead_s", [-0.1, 1.5, math.nan])
def test_a_lead_out_of_range_is_refused(lead_s):
    with pytest.raises(ValueError, match="`lead` must be 0 to 1 seconds"):
        EngineSettings(lead_s=lead_s)


def test_at_most_as_many_as_asked_for_and_the_rest_is_counted():
    def three(_):
        return [(40.0, 0.0, 0.8), (-70.0, 0.0, 0.7), (160.0, 0.0, 0.6)]

    engine = DirectionEngine(LobeModel(three), EngineSettings(talkers=2, margin_db=0.0))
    estimates = engine.push(noise(6))
    assert {len(estimate.talkers) for estimate in estimates} == {2}
    assert {talker.slot for estimate in estimates for talker in estimate.talkers} == {1, 2}
    assert engine.left_out == 5
    assert DirectionEngine(LobeModel(three), EngineSettings()).left_out == 0


@pytest.mark.parametrize("average", [1, 8, 13, 25])
def test_of_s_is_the_centre_of_the_window(average):
    (estimate,) = run(two, 1, average=average)
    assert estimate.of_s == pytest.approx(estimate.time_s - 0.416)
    (ahead,) = run(two, 1, average=average, lead_s=0.25)
    assert ahead.of_s == pytest.approx(estimate.of_s + 0.25)


def test_the_later_half_of_the_window_is_averaged():
    assert default_average(25) == 13
    (estimate,) = run(two, 1)
    assert estimate.of_s == estimate.time_s - lag_s(SPEC, 13)
    beyond = run(two, 30, average=50)  # a moment that only grows older with more frames
    assert beyond[-1].of_s == pytest.approx(beyond[-1].time_s - 0.032 - 49 * 0.016)


def test_a_lead_points_where_a_walker_will_be():
    def walker(number):
        return [(30.0 * PERIOD_S * number - 60.0, 0.0, 0.8)]

    now, ahead = (run(walker, 20, lead_s=lead_s)[-1].talkers[0] for lead_s in (0.0, 0.4))
    assert ahead.azimuth_deg - now.azimuth_deg == pytest.approx(12.0, abs=3.0)


@pytest.mark.parametrize("block", [1, 160, 4096])
def test_talkers_do_not_depend_on_block_sizes(block):
    def script(number):
        return [(30.0 * PERIOD_S * number, 0.0, 0.8), *([(-90.0, 0.0, 0.5)] if number % 7 else [])]

    sound = noise(12)
    whole = DirectionEngine(LobeModel(script)).push(sound)
    engine = DirectionEngine(LobeModel(script))
    pieces = (sound[start : start + block] for start in range(0, len(sound), block))
    assert list(engine.run(pieces)) == whole


def test_a_quiet_window_has_no_talker():
    assert run(two, 1, gain=1e-4)[0].talkers == ()
    assert len(run(two, 1, gain=1e-4, gate_dbfs=-90.0)[0].talkers) == 2


def test_a_steady_sound_has_no_talker_once_the_floor_is_known():
    estimates = run(two, 80, margin_db=3.0)
    assert len(estimates[10].talkers) == 2
    assert estimates[-1].talkers == ()


def test_confidence_is_that_of_a_peak_at_birth():
    def fading(number):
        return [(*CELL, 0.9 if number < 4 else 0.5)]

    estimates = run(fading, 8, min_confidence=0.6)
    assert all(len(estimate.talkers) == 1 for estimate in estimates)  # 0.5 is enough to go on
    assert run(lambda _: [(*CELL, 0.5)], 8, min_confidence=0.6)[-1].talkers == ()


def test_a_calibrated_confidence_is_the_tables():
    spec = replace(SPEC, calibration=((0.0, 0.0), (0.5, 0.9), (1.0, 1.0)))
    (estimate,) = run(lambda _: [(*CELL, 0.5)], 1, spec=spec)
    assert estimate.talkers[0].confidence == pytest.approx(0.9, abs=0.01)


def test_each_talker_has_a_smoother_of_their_own():
    def jump(number):
        return [(40.0 if number < 8 else 54.0, 0.0, 0.8), (-70.0, 0.0, 0.7)]

    (plain, still), (smooth, rest) = (
        sorted(run(jump, 10, smooth_s=smooth_s)[-1].talkers, key=lambda talker: talker.id)
        for smooth_s in (0.0, 2.0)
    )
    assert smooth.azimuth_deg < plain.azimuth_deg - 3.0
    assert rest.azimuth_deg == pytest.approx(still.azimuth_deg, abs=0.5)


def test_talkers_outlive_a_gap_of_the_stream():
    engine = DirectionEngine(LobeModel(two), EngineSettings(margin_db=0.0))
    before = engine.push(noise(5))[-1]
    engine.skip(Gap(samples=16_000, reason="lost"))
    after = engine.push(noise(1))[0]
    assert after.time_s == before.time_s + 1.0 + WINDOW / 16_000
    assert [talker.id for talker in after.talkers] == [1, 2]
    assert not any(talker.tentative for talker in after.talkers)


def test_reset_starts_a_new_stream():
    engine = DirectionEngine(LobeModel(two), EngineSettings(margin_db=0.0))
    first = engine.push(noise(3))
    engine.reset()
    assert engine.push(noise(3)) == first
    engine.reset(ids_go_on=True)
    later = engine.push(noise(3))
    assert [[talker.id for talker in each.talkers] for each in later] == [[3, 4]] * 3
    assert [[talker.slot for talker in each.talkers] for each in later] == [[1, 2]] * 3


@pytest.mark.parametrize("every", [5, 12, 25])
def test_a_window_without_a_peak_is_bridged_at_any_pace(every):
    """Sound for 12 estimates; the voice is missing in one of them."""

    def script(number):
        return [] if number == 6 else [(*CELL, 0.8)]

    samples = WINDOW + 11 * every * 512
    sound = 0.1 * np.random.default_rng(0).standard_normal((samples, 4)).astype(np.float32)
    settings = EngineSettings(every=every, margin_db=0.0)
    estimates = DirectionEngine(LobeModel(script), settings).push(sound)
    assert [[talker.id for talker in each.talkers] for each in estimates] == [[1]] * 12
