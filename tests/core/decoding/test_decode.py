import warnings

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance, vector_to_angles
from doa_core.decode import GRID_HEADS, HEADS, METHODS, decode, direction_scores, head_outputs
from doa_core.grid import sphere_grid

GRID = sphere_grid(10.0)
SPHERICAL_HEADS = ("spherical", "spherical-angular")
SIGMOID_HEADS = ("gibbs", "gibbs-weighted")
FORWARD = np.array([1.0, 0.0, 0.0])
# Angles pass through a sine and a cosine, scores through none: a few roundings in double precision.
FLOAT64 = 1e-12


def ideal_outputs(head, direction):
    """(..., K) what a perfect network of each head says, by the definitions of the paper."""
    direction = np.asarray(direction)
    if head in SPHERICAL_HEADS:
        azimuth, elevation = vector_to_angles(direction)
        return np.stack([azimuth / (2 * np.pi) + 0.5, elevation / np.pi + 0.5], axis=-1)
    if head == "cartesian":
        return (direction + 1) / 2
    if head == "onehot":
        return np.eye(len(GRID))[GRID.nearest(direction)]
    if head == "gibbs-softmax":
        return gibbs(direction) / gibbs(direction).sum(axis=-1, keepdims=True)
    return gibbs(direction)


def gibbs(direction, beta_deg=20.0, grid=GRID):
    distance = great_circle_distance(direction[..., np.newaxis, :], grid.vectors)
    return np.exp(-((distance / np.radians(beta_deg)) ** 2))


def over_frames(outputs, frames=25):
    """(..., T, K) the same outputs in every frame."""
    return np.repeat(np.asarray(outputs)[..., np.newaxis, :], frames, axis=-2)


def error_deg(decoded, direction):
    return np.degrees(great_circle_distance(decoded, direction))


