import itertools

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.decode import decode, decode_peaks
from doa_core.grid import sphere_grid
from doa_core.peaks import APART_DEG, LOBE_STEPS, find_peaks

GRID = sphere_grid(10.0)
HEADS = tuple(LOBE_STEPS)
# Cosines of distances, and lobes that are added in another order: roundings of double precision.
ROUNDING = 1e-9


def lobe(directions, width_deg, grid=GRID):
    """(..., G) what a network that is sure of (..., 3) directions says of the cells."""
    distance = great_circle_distance(np.asarray(directions)[..., np.newaxis, :], grid.vectors)
    return np.exp(-((distance / np.radians(width_deg)) ** 2))


def scores_of(talkers, heights=None, *, head="gibbs-weighted", grid=GRID):
    """(G,) scores of several talkers: the largest of their lobes, as `Head.encode` has it."""
    heights = np.ones(len(talkers)) if heights is None else np.asarray(heights)
    lobes = lobe(talkers, LOBE_STEPS[head] * grid.resolution_deg, grid)
    return (heights[:, np.newaxis] * lobes).max(axis=0)


def peaks_of(scores, count, *, head="gibbs-weighted", **options):
    return find_peaks(
        scores, grid=GRID, count=count, lobe_deg=LOBE_STEPS[head] * GRID.resolution_deg, **options
    )


def draw_talkers(rng, count, *, at_least_deg):
    while True:
        talkers = rng.standard_normal((count, 3))
        talkers /= np.linalg.norm(talkers, axis=1, keepdims=True)
        pairs = itertools.combinations(talkers, 2)
        if all(np.degrees(great_circle_distance(a, b)) >= at_least_deg for a, b in pairs):
            return talkers


def two_at(rng, apart_deg):
    """Two talkers anywhere, a given angle apart in any direction."""
    one, other = draw_talkers(rng, 2, at_least_deg=40.0)
    across = other - one * (one @ other)
    across /= np.linalg.norm(across)
    angle = np.radians(apart_deg)
    return np.stack([one, np.cos(angle) * one + np.sin(angle) * across])


