"""SOFA files that cannot be used: an error says which, what is wanted and what came."""

from __future__ import annotations

import builtins
import os
import signal

import numpy as np
import pytest
import sofar

from doa_core.errors import InputError, MissingPackageError
from doa_tf.microphones import sofa_file
from doa_tf.microphones.sofa_array import read_array
from doa_tf.rooms.sofa_rooms import RoomResponses, read_room_responses, write_room_responses

NAN = float("nan")


def room_file(path, **values):
    """A SingleRoomSRIR of four coincident receivers, with what is wrong about it."""
    sofa = sofar.Sofa("SingleRoomSRIR", mandatory=True)
    sofa.Data_IR = np.ones((2, 4, 300))
    sofa.Data_Delay = np.zeros((1, 4))
    sofa.Data_SamplingRate = 16000.0
    sofa.ReceiverPosition = np.zeros((4, 3))
    sofa.ListenerPosition = np.zeros((2, 3))
    sofa.SourcePosition = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    sofa.verify(issue_handling="ignore", mode="read")
    for name, value in values.items():
        setattr(sofa, name, value)
    sofa.verify(issue_handling="ignore", mode="read")
    sofar.io._write_sofa(str(path), sofa, verify=False)
    return path


def some_room():
    return RoomResponses(
        directions=np.eye(3)[:1],
        distances=np.ones(1),
        responses=[np.ones((20, 4), np.float32)],
    )


@pytest.mark.parametrize("read", [read_array, read_room_responses])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must exist and be named FILE.sofa"),
        (b"", "cannot be read as a SOFA file"),
        (b"RIFF, or any other file" * 50, "cannot be read as a SOFA file"),
    ],
)
def test_foreign_files(tmp_path, read, content, message):
    path = tmp_path / "file.sofa"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)


def turn(path):
    while True:
        pass


def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (turn, "is damaged: HDF5 has not read it within 1 s of processor time"),
        (crash, "is damaged: HDF5 ends with SIGSEGV over it"),
    ],
)
def test_a_file_over_which_the_library_hangs_or_crashes(tmp_path, monkeypatch, library, message):
    """As HDF5 follows references that damage has bent into a circle."""
    path = room_file(tmp_path / "room.sofa")
    monkeypatch.setattr(sofa_file, "READ_S", 1)
    monkeypatch.setattr(sofa_file, "_dataset", library)
    with pytest.raises(InputError, match=rf"room\.sofa {message}$"):
        read_room_responses(path)


