"""A model of several voices without a network: its scores are ideal lobes."""

from __future__ import annotations

import numpy as np

from doa_core.spec import ModelSpec
from tests.edge.conftest import unit_vector

SPEC = ModelSpec(head="gibbs-weighted", resolution_deg=10.0, voices=3)


class LobeModel:
    """Scores of voices: `script(n)` has (azimuth_deg, elevation_deg, height) of window n."""

    def __init__(self, script, spec=SPEC):
        self.spec = spec
        self.calls = 0
        self._script = script

    def predict(self, features):
        voices = self._script(self.calls)
        self.calls += 1
        scores = np.zeros(len(self.spec.grid))
        for azimuth_deg, elevation_deg, height in voices:
            cosine = self.spec.grid.vectors @ unit_vector(azimuth_deg, elevation_deg)
            distance = np.arccos(np.clip(cosine, -1.0, 1.0))
            scores = np.maximum(scores, height * np.exp(-((distance / np.radians(14.0)) ** 2)))
        return np.tile(scores.astype(np.float32), (self.spec.features.frames, 1))