def worst_deg(found, talkers):
    """The largest error of all talkers, in the best order of the answers."""
    assert len(found) == len(talkers)
    orders = itertools.permutations(range(len(found)))
    return min(
        np.degrees(great_circle_distance(found[list(order)], talkers)).max() for order in orders
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_talkers_far_apart_are_found_below_the_grid_step(count):
    rng = np.random.default_rng(count)
    errors = []
    for _ in range(100):
        talkers = draw_talkers(rng, count, at_least_deg=40.0)
        heights = rng.uniform(0.5, 1.0, count)
        found, _ = peaks_of(scores_of(talkers, heights), count)
        errors.append(worst_deg(found, talkers))
    # A direction and its cell are 3.7 degrees apart on average. What is left is the irregularity of
    # the rows, as with `centroid`.
    assert np.median(errors) < 0.7
    assert max(errors) < 2.0


# `gibbs` learns lobes that are as wide as the voices are apart here: what overlaps moves by half of
# a cell, and the peaks are resolved nevertheless.
@pytest.mark.parametrize(("head", "limit_deg"), [("gibbs-weighted", 3.0), ("gibbs", 9.0)])
def test_two_voices_25_degrees_apart_are_two(head, limit_deg):
    rng = np.random.default_rng(0)
    for _ in range(150):
        talkers = two_at(rng, 25.0)
        scores = scores_of(talkers, [1.0, rng.uniform(0.5, 1.0)], head=head)
        found, heights = peaks_of(scores, 2, head=head)
        assert worst_deg(found, talkers) < limit_deg
        assert heights[1] > 0.3
        # Nobody is a third: what the two leave is a rest.
        _, heights = peaks_of(scores, 3, head=head)
        assert len(heights) < 3 or heights[2] < 0.25


def test_a_weak_voice_behind_the_flank_of_a_strong_one_is_found():
    strong, weak = angles_to_vector(np.radians([0.0, 30.0]), np.radians([0.0, 0.0]))
    scores = scores_of([strong, weak], [1.0, 0.15])
    found, heights = peaks_of(scores, 2)
    errors = np.degrees(great_circle_distance(found, np.stack([strong, weak])))
    assert errors[0] < 0.5
    assert errors[1] < 2.0
    assert heights[0] == pytest.approx(scores.max(), abs=1e-3)  # the weak one has a share
    assert heights[1] == pytest.approx(scores[GRID.nearest(weak)], rel=0.1)


def test_one_peak_is_the_answer_of_the_centroid():
    rng = np.random.default_rng(3)
    for talker in draw_talkers(rng, 100, at_least_deg=0.0):
        outputs = 0.7 * scores_of([talker])[np.newaxis]
        answer, confidence = decode(outputs, head="gibbs-weighted", grid=GRID, method="centroid")
        (found,), (height,) = peaks_of(outputs[0], 1)
        # Both move to the same point, in steps of other lengths.
        assert np.degrees(great_circle_distance(found, answer)) < 0.05
        assert height == pytest.approx(confidence, abs=ROUNDING)


def test_a_turn_about_the_vertical_turns_the_peaks():
    # The grid has no symmetry about the vertical: turns by any angle move the talkers in it.
    rng = np.random.default_rng(4)
    talkers = draw_talkers(rng, 3, at_least_deg=40.0)
    for angle in rng.uniform(-np.pi, np.pi, 30):
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        found, _ = peaks_of(scores_of(talkers @ turn.T, [1.0, 0.8, 0.6]), 3)
        errors = np.degrees(great_circle_distance(found @ turn, talkers))
        assert errors.max() < 2.0  # as without a turn


@pytest.mark.parametrize("apart_deg", [5.0, APART_DEG, 40.0, 90.0])
def test_no_two_peaks_are_nearer_than_the_least_distance(apart_deg):
    rng = np.random.default_rng(5)
    for scale in (1.0, 1e-6):
        for _ in range(40):
            scores = scale * rng.random(len(GRID)) ** 8  # peaks wherever noise has them
            found, heights = find_peaks(scores, grid=GRID, count=4, apart_deg=apart_deg)
            assert len(found) == 4 or apart_deg > 40.0  # there may be no place for another
            for one, other in itertools.combinations(found, 2):
                assert np.degrees(great_circle_distance(one, other)) >= apart_deg - 1e-6
            np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=ROUNDING)
            assert np.all(np.diff(heights) <= 0.0)
            assert np.all((heights >= 0.0) & (heights <= scores.max() + ROUNDING))


def test_there_is_no_peak_where_there_are_no_scores():
    found, heights = find_peaks(np.zeros(len(GRID)), grid=GRID, count=3)
    assert (found.shape, heights.shape) == ((0, 3), (0,))
    one = np.zeros(len(GRID))
    one[100] = 0.4
    found, heights = find_peaks(one, grid=GRID, count=3)
    np.testing.assert_allclose(found[0], GRID.vectors[100], atol=ROUNDING)
    assert heights[0] == pytest.approx(0.4)
    # What its lobe takes out in other cells was not there: nothing is left.
    assert len(found) == 1


def test_equal_scores_everywhere_are_finite_peaks():
    found, heights = find_peaks(np.full(len(GRID), 0.5), grid=GRID, count=4)
    assert np.isfinite(found).all()
    assert np.all((heights > 0.0) & (heights <= 0.5))


@pytest.mark.parametrize("resolution_deg", [5.0, 20.0])
def test_other_grids(resolution_deg):
    grid = sphere_grid(resolution_deg)
    talkers = draw_talkers(np.random.default_rng(6), 3, at_least_deg=60.0)
    found, _ = find_peaks(scores_of(talkers, grid=grid), grid=grid, count=3)
    assert worst_deg(found, talkers) < 0.2 * resolution_deg


