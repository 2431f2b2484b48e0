"""A folder of scenes as arrays, for the validation of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doa_core.angles import FloatArray
from doa_core.spec import FeatureSpec
from doa_tf.data.features import feature_windows
from doa_tf.data.recorded import filled_up, frame_times
from doa_tf.data.targets import as_targets, without_head
from doa_tf.scenes.folder import Scenes, read_scenes


@without_head
def scenes_arrays(
    scenes: Scenes | str | Path,
    *,
    features: FeatureSpec,
    highpass_hz: float = 0.0,
    voices: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """(S, T, F, K) features of the first window of every scene, and directions.

    The directions are (S, 1, 3) where one talker talks all through in every scene. Otherwise they
    are (S, T, V, 3), in the middle of each frame, with rows of zeros for who is silent.

    Args:
        scenes: from `read_scenes`, or the folder.
        features: of the network.
        highpass_hz: high-pass cutoff [Hz], applied before the features; 0 for none.
        voices: V, where scenes are not all of one talker; by default the most talkers of any.

    Raises:
        TypeError: a head, which 0.1 took.
        InputError: no scenes, one that is shorter than a window, or more talkers than voices.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    inputs = [
        feature_windows(
            scene.read(sample_rate=features.sample_rate),
            features,
            highpass_hz=highpass_hz,
            name=str(scene.path),
        )[0]
        for scene in scenes
    ]
    if all(scene.single for scene in scenes):
        return np.stack(inputs), as_targets(np.stack([scene.direction for scene in scenes]))
    times = frame_times(features)
    room_for = max(scenes.voices, 1) if voices is None else voices
    directions = [filled_up(scene.directions_at(times), room_for) for scene in scenes]
    return np.stack(inputs), np.stack(directions).astype(np.float32)


def balanced_arrays(
    parts: Sequence[Scenes | str | Path],
    *,
    features: FeatureSpec,
    highpass_hz: float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """`scenes_arrays` of several folders, each of which counts as much as another.

    Scenes of a smaller folder are repeated until there are as many as of the largest.

    Args:
        parts: from `read_scenes`, or the folders; at least one.
        features: of the network.
        highpass_hz: cutoff [Hz] of the high-pass before the features; 0 for none.

    Raises:
        InputError: as `scenes_arrays`.
    """
    arrays = [scenes_arrays(part, features=features, highpass_hz=highpass_hz) for part in parts]
    largest = max(len(inputs) for inputs, _ in arrays)
    places = [np.arange(largest) % len(inputs) for inputs, _ in arrays]
    inputs = np.concatenate([part[which] for (part, _), which in zip(arrays, places, strict=True)])
    if any(directions.ndim == 4 for _, directions in arrays):
        voices = max(directions.shape[-2] for _, directions in arrays)
        arrays = [(part, _by_frames(given, features.frames, voices)) for part, given in arrays]
    pairs = zip(arrays, places, strict=True)
    return inputs, np.concatenate([directions[which] for (_, directions), which in pairs])


def _by_frames(directions: FloatArray, frames: int, voices: int) -> FloatArray:
    """(S, T, V, 3) of that or (S, V, 3), with zeros for voices that are not there."""
    if directions.ndim == 3:
        directions = np.repeat(directions[:, np.newaxis], frames, axis=1)
    missing = voices - directions.shape[-2]
    return np.pad(directions, ((0, 0), (0, 0), (0, missing), (0, 0)))
