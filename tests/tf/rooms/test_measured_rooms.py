"""Measured rooms in and out of a bank."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.cli.main import main
from doa_tf.rooms.acoustics import drr_db, t30
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.measured import bank_from_sofa, decay_above_noise


@pytest.fixture(scope="module")
def exported(bank, tmp_path_factory):
    """The simulated bank as SOFA files."""
    folder = tmp_path_factory.mktemp("exported") / "sofa"
    assert main(["bank", "export", "--sofa", str(folder), str(bank)]) == 0
    return sorted(folder.iterdir())


def test_a_bank_goes_out_and_comes_back(bank, exported, tmp_path, capsys):
    assert [path.name for path in exported] == [f"room-{n:05d}.sofa" for n in range(6)]
    out = tmp_path / "bank"
    assert main(["simulate", "--out", str(out), "--from-sofa", *map(str, exported)]) == 0
    originals, returned = read_bank(bank), read_bank(out)
    assert len(returned) == 6
    for original, room in zip(originals, returned, strict=True):
        np.testing.assert_allclose(room.directions, original.directions, atol=1e-6)
        np.testing.assert_allclose(room.distances, original.distances, rtol=1e-6)
        np.testing.assert_allclose(room.size, original.size, rtol=1e-6)
        np.testing.assert_allclose(room.microphone, original.microphone, rtol=1e-6)
        for srir, measured in zip(original.srirs, room.srirs, strict=True):
            # The gain is not kept: the direct sound of what was measured is made 1.
            gain = np.vdot(srir[: len(measured)], measured) / np.vdot(srir, srir)
            expected = gain * srir[: len(measured)]
            np.testing.assert_allclose(measured, expected, atol=2e-3 * np.abs(expected).max())
            assert np.abs(srir[len(measured) :]).max(initial=0.0) == 0.0
        assert room.microphone_kind == "measured"
        assert room.microphone_draw["file"] == f"room-{room.number:05d}.sofa"
        assert np.isnan(room.rt60)
        if original.rt60:
            assert room.rt60_measured == pytest.approx(original.rt60_measured, rel=0.05)
            np.testing.assert_allclose(room.drr_db, original.drr_db, atol=0.3)
    assert main(["bank", "info", str(out)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["microphones"] == {"measured": 6}
    assert info["rt60_s"] is None
    assert info["rt60_measured_s"]["50"] > 0.1
    assert [entry["file"] for entry in info["sofa"]] == [path.name for path in exported]


def test_sources_of_a_place_can_be_parted(exported, tmp_path):
    bank_from_sofa(tmp_path / "bank", exported, sources=1)
    together = tmp_path / "together"
    bank_from_sofa(together, exported)
    parted = read_bank(tmp_path / "bank")
    assert len(parted) == 12
    for number, room in enumerate(read_bank(together)):
        for source in range(2):
            single = parted[2 * number + source]
            np.testing.assert_array_equal(single.directions, room.directions[[source]])
            np.testing.assert_array_equal(single.srirs[0], room.srirs[source])


def test_an_import_goes_on_where_it_was_and_other_files_are_refused(exported, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    bank_from_sofa(whole, exported, rooms_per_shard=2)

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bank_from_sofa(broken, exported, rooms_per_shard=2, progress=stop)
    assert len(list(broken.glob("*.npz"))) == 2
    with pytest.raises(InputError, match=r"other values of sofa"):
        bank_from_sofa(broken, exported[::-1], rooms_per_shard=2)
    bank_from_sofa(broken, exported, rooms_per_shard=2)
    for path in whole.iterdir():
        assert (broken / path.name).read_bytes() == path.read_bytes()


def test_the_noise_of_a_measurement_does_not_lengthen_its_decay():
    rng = np.random.default_rng(1)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    decay = rng.standard_normal(SAMPLE_RATE) * 10.0 ** (-3.0 * time / 0.4)
    decay[:100] = 0.0
    decay[100] = 8.0
    noisy = decay + 10.0 ** (-50.0 / 20.0) * rng.standard_normal(SAMPLE_RATE)
    truth = t30(decay)
    assert t30(decay_above_noise(noisy)) == pytest.approx(truth, rel=0.03)
    assert drr_db(decay_above_noise(noisy)) == pytest.approx(drr_db(decay), abs=0.2)
    assert abs(t30(noisy) / truth - 1.0) > 0.2, "there was nothing to correct"


@pytest.mark.parametrize("content", [b"", b"no SOFA file", b"\x89HDF\r\n\x1a\n" + bytes(100), None])
def test_a_corrupt_file_is_named_and_nothing_is_written(exported, tmp_path, capsys, content):
    foreign, out = tmp_path / "foreign.sofa", tmp_path / "bank"
    if content is None:
        content = exported[0].read_bytes()[:5000]
    foreign.write_bytes(content)
    assert main(["simulate", "--out", str(out), "--from-sofa", str(foreign)]) == 2
    error = capsys.readouterr().err
    assert "foreign.sofa" in error
    assert len(error.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rooms", "5"], "--rooms"),
        (["--seed", "0", "--workers", "2"], "--seed, --workers"),
        (["--reference"], "--reference"),
        (["--sources", "0"], "--sources must be an integer between 1 and 1000. Received: 0"),
    ],
)
def test_options_of_drawn_rooms_are_refused(exported, tmp_path, capsys, options, message):
    arguments = ["simulate", "--out", str(tmp_path / "bank"), "--from-sofa", str(exported[0])]
    assert main([*arguments, *options]) == 2
    assert message in capsys.readouterr().err


def test_options_of_measured_rooms_are_refused_without_files(tmp_path, capsys):
    assert main(["simulate", "--out", str(tmp_path / "bank"), "--array", "a.sofa"]) == 2
    assert "--from-sofa" in capsys.readouterr().err


def test_export_spares_what_is_there(bank, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert main(["bank", "export", "--sofa", str(tmp_path), str(bank)]) == 2
    assert "new or empty folder" in capsys.readouterr().err


# The largest file is smaller than what netCDF4 wants to write at first, or in the end.
LIMITED = """
import resource, sys
from doa_tf.cli.main import main
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main())
"""


@pytest.mark.parametrize("limit", [0, 20_000])
def test_an_export_that_does_not_fit_says_so_and_leaves_nothing(bank, tmp_path, limit):
    script, out = tmp_path / "limited.py", tmp_path / "sofa"
    script.write_text(LIMITED)
    done = subprocess.run(
        [sys.executable, str(script), str(limit), "bank", "export", "--sofa", str(out), str(bank)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (f"doa_tf: {out / 'room-00000.sofa'} cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == [script]
