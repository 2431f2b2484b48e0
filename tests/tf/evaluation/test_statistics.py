"""Figures, intervals and paired tests against cases whose answer is known."""

import numpy as np
import pytest

from doa_tf.evaluation.statistics import (
    FIGURES,
    Bootstrap,
    compare_errors,
    figures,
    holm,
    percentile_interval,
)

ERRORS = [2.0, 5.0, 10.0, 12.0, 15.0, 30.0, 31.0, 180.0]


def test_figures_of_known_errors():
    # Limits belong to what lies within them.
    assert figures(ERRORS) == {
        "mean_deg": 35.625,
        "median_deg": 13.5,
        "acc5": 25.0,
        "acc10": 37.5,
        "acc15": 62.5,
        "outliers30": 25.0,
    }


@pytest.mark.parametrize("bad", [[], [[1.0]], [np.nan], [np.inf]])
def test_errors_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=r"must be .scenes,. finite numbers"):
        figures(bad)


@pytest.mark.parametrize("clusters", [None, list("aabbbcdd")])
def test_resampled_figures_are_the_figures_of_the_resampled_scenes(clusters):
    bootstrap = Bootstrap(len(ERRORS), clusters=clusters, resamples=50, seed=4)
    (counts,) = bootstrap._counts()
    resampled = bootstrap.figures(ERRORS)
    for row, scenes in enumerate(counts.astype(int)):
        expected = figures(np.repeat(ERRORS, scenes))
        for name in FIGURES:
            assert resampled[name][row] == pytest.approx(expected[name], abs=1e-9)
    if clusters:
        assert np.all(counts[:, 0] == counts[:, 1])  # a room is drawn as a whole
        assert set(counts[:, :2].sum(axis=1)) > {0.0, 2.0}


def test_the_order_of_scenes_does_not_matter_and_the_seed_does():
    errors = np.random.default_rng(0).exponential(10.0, 60)
    assert Bootstrap(60).intervals(errors) == Bootstrap(60).intervals(errors)
    assert Bootstrap(60).intervals(errors) != Bootstrap(60, seed=1).intervals(errors)
    # More resamples than one part holds: the parts make one sequence.
    whole = Bootstrap(60, resamples=300).figures(errors)["mean_deg"]
    assert len(whole) == 300
    assert len(set(whole)) > 290


def test_intervals_cover_the_truth_as_often_as_they_say():
    # Exponential errors: mean 10, median 10 ln 2, within 10 degrees 1 - 1/e.
    truth = {"mean_deg": 10.0, "median_deg": 10.0 * np.log(2.0), "acc10": 100.0 * (1 - 1 / np.e)}
    rng = np.random.default_rng(1)
    hits = dict.fromkeys(truth, 0)
    trials = 300
    for trial in range(trials):
        intervals = Bootstrap(100, resamples=400, seed=trial).intervals(rng.exponential(10.0, 100))
        for name, value in truth.items():
            low, high = intervals[name]
            hits[name] += low <= value <= high
    for count in hits.values():
        # Binomial spread of 300 trials at 95 percent is 1.3 points; percentile intervals of
        # 100 skewed values are known to cover one or two points too little.
        assert 0.90 <= count / trials <= 0.99


def test_scenes_that_share_a_room_are_worth_less_than_their_number():
    rng = np.random.default_rng(2)
    trials, rooms, each = 150, 25, 8
    hits = {"room": 0, "scene": 0}
    for trial in range(trials):
        # Errors of a room are alike: its own offset has three quarters of the variance.
        offsets = np.repeat(rng.normal(0.0, 3.0**0.5, rooms), each)
        errors = np.abs(20.0 + offsets + rng.normal(0.0, 1.0, rooms * each))
        names = np.repeat(np.arange(rooms), each).tolist()
        for kind, clusters in (("room", names), ("scene", None)):
            bootstrap = Bootstrap(len(errors), clusters=clusters, resamples=300, seed=trial)
            low, high = bootstrap.intervals(errors)["mean_deg"]
            hits[kind] += low <= 20.0 <= high
    assert hits["room"] / trials >= 0.88
    assert hits["scene"] / trials <= 0.75


