"""SOFA files of rooms and arrays: what is written comes back, in our axes and at our rate."""

from __future__ import annotations

import numpy as np
import pytest
import sofar

from doa_core.ambisonics import from_ambix
from doa_core.angles import rotation_matrix
from doa_tf.microphones.base import even_directions
from doa_tf.microphones.rigid_sphere import rigid_sphere_responses, sphere_layout
from doa_tf.microphones.sofa_array import ArrayResponses, read_array, write_array
from doa_tf.rooms.sofa_rooms import RoomResponses, read_room_responses, write_room_responses

LEFT, UP = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def some_room(**values):
    rng = np.random.default_rng(0)
    lengths = (700, 400, 1000)
    return RoomResponses(
        directions=even_directions(3),
        distances=np.array([0.7, 1.5, 2.5]),
        responses=[rng.standard_normal((length, 4)).astype(np.float32) for length in lengths],
        **values,
    )


def foreign_room(**values):
    """A SingleRoomSRIR of four coincident receivers at 16 kHz, as another program writes it."""
    sofa = sofar.Sofa("SingleRoomSRIR", mandatory=True)
    sofa.GLOBAL_RoomType = "dae"
    sofa.Data_IR = np.random.default_rng(1).standard_normal((2, 4, 300))
    sofa.Data_Delay = np.zeros((1, 4))
    sofa.Data_SamplingRate = 16000.0
    sofa.ReceiverPosition = np.zeros((4, 3))
    sofa.ListenerPosition = np.zeros((2, 3))
    sofa.SourcePosition = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    for name, value in values.items():
        setattr(sofa, name, value)
    return sofa


def saved(sofa, path):
    sofar.io._write_sofa(str(path), _with_dimensions(sofa), verify=False)
    return path


def _with_dimensions(sofa):
    sofa.verify(issue_handling="ignore", mode="read")
    return sofa


@pytest.mark.parametrize("known", [True, False])
def test_room_round_trip(tmp_path, known):
    place = {"microphone": np.array([2.0, 3.0, 1.2]), "size": np.array([5.0, 6.0, 3.0])}
    room = some_room(title="A kitchen", **(place if known else {}))
    path = tmp_path / "room.sofa"
    write_room_responses(path, room, comment="c", organization="o", author_contact="a")
    (back,) = read_room_responses(path)
    np.testing.assert_allclose(back.directions, room.directions, atol=1e-12)
    np.testing.assert_allclose(back.distances, room.distances, atol=1e-12)
    assert [len(response) for response in back.responses] == [700, 400, 1000]
    for response, original in zip(back.responses, room.responses, strict=True):
        assert response.dtype == np.float32
        np.testing.assert_array_equal(response, original)
    np.testing.assert_array_equal(back.size, room.size)
    np.testing.assert_array_equal(back.microphone, room.microphone if known else np.zeros(3))
    assert back.title == "A kitchen"
    assert [entry.name for entry in tmp_path.iterdir()] == ["room.sofa"]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_is_valid_and_says_what_it_is(tmp_path, known):
    place = {"microphone": np.array([2.0, 3.0, 1.2]), "size": np.array([5.0, 6.0, 3.0])}
    path = tmp_path / "room.sofa"
    write_room_responses(path, some_room(**(place if known else {})), licence="CC0")
    sofa = sofar.read_sofa(str(path), verify=True, verbose=False)
    assert sofa.GLOBAL_SOFAConventions == "SingleRoomSRIR"
    assert sofa.ReceiverPosition_Type == "spherical harmonics"
    assert "SN3D" in sofa.GLOBAL_ReceiverDescription
    assert sofa.GLOBAL_License == "CC0"
    assert sofa.GLOBAL_DateCreated[:2] == "20"
    assert sofa.GLOBAL_RoomType == ("shoebox" if known else "dae")


@pytest.mark.parametrize(
    ("position", "direction"),
    [
        ([0.0, 0.0, 2.0], [1, 0, 0]),
        ([90.0, 0.0, 2.0], LEFT),
        ([270.0, 0.0, 2.0], -LEFT),
        ([0.0, 90.0, 2.0], UP),
        ([45.0, -30.0, 2.0], [np.sqrt(0.375), np.sqrt(0.375), -0.5]),
    ],
)
def test_spherical_positions_are_counter_clockwise_and_up(tmp_path, position, direction):
    """SOFA's azimuth and elevation are ours."""
    sofa = foreign_room(
        SourcePosition=np.tile(position, (2, 1)),
        SourcePosition_Type="spherical",
        SourcePosition_Units="degree, degree, metre",
    )
    (room,) = read_room_responses(saved(sofa, tmp_path / "room.sofa"))
    np.testing.assert_allclose(room.directions, np.tile(direction, (2, 1)), atol=1e-12)
    np.testing.assert_allclose(room.distances, 2.0)


