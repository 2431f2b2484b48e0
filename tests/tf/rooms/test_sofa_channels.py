"""What the channels of measured rooms are: said by the file, by the user, shown by the sound."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from doa_core.ambisonics import from_ambix
from doa_core.errors import InputError
from doa_tf.cli.main import main
from doa_tf.microphones import sofa_file
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.direct_sound import direct_sound
from doa_tf.rooms.measured import bank_from_sofa
from doa_tf.rooms.sofa_rooms import read_room_responses
from tests.tf.foreign_sofa import CAPSULES, GRID, impulses, plane_waves, unit, write_foreign

LABELS = np.array([[30.0, 0.0, 2.0], [-110.0, 10.0, 2.0], [80.0, -50.0, 2.0]])
SOURCES = unit(LABELS[:, 0], LABELS[:, 1])
AMBIX = plane_waves(SOURCES)  # (M, 4, N)


@pytest.fixture(autouse=True)
def fresh_warnings():
    sofa_file.warn_once.cache_clear()


def scaled(order, dipoles, w=1.0):
    """AMBIX in another order of channels, its dipoles and W amplified."""
    gains = np.array([w, dipoles, dipoles, dipoles])
    return (AMBIX * gains[:, np.newaxis])[:, order]


def room(path, responses, source=(LABELS, "spherical", GRID), **said):
    variables = {"SourcePosition": source}
    return write_foreign(path, responses, "MRN", variables=variables, **said)


def capsules():
    """(M, 4, N) of coincident cardioids."""
    return impulses(0.5 * (1.0 + SOURCES @ CAPSULES.T))


def said(caplog):
    return [record.getMessage() for record in caplog.records]


ACN, WXYZ, N3D, FUMA = [0, 1, 2, 3], [0, 3, 1, 2], np.sqrt(3.0), np.sqrt(0.5)


@pytest.mark.parametrize(
    ("declared", "order", "dipoles", "w"),
    [
        ({"ChannelOrdering": "acn", "Normalization": "sn3d"}, ACN, 1.0, 1.0),
        ({"ChannelOrdering": "ACN", "Normalization": "N3D"}, ACN, N3D, 1.0),
        ({"ChannelOrdering": "fuma", "Normalization": "fuma"}, WXYZ, 1.0, FUMA),
        ({"ChannelOrdering": "FuMa", "Normalization": "N3D"}, WXYZ, N3D, 1.0),
        ({"ChannelOrdering": "WXYZ", "Normalization": "sn3d"}, WXYZ, 1.0, 1.0),
        ({"ChannelOrdering": "acn", "Normalization": "maxN"}, ACN, 1.0, FUMA),
        ({"Normalization": "n3d"}, ACN, N3D, 1.0),
        ({"Normalization": "fuma"}, WXYZ, 1.0, FUMA),
        ({"ChannelOrdering": "fuma"}, WXYZ, 1.0, FUMA),
    ],
)
def test_what_a_file_declares_is_converted(tmp_path, caplog, declared, order, dipoles, w):
    path = room(tmp_path / "room.sofa", scaled(order, dipoles, w), **declared)
    with caplog.at_level(logging.WARNING):
        (found,) = read_room_responses(path)
    for response, expected in zip(found.responses, AMBIX, strict=True):
        np.testing.assert_allclose(response, expected[:, : len(response)].T, atol=1e-6)
    assert said(caplog) == []


def test_a_declaration_that_is_not_known_is_refused(tmp_path):
    path = room(tmp_path / "room.sofa", AMBIX, ChannelOrdering="sid", Normalization="sn3d")
    with pytest.raises(InputError, match=r"ChannelOrdering of acn, fuma .*Received: sid, sn3d"):
        read_room_responses(path)


def test_another_format_than_the_declared_one_is_warned_of(tmp_path, caplog):
    path = room(tmp_path / "room.sofa", AMBIX, ChannelOrdering="acn", Normalization="sn3d")
    with caplog.at_level(logging.WARNING):
        read_room_responses(path, channel_format="ambix")
        assert said(caplog) == []
        read_room_responses(path, channel_format="acn-n3d")
    assert said(caplog) == [
        f"{path} says that its channels have acn order and sn3d; they are read as acn-n3d, as was "
        "asked for"
    ]


@pytest.mark.parametrize(
    ("responses", "agrees"),
    [
        (capsules(), "tetrahedral"),
        (from_ambix(AMBIX.swapaxes(1, 2), "fuma").swapaxes(1, 2), "fuma"),
        (from_ambix(AMBIX.swapaxes(1, 2), "n3d").swapaxes(1, 2), "n3d"),
        (
            from_ambix(AMBIX.swapaxes(1, 2), "tetrahedral:fld-fru-blu-brd").swapaxes(1, 2),
            "tetrahedral:fld-fru-blu-brd",
        ),
    ],
)
def test_four_receivers_in_one_place_have_to_sound_like_ambix(tmp_path, responses, agrees):
    """The direct sound contradicts the labels: the format that agrees is named, and is right."""
    path = room(tmp_path / "room.sofa", responses)
    with pytest.raises(InputError, match=f"agrees with --channel-format {agrees};"):
        read_room_responses(path)
    (found,) = read_room_responses(path, channel_format=agrees)
    assert direct_sound(found.responses, SOURCES).error < np.radians(1.0)


def test_a_contradiction_that_was_asked_for_is_a_warning(tmp_path, caplog):
    path = room(tmp_path / "room.sofa", capsules())
    with caplog.at_level(logging.WARNING):
        read_room_responses(path, channel_format="ambix")
    (message,) = said(caplog)
    assert "the direct sound comes" in message
    assert message.endswith("It agrees with --channel-format tetrahedral")


def test_capsules_of_a_listener_that_says_so_are_no_ambix(tmp_path):
    """Even where responses have no direct sound to judge."""
    noise = np.random.default_rng(0).standard_normal((3, 4, 300))
    path = room(tmp_path / "room.sofa", noise, attributes={"ListenerShortName": "mic"})
    with pytest.raises(InputError, match=r"listener is `mic`.*--channel-format, such as tetra"):
        read_room_responses(path)
    read_room_responses(path, channel_format="tetrahedral")


@pytest.mark.parametrize(
    ("labels", "option"),
    [
        (
            LABELS * [np.pi / 180.0, np.pi / 180.0, 1.0],
            "--sofa-units 'SourcePosition=radian, radian, metre'",
        ),
        (np.array([[30.0, 20.0, 2.0], [120.0, 30.0, 2.0], [200.0, 5.0, 2.0]]), None),
    ],
)
def test_labels_in_other_units_or_angles_are_found_out(tmp_path, labels, option):
    sources = SOURCES if option else unit(labels[:, 0], 90.0 - labels[:, 1])
    option = option or "--sofa-angles colatitude"
    path = room(tmp_path / "room.sofa", plane_waves(sources), (labels, "spherical", GRID))
    with pytest.raises(InputError) as error:
        read_room_responses(path)
    assert f"agrees with {option}" in str(error.value)


def test_labels_that_nothing_explains_are_warned_of(tmp_path, caplog):
    """Azimuths that count clockwise, say: the file is read, and not in silence."""
    mirrored = SOURCES * [1.0, -1.0, 1.0]
    path = room(tmp_path / "room.sofa", AMBIX, 2.0 * mirrored)
    with caplog.at_level(logging.WARNING):
        (found,) = read_room_responses(path)
    np.testing.assert_allclose(found.directions, mirrored, atol=1e-12)
    (message,) = said(caplog)
    assert "No other channel format or unit agrees" in message


def test_dipoles_that_say_n3d_are_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_room_responses(room(tmp_path / "room.sofa", scaled(ACN, N3D)))
    (message,) = said(caplog)
    assert "1.73 times as loud as W, as in N3D" in message


def test_direct_sounds_of_simulated_rooms_agree_with_their_labels(bank):
    for simulated in read_bank(bank):
        found = direct_sound(simulated.srirs, simulated.directions)
        assert found.judged
        assert found.error < np.radians(20.0)  # 16 in the worst of 200 rooms


@pytest.mark.parametrize("response", [np.zeros((100, 4)), np.eye(4)])
def test_without_a_single_wave_nothing_is_judged(response):
    found = direct_sound([response], np.array([[1.0, 0.0, 0.0]]))
    assert found.judged == 0
    assert np.isnan(found.error)


def test_options_of_the_command_reach_the_file_and_the_bank(tmp_path, capsys):
    radians = LABELS * [np.pi / 180.0, np.pi / 180.0, 0.0]
    path = room(tmp_path / "room.sofa", AMBIX, (radians, "spherical", GRID))
    out = tmp_path / "bank"
    command = ["simulate", "--out", str(out), "--from-sofa", str(path)]
    assert main(command) == 2
    assert "--sofa-units 'SourcePosition=radian, radian, metre'" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--sofa-units", "SourcePosition=radian, radian, metre"]) == 0
    (measured,) = read_bank(out)
    np.testing.assert_allclose(measured.directions, SOURCES, atol=1e-6)
    assert np.isnan(measured.distances).all()
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert "radian, radian, metre" in json.dumps(index)
    capsys.readouterr()
    assert main(["bank", "info", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["distance_m"] is None


def test_a_bank_says_nothing_of_readings_that_were_not_asked_for(tmp_path):
    bank_from_sofa(tmp_path / "bank", [room(tmp_path / "room.sofa", AMBIX)])
    assert "sofa_" not in (tmp_path / "bank" / "index.json").read_text(encoding="utf-8")
