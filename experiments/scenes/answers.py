"""Answers of models to scenes, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import doa_core
from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.errors import InputError
from doa_edge.activity import DEFAULT_MIN_CONFIDENCE, DEFAULT_MIN_PROBABILITY
from doa_edge.tflite.file import read_spec
from doa_tf.cli.progress import progress_bar
from doa_tf.evaluation import baselines
from doa_tf.evaluation.comparison import model_labels
from doa_tf.evaluation.judge import SceneResult, evaluate, read_per_scene
from doa_tf.evaluation.predictions import BASELINE_PREFIX, check_model_name
from doa_tf.files import Progress, sha256
from doa_tf.scenes.folder import LABELS_FILE, Scenes, read_scenes

Results = tuple[SceneResult, ...]


def judged(
    model: str, folder: Path, *, work: Path | None = None, progress: Progress | None = None
) -> Results:
    """A model's answers to the scenes of a folder.

    Args:
        model: as `doa_tf evaluate` takes it.
        folder: of the scenes.
        work: answers are kept in its folder `answers`, by digests of the model, the labels and the
            code that turns recordings into answers; None to keep none.
        progress: called with scenes done and scenes in all.
    """
    scenes = read_scenes(folder)
    path = work and work / "answers" / f"{folder.name}-{_answers_digest(model, folder)}.csv"
    if path and path.is_file():
        return read_per_scene(path, scenes).results
    evaluation = evaluate(model, scenes, progress=progress)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        evaluation.write_per_scene(path)
    return evaluation.results


def labelled(models: Sequence[str]) -> dict[str, str]:
    """Models by short names.

    Raises:
        InputError: a model twice, or a file or baseline that there is not.
    """
    for model in models:
        check_model_name(model)
    return dict(zip(model_labels(models), models, strict=True)) if models else {}


def files_of(models: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Name and digest of each model's file, by its short name, as JSON values."""
    pairs = models.items()
    return {name: {"file": Path(file).name, "sha256": model_digest(file)} for name, file in pairs}


def judge_folders(
    models: Sequence[str], folders: Sequence[Path], *, work: Path | None
) -> dict[str, dict[str, Results]]:
    """Answers of every model to the scenes of every folder, by their short names."""
    scenes = check_scenes(folders)
    pairs = scenes.items()
    with progress_bar("scenes") as progress:
        keep: dict[str, Any] = {"work": work, "progress": progress}
        return {
            label: {name: judged(model, own.folder, **keep) for name, own in pairs}
            for label, model in labelled(models).items()
        }


def model_spec(model: str) -> Any:
    """The spec of a model file; None for a baseline."""
    if model.startswith(BASELINE_PREFIX):
        return None
    if model.endswith(".tflite"):
        return read_spec(model)
    from doa_tf.models import load_scoring_model

    return load_scoring_model(model)[1]


def default_threshold(model: str) -> float:
    """Confidence below which `doa_edge run` takes nobody to talk, by default."""
    spec = model_spec(model)
    calibrated = spec is not None and bool(spec.calibration)
    return DEFAULT_MIN_PROBABILITY if calibrated else DEFAULT_MIN_CONFIDENCE


def model_digest(model: str) -> str:
    """SHA-256 of a model file, or of the code of a baseline."""
    return sha256(baselines.__file__ if model.startswith(BASELINE_PREFIX) else model)


def apart_deg(one: Sequence[float], other: Sequence[float]) -> float:
    """Great-circle angle between two pairs of azimuth and elevation, all in degrees."""
    vectors = [angles_to_vector(*np.radians(angles)) for angles in (one, other)]
    return float(np.degrees(great_circle_distance(*vectors)))


def check_scenes(folders: Sequence[Path]) -> dict[str, Scenes]:
    """Scenes by the shortest name that tells their folders apart.

    Raises:
        InputError: a folder twice, or one that holds no scenes.
    """
    for depth in (1, 2, 3):
        names = ["/".join(folder.resolve().parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return {name: read_scenes(folder) for name, folder in zip(names, folders, strict=True)}
    raise InputError(f"Each folder of scenes once. Received: {', '.join(map(str, folders))}")


def _answers_digest(model: str, folder: Path) -> str:
    labels = folder / LABELS_FILE
    name = model if model.startswith(BASELINE_PREFIX) else ""  # two of them share a file
    # Scenes that are rendered anew may have the same labels, and have another time.
    written = str(labels.stat().st_mtime_ns)
    hashed = hashlib.sha256(f"{name} {model_digest(model)} {written}".encode())
    hashed.update(sha256(labels).encode())
    for path in sorted(Path(str(doa_core.__file__)).parent.glob("*.py")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:20]
