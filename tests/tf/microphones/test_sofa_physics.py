"""SOFA files of what no microphone hears and no room gives are refused; ours have a digest."""

import netCDF4
import numpy as np
import pytest

from doa_core.ambisonics import steering_vector
from doa_core.errors import InputError
from doa_tf.microphones.base import even_directions
from doa_tf.microphones.sofa_array import ArrayResponses, read_array, write_array
from doa_tf.rooms.sofa_rooms import RoomResponses, read_room_responses, write_room_responses
from tests.tf.foreign_sofa import CAPSULES, write_foreign

DIRECTIONS = even_directions(50)


def cardioids(**options):
    """A file of four cardioids, measured from all around, and its values."""
    gains = 0.5 + 0.5 * DIRECTIONS @ CAPSULES.T  # (M, R)
    responses = np.zeros((*gains.shape, 64))
    responses[..., 20] = gains
    return responses, {"SourcePosition": 1.5 * DIRECTIONS, **options}


def array_file(path, responses, variables):
    return write_foreign(
        path / "array.sofa",
        responses,
        "MRN",
        variables=variables,
        attributes={"SOFAConventions": "GeneralFIR", "SOFAConventionsVersion": "1.0"},
    )


def test_what_a_microphone_hears_is_read(tmp_path):
    responses, variables = cardioids()
    found = read_array(array_file(tmp_path, responses, variables))
    assert found.responses.shape[:2] == (50, 4)


def test_dipoles_are_deaf_from_some_directions(tmp_path):
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    directions = np.concatenate([DIRECTIONS, axes])
    responses = np.zeros((len(directions), 4, 64))
    responses[..., 20] = steering_vector(directions)
    assert np.count_nonzero(responses[-6:, :, 20]) == 12
    path = array_file(tmp_path, responses, {"SourcePosition": 1.5 * directions})
    assert len(read_array(path).directions) == 56


def loud(place, value):
    def change(responses, positions):
        responses[place] = value

    return change


def moved(place, value):
    def change(responses, positions):
        positions[place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (loud(..., 0.0), "loudest sample lies between 1e-09 and 1e\\+06. Received: 0"),
        (loud((..., 20), 1e-12), "Received: 1e-12"),
        (loud((3, 1, 5), 1e300), "Received: 1e\\+300"),
        (loud((3, 1, 5), np.nan), "finite numbers in Data.IR"),
        (loud((3, 1, 5), -np.inf), "finite numbers in Data.IR"),
        (loud((3, 1, 5), 1000.0), "measurement 4 of 50 must lie within .* Received: 6[01] dB"),
        (loud(7, 0.0), "measurement 8 of 50 is silent"),
        (loud((slice(None), 2), 0.0), "capsule: 3 of 4 is silent in all measurements"),
        (loud((np.argmax(DIRECTIONS @ CAPSULES[1]), 1), 0.0), "capsule 2 is silent in measurement"),
        (moved((3, 0), 1e30), "SourcePosition must lie within 100000 metres"),
        (moved(3, [0.0, 0.0, 90.0]), "source of measurement 4 must lie within 0.1 and 10 times"),
        (moved((3, 0), np.nan), "finite numbers in SourcePosition"),
    ],
)
def test_an_array_of_what_no_microphone_hears_is_refused(tmp_path, change, message):
    responses, variables = cardioids()
    change(responses, variables["SourcePosition"])
    with pytest.raises(InputError, match=f"array.sofa.*{message}") as caught:
        read_array(array_file(tmp_path, responses, variables))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ([0.0, 91.0, 1.5], "elevations between -90 and 90"),
        ([1e5, 0.0, 1.5], "azimuths within 2 turns"),
        ([0.0, 0.0, -1.5], "radii of at least 0"),
        ([0.0, 0.0, 1e9], "within 100000 metres"),
    ],
)
def test_directions_off_the_sphere_are_refused(tmp_path, place, message):
    azimuth = np.degrees(np.arctan2(DIRECTIONS[:, 1], DIRECTIONS[:, 0]))
    elevation = np.degrees(np.arcsin(DIRECTIONS[:, 2]))
    places = np.stack([azimuth, elevation, np.full(50, 1.5)], axis=1)
    places[3] = place
    units = (places, "spherical", "degree, degree, metre")
    responses, variables = cardioids(SourcePosition=units)
    with pytest.raises(InputError, match=message):
        read_array(array_file(tmp_path, responses, variables))


