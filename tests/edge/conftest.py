"""Models and recordings that the tests of the device runner share."""

from __future__ import annotations

import contextlib
import os
import resource

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_core.angles import angles_to_vector
from doa_core.spec import ModelSpec
from doa_edge.tflite.file import embed_spec

RATE = 16_000  # hertz


class IntensityModel:
    """No network: the mean active intensity of a frame, scaled as a Cartesian head's outputs.

    A plane wave from u gives u exactly, so everything around the network can be judged.
    """

    def __init__(self, path=None, *, threads=1):
        self.spec = ModelSpec(head="cartesian")
        self.runtime = "numpy"
        self.calls = 0

    def predict(self, features):
        self.calls += 1
        assert features.shape == self.spec.features.input_shape
        return (0.5 * features[..., :3].mean(axis=1) + 0.5).astype(np.float32)


@pytest.fixture
def intensity_model():
    return IntensityModel()


@pytest.fixture
def no_network(monkeypatch):
    """The command line with `IntensityModel` where it would load a .tflite."""
    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", IntensityModel)


def unit_vector(azimuth_deg, elevation_deg):
    return angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))


@pytest.fixture
def plane_wave():
    """Make (N, 4) float32 noise at -20 dBFS from one direction."""

    def make(azimuth_deg, elevation_deg, *, seconds=1.2, rate=RATE, seed=0):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
        wave = encode_plane_wave(noise, unit_vector(azimuth_deg, elevation_deg))
        return wave.astype(np.float32)

    return make


@pytest.fixture
def write_wave(tmp_path, plane_wave):
    """Write such noise to a file and return its path."""
    soundfile = pytest.importorskip("soundfile")

    def write(
        azimuth_deg=40.0,
        elevation_deg=20.0,
        *,
        name="wave.wav",
        rate=RATE,
        seconds=1.2,
        audio_format="ambix",
        subtype=None,
        samples=None,
    ):
        if samples is None:
            samples = plane_wave(azimuth_deg, elevation_deg, rate=rate, seconds=seconds)
        path = tmp_path / name
        if name.endswith(".wav"):
            subtype = subtype or "FLOAT"
        if audio_format != "ambix":  # a product of matrices spreads NaN over the channels
            samples = from_ambix(samples, audio_format)
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_tflite(tmp_path_factory):
    """A real .tflite with the arithmetic of `IntensityModel`, spec inside."""
    pytest.importorskip("ai_edge_litert")
    from tests.edge.tiny_network import intensity_network

    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    path.write_bytes(embed_spec(intensity_network(), ModelSpec(head="cartesian")))
    return path


@contextlib.contextmanager
def no_descriptor_left():
    """Every descriptor that this process may have is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(1))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