def test_a_sound_file_is_tried_once_until_it_is_another(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(sofa_file, "signal_in_copy", lambda *_, **__: tried.append(1) or 0)
    path = room_file(tmp_path / "room.sofa")
    for _ in range(2):
        read_room_responses(path)
    assert len(tried) == 1
    os.utime(path, ns=(0, 0))
    read_room_responses(path)
    assert len(tried) == 2


def test_other_suffix(tmp_path):
    (tmp_path / "file.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"must exist and be named FILE\.sofa\. Received: .*wav"):
        read_room_responses(tmp_path / "file.wav")


def test_netcdf_that_is_no_sofa(tmp_path):
    import netCDF4

    with netCDF4.Dataset(tmp_path / "file.sofa", "w") as file:
        file.createDimension("time", 3)
    with pytest.raises(InputError, match=r"file\.sofa cannot be read as a SOFA file"):
        read_room_responses(tmp_path / "file.sofa")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_file_that_is_cut_short(tmp_path, share):
    path = tmp_path / "file.sofa"
    write_room_responses(path, some_room())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="cannot be read as a SOFA file"):
        read_room_responses(path)


def test_wrong_convention(tmp_path):
    path = room_file(tmp_path / "room.sofa")
    with pytest.raises(InputError, match=r"conventions GeneralFIR, .*\. Received: SingleRoomSRIR"):
        read_array(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Data_IR": np.full((2, 4, 300), NAN)}, r"finite numbers in Data\.IR"),
        ({"SourcePosition": np.array([[2.0, NAN, 0.0]] * 2)}, "finite numbers in SourcePosition"),
        ({"SourcePosition": np.zeros((2, 3))}, "source in the same place as the listener"),
        ({"Data_SamplingRate": 0.0}, "one sample rate between 8000 and 400000"),
        ({"Data_SamplingRate": np.array([16000.0, 48000.0])}, "one sample rate"),
        ({"Data_Delay": np.array([[0.0, 0.0, -1.0, 0.0]])}, r"Data\.Delay of at least 0"),
        ({"Data_Delay": np.full((1, 4), 1e7)}, r"Data\.Delay of at least 0 and not far"),
        ({"ListenerView": np.array([[0.0, 0.0, 1.0]])}, "ListenerUp that span a plane"),
        ({"SourcePosition_Type": "polar"}, "SourcePosition must be cartesian, or spherical"),
        (
            {
                "SourcePosition": np.array([[0.0, 91.0, 1.0]] * 2),
                "SourcePosition_Type": "spherical",
                "SourcePosition_Units": "degree, degree, metre",
            },
            "elevations between -90 and 90",
        ),
        (
            {"SourcePosition_Type": "spherical", "SourcePosition_Units": "metre"},
            "or spherical with angles and a length. Received: 'spherical' in 'metre'",
        ),
        (
            {
                "ReceiverPosition": 0.01 * np.eye(4)[:, :3],
                "ReceiverPosition_Type": "cartesian",
                "ReceiverPosition_Units": "metre",
            },
            r"4 receivers that are no four in one place: name .* \(--array\), or their --channel",
        ),
    ],
)
def test_rooms_that_cannot_be(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        read_room_responses(room_file(tmp_path / "room.sofa", **values))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel_format": "mono"}, "`format` must be one of ambix.*acn-n3d is allowed"),
        ({"channel_format": "fuma", "array": "x.sofa"}, "goes without `channel_format`"),
        ({"array": "gone.sofa"}, r"gone\.sofa must be a SOFA file"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    path = room_file(tmp_path / "room.sofa")
    with pytest.raises(InputError, match=message):
        read_room_responses(path, **options)


def test_stereo_is_no_ambisonics(tmp_path):
    values = {"Data_IR": np.ones((2, 2, 300)), "Data_Delay": np.zeros((1, 2))}
    path = room_file(tmp_path / "room.sofa", ReceiverPosition=np.zeros((2, 3)), **values)
    with pytest.raises(InputError, match="2 receivers that are no four in one place"):
        read_room_responses(path)
    with pytest.raises(InputError, match=r"at least 4 channels\. Received: 2"):
        read_room_responses(path, channel_format="ambix")
    with pytest.raises(InputError, match=r"must hold 4 channels of fuma\. Received: 2"):
        read_room_responses(path, channel_format="fuma")


def test_writing_refuses_names_and_shapes(tmp_path):
    with pytest.raises(InputError, match=r"must be named FILE\.sofa"):
        write_room_responses(tmp_path / "room.wav", some_room())
    wrong = RoomResponses(
        directions=np.eye(3)[:1], distances=np.ones(1), responses=[np.ones((20, 2), np.float32)]
    )
    with pytest.raises(InputError, match=r"responses of shape \(N, 4\)"):
        write_room_responses(tmp_path / "room.sofa", wrong)


def test_writing_into_a_folder_that_is_not_there_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_room_responses(tmp_path / "gone" / "room.sofa", some_room())
    assert not list(tmp_path.iterdir())


def test_without_netcdf_the_line_to_install_it(tmp_path, monkeypatch):
    path = room_file(tmp_path / "room.sofa")
    original = builtins.__import__

    def blocked(name, *args, **kwargs):
        if name == "netCDF4":
            raise ImportError("No module named 'netCDF4'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingPackageError, match=r'pip install "doa-tf\[train\]"'):
        read_room_responses(path)


def test_a_full_disk_is_a_failure_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "room.sofa"
    write_room_responses(path, some_room())
    before = path.read_bytes()

    def full(name, sofa):
        with open(name, "wb") as part:
            part.write(b"half")
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(sofar, "write_sofa", full)
    with pytest.raises(OSError, match=r"room\.sofa cannot be written: NetCDF: HDF error"):
        write_room_responses(path, some_room())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["room.sofa"]