@pytest.mark.parametrize("rate", [0.0, -48_000.0, 1e12, 1e-3])
def test_a_sample_rate_of_no_measurement_is_refused(tmp_path, rate):
    path = array_file(tmp_path, *cardioids())
    with netCDF4.Dataset(str(path), "a") as file:
        file["Data.SamplingRate"][:] = rate
    with pytest.raises(InputError, match="one sample rate between 8000 and 400000 Hz"):
        read_array(path)


def room():
    directions = DIRECTIONS[:5]
    responses = np.zeros((5, 400, 4), np.float32)
    responses[:, 100] = steering_vector(directions)
    responses[:, 200:] = 0.01 * np.random.default_rng(0).standard_normal((5, 200, 4))
    return RoomResponses(
        directions=directions, distances=np.full(5, 2.0), responses=list(responses)
    )


def room_file(tmp_path, change):
    measured = room()
    for response in measured.responses:
        change(response)
    responses = np.stack(measured.responses).swapaxes(1, 2).astype(float)
    return write_foreign(
        tmp_path / "room.sofa",
        responses,
        "MRN",
        variables={"SourcePosition": 2.0 * measured.directions},
    )


def test_a_channel_that_is_silent_where_it_would_hear_is_refused(tmp_path):
    assert len(read_room_responses(room_file(tmp_path, lambda r: None))[0].responses) == 5

    def without_w(response):
        response[:, 0] = 0.0

    def without_z(response):
        response[:, 2] = 0.0

    with pytest.raises(InputError, match=r"channel W of measurement 1 is silent"):
        read_room_responses(room_file(tmp_path, without_w))
    with pytest.raises(InputError, match=r"channel Z of measurement [1-5] is silent"):
        read_room_responses(room_file(tmp_path, without_z))


def test_a_dead_capsule_of_a_room_is_refused(tmp_path):
    def dead(response):
        response[:, 3] = 0.0

    with pytest.raises(InputError, match="4 of 4 is silent in all measurements"):
        read_room_responses(room_file(tmp_path, dead), channel_format="tetrahedral")


def test_our_own_files_say_when_they_were_changed(tmp_path):
    array, rooms = tmp_path / "array.sofa", tmp_path / "room.sofa"
    responses, _ = cardioids()
    write_array(array, ArrayResponses(directions=DIRECTIONS, responses=responses))
    write_room_responses(rooms, room())
    for path, read in ((array, read_array), (rooms, read_room_responses)):
        read(path)
        with netCDF4.Dataset(str(path), "a") as file:
            stated = file.getncattr("DataSHA256")
            file["Data.IR"][0, 0, 30] += 1e-6
        with pytest.raises(InputError, match=r"damaged, or was changed .* DataSHA256") as caught:
            read(path)
        assert f"not {stated[:12]}" in str(caught.value)
        with netCDF4.Dataset(str(path), "a") as file:  # as the message says
            file.delncattr("DataSHA256")
        read(path)


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = array_file(tmp_path, *cardioids())
    with netCDF4.Dataset(str(tmp_path / "huge.sofa"), "w") as file:
        file.setncatts({"SOFAConventions": "GeneralFIR", "SOFAConventionsVersion": "1.0"})
        for name, size in (("M", 10**5), ("R", 4), ("N", 10**4)):
            file.createDimension(name, size)
        file.createVariable("Data.IR", "f8", ("M", "R", "N"), chunksizes=(1, 4, 10**4))
    with pytest.raises(InputError, match=r"Data.IR has 32000000000 bytes, more than a file of"):
        read_array(tmp_path / "huge.sofa")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(13)
    for _ in range(30):
        broken = bytearray(data)
        for place in rng.integers(0, 4000, 6):
            broken[place] ^= int(rng.integers(1, 256))
        (tmp_path / "broken.sofa").write_bytes(broken)
        try:
            found = read_array(tmp_path / "broken.sofa")
        except InputError:  # and nothing else
            continue
        assert np.isfinite(found.responses).all()