def test_the_scores_are_left_as_they_are():
    scores = scores_of(draw_talkers(np.random.default_rng(7), 2, at_least_deg=40.0))
    scores.setflags(write=False)
    find_peaks(scores, grid=GRID, count=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": np.zeros(428)}, r"`scores` must be \(429,\).*scores.shape=\(428,\)"),
        ({"scores": np.zeros((25, 429))}, r"`scores` must be \(429,\)"),
        ({"scores": np.full(429, np.nan)}, r"finite and in \[0, 1\]. Received: .*nan"),
        ({"scores": np.full(429, np.inf)}, r"finite and in \[0, 1\]"),
        ({"scores": np.full(429, -0.1)}, r"Received: values from -0.1 to -0.1"),
        ({"scores": np.full(429, 1.1)}, r"Received: values from 1.1 to 1.1"),
        ({"count": 0}, "`count` must be a positive integer. Received: count=0"),
        ({"count": 2.0}, "`count` must be a positive integer"),
        ({"apart_deg": 0.0}, "`apart_deg` must lie above 0 and not above 90 degrees"),
        ({"apart_deg": 91.0}, "apart_deg=91.0"),
        ({"apart_deg": float("nan")}, "apart_deg=nan"),
        ({"lobe_deg": 0.0}, "`lobe_deg` must be positive. Received: lobe_deg=0.0"),
        ({"lobe_deg": float("inf")}, "`lobe_deg` must be positive"),
    ],
)
def test_bad_input(options, message):
    scores = options.pop("scores", np.full(429, 0.1))
    with pytest.raises(ValueError, match=message):
        find_peaks(scores, grid=GRID, **{"count": 2, **options})


def test_one_bad_score_is_refused():
    scores = np.full(429, 0.1)
    scores[7] = np.nan
    with pytest.raises(ValueError, match="finite"):
        find_peaks(scores, grid=GRID, count=1)


def test_frames_are_averaged_and_confidences_calibrated():
    talkers = draw_talkers(np.random.default_rng(8), 2, at_least_deg=60.0)
    # The second one talks in two frames of five.
    frames = np.stack([scores_of(talkers[: 1 + (frame < 2)]) for frame in range(5)])
    options = {"head": "gibbs-weighted", "grid": GRID, "count": 2}
    found, raw = decode_peaks(frames, **options)
    assert worst_deg(found, talkers) < 2.0
    np.testing.assert_allclose(found[0], talkers[0], atol=0.04)
    assert raw[1] == pytest.approx(0.4 * raw[0], rel=0.15)  # cells are not equally near to both
    again, calibrated = decode_peaks(frames, **options, calibration=((0.0, 0.1), (1.0, 0.6)))
    np.testing.assert_array_equal(again, found)
    np.testing.assert_allclose(calibrated, 0.1 + 0.5 * raw)


@pytest.mark.parametrize("head", HEADS)
def test_outputs_that_cannot_be_decoded(head):
    options = {"head": head, "grid": GRID, "count": 2}
    with pytest.raises(ValueError, match="must be finite"):
        decode_peaks(np.full((25, 429), np.nan), **options)
    with pytest.raises(ValueError, match="with at least one frame"):
        decode_peaks(np.zeros((0, 429)), **options)
    with pytest.raises(ValueError, match=r"\(frames, scores\) of one window"):
        decode_peaks(np.zeros((2, 25, 429)), **options)
    with pytest.raises(ValueError, match="needs a grid"):
        decode_peaks(np.zeros((25, 429)), head=head, grid=None, count=2)
    # Scores that sum to one are shared among directions: a second voice takes from the first.
    with pytest.raises(ValueError, match=r"must be one of gibbs, gibbs-weighted\. Received"):
        decode_peaks(np.zeros((25, 429)), head="gibbs-softmax", grid=GRID, count=2)
