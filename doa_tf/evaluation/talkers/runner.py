"""The device's own runner on a recording: what is judged is what a board would say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.spec import ModelSpec
from doa_edge.direction_model import DirectionModel
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.estimate import Estimate
from doa_tf.evaluation.talkers.frames import Answers, judge_recording
from doa_tf.evaluation.talkers.tallies import Tally
from doa_tf.scenes.folder import Scene

if TYPE_CHECKING:
    import keras

_ROUNDING_S = 1e-3  # of times [seconds]


class KerasModel:
    """A Keras model of this package as the runner takes one.

    Attributes:
        spec: of the model.

    Args:
        model: a .keras file or a model that was built by this package.
    """

    def __init__(self, model: str | os.PathLike[str] | keras.Model) -> None:
        from doa_tf.models import load_scoring_model

        path = os.fspath(model) if isinstance(model, os.PathLike) else model
        self._scoring, self.spec = load_scoring_model(path)

    def predict(self, features: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of one window, (T, F, K) features."""
        return np.asarray(self._scoring.predict_on_batch(features[np.newaxis]))[0]


def direction_model(model: str | os.PathLike[str] | keras.Model | DirectionModel) -> DirectionModel:
    """A model as the runner takes one: a .tflite file, a checkpoint, a Keras model, or itself.

    Raises:
        InputError: a file that cannot be used.
    """
    if isinstance(model, (str, os.PathLike)):
        if os.fspath(model).lower().endswith(".tflite"):
            from doa_edge.tflite.network import TfliteModel

            return TfliteModel(model)
        return KerasModel(model)
    if isinstance(getattr(model, "spec", None), ModelSpec):
        return model
    return KerasModel(model)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """A whole recording, who talks in it when, and what the runner says of it.

    Attributes:
        scene: the recording and its labels.
        duration_s: of the recording [seconds].
        tally: the figures of this recording.
        answers: of all estimates, in order; empty where they were not kept.
    """

    scene: Scene
    duration_s: float
    tally: Tally
    answers: tuple[Answers, ...] = ()


def hear(
    model: DirectionModel,
    scene: Scene,
    settings: EngineSettings | None = None,
    *,
    stopped: Event | None = None,
) -> Recording:
    """Run the runner on a recording, which is read as it is heard.

    Args:
        model: of the runner.
        scene: the recording and its labels.
        settings: of the runner; `EngineSettings()` if None.
        stopped: ends the recording at the next block once it is set.

    Raises:
        InputError: a recording that cannot be read or is shorter than one window.
    """
    settings = settings or EngineSettings()
    features = model.spec.features
    rate = features.sample_rate
    engine = DirectionEngine(model, settings)
    window_s, step_s = features.samples / rate, settings.every * features.hop / rate
    going = takewhile(lambda _: not (stopped and stopped.is_set()), scene.blocks(sample_rate=rate))
    estimates = engine.run(going)
    answers = tuple(answers_of(each, window_s=window_s) for each in estimates)
    duration_s, nearest_s = engine.samples / rate, step_s / 2.0 + _ROUNDING_S
    tally = judge_recording(scene, answers, duration_s=duration_s, nearest_s=nearest_s)
    return Recording(scene=scene, duration_s=duration_s, tally=tally, answers=answers)


def answers_of(estimate: Estimate, *, window_s: float) -> Answers:
    """An estimate's directions, and the moment that they are of.

    A runner of one voice has one direction, while somebody talks, and it is of the middle of its
    window, which lasts `window_s` [seconds].
    """
    middle_s = estimate.time_s - window_s / 2.0
    of_s = middle_s if estimate.of_s is None else estimate.of_s
    if estimate.talkers is None:
        found = [(estimate.azimuth_deg, estimate.elevation_deg)] if estimate.active else []
        return Answers(of_s=of_s, directions=_vectors(found))
    found = [(talker.azimuth_deg, talker.elevation_deg) for talker in estimate.talkers]
    ids = tuple(talker.id for talker in estimate.talkers)
    return Answers(of_s=of_s, directions=_vectors(found), ids=ids)


def _vectors(angles_deg: Sequence[tuple[float, float]]) -> FloatArray:
    """(A, 3) unit vectors of azimuths and elevations [degrees]."""
    azimuth, elevation = np.radians(np.array(angles_deg).reshape(-1, 2).T)
    return angles_to_vector(azimuth, elevation)
