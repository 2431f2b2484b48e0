"""A folder of scenes as arrays, for the validation of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from doa_core.angles import FloatArray
from doa_core.spec import FeatureSpec
from doa_tf.data.features import feature_windows
from doa_tf.data.targets import as_targets, without_head
from doa_tf.scenes.folder import read_scenes


@without_head
def scenes_arrays(
    folder: str | Path, *, features: FeatureSpec, highpass_hz: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """(S, T, F, K) features of the first window of every scene, and (S, V, 3) directions.

    Args:
        folder: scenes, as every evaluation reads them.
        features: of the network.
        highpass_hz: high-pass cutoff [Hz], applied before the features; 0 for none.

    Raises:
        TypeError: a head, which 0.1 took.
        InputError: no scenes, or one that is shorter than a window.
    """
    scenes = read_scenes(folder)
    inputs = [
        feature_windows(scene.read(), features, highpass_hz=highpass_hz, name=str(scene.path))[0]
        for scene in scenes
    ]
    return np.stack(inputs), as_targets(np.stack([scene.direction for scene in scenes]))
