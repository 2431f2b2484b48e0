"""Windows of real scenes on which the ranges of an integer file are calibrated."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_export.windows import scene_clips
from doa_tf.scenes.folder import Scene, Scenes

WINDOWS = 300  # docs/export-guide.md has figures for fewer and more
SILENCE_DBFS = -60.0  # of the loudest channel; quieter windows tell nothing about speech
_CONDITION = "condition"
_SEED = 2019


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Windows that a conversion is calibrated on.

    Attributes:
        windows: (M, T, F, K) float32 features.
        files: of the scenes that they are from.
        provenance: folder, numbers and digest, ready for JSON.
    """

    windows: npt.NDArray[np.float32]
    files: frozenset[str]
    provenance: dict[str, Any]


def calibrate(scenes: Scenes, spec: ModelSpec, *, count: int = WINDOWS) -> Calibration:
    """One window of each of up to `count` scenes, as many from every condition.

    Args:
        scenes: recordings with speech; those with a column `condition` are drawn evenly over it.
        spec: of the model: features, and the high-pass before them.
        count: number of windows.

    Raises:
        InputError: a recording that cannot be read, or none that is not silent.
    """
    windows: list[npt.NDArray[np.float32]] = []
    conditions: Counter[str] = Counter()
    files = []
    silent = 0
    for scene in _in_turn(scenes):
        if len(windows) == count:
            break
        (clip,) = scene_clips([scene], spec)
        power = np.mean(np.square(clip.samples, dtype=np.float64), axis=1).max(axis=-1)
        loudest = int(np.argmax(power))
        if power[loudest] < 10.0 ** (SILENCE_DBFS / 10.0):
            silent += 1
            continue
        windows.append(spec.features.compute(clip.samples[loudest]))
        files.append(scene.file)
        conditions[scene.columns.get(_CONDITION, "")] += 1
    if not windows:
        raise InputError(
            f"The scenes to calibrate on must hold sound above {SILENCE_DBFS:g} dBFS. "
            f"Received: {scenes.folder} with {silent} silent recordings"
        )
    stack = np.stack(windows)
    return Calibration(
        windows=stack,
        files=frozenset(files),
        provenance={
            "folder": scenes.folder.resolve().name,
            "windows": len(stack),
            "conditions": dict(conditions),
            "silent": silent,
            "sha256": hashlib.sha256(stack.tobytes()).hexdigest(),
        },
    )


def _in_turn(scenes: Scenes) -> list[Scene]:
    """The scenes, a random one of each condition in turn; always the same order."""
    groups: dict[str, list[Scene]] = {}
    rng = np.random.default_rng(_SEED)
    for scene in (scenes[int(number)] for number in rng.permutation(len(scenes))):
        groups.setdefault(scene.columns.get(_CONDITION, ""), []).append(scene)
    turns = zip_longest(*(groups[name] for name in sorted(groups)))
    return [scene for turn in turns for scene in turn if scene is not None]
