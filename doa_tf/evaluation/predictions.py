"""The outputs of a model for every scene, computed once; every decoding is derived from them.

    predictions = predict("run/model.keras", read_scenes("scenes"))
    directions, confidence = predictions.decode("centroid")

A recording is cut into consecutive whole windows, as in a stream, and the outputs of all frames
count. A `.tflite` runs through `doa_edge`, the same code as on a board.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.decode import METHODS, direction_scores
from doa_core.errors import InputError
from doa_core.refine import evidence, refined
from doa_core.spec import AUDIO, FeatureSpec, ModelSpec
from doa_core.stft import stft
from doa_tf.data.features import check_length, feature_windows, waveform_windows
from doa_tf.evaluation.baselines import BASELINES, search_grid
from doa_tf.files import Progress
from doa_tf.scenes.folder import Scene, Scenes

if TYPE_CHECKING:
    import keras

BASELINE_PREFIX = "baseline:"
MODEL_KINDS = ("a .keras file", "a .tflite file", *(BASELINE_PREFIX + name for name in BASELINES))
BATCH_WINDOWS = 32  # of a Keras model: 10 MB of features
ONE_DECODING = "direct"  # the only decoding of regression heads and baselines

Predict = Callable[[npt.NDArray[np.float32]], FloatArray]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The outputs of a model for all scenes.

    Attributes:
        model: path or name.
        scenes: what it was run on.
        spec: of a network; None for a baseline.
        outputs: per scene (T, K) float32 outputs of all frames; for a grid head (1, K), their mean,
            which is all that its decodings use; for a baseline (1, G) scores on its search grid.
        directions: (S, 3) answers of a baseline, else None.
        confidence: (S,) of a baseline, else None.
    """

    model: str
    scenes: Scenes
    spec: ModelSpec | None
    outputs: tuple[npt.NDArray[np.float32], ...]
    directions: FloatArray | None = None
    confidence: FloatArray | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The decodings that the model has."""
        grid = self.spec is not None and self.spec.grid is not None
        return METHODS if grid else (ONE_DECODING,)

    @property
    def default_method(self) -> str:
        """The decoding that the model file names."""
        return self.spec.decode if self.spec is not None and len(self.methods) > 1 else ONE_DECODING

    def decode(self, method: str | None = None) -> tuple[FloatArray, FloatArray]:
        """(S, 3) unit vectors and (S,) confidences.

        Args:
            method: `peak` or `centroid`; the model file's choice if None. Ignored by models with
                one decoding.
        """
        if self.spec is None:
            if self.directions is None or self.confidence is None:
                raise ValueError("Predictions of a baseline must hold its directions")
            return self.directions, self.confidence
        chosen = None if method == ONE_DECODING else method
        answers = [self.spec.directions(outputs, method=chosen) for outputs in self.outputs]
        directions = [
            self.refined(scene, direction[np.newaxis])[0]
            for scene, (direction, _) in zip(self.scenes, answers, strict=True)
        ]
        return np.stack(directions), np.array([float(sure) for _, sure in answers])

    def refined(self, scene: Scene, directions: FloatArray) -> FloatArray:
        """(P, 3) directions that were decoded for a scene, refined where the model's spec says so.

        The scene is read once more for that, a window at a time.
        """
        if self.spec is None or self.spec.refine == "none":
            return directions
        features = self.spec.features
        signal = scene.read(sample_rate=features.sample_rate)
        windows = feature_windows(
            signal, features, highpass_hz=self.spec.highpass_hz, name=str(scene.path)
        )
        sums = np.zeros((len(directions), 3))
        for window in windows:
            sums += evidence(directions, window, bin_hz=features.bin_hz)
        return refined(directions, sums)

    def scores(self, index: int, directions: npt.ArrayLike) -> FloatArray:
        """(D,) score of each of (D, 3) directions in one scene, for pictures."""
        outputs = self.outputs[index]
        if self.spec is None:
            return np.asarray(outputs[0], np.float64)[search_grid().nearest(directions)]
        return direction_scores(
            outputs, head=self.spec.head, grid=self.spec.grid, directions=directions
        )


def predict(
    model: str | os.PathLike[str] | keras.Model, scenes: Scenes, *, progress: Progress | None = None
) -> Predictions:
    """Run a model on every scene.

    Args:
        model: a .keras or .tflite file, `baseline:intensity`, `baseline:music`, or a Keras model
            built by this package.
        scenes: from `read_scenes`.
        progress: called with (scenes done, all scenes).

    Raises:
        InputError: a model of another kind, or one that gives NaN; a recording that cannot be
            read or is shorter than one window.
    """
    if isinstance(model, (str, os.PathLike)):
        check_model_name(model)
        name = os.fspath(model)
        if name.startswith(BASELINE_PREFIX):
            return _baseline_predictions(name, scenes, progress)
        if Path(name).suffix.lower() == ".tflite":
            from doa_edge.tflite.network import TfliteModel

            network = TfliteModel(name)

            def one_by_one(windows: npt.NDArray[np.float32]) -> FloatArray:
                return np.stack([network.predict(window) for window in windows])

            return _network_predictions(
                name, scenes, network.spec, one_by_one, batch_windows=1, progress=progress
            )
    from doa_tf.models import load_scoring_model, predict_padded

    scoring, spec = load_scoring_model(model)
    predict_windows = partial(predict_padded, scoring.predict_on_batch, size=BATCH_WINDOWS)
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else str(scoring.name)
    return _network_predictions(name, scenes, spec, predict_windows, progress=progress)


def predict_windows(
    model: keras.Model, scenes: Scenes, *, progress: Progress | None = None
) -> Iterator[tuple[Scene, npt.NDArray[np.float32]]]:
    """Each scene with the (M, T, K) outputs of its whole windows, one after the other.

    Args:
        model: built by this package.
        scenes: from `read_scenes`.
        progress: called with (scenes done, all scenes).

    Raises:
        InputError: as `predict`.
    """
    from doa_tf.models import load_scoring_model, predict_padded

    scoring, spec = load_scoring_model(model)
    predict_batch = partial(predict_padded, scoring.predict_on_batch, size=BATCH_WINDOWS)
    outputs = _scene_outputs(scenes, spec, predict_batch, BATCH_WINDOWS)
    for done, (scene, frames) in enumerate(outputs, start=1):
        _check_finite(frames, scoring.name, scene)
        yield scene, frames.reshape(-1, spec.features.frames, spec.outputs)
        if progress is not None:
            progress(done, len(scenes))


def check_model_name(model: str | os.PathLike[str]) -> None:
    """Raise InputError unless `predict` knows this kind of model and its file exists."""
    text = os.fspath(model)
    kind = f"The model must be {', '.join(MODEL_KINDS[:-1])} or {MODEL_KINDS[-1]}"
    is_baseline = text.startswith(BASELINE_PREFIX)
    if is_baseline and text.removeprefix(BASELINE_PREFIX) in BASELINES:
        return
    if is_baseline or Path(text).suffix.lower() not in (".keras", ".tflite"):
        raise InputError(f"{kind}. Received: {text}")
    if not Path(text).is_file():
        raise InputError(f"{kind}. Received: {text}, which is not there")


def _baseline_predictions(name: str, scenes: Scenes, progress: Progress | None) -> Predictions:
    baseline = BASELINES[name.removeprefix(BASELINE_PREFIX)]
    features = FeatureSpec()
    estimates = []
    for scene in scenes:
        signal = scene.read(sample_rate=features.sample_rate)
        check_length(signal, features, name=str(scene.path))
        transform = stft(signal, window_length=features.window_length, hop=features.hop)
        estimates.append(baseline(transform, sample_rate=features.sample_rate))
        if progress is not None:
            progress(len(estimates), len(scenes))
    return Predictions(
        model=name,
        scenes=scenes,
        spec=None,
        outputs=tuple(np.asarray(found.scores, np.float32)[np.newaxis] for found in estimates),
        directions=np.stack([found.direction for found in estimates]),
        confidence=np.array([found.confidence for found in estimates], dtype=np.float64),
    )


def _network_predictions(
    name: str,
    scenes: Scenes,
    spec: ModelSpec,
    predict_windows: Predict,
    *,
    batch_windows: int = BATCH_WINDOWS,
    progress: Progress | None,
) -> Predictions:
    outputs: list[npt.NDArray[np.float32]] = []
    for scene, frames in _scene_outputs(scenes, spec, predict_windows, batch_windows):
        _check_finite(frames, name, scene)
        outputs.append(frames if spec.grid is None else frames.mean(axis=0, keepdims=True))
        if progress is not None:
            progress(len(outputs), len(scenes))
    return Predictions(model=name, scenes=scenes, spec=spec, outputs=tuple(outputs))


def _check_finite(frames: npt.NDArray[np.float32], name: str, scene: Scene) -> None:
    if not np.all(np.isfinite(frames)):
        raise InputError(
            f"The model must give finite outputs. Received: NaN or infinity from {name} for "
            f"{scene.path}"
        )


def _scene_outputs(
    scenes: Scenes, spec: ModelSpec, predict_windows: Predict, batch_windows: int
) -> Iterator[tuple[Scene, npt.NDArray[np.float32]]]:
    """Each scene with its (frames, K) outputs. Short recordings share a batch."""
    pending: list[tuple[Scene, npt.NDArray[np.float32]]] = []

    def flush() -> Iterator[tuple[Scene, npt.NDArray[np.float32]]]:
        windows = np.concatenate([part for _, part in pending])
        outputs = predict_windows(windows)
        ends = np.cumsum([len(part) for _, part in pending])
        for (scene, _), frames in zip(pending, np.split(outputs, ends[:-1]), strict=True):
            yield scene, frames.reshape(-1, spec.outputs)
        pending.clear()

    windows_of = waveform_windows if spec.input == AUDIO else feature_windows
    options: dict[str, Any] = {"features": spec.features, "highpass_hz": spec.highpass_hz}
    for scene in scenes:
        signal = scene.read(sample_rate=spec.features.sample_rate)
        pending.append((scene, windows_of(signal, name=str(scene.path), **options)))
        if sum(len(part) for _, part in pending) >= batch_windows:
            yield from flush()
    if pending:
        yield from flush()