@pytest.fixture(scope="module")
def anywhere():
    vectors = np.random.default_rng(5).standard_normal((2000, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("head", [*SPHERICAL_HEADS, "cartesian"])
def test_regression_heads_decode_their_targets_exactly(head, directions):
    decoded, confidence = decode(over_frames(ideal_outputs(head, directions)), head=head)
    np.testing.assert_allclose(decoded, directions, atol=FLOAT64)
    np.testing.assert_allclose(confidence, 1.0, atol=FLOAT64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", GRID_HEADS)
def test_grid_heads_decode_the_target_of_a_cell(head, method):
    outputs = over_frames(ideal_outputs(head, GRID.vectors), frames=2)
    decoded, confidence = decode(outputs, head=head, grid=GRID, method=method)
    # The cells around a cell are not symmetric: the centroid moves by up to a sixth of a step.
    limit = 1.7 if method == "centroid" and head != "onehot" else 1e-6
    assert error_deg(decoded, GRID.vectors).max() < limit
    np.testing.assert_allclose(confidence, 1.0, atol=FLOAT64)


@pytest.mark.parametrize("head", GRID_HEADS)
def test_peak_is_the_nearest_cell(head, anywhere):
    decoded, _ = decode(over_frames(ideal_outputs(head, anywhere), 1), head=head, grid=GRID)
    np.testing.assert_array_equal(decoded, GRID.vectors[GRID.nearest(anywhere)])


@pytest.mark.parametrize("head", [*SIGMOID_HEADS, "gibbs-softmax"])
def test_centroid_decodes_below_the_grid_step(head, anywhere):
    outputs = over_frames(ideal_outputs(head, anywhere), 1)
    peak, _ = decode(outputs, head=head, grid=GRID)
    centroid, _ = decode(outputs, head=head, grid=GRID, method="centroid")
    # The published error of the grid; the rest of the centroid's is the irregularity of the rows.
    assert error_deg(peak, anywhere).mean() == pytest.approx(3.7, abs=0.1)
    assert error_deg(centroid, anywhere).mean() < 0.3
    assert error_deg(centroid, anywhere).max() < 2.0


@pytest.mark.parametrize("resolution_deg", [5.0, 20.0])
def test_centroid_is_better_than_peak_on_other_grids(resolution_deg, anywhere):
    grid = sphere_grid(resolution_deg)
    some = anywhere[:300]
    outputs = over_frames(gibbs(some, 2 * resolution_deg, grid), 1)
    errors = {
        method: error_deg(decode(outputs, head="gibbs", grid=grid, method=method)[0], some).mean()
        for method in METHODS
    }
    assert errors["centroid"] < 0.2 * errors["peak"]


def test_centroid_ignores_a_weaker_talker_far_away(anywhere):
    other = np.roll(anywhere, 1, axis=0)
    far = error_deg(anywhere, other) > 80
    outputs = np.maximum(gibbs(anywhere[far]), 0.8 * gibbs(other[far]))
    decoded, _ = decode(over_frames(outputs, 1), head="gibbs", grid=GRID, method="centroid")
    # The other talker's scores under the lobe are below exp(-16): nothing.
    assert error_deg(decoded, anywhere[far]).max() < 2.0


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 0.5])
def test_centroid_depends_on_the_shape_of_the_scores_alone(scale, anywhere):
    scores = over_frames(gibbs(anywhere[:50]), 1)
    one, _ = decode(scores, head="gibbs", grid=GRID, method="centroid")
    other, _ = decode(scale * scores, head="gibbs", grid=GRID, method="centroid")
    np.testing.assert_allclose(one, other, atol=FLOAT64)


@pytest.mark.parametrize("head", SPHERICAL_HEADS)
def test_spherical_heads_break_at_azimuth_180_and_say_so(head):
    # Half of the frames at 179, half at -179 degrees: the talker is behind, the average ahead.
    frames = angles_to_vector(np.radians([179.0, -179.0]), 0.0)
    decoded, confidence = decode(ideal_outputs(head, frames), head=head)
    np.testing.assert_allclose(decoded, FORWARD, atol=FLOAT64)
    assert confidence == 0.0
    # The same frames one degree to either side of forward are sure of it.
    decoded, confidence = decode(ideal_outputs(head, -frames), head=head)
    np.testing.assert_allclose(decoded, FORWARD, atol=FLOAT64)
    assert confidence == pytest.approx(np.cos(np.radians(1.0)), rel=FLOAT64)


@pytest.mark.parametrize("head", ["cartesian", *GRID_HEADS])
def test_other_heads_do_not_break_at_azimuth_180(head):
    frames = angles_to_vector(np.radians([179.0, -179.0]), 0.0)
    decoded, confidence = decode(ideal_outputs(head, frames), head=head, grid=GRID)
    # The average is exactly behind, and the horizon has a cell there.
    assert error_deg(decoded, -FORWARD) < 1e-9
    assert confidence > 0.9


def test_scaling_of_the_spherical_heads():
    # 0 and 1 are -180 and 180 degrees of azimuth, -90 and 90 of elevation.
    for outputs, angles_deg in (
        ([0.5, 0.5], (0, 0)),
        ([0.75, 0.5], (90, 0)),
        ([0.25, 0.75], (-90, 45)),
        ([1.0, 0.5], (180, 0)),
        ([0.5, 0.0], (0, -90)),
    ):
        decoded, _ = decode([outputs], head="spherical")
        np.testing.assert_allclose(decoded, angles_to_vector(*np.radians(angles_deg)), atol=FLOAT64)


def test_frames_are_averaged_before_decoding():
    # Ahead three times, left once: the mean of the outputs, not of anything decoded.
    frames = np.array([FORWARD, FORWARD, FORWARD, [0, 1, 0]])
    decoded, confidence = decode(ideal_outputs("cartesian", frames), head="cartesian")
    np.testing.assert_allclose(decoded, np.array([3, 1, 0]) / np.sqrt(10), atol=FLOAT64)
    assert confidence == pytest.approx(np.sqrt(10) / 4, rel=FLOAT64)
    decoded, _ = decode(ideal_outputs("spherical", frames), head="spherical")
    np.testing.assert_allclose(np.degrees(vector_to_angles(decoded)), [22.5, 0], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", HEADS)
def test_confidence_stays_within_0_and_1(head, method, rng):
    width = head_outputs(head, GRID)
    for outputs in (
        rng.random((20, 25, width)),
        np.zeros((1, 25, width)),
        np.ones((1, 25, width)),
        rng.integers(0, 2, (20, 1, width)).astype(float),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            decoded, confidence = decode(outputs, head=head, grid=GRID, method=method)
        np.testing.assert_allclose(np.linalg.norm(decoded, axis=-1), 1.0, atol=FLOAT64)
        assert confidence.min() >= 0.0
        assert confidence.max() <= 1.0


@pytest.mark.parametrize("head", HEADS)
def test_confidence_grows_with_sharpness(head):
    target = GRID.vectors[200]
    previous = -1.0
    for sharpness in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        if head == "cartesian":
            outputs = [0.5 + sharpness * target / 2]
        elif head in SPHERICAL_HEADS:  # two frames that draw together
            apart = (1 - sharpness) * np.radians([40.0, -40.0])
            outputs = ideal_outputs(head, angles_to_vector(apart, 0.1))
        elif head == "gibbs-softmax":
            outputs = [sharpness * ideal_outputs(head, target) + (1 - sharpness) / 429]
        elif head == "onehot":
            outputs = [sharpness * np.eye(429)[200] + (1 - sharpness) / 429]
        else:
            outputs = [sharpness * gibbs(target)]
        _, confidence = decode(outputs, head=head, grid=GRID)
        assert confidence > previous
        previous = confidence


def test_onehot_confidence_counts_the_cells_around_the_best():
    cell, neighbour, outside = 214, 215, 0
    outputs = np.zeros((1, 429))
    outputs[0, [cell, neighbour, outside]] = [0.5, 0.3, 0.2]
    assert error_deg(GRID.vectors[cell], GRID.vectors[neighbour]) < 20
    assert error_deg(GRID.vectors[cell], GRID.vectors[outside]) > 20
    for method in METHODS:
        _, confidence = decode(outputs, head="onehot", grid=GRID, method=method)
        assert confidence == pytest.approx(0.8, rel=FLOAT64)


def test_frames_that_cancel_give_forward_without_confidence():
    frames = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    decoded, confidence = decode(ideal_outputs("cartesian", frames), head="cartesian")
    np.testing.assert_array_equal(decoded, FORWARD)
    assert confidence == 0.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", GRID_HEADS)
def test_no_scores_give_forward_without_confidence(head, method):
    decoded, confidence = decode(np.zeros((3, 25, 429)), head=head, grid=GRID, method=method)
    np.testing.assert_array_equal(decoded, np.tile(FORWARD, (3, 1)))
    np.testing.assert_array_equal(confidence, np.zeros(3))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", HEADS)
def test_a_batch_is_its_sequences(head, method, rng):
    outputs = rng.random((2, 3, 25, head_outputs(head, GRID)))
    decoded, confidence = decode(outputs, head=head, grid=GRID, method=method)
    assert decoded.shape == (2, 3, 3)
    assert confidence.shape == (2, 3)
    one, one_confidence = decode(outputs[1, 2], head=head, grid=GRID, method=method)
    np.testing.assert_allclose(decoded[1, 2], one, atol=FLOAT64)
    np.testing.assert_allclose(confidence[1, 2], one_confidence, atol=FLOAT64)


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ("spherical", 2),
        ("spherical-angular", 2),
        ("cartesian", 3),
        ("onehot", 429),
        ("gibbs", 429),
        ("gibbs-weighted", 429),
        ("gibbs-softmax", 429),
    ],
)
def test_outputs_of_each_head(head, outputs):
    assert head_outputs(head, GRID) == outputs


@pytest.mark.parametrize("head", HEADS)
def test_picture_has_its_maximum_at_the_answer(head, directions):
    for direction in directions[:20]:
        scores = direction_scores(
            over_frames(ideal_outputs(head, direction)),
            head=head,
            grid=GRID,
            directions=np.concatenate([[direction], directions, -directions]),
        )
        assert scores.shape == (1 + 2 * len(directions),)
        assert scores.max() == scores[0] > 0.8
        assert scores.min() >= 0.0
        assert scores.max() <= 1.0


def test_picture_of_a_regression_head_shows_both_answers():
    frames = ideal_outputs("cartesian", np.array([[0.0, 1, 0], [0, 1, 0], [0, 1, 0], [0, -1, 0]]))
    scores = direction_scores(
        frames, head="cartesian", grid=None, directions=[[0, 1, 0], [0, -1, 0], [1, 0, 0]]
    )
    # A lobe of 15 degrees is nothing at 90.
    np.testing.assert_allclose(scores, [0.75, 0.25, 0.0], atol=1e-6)


@pytest.mark.parametrize("shape", [(429,), (25, 428), (25, 3), (0, 429), ()])
def test_wrong_shape_of_outputs(shape):
    match = r"`outputs` of the head 'gibbs' must be \(\.\.\., frames, 429\).*outputs\.shape="
    with pytest.raises(ValueError, match=match):
        decode(np.zeros(shape), head="gibbs", grid=GRID)
    with pytest.raises(ValueError, match=match):
        direction_scores(np.zeros(shape), head="gibbs", grid=GRID, directions=[FORWARD])


def test_unknown_head_method_and_missing_grid():
    with pytest.raises(ValueError, match=r"`head` must be one of spherical, .*head='softmax'"):
        decode(np.zeros((25, 3)), head="softmax")
    with pytest.raises(ValueError, match=r"`method` must be one of peak, centroid.*'mean'"):
        decode(np.zeros((25, 3)), head="cartesian", method="mean")
    for head in GRID_HEADS:
        with pytest.raises(ValueError, match=f"The head '{head}' needs a grid"):
            decode(np.zeros((25, 429)), head=head)
        with pytest.raises(ValueError, match=f"The head '{head}' needs a grid"):
            direction_scores(np.zeros((25, 429)), head=head, grid=None, directions=[FORWARD])


def test_outputs_that_are_no_numbers():
    outputs = np.full((25, 3), 0.5)
    outputs[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"must be finite.*1 of 75 values"):
        decode(outputs, head="cartesian")


def test_calibration_is_applied_to_the_confidence_alone():
    outputs = ideal_outputs("cartesian", np.array([FORWARD, FORWARD, FORWARD, -FORWARD]))
    table = ((0.0, 0.1), (0.4, 0.3), (0.6, 0.9))
    raw_direction, raw = decode(outputs, head="cartesian")
    direction, confidence = decode(outputs, head="cartesian", calibration=table)
    assert raw == pytest.approx(0.5)
    assert confidence == pytest.approx(0.6)
    np.testing.assert_array_equal(direction, raw_direction)


def centroid_by_definition(scores, grid, steps=10):
    """Mean shift as it is written down: a lobe of the grid step moves to what it covers."""
    direction = grid.vectors[np.argmax(scores)]
    for _ in range(steps):
        lobe = np.exp((grid.vectors @ direction - 1.0) / np.radians(grid.resolution_deg) ** 2)
        total = (scores * lobe) @ grid.vectors
        direction = total / np.linalg.norm(total)
    return direction


@pytest.mark.parametrize("resolution_deg", [2.0, 10.0, 30.0])
def test_centroid_is_the_mean_shift_of_its_definition(resolution_deg, rng):
    grid = sphere_grid(resolution_deg)
    for scores in rng.random((20, len(grid))) ** 4:
        decoded, _ = decode([scores], head="gibbs", grid=grid, method="centroid")
        np.testing.assert_allclose(decoded, centroid_by_definition(scores, grid), atol=1e-9)
