"""A folder of recorded scenes as training data, in the format of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.data.waveforms import WaveformStore
from doa_tf.scenes.folder import Scenes, read_scenes


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a recording.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        directions: (T, V, 3) unit vectors to the talkers of its recording in the middle of each
            frame; zeros where one is silent.
        targets: float32, what a training aims at: (1, 3) where every recording is of one talker who
            talks all through, else (T, voices, 3), with zeros for talkers who are not there.
    """

    waveform: np.ndarray
    directions: np.ndarray
    targets: np.ndarray

    @property
    def direction(self) -> np.ndarray:
        """(3,) unit vector to the one talker, who talks in all frames from one direction.

        Raises:
            InputError: several talkers, nobody, pauses or moves.
        """
        first = self.directions[0, 0] if self.directions.size else np.zeros(3)
        if self.directions.shape[1] != 1 or not first.any() or np.any(self.directions != first):
            raise InputError(
                "A window of one talker who talks all through is needed. Received: one of "
                f"{self.directions.shape[1]} talkers, or with pauses or moves"
            )
        return first


def frame_times(features: FeatureSpec, *, start: int = 0) -> np.ndarray:
    """(T,) the middle of each frame of the window that begins at sample `start` [seconds].

    Frame t is made of the samples from start + t * hop on, as many as the window length.
    """
    first = start + features.window_length / 2
    return (first + features.hop * np.arange(features.frames)) / features.sample_rate


def filled_up(directions: np.ndarray, voices: int) -> np.ndarray:
    """(T, voices, 3) directions of V talkers, with rows of zeros for the voices that are left.

    Where there are more talkers than voices, those who are silent in all frames are left out.

    Raises:
        InputError: more talkers than voices who are heard.
    """
    if directions.shape[1] > voices:
        directions = directions[:, directions.any(axis=(0, 2))]
    frames, talkers, _ = directions.shape
    if talkers > voices:
        raise InputError(
            f"There are places for {voices} talkers. Received: {talkers} in one window"
        )
    return np.concatenate([directions, np.zeros((frames, voices - talkers, 3))], axis=1)


class RecordedScenes:
    """The whole windows of all recordings, in place of a `SceneMixer`.

    A recording is read and resampled once, when the first of its windows is needed.

    Args:
        scenes: from `read_scenes`, or the folder.
        features: of the network; its window length applies.
        voices: V of the targets, if the network knows more of them than any recording has.

    Attributes:
        voices: the most talkers of any recording, at least 1; or as many as were asked for.
        single: whether one talker talks all through in every recording, and V is 1.

    Raises:
        InputError: no recording is as long as one window.
    """

    def __init__(
        self,
        scenes: Scenes | str | Path,
        *,
        features: FeatureSpec | None = None,
        voices: int = 1,
    ) -> None:
        self._features = features or FeatureSpec()
        self._scenes = scenes if isinstance(scenes, Scenes) else read_scenes(scenes)
        self.voices = max(self._scenes.voices, voices)
        self.single = self.voices == 1 and all(scene.single for scene in self._scenes)
        folder = str(self._scenes.folder)
        self.sources: dict[str, Any] = {"scenes": folder, "scenes_sha256": self._scenes.digest}
        if voices > max(self._scenes.voices, 1):
            self.sources["voices"] = voices
        self._store = WaveformStore(sample_rate=self._features.sample_rate)
        lengths = [self._store.length(scene) for scene in self._scenes]
        whole = [length // self._features.samples for length in lengths]
        self._ends = np.cumsum(whole, dtype=np.int64)
        if not len(self):
            raise InputError(
                f"The scenes of {folder} must hold recordings of one window or more "
                f"({self._features.samples / self._features.sample_rate:.3f} s). Received: none"
            )

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def sample_rate(self) -> int:
        """Of the windows [hertz]: that of the features."""
        return self._features.sample_rate

    @property
    def samples(self) -> int:
        """Of a window."""
        return self._features.samples

    @property
    def frames(self) -> int:
        """Of a window, T."""
        return self._features.frames

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Of a window's targets: (1, 3), or (T, V, 3)."""
        return (1, 3) if self.single else (self.frames, self.voices, 3)

    def mix(self, key: Sequence[int]) -> Window:
        """The window numbered by the key's last element."""
        place = int(key[-1]) % len(self)
        number = int(np.searchsorted(self._ends, place, side="right"))
        scene = self._scenes[number]
        window = place - (int(self._ends[number - 1]) if number else 0)
        start = window * self._features.samples
        stop = start + self._features.samples
        waveform = self._store.part(scene, start, stop)
        times = frame_times(self._features, start=start)
        directions = scene.directions_at(times)
        targets = directions[0] if self.single else filled_up(directions, self.voices)
        return Window(waveform=waveform, directions=directions, targets=targets.astype(np.float32))
