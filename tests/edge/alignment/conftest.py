"""Recordings of places, and the command on them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doa_core.ambisonics import rotate_ambix
from doa_core.angles import rotation_matrix
from doa_edge.commands.main import main

PLACES = ((0.0, 0.0), (90.0, 0.0), (0.0, 90.0))
MOUNT = (30.0, -20.0, 100.0)
CLOSE_DEG = 0.2  # a mount is printed to a tenth


@pytest.fixture
def placed(write_wave, plane_wave):
    """Write what a mounted microphone hears of places, a recording each; returns their names."""

    def write(mount_deg=MOUNT, places=PLACES, *, dipoles=(1, 1, 1), seconds=3.0, **settings):
        turn = rotation_matrix(*np.radians(mount_deg)).T
        names = []
        for number, place in enumerate(places):
            sound = rotate_ambix(plane_wave(*place, seconds=seconds), turn)
            sound = sound * np.float32([1, *dipoles])
            path = write_wave(samples=sound.astype(np.float32), name=f"{number}.wav", **settings)
            names.append(str(path))
        return names

    return write


@pytest.fixture
def align(no_network, capsys):
    """Run the command; returns its status, the object that it printed, or None, and its talk."""

    def run(*arguments):
        status = main(["align", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else None, printed.err

    return run


def assert_mount(message, mount_deg):
    np.testing.assert_allclose(message["mount"], mount_deg, atol=CLOSE_DEG)
