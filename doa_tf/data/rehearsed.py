"""Recordings of one's own among mixed scenes: a network learns from them and forgets little.

A network that goes on with forty recordings of one room alone forgets the others. Mixed scenes,
such as it was trained on, rehearse them. Recordings are never turned: what is to be learned of a
microphone, its errors, belongs to the directions that it has them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from doa_core.errors import InputError
from doa_edge import limits
from doa_tf.data.recorded import RecordedScenes
from doa_tf.scenes.mixer import SceneMixer

OWN_SHARE = 0.5  # of the scenes, unless another is asked for


@dataclass(frozen=True, kw_only=True)
class Example:
    """A recorded window, or a mixed scene.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        targets: float32, (1, 3) or (T, V, 3), as `RehearsedScenes.target_shape` has them.
        own: whether it is recorded, and not to be turned.
    """

    waveform: np.ndarray
    targets: np.ndarray
    own: bool


def own_number(index: int, share: float) -> int | None:
    """Which of the recorded windows scene `index` is, counted on for ever; None if it is mixed.

    Args:
        index: of the scene, from 0.
        share: of the recordings.
    """
    before, until = (int(share * count) for count in (index, index + 1))
    return before if until > before else None


class RehearsedScenes:
    """Windows of recordings and mixed scenes in turn, in place of a `SceneMixer`.

    Of every 1 / `share` scenes one is the next window of the recordings, which begin anew after the
    last; the others are mixed.

    Args:
        recorded: the recordings.
        mixer: of the scenes beside them.
        share: of the recordings, above 0 and below 1.

    Attributes:
        voices: the most talkers of a recording or a mixed scene.
        target_shape: of a scene's targets: (1, 3) where both kinds have one talker who talks all
            through, else (T, V, 3).

    Raises:
        InputError: recordings at another rate than the mixed scenes have; the mixed scenes are
            shorter than a window, or have other frames.
        ValueError: a share out of its limits.
    """

    def __init__(
        self, recorded: RecordedScenes, mixer: SceneMixer, *, share: float = OWN_SHARE
    ) -> None:
        limits.check("own-share", share)
        self._recorded, self._mixer, self._share = recorded, mixer, share
        self._single = recorded.single and len(mixer.target_shape) == 2
        self._check(mixer)
        self.voices = max(recorded.voices, mixer.voices)
        self.target_shape = (1, 3) if self._single else (recorded.frames, self.voices, 3)

    def _check(self, mixer: SceneMixer) -> None:
        recorded = self._recorded
        if recorded.sample_rate != mixer.sample_rate or mixer.settings.samples != recorded.samples:
            raise InputError(
                "Recordings that mixed scenes stand beside must be cut to windows as long as "
                f"these: {mixer.settings.samples} samples at {mixer.sample_rate} Hz. Received: a "
                f"network of {recorded.samples} samples at {recorded.sample_rate} Hz"
            )

    @property
    def sample_rate(self) -> int:
        """Of the scenes [hertz]."""
        return self._recorded.sample_rate

    def mix(self, key: Sequence[int]) -> Example:
        """The scene of a key, whose last element numbers it: a window, or a mixed scene."""
        own = own_number(int(key[-1]), self._share)
        if own is not None:
            window = self._recorded.mix((own,))
            return Example(waveform=window.waveform, targets=self._fit(window.targets), own=True)
        scene = self._mixer.mix(key)
        return Example(waveform=scene.waveform, targets=self._fit(scene.targets), own=False)

    def _fit(self, targets: np.ndarray) -> np.ndarray:
        """The targets in the shape of all: who talks all through does so in each frame."""
        if self._single:
            return targets
        fitted = np.zeros(self.target_shape, np.float32)
        fitted[:, : targets.shape[-2]] = targets
        return fitted
