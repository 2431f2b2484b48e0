"""Pictures of banks and scenes: drawn by the commands, and the intensity that they show."""

from __future__ import annotations

import numpy as np

from doa_core.ambisonics import encode_plane_wave
from doa_tf.cli import main as cli
from doa_tf.rooms.bank.plot import response_intensity

PNG = b"\x89PNG"


def test_commands_draw_pictures(tmp_path, bank, scenes):
    for number, command in enumerate(
        (["bank", "plot", str(bank)], ["scenes", "plot", str(scenes)])
    ):
        path = tmp_path / f"{number}.png"
        assert cli.main([*command, "--out", str(path)]) == 0
        assert path.read_bytes().startswith(PNG)
        assert path.stat().st_size > 20_000  # an empty canvas takes less


def test_a_picture_needs_a_suffix_of_one(tmp_path, bank, capsys):
    assert cli.main(["bank", "plot", str(bank), "--out", str(tmp_path / "x.txt")]) == 2
    assert "x.txt" in capsys.readouterr().err


def test_intensity_points_to_each_arrival():
    ways = np.array([[1.0, 0.0, 0.0], [0.0, -0.6, 0.8]])
    srir = np.zeros((640, 4))
    for start, way, gain in zip((40, 330), ways, (1.0, 0.1), strict=True):
        srir[start : start + 1] += encode_plane_wave(np.array([gain]), way)
    times, levels, intensity = response_intensity(srir)
    heard = levels > -60
    np.testing.assert_allclose(times[heard], [0.002, 0.020])  # frames of 2 ms
    np.testing.assert_allclose(levels[heard], [0.0, -20.0], atol=1e-6)
    unit = intensity[heard] / np.linalg.norm(intensity[heard], axis=1, keepdims=True)
    np.testing.assert_allclose(unit, ways, atol=1e-9)
