"""Peaks of a real network's scores, on windows of two voices that may be chosen on."""

import csv
import dataclasses
import itertools

import numpy as np
import pytest
import soundfile

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.highpass import highpass
from doa_edge.tflite.network import TfliteModel


def read_talkers(folder, condition):
    """(V, 3) directions by file."""
    talkers = {}
    with (folder / "labels.csv").open() as labels:
        for row in csv.DictReader(labels):
            if row["condition"] == condition:
                angles = np.radians([float(row["azimuth_deg"]), float(row["elevation_deg"])])
                talkers.setdefault(row["file"], []).append(angles_to_vector(*angles))
    return {file: np.array(directions) for file, directions in talkers.items()}


def errors_deg(found, talkers):
    """Of each talker, in the best order of the answers."""
    distances = np.degrees(great_circle_distance(talkers[:, np.newaxis], found))
    rows = np.arange(len(talkers))
    return min((distances[rows, order] for order in itertools.permutations(rows)), key=sum)


def test_two_voices_in_measured_halls(shared_data):
    network = shared_data.parent / "tried" / "tried_voices.tflite"
    if not network.is_file():
        pytest.skip("needs a network of several voices in ../shared/tried")
    model = TfliteModel(network)
    spec = dataclasses.replace(model.spec, voices=3)
    errors = []
    for file, talkers in read_talkers(shared_data / "valid-real", "hall-two").items():
        sound, rate = soundfile.read(shared_data / "valid-real" / file, dtype="float32")
        filtered = highpass(sound, cutoff_hz=spec.highpass_hz, sample_rate=rate)
        outputs = model.predict(spec.features.compute(filtered))
        found, confidences = spec.peaks(outputs, count=2)
        assert np.all(np.diff(confidences) <= 0.0)
        errors.extend(errors_deg(found, talkers))
    assert len(errors) == 160
    # Measured: 8.3 degrees, 60 %. The cells of highest score, none within 20 degrees of another,
    # each refined by the centroid around it: 9.9 degrees and 51 %.
    assert np.median(errors) < 8.7
    assert np.mean(np.array(errors) <= 10.0) >= 0.58
