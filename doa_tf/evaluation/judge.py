"""Judging a model, or a classical baseline, on scenes with known directions.

    evaluation = evaluate("run/model.keras", read_scenes("scenes"), group_by="condition")
    evaluation.to_dict()["all"]["median_deg"]

The error is the great-circle angle between the answer to a whole recording and its label.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from doa_core.angles import FloatArray, great_circle_distance, vector_to_angles
from doa_core.decode import METHODS
from doa_core.errors import InputError
from doa_core.files import printable, write_beside
from doa_core.reading.csv_table import read_table
from doa_tf.evaluation.groups import check_group, group_names, grouped
from doa_tf.evaluation.predictions import ONE_DECODING, Predictions, predict
from doa_tf.evaluation.statistics import LEVEL, RESAMPLES, Bootstrap, figures
from doa_tf.files import Progress, write_json
from doa_tf.scenes.folder import REQUIRED_COLUMNS, Scene, Scenes, read_scenes

if TYPE_CHECKING:
    import keras

CLUSTER_COLUMN = "room"  # scenes with the same value are resampled together
_DECIMALS = 4  # in JSON; 0.0001 degrees is far below what a label means
# Columns of the per-scene CSV file, and the attributes of `SceneResult` in them.
_RESULT_COLUMNS = {
    "estimated_azimuth_deg": "azimuth_deg",
    "estimated_elevation_deg": "elevation_deg",
    "error_deg": "error_deg",
    "confidence": "confidence",
}


class OfScene(Protocol):
    """A result that belongs to a scene."""

    @property
    def scene(self) -> Scene:
        """The recording and its label."""
        ...


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
        model: path or name.
        decode: `peak` or `centroid`; `direct` where a model has one decoding.
        group_by: the column that makes the groups; None for no groups.
        results: one for each scene, in the order of labels.csv.
    """

    model: str
    group_by: str | None
    results: tuple[SceneResult, ...]
    decode: str = ONE_DECODING

    @property
    def errors_deg(self) -> FloatArray:
        """(S,) [degrees]"""
        return np.array([result.error_deg for result in self.results])

    @property
    def confidence(self) -> FloatArray:
        """(S,) in [0, 1]."""
        return np.array([result.confidence for result in self.results])

    def group_indices(self, column: str | None = None) -> dict[str, list[int]]:
        """Which results belong to each group of a column, by default of `group_by`."""
        column = self.group_by if column is None else column
        if column is None:
            return {}
        return grouped(group_names([result.scene for result in self.results], column))

    def groups(self) -> dict[str, tuple[SceneResult, ...]]:
        """Results by value of the column, in the order of their first scenes; ranges ascending."""
        return {
            name: tuple(self.results[index] for index in indices)
            for name, indices in self.group_indices().items()
        }

    def to_dict(self) -> dict[str, Any]:
        """`model`, the figures of `groups` and of `all` scenes, ready for JSON."""
        groups = {name: summarise(results) for name, results in self.groups().items()}
        return {
            "model": self.model,
            "decode": self.decode,
            "interval": interval_method(self.results),
            "groups": groups,
            "all": summarise(self.results),
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` beside `path`, then rename."""
        write_json(Path(path), self.to_dict())

    def write_per_scene(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file with a row for each scene; it appears whole or not at all.

        `model`, `decode`, the columns of labels.csv, then `estimated_azimuth_deg`,
        `estimated_elevation_deg`, `error_deg` and `confidence`.
        """
        further = list(self.results[0].scene.columns)
        taken = {"model", "decode", *_RESULT_COLUMNS}
        header = ["model", "decode", *REQUIRED_COLUMNS]
        header += [*(name for name in further if name not in taken), *_RESULT_COLUMNS]
        with write_beside(path) as part, Path(part).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            for result in self.results:
                row = {**result.scene.columns, "model": self.model, "decode": self.decode}
                row |= {name: getattr(result.scene, name) for name in REQUIRED_COLUMNS}
                for column, name in _RESULT_COLUMNS.items():
                    row[column] = f"{getattr(result, name):.6f}"
                table.writerow(row)


def summarise(results: Sequence[SceneResult]) -> dict[str, Any]:
    """Figures of some results, with their bootstrap intervals.

    `n`, `mean_deg`, `median_deg` [degrees], `acc10`, `acc15`, `acc5` and `outliers30` [percent],
    and `intervals`, [low, high] of each. An error of exactly 10 degrees counts as within 10.
    """
    errors = np.array([result.error_deg for result in results])
    names = ("mean_deg", "median_deg", "acc10", "acc15", "acc5", "outliers30")
    own, bounds = figures(errors), bootstrap_of(results).intervals(errors)
    rounded = {name: round(own[name], _DECIMALS) for name in names}
    intervals = {name: [round(bound, _DECIMALS) for bound in bounds[name]] for name in names}
    return {"n": len(errors), **rounded, "intervals": intervals}


def bootstrap_of(results: Sequence[OfScene]) -> Bootstrap:
    """Resamples of these scenes: whole rooms where they have a column `room`, else scenes."""
    rooms = [result.scene.columns.get(CLUSTER_COLUMN) for result in results]
    whole = resampled_unit(results) == CLUSTER_COLUMN
    return Bootstrap(len(results), clusters=rooms if whole else None)


def interval_method(results: Sequence[OfScene]) -> dict[str, Any]:
    """How the intervals of some results are made; JSON values."""
    return {"level": LEVEL, "resamples": RESAMPLES, "drawn": resampled_unit(results)}


def resampled_unit(results: Sequence[OfScene]) -> str:
    """What a resample consists of: `room` or `scene`."""
    rooms = {result.scene.columns.get(CLUSTER_COLUMN, "") for result in results}
    return CLUSTER_COLUMN if len(rooms) > 1 and "" not in rooms else "scene"


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
        group_by: a column of labels.csv. By default `condition` where it exists.
        decode: `peak` or `centroid`; by default what the model's spec says. Regression heads and
            baselines have one decoding and ignore it.
        progress: called with (scenes done, all scenes).

    Raises:
        InputError: a model that is none of these, an unknown column or decoding, a recording that
            cannot be read or is shorter than one window; scenes of several talkers or of nobody,
            which `doa_tf.evaluation.evaluate_talkers` judges.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    group_by = check_group(scenes, group_by)
    if decode is not None and decode not in METHODS:
        raise InputError(f"`decode` must be one of {', '.join(METHODS)}. Received: {decode!r}")
    _check_one_talker_each(scenes)
    predictions = predict(model, scenes, progress=progress)
    return judge(predictions, decode=decode, group_by=group_by)


def has_one_talker_each(scenes: Scenes) -> bool:
    """Whether one talker talks all through each scene, so that a scene has one answer."""
    return all(scene.single for scene in scenes)


def _check_one_talker_each(scenes: Scenes) -> None:
    if not has_one_talker_each(scenes):
        others = next(scene.path for scene in scenes if not scene.single)
        raise InputError(
            "One answer a scene is judged where one talker talks all through; other scenes are "
            f"judged by `doa_tf.evaluation.evaluate_talkers`. Received: {others}"
        )


def judge(
    predictions: Predictions, *, decode: str | None = None, group_by: str | None = None
) -> Evaluation:
    """Compare what a model said with the labels, by one decoding.

    Args:
        predictions: from `doa_tf.evaluation.predictions.predict`.
        decode: one of `predictions.methods`; the model file's choice if None.
        group_by: a column, or None for no groups.
    """
    method = decode if decode in predictions.methods else predictions.default_method
    directions, confidence = predictions.decode(method)
    azimuth, elevation = vector_to_angles(directions)
    truth = np.stack([scene.direction for scene in predictions.scenes])
    angles = np.degrees([azimuth, elevation, great_circle_distance(directions, truth)])
    rows = np.stack([*angles, confidence], axis=1).tolist()
    answers = [dict(zip(_RESULT_COLUMNS.values(), row, strict=True)) for row in rows]
    return _evaluation(predictions.model, method, group_by, predictions.scenes, answers)


def read_per_scene(
    path: str | os.PathLike[str], scenes: Scenes, *, group_by: str | None = None
) -> Evaluation:
    """The evaluation that `Evaluation.write_per_scene` wrote, of the same scenes.

    Raises:
        InputError: not such a file, or of other scenes.
    """
    try:
        _, rows = read_table(path)
        if [row["file"] for row in rows] != [scene.file for scene in scenes]:
            raise InputError(f"{path} must hold the scenes of {scenes.folder}. Received: others")
        columns = _RESULT_COLUMNS.items()
        answers = [{name: _finite(row[column]) for column, name in columns} for row in rows]
        model, decode = rows[0]["model"], rows[0]["decode"]
    except InputError:
        raise
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path} holds no results of scenes: {error!r}") from error
    return _evaluation(model, decode, group_by, scenes, answers)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"its numbers must be finite. Received: {text}")
    return value


def _evaluation(
    model: str, decode: str, group_by: str | None, scenes: Scenes, answers: list[dict[str, float]]
) -> Evaluation:
    pairs = zip(scenes, answers, strict=True)
    results = tuple(SceneResult(scene=scene, **answer) for scene, answer in pairs)
    return Evaluation(model=printable(model), decode=decode, group_by=group_by, results=results)
