"""Small data sets by the published layouts, with known directions, and a network for them."""

import csv

import numpy as np
import soundfile

from doa_core.ambisonics import encode_plane_wave, from_ambix
from doa_core.angles import angles_to_vector
from doa_core.spec import ModelSpec


class IntensityNetwork:
    """A lobe where the active intensity of each frame points: right wherever one talks alone."""

    spec = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=3)

    def predict(self, features):
        direction = features[..., :3].mean(axis=1)
        angles = np.degrees(np.arccos(np.clip(direction @ self.spec.grid.vectors.T, -1.0, 1.0)))
        length = np.linalg.norm(direction, axis=-1, keepdims=True)
        return (length * np.exp(-((angles / 12.5) ** 2))).astype(np.float32)


def sound(places, *, rate, part_s=1.0, turned_deg=0.0):
    """(N, 4) AmbiX: noise from each place (azimuth, elevation) in turn, None for silence."""
    rng, samples = np.random.default_rng(0), round(part_s * rate)
    parts = []
    for place in places:
        noise = 0.1 * rng.standard_normal(samples) * (place is not None)
        azimuth_deg, elevation_deg = place or (0.0, 0.0)
        where = angles_to_vector(*np.radians([azimuth_deg + turned_deg, elevation_deg]))
        parts.append(encode_plane_wave(noise, where))
    return np.concatenate(parts)


def write_sound(path, samples, *, rate, audio_format="ambix"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, from_ambix(samples, audio_format), rate, subtype="PCM_16")


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
