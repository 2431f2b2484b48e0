import itertools

import numpy as np
import pytest

from doa_core.angles import (
    angles_to_vector,
    great_circle_distance,
    random_rotation,
    rotation_matrix,
    vector_to_angles,
)

FORWARD, LEFT, UP = np.eye(3)
# A few roundings of a number near 1.
FLOAT64 = 1e-14


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "vector"),
    [
        (0, 0, FORWARD),
        (90, 0, LEFT),
        (-90, 0, -LEFT),
        (180, 0, -FORWARD),
        (0, 90, UP),
        (0, -90, -UP),
        (45, 0, (FORWARD + LEFT) / np.sqrt(2)),
        (0, 30, [np.sqrt(3) / 2, 0, 0.5]),
    ],
)
def test_axes_are_forward_left_up(azimuth_deg, elevation_deg, vector):
    result = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
    np.testing.assert_allclose(result, vector, atol=FLOAT64)


def test_angles_round_trip():
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-179, 181)), np.radians(range(-89, 90)))
    back = vector_to_angles(angles_to_vector(azimuth, elevation))
    # Near the poles an error of 1e-16 in x and y is 60 times larger in azimuth.
    np.testing.assert_allclose(back[0], azimuth, atol=60 * FLOAT64)
    np.testing.assert_allclose(back[1], elevation, atol=60 * FLOAT64)


def test_vectors_round_trip_in_every_octant(directions):
    np.testing.assert_allclose(
        angles_to_vector(*vector_to_angles(directions)), directions, atol=FLOAT64
    )


def test_length_of_a_vector_does_not_matter(directions):
    for near, far in zip(
        vector_to_angles(directions), vector_to_angles(1e3 * directions), strict=True
    ):
        np.testing.assert_allclose(near, far, atol=FLOAT64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("y", [0.0, -0.0, -1e-30, 1e-30])
def test_azimuth_backwards_is_plus_180(y, dtype):
    azimuth, _ = vector_to_angles(np.array([-1.0, y, 0.0], dtype))
    assert azimuth == np.asarray(np.pi, dtype)
    assert azimuth.dtype == dtype


@pytest.mark.parametrize("signs", list(itertools.product([0.0, -0.0], repeat=3)))
def test_zero_vector_gives_zero_angles(signs):
    for angle in vector_to_angles(signs):
        assert angle == 0.0
        assert not np.signbit(angle)


@pytest.mark.parametrize("x", [0.0, -0.0])
@pytest.mark.parametrize("y", [0.0, -0.0])
def test_azimuth_of_a_pole_is_zero(x, y):
    assert vector_to_angles([x, y, 1.0]) == (0.0, np.pi / 2)
    assert vector_to_angles([x, y, -1.0]) == (0.0, -np.pi / 2)


def test_minus_zero_does_not_reach_the_angles():
    azimuth, elevation = vector_to_angles([1.0, -0.0, -0.0])
    assert not np.signbit(azimuth)
    assert not np.signbit(elevation)


def test_azimuth_wraps():
    # Angles outside of the range come back inside of it: 190 is -170, -180 is 180, 360 is 0.
    azimuth, _ = vector_to_angles(angles_to_vector(np.radians([190.0, -180.0, 360.0, -530.0]), 0))
    np.testing.assert_allclose(np.degrees(azimuth), [-170, 180, 0, -170], atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-15, 1e-8, 1e-3, 1.0, np.pi / 2, 3.0])
def test_distance_against_the_closed_form(angle):
    along = angles_to_vector(angle, 0.0)
    # Relative: an arccos would give 0 for 1e-15 and lose half of the digits at 1e-8.
    np.testing.assert_allclose(great_circle_distance(FORWARD, along), angle, rtol=FLOAT64)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-8, 1e-3])
def test_distance_is_accurate_near_the_opposite_point(gap):
    opposite = np.array([-np.cos(gap), np.sin(gap), 0.0])
    distance = great_circle_distance(FORWARD, opposite)
    # pi has a spacing of 4e-16; an arccos would be wrong by 1e-8 here.
    np.testing.assert_allclose(np.pi - distance, gap, atol=1e-15)
    assert distance <= np.pi


