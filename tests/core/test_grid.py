import numpy as np
import pytest

from doa_core.angles import great_circle_distance, vector_to_angles
from doa_core.grid import check_resolution, sphere_grid


@pytest.fixture(scope="module")
def anywhere():
    """(D, 3) directions uniform on the sphere."""
    vectors = np.random.default_rng(3).standard_normal((20_000, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_published_number_of_cells():
    assert len(sphere_grid(10.0)) == 429


def test_published_quantisation_error(anywhere):
    grid = sphere_grid(10.0)
    error_deg = np.degrees(great_circle_distance(anywhere, grid.vectors[grid.nearest(anywhere)]))
    # Published to one digit; the sampling error of the mean of 20,000 draws is 0.01.
    assert error_deg.mean() == pytest.approx(3.7, abs=0.06)
    assert np.median(error_deg) == pytest.approx(3.9, abs=0.06)
    assert error_deg.max() == pytest.approx(6.9, abs=0.3)  # the corner itself is rarely drawn


def test_first_rows_at_10_degrees():
    grid = sphere_grid(10.0)
    # The pole; 36 cos(80) = 6.25 -> 6 + 1 cells; 36 cos(70) = 12.3 -> 12 + 1; 36 / 2 = 18 + 1.
    rows = [(-90, 1), (-80, 7), (-70, 13), (-60, 19)]
    elevation = np.concatenate([count * [float(row)] for row, count in rows])
    azimuth = np.concatenate([-180 + 360 * np.arange(count) / count for _, count in rows])
    azimuth[azimuth == -180] = 180
    np.testing.assert_allclose(np.degrees(grid.elevation[:40]), elevation, atol=1e-12)
    np.testing.assert_allclose(np.degrees(grid.azimuth[:40]), azimuth, atol=1e-12)


def test_cells_per_row_at_10_degrees():
    _, counts = np.unique(sphere_grid(10.0).elevation, return_counts=True)
    half = [1, 7, 13, 19, 24, 29, 32, 35, 36]
    assert counts.tolist() == [*half, 37, *reversed(half)]


@pytest.mark.parametrize("resolution_deg", [1.0, 2.5, 5.0, 7.0, 8.0, 10.0, 15, 30, 45, 90])
def test_grid_of_any_resolution(resolution_deg, anywhere):
    grid = sphere_grid(resolution_deg)
    azimuth, elevation = vector_to_angles(grid.vectors)
    # The vectors are the angles (azimuth is arbitrary on the poles) ...
    np.testing.assert_allclose(elevation, grid.elevation, atol=1e-9)
    not_pole = np.abs(grid.elevation) < np.radians(89.9)
    np.testing.assert_allclose(azimuth[not_pole], grid.azimuth[not_pole], atol=1e-12)
    # ... in range and in order ...
    assert np.all(grid.azimuth > -np.pi)
    assert np.all(grid.azimuth <= np.pi)
    assert np.all(np.diff(grid.elevation) >= 0)
    assert len(np.unique(grid.vectors.round(9), axis=0)) == len(grid)
    # ... as many above the horizon as below ...
    assert np.count_nonzero(elevation > 1e-9) == np.count_nonzero(elevation < -1e-9)
    # ... and no direction is further from its cell than the corner of a square of the step,
    # alpha / sqrt(2) on a plane; 10 % more for rows rounded to whole cells, more for coarse ones.
    few = anywhere[:300]
    error_deg = np.degrees(great_circle_distance(few, grid.vectors[grid.nearest(few)]))
    assert error_deg.max() < resolution_deg * (0.78 if resolution_deg < 20 else 0.9)


@pytest.mark.parametrize("resolution_deg", [5.0, 10.0, 30.0])
def test_nearest_against_brute_force(resolution_deg, anywhere, directions):
    grid = sphere_grid(resolution_deg)
    for some in (anywhere[:500], directions):
        distance = great_circle_distance(some[:, np.newaxis], grid.vectors)
        chosen = np.take_along_axis(distance, grid.nearest(some)[:, np.newaxis], axis=-1)[:, 0]
        # By distance, not by index: a direction may lie between two cells.
        np.testing.assert_allclose(chosen, distance.min(axis=-1), atol=1e-12)


def test_cells_are_their_own_nearest():
    grid = sphere_grid(10.0)
    np.testing.assert_array_equal(grid.nearest(grid.vectors), np.arange(len(grid)))
    assert grid.nearest(grid.vectors[17]) == 17
    assert grid.nearest(grid.vectors.reshape(3, 143, 3)).shape == (3, 143)


@pytest.mark.parametrize("cell", [0, 100, 214, 428])
@pytest.mark.parametrize("radius_deg", [0.0, 10.0, 20.0, 180.0, 400.0])
def test_neighbours_against_brute_force(cell, radius_deg):
    grid = sphere_grid(10.0)
    distance_deg = np.degrees(great_circle_distance(grid.vectors[cell], grid.vectors))
    # Cells on the rim count: the rows of a column are 10 degrees apart but for rounding.
    expected = np.flatnonzero(distance_deg <= radius_deg + 1e-6)
    found = grid.neighbours(cell, radius=np.radians(radius_deg))
    np.testing.assert_array_equal(found, expected)
    assert cell in found


def test_pole_has_its_whole_row_around_it():
    # The seven cells of the next row are 10 degrees away, all on the rim.
    np.testing.assert_array_equal(
        sphere_grid(10.0).neighbours(0, radius=np.radians(10.0)), np.arange(8)
    )


def test_grid_cannot_be_changed_and_is_made_once():
    grid = sphere_grid(10.0)
    assert sphere_grid(10.0) is grid
    with pytest.raises(ValueError, match="read-only"):
        grid.vectors[0, 0] = 1.0


@pytest.mark.parametrize("wrong", [0.0, -10.0, 0.99, 91.0, float("nan"), float("inf")])
def test_resolution_out_of_range(wrong):
    for function in (sphere_grid, check_resolution):
        with pytest.raises(ValueError, match="`resolution_deg` must lie between 1 and 90 degrees"):
            function(wrong)


def test_nearest_needs_vectors():
    with pytest.raises(ValueError, match="`direction` must hold x, y and z"):
        sphere_grid(10.0).nearest([0.1, 0.2])