def test_a_share_of_nothing_or_all_still_has_an_interval():
    bootstrap = Bootstrap(50)
    low, high = bootstrap.intervals(np.full(50, 3.0))["outliers30"]
    assert low == 0.0
    # Wilson, 0 of 50: z^2 / (50 + z^2) with z^2 = 3.8415
    assert high == pytest.approx(7.1348, abs=5e-5)
    certain = bootstrap.intervals(np.full(50, 3.0))["acc10"]
    assert certain == pytest.approx((92.8652, 100.0), abs=5e-5)
    # Rooms that stand for many scenes leave more open.
    rooms = Bootstrap(50, clusters=[k // 10 for k in range(50)])
    assert rooms.intervals(np.full(50, 3.0))["outliers30"] == pytest.approx(
        (0.0, 43.4482), abs=5e-5
    )


def test_a_shift_is_found_with_its_size():
    rng = np.random.default_rng(3)
    hard = rng.exponential(12.0, 200)  # scenes differ far more than models do
    a, b = hard + 1.0, hard + 2.0 + rng.normal(0.0, 0.3, 200)
    test = compare_errors(a, b)
    assert test.n == 200
    assert test.differences["mean_deg"] == pytest.approx(-1.0, abs=0.1)
    low, high = test.intervals["mean_deg"]
    assert -1.1 < low < -1.0 < high < -0.9
    assert test.wilcoxon_p < 1e-20
    assert test.nearer > 95.0
    assert test.nearer_interval[0] > 95.0
    # The intervals of the two overlap by far: only pairing tells them apart.
    bootstrap = Bootstrap(200)
    assert bootstrap.intervals(a)["mean_deg"][1] > bootstrap.intervals(b)["mean_deg"][0]
    back = compare_errors(b, a)
    assert back.differences["mean_deg"] == -test.differences["mean_deg"]
    assert back.nearer == pytest.approx(100.0 - test.nearer)
    assert back.wilcoxon_p == test.wilcoxon_p


def test_no_shift_is_found_no_more_often_than_chance_allows():
    rng = np.random.default_rng(4)
    found = {"wilcoxon": 0, "mcnemar": 0, "interval": 0}
    trials = 200
    for trial in range(trials):
        hard = rng.exponential(12.0, 80)
        a, b = np.abs(hard + rng.normal(0, 4, (2, 80)))
        test = compare_errors(a, b, bootstrap=Bootstrap(80, resamples=300, seed=trial))
        found["wilcoxon"] += test.wilcoxon_p < 0.05
        found["mcnemar"] += test.mcnemar_p["acc10"] < 0.05
        low, high = test.intervals["mean_deg"]
        found["interval"] += not low <= 0.0 <= high
    for count in found.values():
        assert count / trials <= 0.10  # five percent, and three standard deviations


def test_equal_answers_are_no_difference():
    test = compare_errors(ERRORS, ERRORS)
    assert test.wilcoxon_p == 1.0
    assert set(test.mcnemar_p.values()) == {1.0}
    assert set(test.differences.values()) == {0.0}
    assert (test.nearer, test.nearer_interval) == (50.0, (50.0, 50.0))
    with pytest.raises(ValueError, match=r"same scenes\. Received: 8 and 7"):
        compare_errors(ERRORS, ERRORS[1:])


def test_mcnemar_counts_the_scenes_that_only_one_gets_right():
    a = [1.0] * 9 + [20.0] + [1.0] * 30
    b = [20.0] * 9 + [1.0] + [1.0] * 30
    # 9 against 1 of 10 discordant scenes: 2 (1 + 10) / 2^10.
    assert compare_errors(a, b).mcnemar_p["acc10"] == pytest.approx(22 / 1024)


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_bad_calls():
    with pytest.raises(ValueError, match="must be at least 1"):
        Bootstrap(0)
    with pytest.raises(ValueError, match=r"one for each of 3 scenes\. Received: 2"):
        Bootstrap(3, clusters=["a", "b"])
    with pytest.raises(ValueError, match=r"must have 3 values\. Received: 2"):
        Bootstrap(3).figures([1.0, 2.0])
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
