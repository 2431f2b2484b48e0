"""A folder of recorded scenes as training data, in the format of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.files import sha256
from doa_tf.scenes.folder import LABELS_FILE, read_scenes


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a recording.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        direction: (3,) unit vector to the talker.
    """

    waveform: np.ndarray
    direction: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """(1, 3) float32 unit vector to the talker."""
        return self.direction[np.newaxis].astype(np.float32)


class RecordedScenes:
    """The whole windows of all recordings, in place of a `SceneMixer`.

    Args:
        folder: scenes, as every evaluation reads them.
        features: of the network; its window length applies.

    Raises:
        InputError: no recording is as long as one window.
    """

    def __init__(self, folder: str | Path, *, features: FeatureSpec | None = None) -> None:
        self._features = features or FeatureSpec()
        self._scenes = read_scenes(folder)
        digest = sha256(Path(folder) / LABELS_FILE)
        self.sources: dict[str, Any] = {"scenes": str(folder), "labels_sha256": digest}
        self._windows: list[tuple[int, int]] = []
        for number, scene in enumerate(self._scenes):
            try:
                info = soundfile.info(str(scene.path))
            except (OSError, soundfile.LibsndfileError) as error:
                raise InputError(f"{scene.path} can't be read: {error}") from error
            samples = int(info.frames * self._features.sample_rate / info.samplerate)
            whole = samples // self._features.samples
            self._windows += [(number, window) for window in range(whole)]
        if not self._windows:
            raise InputError(
                f"The scenes of {folder} must hold recordings of one window or more "
                f"({self._features.samples / self._features.sample_rate:.3f} s). Received: none"
            )

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of a window's targets."""
        return (1, 3)

    def __len__(self) -> int:
        return len(self._windows)

    def mix(self, key: Sequence[int]) -> Window:
        """The window numbered by the key's last element."""
        number, window = self._windows[int(key[-1]) % len(self)]
        scene = self._scenes[number]
        start = window * self._features.samples
        waveform = scene.read(sample_rate=self._features.sample_rate)
        waveform = waveform[start : start + self._features.samples]
        return Window(waveform=waveform, direction=scene.direction)