def test_distance_of_azimuths_across_180():
    a, b = angles_to_vector(np.radians([179.0, -179.0]), 0.0)
    np.testing.assert_allclose(np.degrees(great_circle_distance(a, b)), 2.0, rtol=1e-12)


def test_distance_broadcasts_and_is_symmetric(directions):
    table = great_circle_distance(directions[:, np.newaxis], directions)
    assert table.shape == 2 * (len(directions),)
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diag(table), 0.0)


@pytest.mark.parametrize(
    ("name", "seen", "heard"),
    [
        ("yaw", FORWARD, LEFT),
        ("yaw", LEFT, -FORWARD),
        ("yaw", UP, UP),
        ("pitch", FORWARD, UP),
        ("pitch", UP, -FORWARD),
        ("pitch", LEFT, LEFT),
        ("roll", LEFT, UP),
        ("roll", UP, -LEFT),
        ("roll", FORWARD, FORWARD),
    ],
)
def test_signs_of_yaw_pitch_and_roll(name, seen, heard):
    rotation = rotation_matrix(**{name: np.pi / 2})
    np.testing.assert_allclose(rotation @ seen, heard, atol=FLOAT64)


def test_yaw_and_pitch_are_azimuth_and_elevation_of_the_nose():
    nose = rotation_matrix(yaw=np.radians(-120), pitch=np.radians(25), roll=1.0) @ FORWARD
    np.testing.assert_allclose(np.degrees(vector_to_angles(nose)), [-120, 25], rtol=1e-12)


def test_roll_comes_first_and_yaw_last():
    yaw, pitch, roll = 0.3, -0.5, 0.7
    one_by_one = (
        rotation_matrix(yaw=yaw) @ rotation_matrix(pitch=pitch) @ rotation_matrix(roll=roll)
    )
    np.testing.assert_allclose(rotation_matrix(yaw, pitch, roll), one_by_one, atol=FLOAT64)


def test_upside_down_mount_swaps_left_and_right_up_and_down():
    upside_down = rotation_matrix(roll=np.pi)
    np.testing.assert_allclose(upside_down, np.diag([1, -1, -1]), atol=FLOAT64)


def test_random_rotation_is_a_rotation(rng):
    for _ in range(100):
        rotation = random_rotation(rng)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=FLOAT64)
        np.testing.assert_allclose(np.linalg.det(rotation), 1.0, rtol=FLOAT64)


def test_random_rotation_is_uniform(rng):
    rotations = np.array([random_rotation(rng) for _ in range(4000)])
    # Each entry of a uniform rotation is uniform in [-1, 1]: mean 0, mean square 1/3. The
    # standard errors of 4000 draws are 0.009 and 0.005; 5 of them.
    np.testing.assert_allclose(rotations.mean(axis=0), 0.0, atol=0.046)
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.024)
    # The trace of a uniform rotation has the mean square 1 and the mean fourth power 3.
    trace = np.trace(rotations, axis1=1, axis2=2)
    np.testing.assert_allclose((trace**2).mean(), 1.0, atol=5 * np.sqrt(2 / 4000))


def test_random_rotation_follows_its_generator():
    one, same, other = (random_rotation(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_integers_are_angles_and_vectors_too():
    assert vector_to_angles([0, 1, 0]) == (np.pi / 2, 0.0)
    assert great_circle_distance([1, 0, 0], [0, 0, 1]) == pytest.approx(np.pi / 2, rel=1e-15)


@pytest.mark.parametrize("wrong", [1.0, [1.0, 2.0], np.zeros((3, 4))])
def test_vectors_need_three_coordinates(wrong):
    with pytest.raises(ValueError, match=r"`vector` must hold x, y and z.*Received: vector.shape="):
        vector_to_angles(wrong)
    with pytest.raises(ValueError, match=r"`b` must hold x, y and z"):
        great_circle_distance(FORWARD, wrong)
