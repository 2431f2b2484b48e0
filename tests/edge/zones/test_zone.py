"""Named areas: which directions are theirs, and what describes none."""

from __future__ import annotations

import math

import pytest

from doa_edge import Zone
from doa_edge.zones.zone import check_together, zone_of


@pytest.mark.parametrize(
    ("borders", "inside", "outside"),
    [
        ((-30, 30), [-30, 0, 30], [-30.01, 30.01, 180, -90]),
        ((150, -150), [150, 180, -180, -150], [149.9, -149.9, 0]),  # over the seam
        ((30, -30), [30, 90, 180, -90, -30], [0, 29.9, -29.9]),  # the long way round
        ((350, 10), [-10, 0, 10], [11, -11, 180]),
        ((200, 270), [-160, -90, -120], [-161, -89, 90]),
        ((-180, 180), [180, 0, -179.99], []),
        ((0, 360), [0, 180, -0.01], []),
    ],
)
def test_azimuths_go_counter_clockwise_from_the_first_to_the_second(borders, inside, outside):
    zone = Zone(name="desk", azimuth_deg=borders)
    assert [zone.holds(azimuth, 0.0) for azimuth in inside] == [True] * len(inside)
    assert [zone.holds(azimuth, 0.0) for azimuth in outside] == [False] * len(outside)


def test_elevations_limit_a_zone_and_are_all_by_default():
    board = Zone(name="board", azimuth_deg=(0, 90), elevation_deg=(-20, 40))
    assert [board.holds(45, elevation) for elevation in (-20.1, -20, 0, 40, 40.1)] == [
        *(False, True, True, True, False)
    ]
    assert not board.holds(91, 0)
    wall = Zone(name="wall", azimuth_deg=(0, 90))
    assert wall.holds(45, 90)
    assert wall.holds(45, -90)


def test_a_margin_widens_a_zone_on_all_sides():
    zone = Zone(name="door", azimuth_deg=(170, -170), elevation_deg=(0, 10))
    assert not zone.holds(165, 5)
    assert zone.holds(165, 5, margin_deg=5)
    assert zone.holds(-165, 15, margin_deg=5)
    assert not zone.holds(-164.9, 15, margin_deg=5)
    assert not zone.holds(-165, 15.1, margin_deg=5)
    around = Zone(name="gap", azimuth_deg=(4, -4))
    assert not around.holds(0, 0)
    assert around.holds(0, 0, margin_deg=5)


@pytest.mark.parametrize(
    ("value", "azimuths", "elevations"),
    [
        ([-30, 30], (-30, 30), (-90, 90)),
        ({"azimuth": [60, 120], "elevation": [0, 40.5]}, (60, 120), (0, 40.5)),
        ({"azimuth": [60, 120]}, (60, 120), (-90, 90)),
        ({"elevation": [40, 90]}, (-180, 180), (40, 90)),
    ],
)
def test_the_forms_of_an_entry(value, azimuths, elevations):
    zone = zone_of("desk", value)
    assert (zone.name, zone.azimuth_deg, zone.elevation_deg) == ("desk", azimuths, elevations)


@pytest.mark.parametrize("name", ["desk", "Desk_2", "a", "x" * 32, "k\N{LATIN SMALL LETTER U}che"])
def test_names(name):
    assert Zone(name=name).name == name


def test_a_letter_is_one_however_it_was_typed():
    assert zone_of("Ku\N{COMBINING DIAERESIS}che", [0, 9]).name == "K\xfcche"


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "a+", "#", "a b", "a\nb", "\x1b[2J", "x" * 33, "a.b", "\udcff", "a\0", "*", "é!"],
)
def test_names_that_no_topic_or_address_could_bear(name):
    with pytest.raises(ValueError, match="the name of a zone must have 1 to 32 letters, digits, _"):
        Zone(name=name)
    with pytest.raises(ValueError, match=r"Received: '[^\n\x1b]*'$"):
        zone_of(name, [0, 90])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([30, 30], "zone desk must span more than 0 and at most 360 degrees.* Received: 30, 30"),
        ([180, -180], "must span more than 0"),
        ([-200, 200], "at most 360 degrees, counter-clockwise .* Received: -200, 200"),
        ([0, 500], "the azimuths of zone desk must be two numbers between -360 and 360 degrees"),
        ([math.nan, 30], "two numbers between -360 and 360 degrees. Received: nan, 30"),
        ([0, math.inf], "Received: 0, inf"),
        ([True, 30], "Received: True, 30"),
        (["a", 30], "Received: a, 30"),
        ([[0], 30], "must be two numbers"),
        ([0, 10**30], "must be two numbers"),
        (30, r"zone desk must be \[FROM, TO\] or \{azimuth = .*\}, in degrees. Received: 30"),
        ([30], "zone desk must be .* Received: "),
        ([1, 2, 3], "zone desk must be"),
        ([], "zone desk must be"),
        ("0,30", "zone desk must be"),
        ({}, "zone desk must be"),
        ({"azimut": [0, 30]}, "zone desk must be .*azimut"),
        ({"azimuth": [0, 30], "x": 1}, "zone desk must be"),
        ({"azimuth": 30}, "zone desk must be"),
        (
            {"azimuth": [0, 30], "elevation": [40, 40]},
            "the elevations of zone desk must be the lower one and then the higher. Received: 40",
        ),
        ({"elevation": [50, 20]}, "the lower one and then the higher. Received: 50, 20"),
        (
            {"elevation": [0, 91]},
            "the elevations of zone desk must be two numbers between -90 and 90 degrees. Received:",
        ),
        ({"elevation": [math.nan, 9]}, "must be two numbers between -90 and 90"),
    ],
)
def test_what_is_no_zone(value, message):
    with pytest.raises(ValueError, match=message):
        zone_of("desk", value)


def test_names_differ_and_zones_are_few():
    with pytest.raises(ValueError, match=r"must differ, in more than .* Received: Desk and desk$"):
        check_together([Zone(name="Desk"), Zone(name="sofa"), Zone(name="desk")])
    with pytest.raises(ValueError, match=r"Received: desk and desk$"):
        check_together([Zone(name="desk"), Zone(name="desk")])
    check_together([Zone(name=f"zone-{number}") for number in range(32)])
    with pytest.raises(ValueError, match=r"there must be 32 zones at most\. Received: 33"):
        check_together([Zone(name=f"zone-{number}") for number in range(33)])
