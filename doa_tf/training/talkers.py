"""How well a network finds each of several talkers, after each epoch of training."""

from __future__ import annotations

import numpy as np

from doa_core.angles import FloatArray
from doa_core.calibration import TALKING_SHARE
from doa_core.grid import Grid
from doa_core.peaks import find_peaks
from doa_tf.heads import Head
from doa_tf.matching import errors_of_talkers
from doa_tf.scenes.talkers import who_talks

_SCENES_AT_ONCE = 64  # of the loss, which holds S x T x V x G distances


def judge_talkers(
    outputs: FloatArray, directions: FloatArray, head: Head
) -> tuple[FloatArray, dict[str, float]]:
    """(N,) angles [degrees] of all talkers of all scenes to their peaks, and figures.

    The count is known: as many peaks are sought as there are talkers in a scene who talk in at
    least 30 % of its frames, and matched to them so that the sum of their angles is least. A talker
    for whom no peak is left is 180 degrees off.

    Args:
        outputs: (S, T, G) of the model.
        directions: (S, V, 3) or (S, T, V, 3) unit vectors, zeros where a talker is silent.
        head: one that takes several talkers.

    Returns:
        The angles, and `val_loss` over all frames, also of scenes of nobody; with `val_silence_auc`
        where there are scenes of nobody and of exactly one talker: the probability that the highest
        peak of one of the latter is higher than that of one of the former.

    Raises:
        ValueError: several talkers for a head of one, or nobody who talks in any scene.
    """
    if head.grid is None or not head.several:
        raise ValueError(
            f"The head '{head.name}' takes one talker, who talks in every frame. Received: "
            f"directions.shape={directions.shape}, with {_silent(directions)} rows of zeros"
        )
    figures = {"val_loss": _loss(outputs, directions, head)}
    scores = np.asarray(head.scores(outputs)).mean(axis=1)
    frames = directions if directions.ndim == 4 else directions[:, np.newaxis]
    share = np.any(frames != 0.0, axis=-1).mean(axis=1)  # (S, V)
    errors_deg: list[FloatArray] = []
    for scene, row in zip(frames, scores, strict=True):
        _, true = who_talks(scene)
        if len(true):
            peaks, _ = find_peaks(row, grid=head.grid, count=len(true))
            errors_deg.append(errors_of_talkers(true, peaks))
    if not errors_deg:
        raise ValueError("Somebody must talk in at least one scene of the validation")
    quiet = np.all(share == 0.0, axis=-1)
    alone = np.sum(share >= TALKING_SHARE, axis=-1) == 1
    alone &= np.sum(share > 0.0, axis=-1) == 1
    if quiet.any() and alone.any():
        highest = np.array([_highest(row, head.grid) for row in scores])
        figures["val_silence_auc"] = share_higher(highest[alone], highest[quiet])
    return np.concatenate(errors_deg), figures


def share_higher(ones: FloatArray, others: FloatArray) -> float:
    """Probability that one of (N,) values is above one of (M,) others; ties count half.

    The area under the ROC curve, by Mann and Whitney's rank statistic.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([ones, others]))[: len(ones)]
    above = ranks.sum() - len(ones) * (len(ones) + 1) / 2.0
    return float(above / (len(ones) * len(others)))


def _silent(directions: FloatArray) -> int:
    return int(np.sum(~np.any(directions, axis=-1)))


def _loss(outputs: FloatArray, directions: FloatArray, head: Head) -> float:
    loss, total = head.loss(), 0.0
    for first in range(0, len(outputs), _SCENES_AT_ONCE):
        part = slice(first, first + _SCENES_AT_ONCE)
        total += float(loss(directions[part], outputs[part])) * len(outputs[part])
    return total / len(outputs)


def _highest(scores: FloatArray, grid: Grid) -> float:
    _, heights = find_peaks(scores, grid=grid, count=1)
    return float(heights[0]) if len(heights) else 0.0