def test_directions_are_in_the_axes_of_a_turned_listener(tmp_path):
    """Looking left, what is forward in the room is on the right."""
    sofa = foreign_room(ListenerView=LEFT[np.newaxis], ListenerUp=UP[np.newaxis])
    (room,) = read_room_responses(saved(sofa, tmp_path / "room.sofa"))
    np.testing.assert_allclose(room.directions, [[0, -1, 0], [1, 0, 0]], atol=1e-12)
    # The same view in spherical coordinates; upside down left and right change places.
    sofa.ListenerView, sofa.ListenerUp = np.array([[90.0, 0, 1]]), np.array([[0, -90.0, 1]])
    sofa.ListenerView_Type, sofa.ListenerView_Units = "spherical", "degree, degree, metre"
    (room,) = read_room_responses(saved(sofa, tmp_path / "down.sofa"))
    np.testing.assert_allclose(room.directions, [[0, 1, 0], [1, 0, 0]], atol=1e-12)


def test_a_listener_that_is_turned_any_way_matches_our_mounting(tmp_path):
    rotation = rotation_matrix(0.4, -0.3, 1.1)
    sofa = foreign_room(
        ListenerView=rotation[:, 0][np.newaxis], ListenerUp=rotation[:, 2][np.newaxis]
    )
    (room,) = read_room_responses(saved(sofa, tmp_path / "room.sofa"))
    np.testing.assert_allclose(room.directions @ rotation.T, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_positions_are_relative_to_the_listener_and_grouped_by_it(tmp_path):
    sofa = foreign_room(ListenerPosition=np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    first, second = read_room_responses(saved(sofa, tmp_path / "room.sofa"))
    np.testing.assert_allclose(first.distances, [1.0])
    np.testing.assert_allclose(second.directions, [[0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(second.distances, [2.0])
    np.testing.assert_allclose(second.microphone, [0, 1, 0])


@pytest.mark.parametrize("channel_format", ["fuma", "n3d", "tetrahedral:fld-fru-blu-brd"])
def test_other_channel_formats(tmp_path, channel_format):
    ambix = np.random.default_rng(3).standard_normal((2, 300, 4))
    sofa = foreign_room(Data_IR=from_ambix(ambix, channel_format).swapaxes(1, 2))
    path = saved(sofa, tmp_path / "room.sofa")
    (room,) = read_room_responses(path, channel_format=channel_format)
    np.testing.assert_allclose(room.responses, ambix, atol=1e-5)


def test_higher_orders_are_cut_and_n3d_is_scaled(tmp_path):
    channels = np.random.default_rng(3).standard_normal((2, 9, 300))
    sofa = foreign_room(
        Data_IR=channels,
        Data_Delay=np.zeros((1, 9)),
        ReceiverPosition=np.zeros((9, 3)),
        ReceiverPosition_Type="spherical harmonics",
    )
    path = saved(sofa, tmp_path / "room.sofa")
    (room,) = read_room_responses(path)
    np.testing.assert_allclose(room.responses[1], channels[1, :4].T, atol=1e-6)
    (room,) = read_room_responses(path, channel_format="acn-n3d")
    np.testing.assert_allclose(
        room.responses[1], channels[1, :4].T / np.sqrt([1, 3, 3, 3]), atol=1e-6
    )


@pytest.mark.parametrize("rate", [44100.0, 48000.0])
def test_other_sample_rates_keep_the_gain_of_the_filter(tmp_path, rate):
    time = np.arange(int(0.1 * rate)) / rate
    ringing = np.exp(-time / 0.01) * np.sin(2 * np.pi * 1000 * time) / rate
    sofa = foreign_room(
        Data_IR=np.tile(ringing, (2, 4, 1)), Data_SamplingRate=rate, Data_Delay=np.zeros((1, 4))
    )
    (room,) = read_room_responses(saved(sofa, tmp_path / "room.sofa"))
    response = room.responses[0][:, 0]
    gain = [
        np.abs(np.sum(x * np.exp(-2j * np.pi * 1000 * np.arange(len(x)) / fs)))
        for x, fs in ((ringing, rate), (response, 16000))
    ]
    assert gain[1] == pytest.approx(gain[0], rel=0.01)


def test_delays_of_the_file_are_applied(tmp_path):
    impulse = np.zeros((2, 4, 64))
    impulse[..., 0] = 1.0
    whole = foreign_room(Data_IR=impulse, Data_Delay=np.array([[3.0, 0.0, 1.0, 2.0]]))
    (room,) = read_room_responses(saved(whole, tmp_path / "whole.sofa"))
    np.testing.assert_array_equal(np.argmax(room.responses[0], axis=0), [3, 0, 1, 2])
    part = foreign_room(Data_IR=np.roll(impulse, 20, -1), Data_Delay=np.full((1, 4), 2.5))
    (room,) = read_room_responses(saved(part, tmp_path / "part.sofa"))
    response = room.responses[0][:, 0]
    np.testing.assert_allclose(response[22], response[23], atol=1e-5)
    assert response[22] == pytest.approx(2 / np.pi, abs=0.01)


def test_array_round_trip(tmp_path):
    directions = even_directions(30)
    capsules = sphere_layout(12)
    array = ArrayResponses(
        directions=directions,
        responses=rigid_sphere_responses(directions, capsules=capsules, radius=0.04),
        capsules=0.04 * capsules,
    )
    path = tmp_path / "array.sofa"
    write_array(path, array)
    back = read_array(path)
    assert back.sample_rate == 16000
    np.testing.assert_allclose(back.directions, directions, atol=1e-12)
    np.testing.assert_allclose(back.capsules, array.capsules, atol=1e-12)
    # 10 ms of silence on both sides
    np.testing.assert_allclose(back.responses[..., 160:-160], array.responses, atol=1e-12)
    assert not back.responses[..., :160].any()


def test_array_measured_with_a_ring_of_emitters(tmp_path):
    """GeneralFIR-E: emitters are placed in the axes of their source."""
    sofa = sofar.Sofa("GeneralFIR-E", mandatory=True)
    sofa.Data_IR = np.random.default_rng(0).standard_normal((1, 4, 64, 3))
    sofa.Data_Delay = np.tile([0.0, 1.0, 2.0], (1, 4, 1))
    sofa.Data_SamplingRate = 16000.0
    sofa.ReceiverPosition = np.zeros((4, 3))
    sofa.ListenerPosition = np.zeros((1, 3))
    sofa.SourcePosition = np.zeros((1, 3))
    sofa.SourcePosition_Type, sofa.SourcePosition_Units = "cartesian", "metre"
    sofa.EmitterPosition = 2.0 * np.eye(3)
    sofa.EmitterPosition_Type, sofa.EmitterPosition_Units = "cartesian", "metre"
    array = read_array(saved(sofa, tmp_path / "ring.sofa"))
    np.testing.assert_allclose(array.directions, np.eye(3), atol=1e-12)
    for emitter in range(3):
        heard = array.responses[emitter, :, 160 + emitter : 224 + emitter]
        np.testing.assert_allclose(heard, sofa.Data_IR[0, :, :, emitter], atol=1e-12)


def test_capsules_of_an_array_are_encoded(tmp_path):
    """Plane waves at a sphere, as a room's file: FOA with the sphere's own dipoles."""
    capsules = sphere_layout(32)
    grid = even_directions(300)
    array = ArrayResponses(
        directions=grid,
        responses=rigid_sphere_responses(grid, capsules=capsules, radius=0.042),
        capsules=0.042 * capsules,
    )
    write_array(tmp_path / "array.sofa", array)
    sources = even_directions(7)[2:4]
    sofa = foreign_room(
        Data_IR=rigid_sphere_responses(sources, capsules=capsules, radius=0.042),
        Data_Delay=np.zeros((1, 32)),
        ReceiverPosition=0.042 * capsules,
        ReceiverPosition_Type="cartesian",
        ReceiverPosition_Units="metre",
        SourcePosition=2 * sources,
    )
    path = saved(sofa, tmp_path / "room.sofa")
    (room,) = read_room_responses(path, array=tmp_path / "array.sofa")
    for response, direction in zip(room.responses, sources, strict=True):
        # One period of 16 samples is 1 kHz.
        bins = np.fft.rfft(response[:512], axis=0)[32]
        bins = bins / bins[0]
        np.testing.assert_allclose(bins[1:].imag, 0.0, atol=0.02)
        np.testing.assert_allclose(bins[[3, 1, 2]].real, direction, atol=0.05)
        # The time of the array's own measurement is known to within its radius.
        assert abs(np.argmax(np.abs(response[:, 0])) - 128) <= 2
