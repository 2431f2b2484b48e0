"""Calibration: a table that maps a model's confidence to a probability, fitted and stored."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance
from doa_core.calibration import WITHIN_DEG, Table, calibrate, check_table
from doa_core.errors import InputError
from doa_edge.tracking.voices import default_average
from doa_tf.data.recorded import frame_times
from doa_tf.evaluation.predictions import predict, predict_windows
from doa_tf.files import Progress
from doa_tf.scenes.folder import Scenes
from doa_tf.scenes.talkers import who_talks

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

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
    if confidence.shape != error_deg.shape or confidence.ndim != 1:
        raise ValueError(
            "A calibration needs confidences of (S,), each with its error. Received: "
            f"confidence.shape={confidence.shape}, error_deg.shape={error_deg.shape}"
        )
    if len(confidence) < FEWEST:
        raise ValueError(
            f"A calibration needs {FEWEST} scenes or more, or it would be noise. "
            f"Received: {len(confidence)}"
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
    apart_deg: float | None = None,
    refine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Fit a checkpoint's calibration on scenes and write it into the checkpoint.

    Grid heads are decoded by their centroid. Of a network of several voices every peak of every
    window enters the fit, those that are nobody as well; as in the runner, outputs are averaged
    over the later half of a window's frames.

    Args:
        model: a .keras file of this package.
        scenes: validation scenes; on training scenes the confidence would be too high. For a
            network of several voices with nobody, one and several talkers: a table that never saw
            silence is too sure of it.
        out: where to write; by default the model itself is overwritten.
        apart_deg: least distance of two voices from now on [degrees], of a network of several; as
            the checkpoint has it if None.
        refine: `intensity` or `none`, how directions are refined from now on, see
            `doa_core.refine`; as the checkpoint has it if None. The fit is of directions before it.
        progress: called with (scenes done, all scenes).

    Returns:
        `scenes`, and the calibration errors `before` and `after`, on the same scenes; of a network
        of several voices also the number of `peaks`.

    Raises:
        InputError: not a checkpoint of this package, too few scenes, or scenes of other than one
            talker for a network of one.
    """
    from doa_tf.checkpoint import save_model
    from doa_tf.layers import HeadOutput
    from doa_tf.models import load_model, model_spec

    network = load_model(Path(model), compiled=True)
    (layer,) = (layer for layer in network.layers if isinstance(layer, HeadOutput))
    layer.calibration = ()
    try:
        if apart_deg is not None:
            layer.apart_deg = apart_deg
        if refine is not None:
            layer.refine = refine
        spec = model_spec(network)
    except ValueError as error:
        raise InputError(str(error)) from error
    several = spec.voices > 1
    if several:
        _warn_of_gaps(scenes)
    else:
        _check_one_talker(scenes)
    raw, error_deg = (_judged_peaks if several else _judged_answers)(network, scenes, progress)
    try:
        layer.calibration = fit_calibration(raw, error_deg)
    except ValueError as error:
        raise InputError(str(error)) from error
    save_model(Path(out or model), network)
    figures = {
        "scenes": float(len(scenes)),
        "before": calibration_error(raw, error_deg),
        "after": calibration_error(calibrate(raw, layer.calibration), error_deg),
    }
    return {**figures, "peaks": float(len(raw))} if several else figures


def _judged_answers(
    network: keras.Model, scenes: Scenes, progress: Progress | None
) -> tuple[FloatArray, FloatArray]:
    """(S,) raw confidences and (S,) errors [degrees] of the answers to scenes of one talker."""
    truths = np.stack([scene.direction for scene in scenes])
    predictions = predict(network, scenes, progress=progress)
    spec = predictions.spec
    # As exported files are decoded: the best cell alone would hide which answers are near.
    method = None if spec is None or spec.grid is None else "centroid"
    directions, raw = predictions.decode(method)
    return raw, np.degrees(great_circle_distance(directions, truths))


def _judged_peaks(
    network: keras.Model, scenes: Scenes, progress: Progress | None
) -> tuple[FloatArray, FloatArray]:
    """(N,) raw confidences and (N,) angles [degrees] to the nearest talker of all peaks.

    The peaks of all windows of all scenes, as many as a window has and the network knows voices,
    each of the frames that the runner averages.
    """
    from doa_tf.models import model_spec

    spec = model_spec(network)
    features = spec.features
    average = default_average(features.frames)
    raw: list[FloatArray] = []
    error_deg: list[FloatArray] = []
    for scene, windows in predict_windows(network, scenes, progress=progress):
        for number, outputs in enumerate(windows):
            start = number * features.frames * features.hop
            _, talkers = who_talks(scene.directions_at(frame_times(features, start=start)))
            directions, heights = spec.peaks(outputs[-average:])
            raw.append(heights)
            error_deg.append(_to_nearest(directions, talkers))
    if len(raw) < FEWEST:
        raise InputError(f"A calibration needs {FEWEST} windows or more. Received: {len(raw)}")
    return np.concatenate(raw), np.concatenate(error_deg)


def _check_one_talker(scenes: Scenes) -> None:
    """Raise InputError unless one talker talks all through in every recording."""
    others = [scene for scene in scenes if not scene.single]
    if others:
        first, count = others[0], len(others[0].talkers)
        who = "nobody" if not count else "one talker" if count == 1 else f"{count} talkers"
        raise InputError(
            "A network of one voice is calibrated on recordings of one talker who talks all "
            "through: leave out the others, or calibrate a network of several voices. Received: "
            f"{len(others)} others of {len(scenes)} in {scenes.folder}, the first {first.file} "
            f"with {who}{', with pauses or moves' if first.timed else ''}"
        )


def _warn_of_gaps(scenes: Scenes) -> None:
    """Say what a table of several voices will not have seen."""
    counts = {min(len(scene.talkers), 2) for scene in scenes}
    kinds = ("nobody", "one talker", "several talkers")
    missing = [kind for count, kind in enumerate(kinds) if count not in counts]
    if missing:
        logger.warning(
            "%s has no scenes of %s: confidences there will be wrong",
            scenes.folder,
            " and of ".join(missing),
        )


def _to_nearest(directions: FloatArray, talkers: FloatArray) -> FloatArray:
    """(P,) angle [degrees] of each direction to the nearest talker; 180 where nobody talks."""
    if not len(talkers):
        return np.full(len(directions), 180.0)
    distances = great_circle_distance(directions[:, np.newaxis], talkers)
    return np.degrees(distances.min(axis=1))
