"""A whole recording in a few numbers: who talked, from where, and for how long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.spec import ModelSpec
from doa_edge.recording import MOST_TALKERS, OutputAverage, TalkerTally, summary_dict
from tests.edge.sinks.messages import heard, talker

STEP_S = 0.16


def tally_of(*estimates):
    tally = TalkerTally(step_s=STEP_S)
    for estimate in estimates:
        tally.add(estimate)
    return tally


def summary_of(*estimates):
    average = OutputAverage(ModelSpec(head="cartesian"))
    average.windows, average.active_windows = len(estimates), sum(e.active for e in estimates)
    average._rows = [np.array([1.0, 0.5, 0.5])] * average.active_windows  # from ahead
    return summary_dict(average, method="peak", duration_s=4.0, tally=tally_of(*estimates))


def test_whoever_is_heard_longest_is_at_the_top_and_everybody_is_listed():
    short, long = talker(1, 1, 90.0, 10.0, 0.9), talker(2, 2, -60.0, -5.0, 0.5)
    summary = summary_of(heard(1.0, short), heard(2.0, short, long), heard(3.0, long), heard(4.0))
    summary_again = summary_of(heard(1.0, long), heard(2.0, short), heard(3.0, short))
    assert list(summary) == [
        *("azimuth_deg", "elevation_deg", "confidence", "active_share", "duration_s", "talkers")
    ]
    first = {"id": 1, "azimuth_deg": 90.0, "elevation_deg": 10.0, "confidence": 0.9}
    second = {"id": 2, "azimuth_deg": -60.0, "elevation_deg": -5.0, "confidence": 0.5}
    assert summary["talkers"] == [{**first, "talked_s": 0.32}, {**second, "talked_s": 0.32}]
    assert summary["azimuth_deg"] == 90.0  # as long as the other, and heard first
    assert summary["active_share"] == 0.75
    assert [one["id"] for one in summary_again["talkers"]] == [1, 2]
    assert summary_again["confidence"] == 0.9


def test_a_direction_is_the_mean_on_the_sphere_weighted_by_confidence():
    across_the_back = [talker(1, 1, 170.0, 0.0, 0.5), talker(1, 1, -170.0, 0.0, 0.5)]
    (one,) = tally_of(*(heard(1.0, voice) for voice in across_the_back)).talkers()
    assert one["azimuth_deg"] == 180.0
    weighted = [talker(1, 1, 0.0, 0.0, 0.75), talker(1, 1, 90.0, 0.0, 0.25)]
    (one,) = tally_of(*(heard(1.0, voice) for voice in weighted)).talkers()
    assert one["azimuth_deg"] == pytest.approx(np.degrees(np.arctan2(1, 3)), abs=0.005)
    assert one["confidence"] == 0.5


def test_who_was_never_confirmed_is_left_out():
    """A cough that bore a track; and a talker whose first estimate was tentative, which counts."""
    cough = talker(1, 1, 90.0, tentative=True)
    begins, goes_on = talker(2, 2, 0.0, tentative=True), talker(2, 2, 0.0)
    talkers = tally_of(heard(1.0, cough, begins), heard(1.2, goes_on)).talkers()
    assert [(one["id"], one["talked_s"]) for one in talkers] == [(2, 0.32)]


NOBODY = {"azimuth_deg": None, "elevation_deg": None, "confidence": 0.0}


def test_nobody_is_an_empty_list_and_no_direction():
    summary = summary_of(heard(1.0), heard(2.0))
    assert summary == {**NOBODY, "active_share": 0.0, "duration_s": 4.0, "talkers": []}
    only_a_cough = summary_of(heard(1.0, talker(1, 1, 90.0, tentative=True)))
    assert only_a_cough == {**NOBODY, "active_share": 1.0, "duration_s": 4.0, "talkers": []}


def test_nobody_in_a_run_of_one_voice_has_no_direction():
    silence = replace(heard(1.0), talkers=None, of_s=None)
    assert summary_of(silence) == {**NOBODY, "active_share": 0.0, "duration_s": 4.0}


def test_one_voice_keeps_the_keys_that_it_had():
    summary = summary_of(replace(heard(1.0, talker(1, 1, 90.0)), talkers=None, of_s=None))
    assert list(summary) == [
        *("azimuth_deg", "elevation_deg", "confidence", "active_share", "duration_s")
    ]
    assert summary["azimuth_deg"] == 0.0  # the outputs' direction


def test_thousands_of_talkers_are_bounded_and_counted():
    estimates = [heard(0.0, talker(1, 1, 10.0)), heard(0.1, talker(1, 1, 10.0))]
    estimates += [heard(1.0, talker(n, 2, 90.0, tentative=n % 2 == 0)) for n in range(2, 5001)]
    tally = tally_of(*estimates)
    assert len(tally._heard) == MOST_TALKERS
    talkers, others = tally.talkers(), tally.others()
    assert talkers[0]["id"] == 1  # talked longest
    assert len(talkers) + others["talkers"] == 2500  # 1, and 3, 5, ... 4999
    told = sum(one["talked_s"] for one in talkers) + others["talked_s"]
    assert told == pytest.approx(2501 * STEP_S)
    assert list(summary_of(*estimates))[-2:] == ["talkers", "others"]
