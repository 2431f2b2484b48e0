"""A mounting from directions: exact where they are, and told apart from what is none."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, random_rotation, rotation_angles, rotation_matrix
from doa_core.errors import InputError
from doa_edge.alignment.mount import check_places, level_mounting, mounting
from doa_edge.input.exchanges import EXCHANGES, swaps_that_mirror

EXACT = 1e-6  # degrees; roundings of a singular value decomposition
AHEAD, LEFT, ABOVE = (0.0, 0.0), (90.0, 0.0), (0.0, 90.0)
MIRRORS = [exchange for exchange in EXCHANGES if exchange.mirrors]


def vectors(*places_deg):
    angles = np.radians(places_deg)
    return angles_to_vector(angles[:, 0], angles[:, 1])


def heard_by(rotation, places):
    """What a microphone that is mounted so hears of talkers at these places."""
    return places @ rotation


@pytest.mark.parametrize(
    "mount_deg",
    [(0, 0, 0), (-30, 0, 0), (170, 0, 0), (20, 10, -5), (0, 0, 180), (45, 90, 0), (10, -60, 140)],
)
@pytest.mark.parametrize(
    "places_deg", [(AHEAD, LEFT), (AHEAD, LEFT, ABOVE), ((30, 20), (-70, -10))]
)
def test_two_places_or_more_give_all_three_angles(mount_deg, places_deg):
    rotation = rotation_matrix(*np.radians(mount_deg))
    places = vectors(*places_deg)
    found = mounting(heard_by(rotation, places), places)
    np.testing.assert_allclose(np.degrees(found.mount), mount_deg, atol=EXACT)
    assert found.residual_deg < EXACT
    assert found.mirror_checked == (len(places_deg) == 3)


@pytest.mark.parametrize("yaw_deg", [0.0, 35.0, -120.0, 180.0])
@pytest.mark.parametrize(("hangs", "roll_deg"), [(False, 0.0), (True, 180.0)])
@pytest.mark.parametrize("place_deg", [AHEAD, (90.0, 0.0), (-45.0, 20.0)])
def test_one_place_gives_the_yaw_of_a_level_or_hanging_microphone(
    yaw_deg, hangs, roll_deg, place_deg
):
    rotation = rotation_matrix(np.radians(yaw_deg), 0.0, np.radians(roll_deg))
    (place,) = vectors(place_deg)
    found = level_mounting(rotation.T @ place, place, hangs=hangs)
    np.testing.assert_allclose(np.degrees(found.mount), (yaw_deg, 0.0, roll_deg), atol=EXACT)
    assert found.residual_deg < EXACT
    assert (found.warnings, found.mirror_checked) == ((), False)


def test_what_one_place_leaves_unexplained_is_its_elevation():
    (heard,) = vectors((40.0, 25.0))
    found = level_mounting(heard, vectors(AHEAD)[0])
    np.testing.assert_allclose(np.degrees(found.mount), (-40.0, 0.0, 0.0), atol=EXACT)
    assert found.residual_deg == pytest.approx(25.0)
    assert found.warnings == (
        "25 degrees are left unexplained, as the talker was heard higher or lower than they are if "
        "the microphone stands level: measure two places, or say the elevation of the mouth "
        "(--place)",
    )


@pytest.mark.parametrize("hangs", [False, True])
def test_a_place_whose_elevation_is_told_tells_standing_from_hanging(hangs):
    """The other one of them is proposed where it explains more; the elevation is not asked for."""
    (place,) = vectors((102.2, 15.2))
    rotation = rotation_matrix(np.radians(40.0), 0.0, 0.0 if hangs else np.pi)
    heard = rotation.T @ vectors((102.2, 12.0))[0]
    found = level_mounting(heard, place, hangs=hangs, elevation_told=True)
    assert found.residual_deg == pytest.approx(27.2)
    how, other = ("hangs", "stands level") if hangs else ("stands level", "hangs")
    assert found.warnings == (
        "27 degrees are left unexplained, as the talker was heard higher or lower than they are if "
        f"the microphone {how}: 3 are left if it {other} ({'leave out' if hangs else 'add'} "
        "--hangs); else measure two places",
    )
    right = level_mounting(heard, place, hangs=not hangs, elevation_told=True)
    assert right.residual_deg == pytest.approx(3.2)
    assert right.warnings == ()


def test_an_elevation_that_is_told_is_not_asked_for():
    (heard,) = vectors((40.0, 25.0))
    found = level_mounting(heard, vectors(AHEAD)[0], elevation_told=True)
    assert found.warnings[0].endswith(": measure two places, or check the elevation of --place")


def test_one_place_from_above_tells_no_yaw():
    with pytest.raises(InputError, match=r"between -60 and 60 degrees.*Received: 90$"):
        check_places(vectors(ABOVE))
    with pytest.raises(InputError, match=r"measure two places. Received: a talker at -80 degrees"):
        level_mounting(vectors((0.0, -80.0))[0], vectors(AHEAD)[0])
    with pytest.raises(InputError, match=r"a microphone that hangs.*at 70 degrees of elevation"):
        level_mounting(vectors((0.0, -70.0))[0], vectors(AHEAD)[0], hangs=True)


def test_what_two_places_leave_unexplained_is_shared():
    places = vectors(AHEAD, LEFT)
    found = mounting(vectors((0.0, 0.0), (102.0, 0.0)), places)  # 12 degrees too far apart
    assert found.residuals_deg == pytest.approx((6.0, 6.0))
    assert found.residual_deg == pytest.approx(6.0)
    assert np.degrees(found.mount[0]) == pytest.approx(-6.0)
    assert found.warnings == ()
    found = mounting(vectors((0.0, 0.0), (114.0, 0.0)), places)
    assert "12 degrees are left unexplained" in found.warnings[0]


@pytest.mark.parametrize(
    ("places_deg", "message"),
    [
        ((AHEAD, (29.0, 0.0)), "Places 1 and 2 must be at least 30 degrees apart.*are 29 degrees"),
        ((AHEAD, LEFT, (85.0, 10.0)), "Places 2 and 3 must be at least 30 .*11 degrees apart"),
        ((AHEAD, (180.0, 0.0)), "at most 150 degrees apart: opposite each other"),
    ],
)
def test_places_that_tell_no_mounting(places_deg, message):
    with pytest.raises(InputError, match=message):
        check_places(vectors(*places_deg))


def test_places_that_were_heard_too_near():
    with pytest.raises(InputError, match=r"they were heard 20 degrees apart"):
        mounting(vectors(AHEAD, (20.0, 0.0)), vectors(AHEAD, LEFT))


def test_places_that_no_mounting_explains():
    places = vectors(AHEAD, LEFT, (180.0, 0.0))
    with pytest.raises(InputError, match=r"no mounting explains what was heard. Received: 36 deg"):
        mounting(vectors(AHEAD, LEFT, (100.0, 60.0)), places)


@pytest.mark.parametrize("exchange", MIRRORS, ids=str)
def test_every_mirroring_exchange_is_told_in_any_mounting(exchange):
    generator = np.random.default_rng(3)
    for places in (vectors(AHEAD, LEFT, ABOVE), vectors((0, 0), (90, 0), (-60, 35))):
        heard = heard_by(random_rotation(generator), places) @ exchange.matrix
        with pytest.raises(InputError, match=r"Channels are exchanged or inverted.* 0 by a reflec"):
            mounting(heard, places)


def test_the_simplest_exchanges_are_named_where_the_microphone_stands_upright():
    rotation = rotation_matrix(np.radians(20.0))
    places = vectors(AHEAD, LEFT, ABOVE)
    heard = heard_by(rotation, places) * [1.0, 1.0, -1.0]
    with pytest.raises(InputError, match=r"it would fit if Z is -Z. Received: "):
        mounting(heard, places)
    heard = heard_by(rotation, places) * [1.0, -1.0, 1.0]
    with pytest.raises(InputError, match=r"it would fit if X is -X, or Y is -Y, or "):
        mounting(heard, places)
    assert swaps_that_mirror(np.diag([1.0, 1.0, -1.0])) == ["Z is -Z"]


def test_places_in_one_plane_cannot_tell_a_mirror_and_say_so():
    places = vectors(AHEAD, LEFT, (180.0, 0.0))
    found = mounting(places * [1.0, 1.0, -1.0], places)
    assert not found.mirror_checked
    assert "cannot be told: the places lie in one plane" in found.warnings[-1]


def test_a_wrong_order_of_channels_looks_like_a_microphone_that_lies():
    """W X Y Z read as W Y Z X: what is read as Y is X, as Z is Y, as X is Z."""
    places = vectors(AHEAD, LEFT)
    heard = heard_by(rotation_matrix(np.radians(25.0)), places)[:, [2, 0, 1]]
    found = mounting(heard, places)
    assert "as of W X Y Z read as W Y Z X (X is Y, Y is Z, Z is X)" in found.warnings[0]


@pytest.mark.parametrize(
    "mount_deg", [(0, 0, 0), (90, 0, 0), (180, 0, 180), (30, 80, 0), (0, 45, 0)]
)
def test_usual_mountings_are_not_warned_of(mount_deg):
    places = vectors(AHEAD, LEFT, ABOVE)
    found = mounting(heard_by(rotation_matrix(*np.radians(mount_deg)), places), places)
    assert found.warnings == ()


def test_angles_of_a_rotation_round_trip():
    generator = np.random.default_rng(0)
    for _ in range(50):
        rotation = random_rotation(generator)
        np.testing.assert_allclose(
            rotation_matrix(*rotation_angles(rotation)), rotation, atol=1e-12
        )
    for pitch in (np.pi / 2, -np.pi / 2):  # yaw and roll about one axis
        rotation = rotation_matrix(0.5, pitch, 0.3)
        yaw, found, roll = rotation_angles(rotation)
        assert (found, roll) == (pytest.approx(pitch), 0.0)
        np.testing.assert_allclose(rotation_matrix(yaw, found, roll), rotation, atol=1e-6)
