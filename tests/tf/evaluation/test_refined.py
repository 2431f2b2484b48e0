"""An evaluation refines directions as the runner does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.highpass import highpass
from doa_edge.tflite.shipped import shipped_model_path
from doa_tf.evaluation.predictions import predict
from doa_tf.evaluation.talkers.windows import network_windows
from doa_tf.scenes.folder import read_scenes
from tests.places import PROJECT


@pytest.fixture(scope="module")
def predictions():
    scenes = read_scenes(PROJECT / "demo" / "recordings")
    found = predict(str(shipped_model_path("default")), scenes)
    return dataclasses.replace(found, spec=dataclasses.replace(found.spec, refine="none"))


def test_every_decoding_is_refined_by_all_frames(predictions):
    spec = dataclasses.replace(predictions.spec, refine="intensity")
    refining = dataclasses.replace(predictions, spec=spec)
    features = spec.features
    for method in ("peak", "centroid"):
        directions, confidence = refining.decode(method)
        decoded, same = predictions.decode(method)
        np.testing.assert_array_equal(confidence, same)
        for number, scene in enumerate(predictions.scenes):
            sound = highpass(scene.read(), cutoff_hz=spec.highpass_hz, sample_rate=16_000)
            frames = features.compute(sound)
            whole = len(frames) // features.frames * features.frames
            expected, _ = spec.directions(
                predictions.outputs[number], method=method, features=frames[:whole]
            )
            np.testing.assert_allclose(directions[number], expected, atol=1e-4)
        moved_deg = np.degrees(great_circle_distance(directions, decoded))
        assert np.all(moved_deg < 10.0)
        assert np.any(moved_deg > 0.1)


def test_peaks_of_windows_are_refined(predictions):
    spec = dataclasses.replace(predictions.spec, refine="intensity")
    refining = dataclasses.replace(predictions, spec=spec)
    for plain, window in zip(network_windows(predictions), network_windows(refining), strict=True):
        expected = refining.refined(window.scene, plain.known)
        np.testing.assert_allclose(window.known, expected, atol=1e-12)
        assert len(window.unknown) == len(plain.unknown)


def test_a_network_that_is_not_to_be_refined_reads_no_scene_again(predictions):
    direction = angles_to_vector(0.3, 0.1)[np.newaxis]
    lost = dataclasses.replace(predictions.scenes[0], path=PROJECT / "nowhere.wav")
    np.testing.assert_array_equal(predictions.refined(lost, direction), direction)
