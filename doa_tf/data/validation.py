"""A folder of scenes as arrays, for the validation of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from doa_core.spec import FeatureSpec


def validation_scenes(
    valid: str | Path, features: FeatureSpec, *, highpass_hz: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(S, T, F, K) features of the first window of every scene, and (S, 3) directions."""
    from doa_tf.data.features import feature_windows
    from doa_tf.scenes.folder import read_scenes

    scenes = read_scenes(valid)
    inputs = [
        feature_windows(scene.read(), features, highpass_hz=highpass_hz, name=str(scene.path))[0]
        for scene in scenes
    ]
    return np.stack(inputs), np.stack([scene.direction for scene in scenes])
