"""Judge a model, or a classical baseline, on scenes with known directions.

    evaluation = evaluate("run/model.keras", read_scenes("scenes"), group_by="condition")
    evaluation.to_dict()["all"]["median_deg"]

A recording is cut into the whole windows of a stream, one after the other; the outputs of all
frames are averaged and decoded once. The error is the great-circle angle between the answer and
the label. A `.tflite` runs through `doa_edge`, the very code of the board.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance, vector_to_angles
from doa_core.decode import METHODS, decode
from doa_core.features import intensity_features
from doa_core.spec import FeatureSpec, ModelSpec
from doa_core.stft import ComplexArray, stft
from doa_edge.errors import InputError
from doa_edge.output import write_beside
from doa_tf.baselines import BASELINES, Estimate
from doa_tf.scenes import Scene, Scenes, read_scenes

if TYPE_CHECKING:
    import keras

BASELINE_PREFIX = "baseline:"
MODEL_KINDS = ("a .keras file", "a .tflite file", *(BASELINE_PREFIX + name for name in BASELINES))
DEFAULT_GROUP = "condition"  # grouped by, where the scenes have it and nothing else is asked for
WITHIN_DEG = (10.0, 15.0)  # `acc10` and `acc15`
BATCH_WINDOWS = 32  # of a Keras model: 10 MB of features
_DECIMALS = 4  # in JSON; 0.0001 degrees is far below what a label means

Predict = Callable[[npt.NDArray[np.float32]], FloatArray]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SceneResult:
    """The answer to one scene.

    Attributes:
        scene: the recording and its label.
        azimuth_deg: estimate, in (-180, 180] [degrees].
        elevation_deg: estimate, in [-90, 90] [degrees].
        error_deg: great-circle angle to the label, in [0, 180] [degrees].
        confidence: in [0, 1].
    """

    scene: Scene
    azimuth_deg: float
    elevation_deg: float
    error_deg: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of a model on scenes.

    Attributes:
        model: path or name of what was judged.
        group_by: the column that makes the groups; None for no groups.
        results: one for each scene, in the order of labels.csv.
    """

    model: str
    group_by: str | None
    results: tuple[SceneResult, ...]

    def groups(self) -> dict[str, tuple[SceneResult, ...]]:
        """Results by value of the column, in the order of their first scenes."""
        groups: dict[str, list[SceneResult]] = {}
        if self.group_by is not None:
            for result in self.results:
                groups.setdefault(result.scene.columns[self.group_by], []).append(result)
        return {name: tuple(results) for name, results in groups.items()}

    def to_dict(self) -> dict[str, Any]:
        """`model`, the figures of `groups` and of `all` scenes, ready for JSON."""
        groups = {name: summarise(results) for name, results in self.groups().items()}
        return {"model": self.model, "groups": groups, "all": summarise(self.results)}

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` beside `path`, then rename."""
        with write_beside(path) as part:
            Path(part).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def summarise(results: Sequence[SceneResult]) -> dict[str, float]:
    """Number of scenes, mean and median error [degrees], share within 10 and 15 degrees [percent].

    An error of exactly 10 degrees counts as within 10.
    """
    errors = np.array([result.error_deg for result in results])
    figures: dict[str, float] = {
        "n": len(errors),
        "mean_deg": round(float(np.mean(errors)), _DECIMALS),
        "median_deg": round(float(np.median(errors)), _DECIMALS),
    }
    for limit in WITHIN_DEG:
        figures[f"acc{limit:g}"] = round(100.0 * float(np.mean(errors <= limit)), _DECIMALS)
    return figures


def evaluate(
    model: str | os.PathLike[str] | keras.Model,
    scenes: Scenes | str | os.PathLike[str],
    *,
    group_by: str | None = None,
    decode: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run a model on every scene and compare its answers with the labels.

    Args:
        model: a .keras or .tflite file, `baseline:intensity`, `baseline:music`, or a Keras model
            that was built by this package.
        scenes: from `read_scenes`, or the folder.
        group_by: a further column of labels.csv. By default `condition` where it exists.
        decode: `peak` or `centroid`; by default what the model's spec says. Regression heads and
            baselines have one decoding and ignore it.
        progress: called with (scenes done, all scenes).

    Raises:
        InputError: a model that is none of these, an unknown column or decoding, a recording that
            cannot be read or is shorter than one window.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    group_by = check_group(scenes, group_by)
    if decode is not None and decode not in METHODS:
        raise InputError(f"`decode` must be one of {', '.join(METHODS)}. Received: {decode!r}")
    name, estimates = _estimator(model, decode)
    results: list[SceneResult] = []
    for scene, (direction, confidence) in zip(scenes, estimates(scenes), strict=True):
        azimuth, elevation = vector_to_angles(direction)
        error = great_circle_distance(direction, scene.direction)
        results.append(
            SceneResult(
                scene=scene,
                azimuth_deg=float(np.degrees(azimuth)),
                elevation_deg=float(np.degrees(elevation)),
                error_deg=float(np.degrees(error)),
                confidence=float(confidence),
            )
        )
        if progress is not None:
            progress(len(results), len(scenes))
    return Evaluation(model=name, group_by=group_by, results=tuple(results))


def check_group(scenes: Scenes, group_by: str | None) -> str | None:
    """The column to group by: the one asked for, else `condition` if there is one, else None.

    Raises:
        InputError: the scenes have no such column.
    """
    if group_by is None:
        return DEFAULT_GROUP if DEFAULT_GROUP in scenes.columns else None
    if group_by not in scenes.columns:
        raise InputError(
            f"The scenes of {scenes.folder} can be grouped by "
            f"{', '.join(scenes.columns) or 'no column: labels.csv has no further ones'}. "
            f"Received: {group_by}"
        )
    return group_by


def check_model_name(model: str | os.PathLike[str]) -> None:
    """Raise InputError unless `evaluate` knows this kind of model and its file is there."""
    text = os.fspath(model)
    kind = f"The model must be {', '.join(MODEL_KINDS[:-1])} or {MODEL_KINDS[-1]}"
    if text.startswith(BASELINE_PREFIX):
        if text.removeprefix(BASELINE_PREFIX) not in BASELINES:
            raise InputError(f"{kind}. Received: {text}")
        return
    if Path(text).suffix.lower() not in (".keras", ".tflite"):
        raise InputError(f"{kind}. Received: {text}")
    if not Path(text).is_file():
        raise InputError(f"{kind}. Received: {text}, which is not there")


def feature_windows(
    signal: npt.ArrayLike, features: FeatureSpec, *, name: str = "The signal"
) -> npt.NDArray[np.float32]:
    """(M, T, F, K) features of the whole windows of a recording, one after the other.

    The frames are those of one continuous stream; a remainder of less than T frames is left out.

    Args:
        signal: (N, 4) float AmbiX at the spec's rate.
        features: the path to the input of the network.
        name: of the recording, for the message.

    Raises:
        InputError: a signal shorter than one window.
    """
    transform = _transform(signal, features, name)
    count = len(transform) // features.frames
    values = intensity_features(
        transform[: count * features.frames],
        channels=features.channels,
        energy_floor=features.energy_floor,
    )
    return values.reshape(count, *features.input_shape)


def _transform(signal: npt.ArrayLike, features: FeatureSpec, name: str) -> ComplexArray:
    signal = np.asarray(signal)
    if len(signal) < features.samples:
        raise InputError(
            f"{name} is shorter than one window of {features.samples} samples "
            f"({features.samples / features.sample_rate:.2f} s). Received: {len(signal)} samples "
            f"at {features.sample_rate} Hz"
        )
    return stft(signal, window_length=features.window_length, hop=features.hop)


_Estimates = Callable[[Iterable[Scene]], Iterator[tuple[FloatArray, float]]]


def _estimator(
    model: str | os.PathLike[str] | keras.Model, method: str | None
) -> tuple[str, _Estimates]:
    """Name of a model, and a generator of (3,) directions and confidences in scene order."""
    if isinstance(model, (str, os.PathLike)):
        check_model_name(model)
        name = os.fspath(model)
        if name.startswith(BASELINE_PREFIX):
            baseline = BASELINES[name.removeprefix(BASELINE_PREFIX)]
            return name, lambda scenes: _baseline_estimates(scenes, baseline)
        if Path(name).suffix.lower() == ".tflite":
            from doa_edge.model import TfliteModel

            network = TfliteModel(name)

            def predict_one_by_one(windows: npt.NDArray[np.float32]) -> FloatArray:
                return np.stack([network.predict(window) for window in windows])

            spec = network.spec
            return name, lambda scenes: _network_estimates(
                scenes, spec, predict_one_by_one, method=method, batch_windows=1
            )
    from doa_tf.models import load_scoring_model

    scoring, keras_spec = load_scoring_model(model)
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else str(scoring.name)
    size = BATCH_WINDOWS

    def predict_padded(windows: npt.NDArray[np.float32]) -> FloatArray:
        # One batch size means one trace of the graph, which costs more than the padding.
        padding = np.zeros((size - len(windows), *windows.shape[1:]), windows.dtype)
        outputs = scoring.predict_on_batch(np.concatenate([windows, padding]))
        return np.asarray(outputs)[: len(windows)]

    return name, lambda scenes: _network_estimates(
        scenes, keras_spec, predict_padded, method=method, batch_windows=size
    )


def _baseline_estimates(
    scenes: Iterable[Scene], baseline: Callable[..., Estimate]
) -> Iterator[tuple[FloatArray, float]]:
    features = FeatureSpec()
    for scene in scenes:
        signal = scene.read(sample_rate=features.sample_rate)
        estimate = baseline(
            _transform(signal, features, str(scene.path)), sample_rate=features.sample_rate
        )
        yield estimate.direction, estimate.confidence


def _network_estimates(
    scenes: Iterable[Scene],
    spec: ModelSpec,
    predict: Predict,
    *,
    method: str | None,
    batch_windows: int,
) -> Iterator[tuple[FloatArray, float]]:
    """Short recordings share a batch; a long one takes several."""
    pending: list[npt.NDArray[np.float32]] = []

    def flush() -> Iterator[tuple[FloatArray, float]]:
        windows = np.concatenate(pending)
        outputs = np.concatenate(
            [
                predict(windows[start : start + batch_windows])
                for start in range(0, len(windows), batch_windows)
            ]
        )
        ends = np.cumsum([len(recording) for recording in pending])
        for frames in np.split(outputs, ends[:-1]):
            direction, confidence = decode(
                frames.reshape(-1, spec.outputs),
                head=spec.head,
                grid=spec.grid,
                method=method or spec.decode,
            )
            yield direction, float(confidence)
        pending.clear()

    for scene in scenes:
        signal = scene.read(sample_rate=spec.features.sample_rate)
        pending.append(feature_windows(signal, spec.features, name=str(scene.path)))
        if sum(map(len, pending)) >= batch_windows:
            yield from flush()
    if pending:
        yield from flush()
