"""SOFA files as they are written: axes, units, angles and versions of all kinds."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.microphones import sofa_file
from doa_tf.microphones.base import even_directions
from doa_tf.microphones.draw import microphone_from_draw
from doa_tf.microphones.measured_array import MeasuredArrayMicrophone
from doa_tf.microphones.sofa_array import read_array
from doa_tf.microphones.sofa_file import SofaReading
from doa_tf.rooms.sofa_rooms import read_room_responses
from tests.tf.foreign_sofa import CAPSULES, GRID, impulses, plane_waves, unit, write_foreign

LABELS = np.array([[30.0, 0.0, 2.0], [-110.0, 10.0, 2.0], [80.0, -50.0, 2.0]])
SOURCES = unit(LABELS[:, 0], LABELS[:, 1])
# 30 azimuths by 16 colatitudes, as the DirPat database measured.
DIRPAT = np.stack(np.meshgrid(12.0 * np.arange(30), 5.6 + 11.25 * np.arange(16), indexing="ij"), -1)
DIRPAT = np.concatenate([DIRPAT.reshape(-1, 2), np.ones((480, 1))], axis=-1)
AROUND = unit(DIRPAT[:, 0], 90.0 - DIRPAT[:, 1])
RADIANS = "radian, radian, metre"


@pytest.fixture(autouse=True)
def fresh_warnings():
    sofa_file.warn_once.cache_clear()


def room(path, source, *, responses=None, dimensions="MRN", **more):
    responses = plane_waves(SOURCES) if responses is None else responses
    variables = {"SourcePosition": source, **more.pop("variables", {})}
    return write_foreign(path, responses, dimensions, variables=variables, **more)


def array(path, source, *, directions=AROUND, looks=CAPSULES, **more):
    """Coincident cardioids that look in given directions."""
    responses = impulses(0.5 * (1.0 + directions @ looks.T), samples=64, at=20)
    attributes = {"SOFAConventions": "GeneralFIR"}
    variables = {"SourcePosition": source, "ReceiverPosition": 0.01 * looks}
    return write_foreign(path, responses, "MRN", variables=variables, attributes=attributes, **more)


def directions_of(path, **options):
    (found,) = read_room_responses(path, **options)
    return found.directions


@pytest.mark.parametrize("dimensions", ["MREN", "MRNE", "EMNR", "NREM"])
@pytest.mark.parametrize("convention", ["MultiSpeakerBRIR", "SingleRoomMIMOSRIR"])
def test_axes_are_those_that_their_dimensions_say(tmp_path, dimensions, convention):
    responses = plane_waves(SOURCES)[np.newaxis]  # (M, E, R, N)
    path = room(
        tmp_path / "room.sofa",
        np.zeros(3),
        responses=responses.transpose(["MERN".index(name) for name in dimensions]),
        dimensions=dimensions,
        variables={"EmitterPosition": 2.0 * SOURCES},
        attributes={"SOFAConventions": convention},
    )
    (found,) = read_room_responses(path)
    np.testing.assert_allclose(found.directions, SOURCES, atol=1e-12)
    for response, expected in zip(found.responses, plane_waves(SOURCES), strict=True):
        np.testing.assert_allclose(response, expected[:, : len(response)].T, atol=1e-7)


@pytest.mark.parametrize(("kind", "order"), [("FIRE", "MREN"), ("FIR-E", "MRNE")])
def test_axes_without_names_are_those_of_the_data_type(tmp_path, kind, order):
    responses = plane_waves(SOURCES)[np.newaxis].transpose(["MERN".index(name) for name in order])
    path = room(
        tmp_path / "room.sofa",
        np.zeros(3),
        responses=responses,
        dimensions="ABFG",
        variables={"EmitterPosition": 2.0 * SOURCES, "ReceiverPosition": np.zeros((4, 3))},
        attributes={"SOFAConventions": "MultiSpeakerBRIR", "DataType": kind},
    )
    np.testing.assert_allclose(directions_of(path), SOURCES, atol=1e-12)


@pytest.mark.parametrize(
    ("position", "kind", "units"),
    [
        (2.0 * SOURCES, "cartesian", "metre"),
        (2.0 * SOURCES, "cartesian", None),
        (2.0 * SOURCES, None, "meters, meters, meters"),
        (200.0 * SOURCES, "cartesian", "centimetre"),
        (2000.0 * SOURCES, "cartesian", "mm, mm, mm"),
        (LABELS, "spherical", GRID),
        (LABELS, "Spherical", "degree"),
        (LABELS, None, "degrees degrees meters"),
        (LABELS * [1.0, 1.0, 100.0], "spherical", "degree, degree, centimetre"),
        (LABELS * [np.pi / 180.0, np.pi / 180.0, 1.0], "spherical", RADIANS),
    ],
)
def test_units_are_those_of_the_file(tmp_path, position, kind, units):
    (found,) = read_room_responses(room(tmp_path / "room.sofa", (position, kind, units)))
    np.testing.assert_allclose(found.directions, SOURCES, atol=1e-12)
    np.testing.assert_allclose(found.distances, 2.0)


@pytest.mark.parametrize(
    ("kind", "units", "received"),
    [
        ("cartesian", GRID, "'cartesian' in 'degree, degree, metre'"),
        ("spherical", "metre", "'spherical' in 'metre'"),
        ("spherical", None, "'spherical' in 'no units'"),
        (None, None, "'no type' in 'no units'"),
        ("polar", GRID, "'polar' in 'degree, degree, metre'"),
        ("cartesian", "feet", "'feet'"),
        ("spherical", "degree, metre, metre", "'degree, metre, metre'"),
    ],
)
def test_what_units_leave_open_is_an_error_that_names_the_option(tmp_path, kind, units, received):
    path = room(tmp_path / "room.sofa", (LABELS, kind, units))
    with pytest.raises(InputError) as error:
        read_room_responses(path)
    assert f"Received: {received}. Say which with --sofa-units 'SourcePosition=UNITS'" in str(
        error.value
    )
    reading = SofaReading(units=("SourcePosition=degree, degree, metre",))
    np.testing.assert_allclose(directions_of(path, reading=reading), SOURCES, atol=1e-12)


def test_the_origin_needs_no_units(tmp_path):
    path = room(
        tmp_path / "room.sofa",
        2.0 * SOURCES,
        variables={"ListenerPosition": (np.zeros(3), "spherical", "metre")},
    )
    np.testing.assert_allclose(directions_of(path), SOURCES, atol=1e-12)


def test_a_radius_of_0_is_a_direction_without_a_distance(tmp_path):
    labels = LABELS * [1.0, 1.0, 0.0]
    (found,) = read_room_responses(room(tmp_path / "room.sofa", (labels, "spherical", GRID)))
    np.testing.assert_allclose(found.directions, SOURCES, atol=1e-12)
    assert np.isnan(found.distances).all()
    path = array(tmp_path / "array.sofa", (DIRPAT * [1, 1, 0], "spherical", GRID))
    np.testing.assert_allclose(read_array(path).directions, AROUND, atol=1e-12)


def test_a_negative_radius_is_refused(tmp_path):
    path = room(tmp_path / "room.sofa", (LABELS * [1.0, 1.0, -1.0], "spherical", GRID))
    with pytest.raises(InputError, match=r"radii of at least 0\. Received: -2"):
        read_room_responses(path)


def test_angles_that_can_only_be_colatitudes_are_read_as_such(tmp_path, caplog):
    path = array(tmp_path / "array.sofa", (DIRPAT, "spherical", GRID))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # said once
            np.testing.assert_allclose(read_array(path).directions, AROUND, atol=1e-12)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: SourcePosition has angles from 5.6 to 174.35 degrees, which are taken as "
        "colatitudes (0 up, 180 down)"
    ]
    assert MeasuredArrayMicrophone(file=str(path)).noise_gains[1:] == pytest.approx(
        np.sqrt(3.0), rel=0.05
    )


def test_angles_that_are_said_to_be_elevations_are_not_colatitudes(tmp_path):
    path = array(tmp_path / "array.sofa", (DIRPAT, "spherical", GRID))
    message = r"elevations between -90 and 90 degrees\. Received: 5\.6 to 174\.35.*colatitude"
    with pytest.raises(InputError, match=message):
        read_array(path, reading=SofaReading(angles="elevation"))


def test_radians_under_degrees_are_refused_and_read_with_options(tmp_path):
    """A DirPat file: colatitudes in radians whose units say degrees."""
    radians = DIRPAT * [np.pi / 180.0, np.pi / 180.0, 1.0]
    path = array(tmp_path / "array.sofa", (radians, "spherical", GRID))
    message = r"all around.*Received: 17\d degrees\..*--sofa-units.*radian.*--sofa-angles"
    with pytest.raises(InputError, match=message):
        MeasuredArrayMicrophone(file=str(path))
    told = {"sofa_units": (f"SourcePosition={RADIANS}",), "sofa_angles": "colatitude"}
    microphone = MeasuredArrayMicrophone(file=str(path), **told)
    assert microphone.draw["sofa_units"] == list(told["sofa_units"])
    assert microphone_from_draw(microphone.draw) == microphone
    reading = SofaReading(units=told["sofa_units"], angles="colatitude")
    np.testing.assert_allclose(read_array(path, reading=reading).directions, AROUND, atol=1e-12)


def test_positions_in_another_order_than_the_responses_are_refused(tmp_path):
    """The other fault of DirPat files: positions by colatitude first, responses by azimuth."""
    swapped = DIRPAT.reshape(30, 16, 3).swapaxes(0, 1).reshape(-1, 3)
    path = array(tmp_path / "array.sofa", (swapped, "spherical", GRID))
    with pytest.raises(InputError, match=r"do not go with its directions: .*DirPat"):
        MeasuredArrayMicrophone(file=str(path))


@pytest.mark.parametrize(("lowest", "accepted"), [(0.0, False), (-15.0, False), (-31.0, True)])
def test_an_array_has_to_be_measured_all_around(tmp_path, lowest, accepted):
    chosen = DIRPAT[:, 1] < 90.0 - lowest
    labels = np.stack([DIRPAT[:, 0], 90.0 - DIRPAT[:, 1], DIRPAT[:, 2]], axis=-1)[chosen]
    path = array(tmp_path / "array.sofa", (labels, "spherical", GRID), directions=AROUND[chosen])
    if accepted:
        assert MeasuredArrayMicrophone(file=str(path)).draw["kind"] == "sphere"
    else:
        with pytest.raises(InputError, match="must hold an array measured all around"):
            MeasuredArrayMicrophone(file=str(path))


def test_the_same_direction_again_is_no_other_direction(tmp_path):
    directions = np.repeat(even_directions(12), 5, axis=0)
    path = array(tmp_path / "array.sofa", 2.0 * directions, directions=directions)
    with pytest.raises(InputError, match=r"at least 24 directions\. Received: 12"):
        MeasuredArrayMicrophone(file=str(path))


@pytest.mark.parametrize(
    ("looks", "axis"),
    [
        (np.tile([1.0, 0.0, 0.0], (5, 1)), "left and right"),
        (np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0.0]]), "up and down"),
    ],
)
def test_capsules_in_a_line_or_a_plane_are_no_ambisonics(tmp_path, looks, axis):
    path = array(tmp_path / "array.sofa", 2.0 * AROUND, looks=looks)
    with pytest.raises(InputError, match=f"does not tell {axis} apart"):
        MeasuredArrayMicrophone(file=str(path))


def test_coefficients_of_emitters_are_no_directions(tmp_path):
    responses = np.zeros((1, 4, 64, 49))
    responses[0, :, 20, 0] = 1.0
    path = write_foreign(
        tmp_path / "array.sofa",
        responses,
        "MRNE",
        variables={
            "SourcePosition": np.zeros(3),
            "EmitterPosition": (np.tile([0, 0, 1.5], (49, 1)), "spherical harmonics", GRID),
        },
        attributes={"SOFAConventions": "GeneralFIR-E", "SOFAConventionsVersion": "2.0"},
    )
    with pytest.raises(
        InputError, match="49 emitters that are coefficients of spherical harmonics"
    ):
        read_array(path)


@pytest.mark.parametrize(
    ("convention", "version", "known"),
    [
        ("SingleRoomSRIR", "1.0", True),
        ("SingleRoomSRIR", "1.1", False),
        ("SingleRoomSRIR", "0.1", False),
        ("SingleRoomDRIR", "0.2", True),
        ("MultiSpeakerBRIR", "0.1", False),
        ("SingleRoomMIMOSRIR", "two", False),
    ],
)
def test_other_versions_are_read_with_a_warning(tmp_path, caplog, convention, version, known):
    attributes = {"SOFAConventions": convention, "SOFAConventionsVersion": version}
    path = room(tmp_path / "room.sofa", 2.0 * SOURCES, attributes=attributes)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(directions_of(path), SOURCES, atol=1e-12)
    assert [record.getMessage() for record in caplog.records] == (
        []
        if known
        else [
            f"{path} follows {convention} {version}, which is read like version "
            f"{sofa_file._VERSIONS[convention][-1]}"
        ]
    )


@pytest.mark.parametrize("name", ["ROOM.SOFA", "Räume.Sofa", os.fsdecode(b"r\xe4ume.sofa")])
def test_names_in_any_case_and_coding(tmp_path, name):
    path = room(tmp_path / "room.sofa", 2.0 * SOURCES)
    os.rename(path, tmp_path / name)
    np.testing.assert_allclose(directions_of(tmp_path / name), SOURCES, atol=1e-12)


def test_more_than_a_file_can_hold_is_refused_before_it_is_read(tmp_path):
    """Dimensions of terabytes in a file of kilobytes."""
    import netCDF4

    path = tmp_path / "room.sofa"
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({"SOFAConventions": "SingleRoomSRIR", "SOFAConventionsVersion": "1.0"})
        for name, size in (("M", 100_000), ("R", 4), ("N", 1_000_000)):
            file.createDimension(name, size)
        file.createVariable("Data.IR", "f8", ("M", "R", "N"), chunksizes=(1, 4, 1000))
    with pytest.raises(InputError, match=r"damaged: it says that Data\.IR has 3200000000000 bytes"):
        read_room_responses(path)


@pytest.mark.parametrize("units", ["SourcePosition", "Data.IR=metre", "Sources=metre", "=metre"])
def test_units_need_the_name_of_a_position(units):
    with pytest.raises(InputError, match=f"must be NAME=UNITS.*Received: {units}"):
        SofaReading(units=(units,))


def test_angles_have_names():
    with pytest.raises(InputError, match=r"one of elevation, colatitude\. Received: zenith"):
        SofaReading(angles="zenith")
