"""Zones in which nobody talks, such as a television's: before tracks, slots, counts and sound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from doa_edge import Zone
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.recording import OutputAverage, TalkerTally, summary_dict
from tests.edge.tracking.lobe_model import SPEC, LobeModel

WINDOW, STEP = 13_312, 5 * 512  # samples
PERIOD_S = STEP / 16_000
TELEVISION = Zone(name="tv", azimuth_deg=(80, 120))
ON_SCREEN = (100.0, 0.0, 0.9)


def sound(estimates):
    samples = WINDOW + (estimates - 1) * STEP
    return 0.1 * np.random.default_rng(0).standard_normal((samples, 4)).astype(np.float32)


def engine_of(script, *, ignore=(TELEVISION,), **settings):
    settings = {"margin_db": 0.0, "ignore": ignore, **settings}
    return DirectionEngine(LobeModel(script), EngineSettings(**settings))


def run(script, estimates, **settings):
    return engine_of(script, **settings).push(sound(estimates))


def test_a_television_is_nobody_and_whoever_talks_is_first():
    estimates = run(lambda _: [ON_SCREEN, (-40.0, 0.0, 0.5)], 6)
    for estimate in estimates:
        (talker,) = estimate.talkers
        assert (talker.id, talker.slot) == (1, 1)
        assert talker.azimuth_deg == pytest.approx(-40.0, abs=3.0)
        assert estimate.azimuth_deg == talker.azimuth_deg
        assert estimate.confidence == talker.confidence < 0.7
        assert estimate.active


def test_a_television_alone_is_silence():
    engine = engine_of(lambda _: [ON_SCREEN])
    for estimate in engine.push(sound(6)):
        assert estimate.talkers == ()
        assert not estimate.active
    assert engine.left_out == 0


def test_it_takes_no_slot_and_no_place_among_the_peaks():
    """Three televisions and as many voices as there are slots: nobody is left out."""
    zones = tuple(Zone(name=f"tv{a}", azimuth_deg=(a - 15, a + 15)) for a in (-150, -90, 150))
    screens = [(-150.0, 0.0, 0.9), (-90.0, 0.0, 0.9), (150.0, 0.0, 0.9)]
    people = [(-35.0, 0.0, 0.7), (0.0, 40.0, 0.6), (60.0, 0.0, 0.5)]
    engine = engine_of(lambda _: screens + people, ignore=zones, talkers=3)
    for estimate in engine.push(sound(6)):
        assert sorted(talker.id for talker in estimate.talkers) == [1, 2, 3]
        assert all(-60 < talker.azimuth_deg < 80 for talker in estimate.talkers)
    assert engine.left_out == 0
    heard = engine_of(lambda _: screens + people, ignore=(), talkers=3)
    heard.push(sound(6))
    assert heard.left_out > 0


def test_its_loudness_does_not_drag_whoever_talks_beside_it():
    """A television 25 degrees beside a talker who pauses: they are silent, and stay."""

    def script(window):
        person = [(70.0, 0.0, 0.6)] if window < 6 or window >= 12 else []
        return [*person, (95.0, 0.0, 0.9)]

    estimates = run(script, 18)
    assert [bool(estimate.talkers) for estimate in estimates[9:12]] == [False] * 3
    talkers = [talker for estimate in estimates for talker in estimate.talkers]
    assert {talker.id for talker in talkers} == {1}
    assert all(62.0 < talker.azimuth_deg < 80.0 for talker in talkers)
    unheeded = run(script, 18, ignore=())
    assert max(talker.azimuth_deg for e in unheeded for talker in e.talkers) > 90.0


def test_who_walks_through_is_unheard_inside_and_the_same_behind_it():
    zone = Zone(name="tv", azimuth_deg=(-10, 20))

    def script(window):
        return [(-70.0 + 30.0 * PERIOD_S * window, 0.0, 0.8)]  # 30 degrees a second

    estimates = run(script, 34, ignore=(zone,))
    for estimate in estimates:
        for talker in estimate.talkers:
            assert not zone.holds(talker.azimuth_deg, talker.elevation_deg)
    heard = [bool(estimate.talkers) for estimate in estimates]
    first, last = heard.index(False), len(heard) - heard[::-1].index(False)
    assert heard[first:last] == [False] * (last - first)
    assert 4 <= last - first <= 10  # of a second of walking
    talkers = [estimate.talkers[0] for estimate in estimates if estimate.talkers]
    assert {(talker.id, talker.slot) for talker in talkers} == {(1, 1)}
    assert talkers[-1].azimuth_deg > 60.0


def test_elevation_tells_a_person_before_the_screen_from_it():
    screen = Zone(name="tv", azimuth_deg=(80, 120), elevation_deg=(15, 60))
    (*_, last) = run(lambda _: [(100.0, 35.0, 0.9), (100.0, -15.0, 0.5)], 4, ignore=(screen,))
    assert [talker.elevation_deg for talker in last.talkers] == [pytest.approx(-15.0, abs=3.0)]


def test_with_one_voice_the_line_stays_and_is_not_active():
    plain = run(lambda _: [ON_SCREEN], 3, talkers=1, ignore=())
    ignored = run(lambda _: [ON_SCREEN], 3, talkers=1)
    for before, after in zip(plain, ignored, strict=True):
        assert before.active
        assert not after.active
        assert after.talkers is None
        assert {**before.to_dict(), "active": False} == after.to_dict()


def test_a_steady_pointer_rests_while_the_television_is_louder():
    def script(window):
        return [ON_SCREEN] if window % 4 == 3 else [(-40.0, 0.0, 0.8)]

    estimates = run(script, 12, talkers=1, smooth_s=0.5)
    assert [estimate.active for estimate in estimates] == [True, True, True, False] * 3
    # By its peak alone a direction is one of the grid, whose cells are 10 degrees wide.
    assert {estimate.azimuth_deg for estimate in estimates} == {estimates[0].azimuth_deg}
    assert estimates[0].azimuth_deg == pytest.approx(-40.0, abs=5.0)


def test_a_steady_pointer_is_not_active_on_its_way_over_the_television():
    zone = Zone(name="tv", azimuth_deg=(-15, 15))
    estimates = run(
        lambda window: [(-60.0 if window < 4 else 60.0, 0.0, 0.8)],
        *(24,),
        talkers=1,
        smooth_s=1.0,
        ignore=(zone,),
    )
    for estimate in estimates:
        assert estimate.active != zone.holds(estimate.azimuth_deg, estimate.elevation_deg)
    assert not all(estimate.active for estimate in estimates)


@pytest.mark.parametrize("talkers", [1, 3])
def test_neither_summary_nor_listening_knows_of_it(talkers):
    settings = {"talkers": talkers, "keep_outputs": True, "keep_audio": True}
    engine = engine_of(lambda _: [ON_SCREEN], **settings)
    listener = engine.listener()
    average, tally = OutputAverage(SPEC), TalkerTally(step_s=PERIOD_S)
    voices = []
    for estimate in engine.push(sound(12)):
        average.add(estimate)
        tally.add(estimate)
        voices += listener.push(estimate)
    assert [*voices, *listener.finish()] == []
    summary = summary_dict(average, method="centroid", duration_s=3.0, tally=tally)
    assert summary["azimuth_deg"] is None
    assert summary["active_share"] == 0.0
    assert summary.get("talkers", []) == []


def test_nothing_ignored_is_as_before():
    def script(window):
        return [ON_SCREEN, (-40.0 + window, 5.0, 0.5)]

    far = Zone(name="far", azimuth_deg=(170, -170))
    for talkers in (1, 3):
        assert run(script, 8, talkers=talkers, ignore=()) == run(
            script, 8, talkers=talkers, ignore=(far,)
        )
    assert math.isfinite(run(script, 1)[0].azimuth_deg)
