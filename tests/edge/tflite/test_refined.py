"""The runner refines what a spec says is to be refined, by the frames that it averages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile

from doa_core.angles import angles_to_vector
from doa_core.highpass import highpass
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.estimate import direction_deg
from doa_edge.recording import OutputAverage
from doa_edge.tflite.network import TfliteModel
from doa_edge.tflite.shipped import shipped_model_path
from tests.places import PROJECT


class Changed:
    """A network with another spec; where that takes sound, the features are computed here."""

    def __init__(self, model, **changes):
        self.spec = dataclasses.replace(model.spec, **changes)
        self._model = model

    def predict(self, window):
        sound = self.spec.input == "audio"
        return self._model.predict(self.spec.features.compute(window) if sound else window)


@pytest.fixture(scope="module")
def network():
    return TfliteModel(shipped_model_path("default"))


@pytest.fixture(scope="module")
def office():
    sound, rate = soundfile.read(PROJECT / "demo" / "recordings" / "office.wav", dtype="float32")
    assert rate == 16_000
    return sound


def run(model, sound, **settings):
    return list(DirectionEngine(model, EngineSettings(**settings)).run([sound]))


@pytest.mark.parametrize("average", [13, 25, 50])
def test_one_voice(network, office, average):
    refined = Changed(network, refine="intensity")
    settings = {"talkers": 1, "average": average, "keep_outputs": True}
    features = network.spec.features
    filtered = highpass(office, cutoff_hz=network.spec.highpass_hz, sample_rate=16_000)
    frames = features.compute(filtered)
    for estimate in run(refined, office, **settings):
        end = round((estimate.time_s * 16_000 - features.window_length) / features.hop) + 1
        expected, _ = refined.spec.directions(
            estimate.outputs[np.newaxis], features=frames[end - min(average, 25) : end]
        )
        azimuth, elevation = np.degrees(np.arctan2(expected[1], expected[0])), expected[2]
        assert estimate.azimuth_deg == pytest.approx(azimuth, abs=1e-3)
        assert np.sin(np.radians(estimate.elevation_deg)) == pytest.approx(elevation, abs=1e-5)
    plain = run(network, office, **settings)
    assert any(
        abs(one.azimuth_deg - other.azimuth_deg) > 0.1
        for one, other in zip(plain, run(refined, office, **settings), strict=True)
    )


def test_a_file_that_takes_sound_gives_the_same(network, office):
    plain = run(Changed(network, refine="intensity"), office)
    sound = run(Changed(network, refine="intensity", input="audio"), office)
    assert [len(one.talkers) for one in plain] == [len(one.talkers) for one in sound]
    for one, other in zip(plain, sound, strict=True):
        assert one.azimuth_deg == pytest.approx(other.azimuth_deg, abs=1e-2)


def test_several_voices_are_refined_before_they_are_followed(network, office):
    talkers = [run(model, office) for model in (network, Changed(network, refine="intensity"))]
    same = [
        (one.talkers[0], other.talkers[0])
        for one, other in zip(*talkers, strict=True)
        if one.talkers and other.talkers
    ]
    assert len(same) > 10
    vectors = [
        np.radians([[each.azimuth_deg, each.elevation_deg] for each in side])
        for side in zip(*same, strict=True)
    ]
    moved_deg = np.degrees(np.abs(vectors[0] - vectors[1])).max(axis=1)
    assert 0.05 < np.median(moved_deg) < 5.0


def test_a_whole_recording_is_refined_as_its_windows_are(network, office):
    refined = Changed(network, refine="intensity")
    average = OutputAverage(refined.spec)
    estimates = run(refined, office, talkers=1, keep_outputs=True)
    for estimate in estimates:
        average.add(estimate)
    active = [each for each in estimates if each.active]
    assert len(active) > 10
    angles = np.radians([[each.azimuth_deg, each.elevation_deg] for each in active])
    vectors = angles_to_vector(*angles.T)
    decoded, _ = refined.spec.directions(average.outputs)
    near = vectors @ decoded > np.cos(np.radians(14.0))  # all cells of which are within 20 degrees
    far = vectors @ decoded < np.cos(np.radians(26.0))
    assert np.all(near | far)
    weights = np.array([each.confidence for each in active])[near]
    expected = direction_deg(weights @ vectors[near])
    assert average.direction(method="centroid")[:2] == pytest.approx(expected, abs=1e-6)
