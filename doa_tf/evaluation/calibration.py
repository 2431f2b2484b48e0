"""Calibration: a table that maps a model's confidence to a probability, fitted and stored."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doa_core.angles import great_circle_distance
from doa_core.calibration import WITHIN_DEG, Table, check_table
from doa_core.errors import InputError
from doa_tf.evaluation.predictions import predict
from doa_tf.files import Progress
from doa_tf.scenes.folder import Scenes

FEWEST = 50  # scenes; with fewer, a table would be noise
_SCENES_A_POINT = 25
_MOST_POINTS = 20


def fit_calibration(
    confidence: npt.ArrayLike, error_deg: npt.ArrayLike, *, within_deg: float = WITHIN_DEG
) -> Table:
    """The best-fitting increasing table of (raw, calibrated) pairs.

    Scenes are grouped by their confidence into groups of equal size, and an isotonic regression
    (pool adjacent violators) is fitted to the shares of answers within `within_deg`. Every group
    counts as if it had one right and one wrong scene more, so that no probability is 0 or 1: so few
    scenes cannot show that.

    Args:
        confidence: (S,) raw, in [0, 1].
        error_deg: (S,) [degrees].
        within_deg: largest error of a right answer [degrees].

    Raises:
        ValueError: fewer than `FEWEST` scenes, values that are not finite, or a confidence that is
            the same for all scenes.
    """
    from sklearn.isotonic import IsotonicRegression

    confidence = np.asarray(confidence, dtype=np.float64)
    error_deg = np.asarray(error_deg, dtype=np.float64)
    if confidence.shape != error_deg.shape or confidence.ndim != 1 or len(confidence) < FEWEST:
        raise ValueError(
            f"A calibration needs {FEWEST} scenes or more, each with its error. Received: "
            f"confidence.shape={confidence.shape}, error_deg.shape={error_deg.shape}"
        )
    if not (np.all((confidence >= 0.0) & (confidence <= 1.0)) and np.all(error_deg >= 0.0)):
        raise ValueError("`confidence` must be in [0, 1] and `error_deg` not negative, no NaN")
    order = np.argsort(confidence, kind="stable")
    points = int(np.clip(len(order) // _SCENES_A_POINT, 2, _MOST_POINTS))
    groups = np.array_split(order, points)
    raw = np.array([confidence[group].mean() for group in groups])
    right = np.array([np.sum(error_deg[group] <= within_deg) for group in groups])
    sizes = np.array([len(group) for group in groups])
    fitted = IsotonicRegression().fit(raw, (right + 1) / (sizes + 2), sample_weight=sizes)
    rounded = np.round(np.clip(fitted.X_thresholds_, 0, 1), 6)
    calibrated = np.round(np.clip(fitted.y_thresholds_, 0, 1), 4)
    table = dict(zip(rounded.tolist(), calibrated.tolist(), strict=True))
    if len(table) < 2:
        raise ValueError(
            "A calibration needs scenes of different confidence. Received: the same for all"
        )
    return check_table(tuple(sorted(table.items())))


def calibration_error(confidence: npt.ArrayLike, error_deg: npt.ArrayLike) -> float:
    """Mean distance between confidence and share of right answers, over ten groups of scenes.

    The expected calibration error with groups of equal size, in [0, 1].
    """
    confidence, error_deg = np.asarray(confidence), np.asarray(error_deg)
    groups = np.array_split(np.argsort(confidence, kind="stable"), min(10, len(confidence)))
    right = error_deg <= WITHIN_DEG
    gaps = [abs(confidence[group].mean() - right[group].mean()) for group in groups]
    return float(np.average(gaps, weights=[len(group) for group in groups]))


def calibrate_model(
    model: str | os.PathLike[str],
    scenes: Scenes,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Fit a checkpoint's calibration on scenes and write it into the checkpoint.

    Grid heads are decoded by their centroid.

    Args:
        model: a .keras file of this package.
        scenes: validation scenes; on training scenes the confidence would be too high.
        out: where to write; by default the model itself is overwritten.
        progress: called with (scenes done, all scenes).

    Returns:
        `scenes`, and the calibration errors `before` and `after`, on the same scenes.

    Raises:
        InputError: not a checkpoint of this package, or too few scenes.
    """
    import keras

    from doa_tf.checkpoint import save_model
    from doa_tf.layers import HeadOutput
    from doa_tf.models import load_model

    load_model(Path(model))  # its errors say what is wrong with a file
    network = keras.saving.load_model(model)
    (layer,) = (layer for layer in network.layers if isinstance(layer, HeadOutput))
    layer.calibration = ()
    predictions = predict(network, scenes, progress=progress)
    # As exported files are decoded: the best cell alone would hide which answers are near.
    method = None if layer.head.grid is None else "centroid"
    directions, raw = predictions.decode(method)
    truths = np.stack([scene.direction for scene in scenes])
    error_deg = np.degrees(great_circle_distance(directions, truths))
    try:
        layer.calibration = fit_calibration(raw, error_deg)
    except ValueError as error:
        raise InputError(str(error)) from error
    if predictions.spec is None:
        raise InputError("Baselines have no spec to write a calibration into")
    spec = replace(predictions.spec, calibration=layer.calibration)
    _, calibrated = replace(predictions, spec=spec).decode(method)
    save_model(Path(out or model), network)
    return {
        "scenes": float(len(scenes)),
        "before": calibration_error(raw, error_deg),
        "after": calibration_error(calibrated, error_deg),
    }
